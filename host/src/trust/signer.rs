//! What can sign.

use std::fmt;
use std::path::PathBuf;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use firmware_protocol::root::PublicKey;
use thiserror::Error;

use super::program::ProgramError;

/// Why a signer gave no signature.
#[derive(Debug, Error)]
pub enum SignerError {
    /// The signer did not answer, or said no.
    #[error("the signer refused: {reason}")]
    Refused {
        /// In the signer's words.
        reason: String,
    },
    /// The program that signs for a key did not.
    #[error("the program of key {} gave no signature", key.display())]
    Program {
        /// The signer file.
        key: PathBuf,
        /// Why.
        source: ProgramError,
    },
}

/// Holds one Ed25519 key, wherever that is, and signs with it.
pub trait Signer {
    /// The public half of its key.
    fn public_key(&self) -> PublicKey;

    /// Signs `message` (pure Ed25519, RFC 8032).
    ///
    /// # Errors
    /// When the signer is out of reach or refuses.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError>;
}

/// Whether `signature` over `message` is by `key`: strictly, and never by a weak key, under which anybody signs.
#[must_use]
pub fn holds_strictly(key: &PublicKey, message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        !key.is_weak() && key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    })
}

/// A key that was read from its encrypted file; wiped from memory when dropped.
pub struct FileSigner(SigningKey);

impl FileSigner {
    pub(super) const fn new(key: SigningKey) -> Self {
        Self(key)
    }
}

impl Signer for FileSigner {
    fn public_key(&self) -> PublicKey {
        self.0.verifying_key().to_bytes()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        let signature = self.0.try_sign(message);
        signature
            .map(|signature| signature.to_bytes())
            .map_err(|error| SignerError::Refused { reason: error.to_string() })
    }
}

impl fmt::Debug for FileSigner {
    /// Never the secret half.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileSigner").field(&super::Hex(&self.public_key()).to_string()).finish()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The signer whose secret is `seed` repeated.
    pub(crate) fn signer(seed: u8) -> FileSigner {
        FileSigner::new(SigningKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn debug_output_shows_the_public_half_only() {
        let shown = format!("{:?}", signer(7));
        assert!(!shown.contains("0707"), "{shown}");
    }
}
