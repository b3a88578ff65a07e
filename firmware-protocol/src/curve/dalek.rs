//! The libraries of the dalek family.

use ed25519_dalek::{Signature, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};

use super::Curve;

/// `ed25519-dalek` and `x25519-dalek`.
#[derive(Debug, Clone, Copy)]
pub struct Dalek;

impl Curve for Dalek {
    fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(key).is_ok_and(|key| {
            !key.is_weak() && key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
        })
    }

    fn public(secret: &[u8; 32]) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
    }

    fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
        let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*public));
        shared.was_contributory().then(|| shared.to_bytes())
    }
}
