//! Curve25519: signatures and key agreement, from one of two libraries (decisions/0017).
//!
//! `dalek` is fast and widely reviewed, `salty` takes some 5 KB less and, on cores that it has no arithmetic of its own for, forty
//! times as long. Which one a build takes is a feature; both give the same answers, edge cases included (`tests/curves.rs`).

#[cfg(feature = "dalek")]
mod dalek;
#[cfg(feature = "salty")]
mod salty;

#[cfg(feature = "dalek")]
pub use self::dalek::Dalek;
#[cfg(feature = "salty")]
pub use self::salty::Salty;

/// The library that this build takes.
#[cfg(feature = "dalek")]
pub type Chosen = Dalek;
/// The library that this build takes.
#[cfg(all(feature = "salty", not(feature = "dalek")))]
pub type Chosen = Salty;
#[cfg(not(any(feature = "dalek", feature = "salty")))]
compile_error!("firmware-protocol needs the feature `dalek` (the default) or `salty`");

/// What is asked of a library.
pub trait Curve {
    /// Whether a signature is by `key`: Ed25519 (RFC 8032) without the cofactor, and strict. Keys and points R of small order,
    /// scalars that are not reduced and points R that are not the encoding of themselves are refused.
    fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;

    /// The public half of an X25519 secret (RFC 7748).
    fn public(secret: &[u8; 32]) -> [u8; 32];

    /// What both sides have in common; `None` where that is zeros, because the public key is of small order: whoever sent it
    /// would know the outcome without a secret.
    fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]>;
}
