//! What a bench reset says: this device, in this very boot, may go back below its floor (TRUST.md, "Floors").
//!
//! As in [`crate::manifest`] these types are only the meaning of bytes; [`crate::trust`] decides.

use serde::{Deserialize, Serialize};

use crate::manifest::{DecodeError, check, decode};

/// The word of the qualify role that lowers the accept floor of one device on a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenchReset<'a> {
    /// Product of the device.
    pub product: &'a str,
    /// Its serial number, whole.
    pub serial: &'a str,
    /// The boot in which it counts: heard later it is worth nothing.
    pub boot_nonce: u64,
    /// What the accept floor is to be.
    pub floor: u64,
    /// Held against the lowest epoch of certificates that the root record lets count.
    pub epoch: u32,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub made_at_s: u64,
}

/// Decodes a bench reset and checks the rules that hold for every one.
///
/// # Errors
/// When the body does not decode whole, or breaks a rule.
pub fn decode_bench_reset(body: &[u8]) -> Result<BenchReset<'_>, DecodeError> {
    let reset: BenchReset<'_> = decode(body)?;
    check(!reset.product.is_empty(), "a product is named")?;
    check(!reset.serial.is_empty(), "a serial number is named")?;
    check(reset.boot_nonce != 0, "a boot is named")?;
    Ok(reset)
}
