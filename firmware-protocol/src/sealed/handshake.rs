//! The three messages, from both sides.

use core::fmt;

use clatter::Handshaker as _;
use clatter::handshakepattern::noise_xx;

use super::noise::{Handshake, pair};
use super::{Channel, LinkKey, LinkSecret};

/// Both sides have to mean the same protocol.
const PROLOGUE: &[u8] = b"noflake-link-1";

/// Length of the first message, in bytes.
pub const FIRST_BYTES: usize = 32;
/// Length of the second message, in bytes.
pub const SECOND_BYTES: usize = 96;
/// What the third message adds to what the host has to say in it, in bytes.
pub const THIRD_OVERHEAD_BYTES: usize = 64;

/// What a handshake ends with.
#[derive(Debug)]
pub struct Joined {
    /// The sealed link.
    pub channel: Channel,
    /// The key of the other side: it has proven that it holds the secret half.
    pub peer: LinkKey,
    /// Bytes written.
    pub written: usize,
}

/// The side that begins.
#[derive(Clone)]
pub struct Initiator(Handshake);

impl Initiator {
    /// Begins a handshake; writes its first message to `out`. `fresh` is drawn for this handshake and used for
    /// no other.
    ///
    /// `None` when `out` is shorter than [`FIRST_BYTES`].
    #[must_use]
    pub fn begin(own: &LinkSecret, fresh: &LinkSecret, out: &mut [u8]) -> Option<(Self, usize)> {
        let mut noise = start(true, own, fresh)?;
        let written = noise.write_message(&[], out).ok()?;
        Some((Self(noise), written))
    }

    /// Takes the second message. `None` when it does not answer the first one; another second message may still do.
    #[must_use]
    pub fn hear(&self, second: &[u8]) -> Option<Answered> {
        let mut noise = self.0.clone();
        noise.read_message(second, &mut []).ok()?;
        let peer = noise.get_remote_static()?;
        Some(Answered { noise, peer })
    }

    /// As [`Initiator::hear`] and then [`Answered::join`], for whom it does not matter who answers.
    #[must_use]
    pub fn join(&self, second: &[u8], payload: &[u8], out: &mut [u8]) -> Option<Joined> {
        self.hear(second)?.join(payload, out)
    }
}

/// The side that began, once the other one has answered.
pub struct Answered {
    noise: Handshake,
    /// The key of the device: it has proven that it holds the secret half.
    pub peer: LinkKey,
}

impl Answered {
    /// Writes the third message to `out`, with `payload` in it, which only the device can read. `None` when `out` is too
    /// short.
    #[must_use]
    pub fn join(self, payload: &[u8], out: &mut [u8]) -> Option<Joined> {
        let Self { mut noise, peer } = self;
        let written = noise.write_message(payload, out).ok()?;
        let (to_device, from_device, _) = end(noise)?;
        Some(Joined { channel: Channel::new(to_device, from_device), peer, written })
    }
}

/// The side that answers.
#[derive(Clone)]
pub struct Responder(Handshake);

impl Responder {
    /// Answers a first message; writes the second one to `out`. `fresh` is drawn for this handshake and used for no
    /// other.
    ///
    /// `None` when it is no first message, or `out` is shorter than [`SECOND_BYTES`].
    #[must_use]
    pub fn answer(
        own: &LinkSecret,
        fresh: &LinkSecret,
        first: &[u8],
        out: &mut [u8],
    ) -> Option<(Self, usize)> {
        let mut noise = start(false, own, fresh)?;
        noise.read_message(first, &mut []).ok()?;
        let written = noise.write_message(&[], out).ok()?;
        Some((Self(noise), written))
    }

    /// Takes the third message; writes what the host says in it to `payload`. `None` when it does not fit the handshake;
    /// another third message may still do.
    #[must_use]
    pub fn join(&self, third: &[u8], payload: &mut [u8]) -> Option<Joined> {
        let mut noise = self.0.clone();
        let written = noise.read_message(third, payload).ok()?;
        let (from_host, to_host, peer) = end(noise)?;
        Some(Joined { channel: Channel::new(to_host, from_host), peer, written })
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Initiator")
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answered")
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Responder")
    }
}

fn start(begins: bool, own: &LinkSecret, fresh: &LinkSecret) -> Option<Handshake> {
    let (own, fresh) = (Some(pair(own.bytes())), Some(pair(fresh.bytes())));
    Handshake::new(noise_xx(), PROLOGUE, begins, own, fresh, None, None).ok()
}

/// The keys from the side that began and to it, and the key of the other side.
fn end(noise: Handshake) -> Option<(super::channel::Key, super::channel::Key, LinkKey)> {
    let peer = noise.get_remote_static()?;
    let keys = noise.finalize().ok()?.take();
    Some((keys.initiator_to_responder, keys.responder_to_initiator, peer))
}
