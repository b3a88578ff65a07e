//! Frames sealed and opened one by one.

use core::fmt;

use clatter::cipherstate::CipherState;

use crate::frame::{Header, Kind};
use crate::planted::Defence;

use super::noise::ChaChaPoly;

/// Length of the tag behind a sealed payload, in bytes.
pub const TAG_BYTES: usize = 16;
/// Frames that one direction of a sealed link carries at most.
pub const MAX_FRAMES: u32 = 1 << 31;
/// Numbers below the highest one that still count.
const WINDOW: u32 = 64;

/// The key of one direction.
pub(super) type Key = CipherState<ChaChaPoly>;

/// One side of a sealed link.
#[derive(Clone)]
pub struct Channel {
    send: Key,
    receive: Key,
    next: u32,
    seen: Seen,
}

impl Channel {
    pub(super) const fn new(send: Key, receive: Key) -> Self {
        Self { send, receive, next: 0, seen: Seen { highest: None, below: 0 } }
    }

    /// Seals the first `payload_bytes` of `buffer` in place, under the next number; gives the header to send and the
    /// length of the sealed payload. `None` when the buffer has no room for the tag, the kind is not one that is
    /// sealed, or the numbers are used up: a new handshake is due.
    pub fn seal(
        &mut self,
        kind: Kind,
        buffer: &mut [u8],
        payload_bytes: usize,
    ) -> Option<(Header, usize)> {
        let header = Header { kind: kind.sealed()?, sequence: self.next };
        let next = self.next.checked_add(1).filter(|next| *next <= MAX_FRAMES)?;
        self.send.set_nonce(u64::from(header.sequence));
        let sealed =
            self.send.encrypt_with_ad_in_place(&header.to_bytes(), buffer, payload_bytes).ok()?;
        self.next = next;
        Some((header, sealed))
    }

    /// Opens a sealed payload in place; gives the kind of frame that it was and its payload. `None`, and nothing has changed
    /// but the buffer, when it is forged, damaged, was opened before or comes too late.
    pub fn open<'b>(
        &mut self,
        header: Header,
        payload: &'b mut [u8],
    ) -> Option<(Kind, &'b mut [u8])> {
        let kind = header.kind.opened()?;
        if !self.seen.is_new(header.sequence) {
            return None;
        }
        let sealed_bytes = payload.len();
        self.receive.set_nonce(u64::from(header.sequence));
        let opened =
            self.receive.decrypt_with_ad_in_place(&header.to_bytes(), payload, sealed_bytes);
        if opened.is_ok() || Defence::FailedOpening.is_off() {
            self.seen.note(header.sequence);
        }
        let opened = opened.ok()?;
        Some((kind, payload.get_mut(..opened)?))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("next", &self.next).finish_non_exhaustive()
    }
}

/// The numbers that were opened.
#[derive(Debug, Clone, Copy)]
struct Seen {
    highest: Option<u32>,
    /// Bit `n`: `highest - 1 - n` was opened.
    below: u64,
}

impl Seen {
    fn is_new(self, sequence: u32) -> bool {
        if sequence >= MAX_FRAMES {
            return false;
        }
        let Some(highest) = self.highest.filter(|highest| sequence <= *highest) else {
            return true;
        };
        match highest.saturating_sub(sequence).checked_sub(1) {
            None => false,
            Some(bit) => bit < WINDOW && self.below & bit_of(bit) == 0,
        }
    }

    const fn note(&mut self, sequence: u32) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            if let Some(bit) = highest.saturating_sub(sequence).checked_sub(1) {
                self.below |= bit_of(bit);
            }
            return;
        }
        let ahead = sequence.saturating_sub(highest);
        let moved = match self.below.checked_shl(ahead) {
            Some(moved) => moved,
            None => 0,
        };
        self.below = moved | bit_of(ahead.saturating_sub(1));
        self.highest = Some(sequence);
    }
}

/// Zero behind the end of the window.
const fn bit_of(bit: u32) -> u64 {
    match 1_u64.checked_shl(bit) {
        Some(bit) => bit,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> Channel {
        let key = || Key::new(&[7; 32], 0);
        Channel::new(key(), key())
    }

    fn sealed(channel: &mut Channel) -> Option<(Header, [u8; TAG_BYTES])> {
        let mut buffer = [0; TAG_BYTES];
        channel.seal(Kind::Message, &mut buffer, 0).map(|(header, _)| (header, buffer))
    }

    /// PROTOCOL.md, "Sealed links": behind 2^31 frames one way a link is over.
    #[test]
    fn the_last_number_is_sent_once_and_none_behind_it() {
        let mut channel = Channel { next: 0x7fff_ffff, ..channel() };
        let (header, _) = sealed(&mut channel).unwrap();
        assert_eq!(header.sequence, 0x7fff_ffff);
        assert_eq!(sealed(&mut channel), None);
    }

    /// Also from a host that goes on: what it seals as it should is not opened any more.
    #[test]
    fn the_last_number_is_opened_and_none_behind_it() {
        for (number, is_opened) in [(0x7fff_ffff, true), (0x8000_0000, false), (u32::MAX, false)] {
            let header = Header { kind: Kind::SealedMessage, sequence: number };
            let (mut sender, mut buffer) = (channel().send, [0; TAG_BYTES]);
            sender.set_nonce(u64::from(number));
            sender.encrypt_with_ad_in_place(&header.to_bytes(), &mut buffer, 0).unwrap();
            let opened = channel().open(header, &mut buffer).map(|(kind, _)| kind);
            assert_eq!(opened, is_opened.then_some(Kind::Message), "{number:#x}");
        }
    }
}
