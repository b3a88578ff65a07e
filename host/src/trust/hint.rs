//! The hint of a key, by which people and signatures name it (BUNDLE.md, "Envelope").

use firmware_protocol::root::PublicKey;
use firmware_protocol::trust::key_hint;

use super::hex::Hex;

/// The hint of `key`.
#[must_use]
pub fn hint(key: &PublicKey) -> String {
    Hex(&key_hint(key)).to_string()
}

/// The hint of each of `keys`, in their order.
#[must_use]
pub fn hints(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(hint).collect()
}
