//! A small library, made strict.

use salty::agreement;
use salty::{PublicKey, Signature};

use super::Curve;

/// `salty`.
#[derive(Debug, Clone, Copy)]
pub struct Salty;

/// The y of every point of small order, in each of its encodings, without the bit that gives the sign of x: 0, 1 and -1 with
/// their other encodings, and the two of order eight.
const SMALL_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    little(1),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    above(0xec),
    above(0xed),
    above(0xee),
];

/// A small number.
const fn little(first: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = first;
    bytes
}

/// 2^255 - 256 and `first`: close to the field's prime, whose first byte is 0xed.
const fn above(first: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = first;
    bytes[31] = 0x7f;
    bytes
}

fn is_of_small_order(encoded: &[u8; 32]) -> bool {
    let [front @ .., last] = encoded;
    SMALL_ORDER.iter().any(|[small @ .., end]| small == front && *end == last & 0x7f)
}

impl Curve for Salty {
    fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = Signature::from(signature);
        // The library takes these; a strict verification does not.
        if is_of_small_order(key)
            || is_of_small_order(signature.r.as_bytes())
            || !signature.s.is_canonical()
        {
            return false;
        }
        PublicKey::try_from(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
    }

    fn public(secret: &[u8; 32]) -> [u8; 32] {
        agreement::SecretKey::from_seed(secret).public().to_bytes()
    }

    fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
        let shared = agreement::x25519(*secret, *public);
        // Every byte is looked at: how long that takes tells nothing of the secret.
        let bits = shared.iter().fold(0, |bits, byte| bits | byte);
        (bits != 0).then_some(shared)
    }
}
