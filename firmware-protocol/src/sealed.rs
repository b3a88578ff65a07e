//! Sealed links: Noise XX between the keys of a host and of a device (PROTOCOL.md, "Sealed links").
//!
//! A handshake of three messages gives both sides a [`Channel`], which seals and opens frames one by one, in whatever order
//! they arrive. Nothing here knows frames of a wire, time or whom to trust.

mod channel;
mod handshake;
mod noise;

use core::fmt;

use zeroize::Zeroizing;

pub use self::channel::{Channel, MAX_FRAMES, TAG_BYTES};
pub use self::handshake::{
    Answered, FIRST_BYTES, Initiator, Joined, Responder, SECOND_BYTES, THIRD_OVERHEAD_BYTES,
};

/// First byte of the first message of a handshake, as it travels (PROTOCOL.md, "Sealed links").
pub const FIRST: u8 = 1;
/// That of the second one.
pub const SECOND: u8 = 2;
/// That of the third one.
pub const THIRD: u8 = 3;

/// An X25519 public key.
pub type LinkKey = [u8; 32];

/// An X25519 secret key, wiped when dropped.
#[derive(Clone)]
pub struct LinkSecret(Zeroizing<[u8; 32]>);

impl LinkSecret {
    /// The key of these bytes: any will do that nobody can guess.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> LinkKey {
        noise::public(&self.0)
    }
}

impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkSecret")
    }
}
