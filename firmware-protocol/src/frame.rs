//! Frames: how messages are told apart on a wire (PROTOCOL.md, "Frames").
//!
//! A frame is a header of five bytes and a payload. On a serial line it travels as
//! `00 COBS(frame CRC-32C) 00`, and whatever else comes between the zeros is the device's console.
//! On a stream (TCP) it travels behind its length. Decoders take bytes as they come, keep at most
//! one frame, and never fail for good: garbage costs the garbage.

use crc::{CRC_32_ISCSI, Crc};
use thiserror::Error;

/// Length of the header, in bytes.
pub const HEADER_BYTES: usize = 5;
/// Length of the CRC-32C behind a serial frame, in bytes.
pub const CRC_BYTES: usize = 4;
/// Length of the length before a stream frame, in bytes.
pub const LENGTH_BYTES: usize = 4;

/// 16 KiB of tables where memory is plenty, none on a microcontroller: its line is slower than its bits.
#[cfg(target_pointer_width = "64")]
type Tables = crc::Table<16>;
#[cfg(not(target_pointer_width = "64"))]
type Tables = crc::NoTable;

static CASTAGNOLI: Crc<u32, Tables> = Crc::<u32, Tables>::new(&CRC_32_ISCSI);

/// CRC-32C (Castagnoli) of `bytes`: finds damage, proves nothing.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes)
}

/// What a frame carries. The number is the wire contract: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A message of [`crate::message`].
    Message = 1,
    /// A piece of a component, laid out by [`crate::message::Chunk`].
    Chunk = 2,
    /// A message of the handshake of a sealed link.
    Handshake = 3,
    /// What a [`Kind::Message`] carries, sealed.
    SealedMessage = 4,
    /// What a [`Kind::Chunk`] carries, sealed.
    SealedChunk = 5,
}

impl Kind {
    /// As it travels on a sealed link, if it does.
    #[must_use]
    pub const fn sealed(self) -> Option<Self> {
        match self {
            Self::Message => Some(Self::SealedMessage),
            Self::Chunk => Some(Self::SealedChunk),
            Self::Handshake | Self::SealedMessage | Self::SealedChunk => None,
        }
    }

    /// What it is once it is opened, if it is sealed.
    #[must_use]
    pub const fn opened(self) -> Option<Self> {
        match self {
            Self::SealedMessage => Some(Self::Message),
            Self::SealedChunk => Some(Self::Chunk),
            Self::Message | Self::Chunk | Self::Handshake => None,
        }
    }
}

/// The first five bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// Counts the sender's frames; never used twice for different bytes within a connection.
    pub sequence: u32,
}

impl Header {
    /// The header's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = self.sequence.to_le_bytes();
        [self.kind as u8, a, b, c, d]
    }

    /// Splits a frame into its header and payload; `None` when it is too short or of another kind.
    #[must_use]
    pub fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (head, payload) = frame.split_first_chunk()?;
        Some((Self::parse(*head)?, payload))
    }

    /// As [`Header::split`], for a payload that is opened in place.
    #[must_use]
    pub fn split_mut(frame: &mut [u8]) -> Option<(Self, &mut [u8])> {
        let (head, payload) = frame.split_first_chunk_mut()?;
        Some((Self::parse(*head)?, payload))
    }

    const fn parse([kind, a, b, c, d]: [u8; HEADER_BYTES]) -> Option<Self> {
        let kind = match kind {
            1 => Kind::Message,
            2 => Kind::Chunk,
            3 => Kind::Handshake,
            4 => Kind::SealedMessage,
            5 => Kind::SealedChunk,
            _ => return None,
        };
        Some(Self { kind, sequence: u32::from_le_bytes([a, b, c, d]) })
    }
}

/// The two ways frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// COBS with CRC-32C between zero bytes, console text in between.
    Serial,
    /// Length-prefixed, on a byte stream that does not lose or damage bytes.
    Stream,
}

/// Why a frame could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the frame does not fit its output buffer")]
pub struct NoRoom;

impl Framing {
    /// Most bytes that a frame of `frame_bytes` takes on the wire.
    #[must_use]
    pub const fn wire_bytes(self, frame_bytes: usize) -> usize {
        match self {
            Self::Serial => {
                let plain = frame_bytes.saturating_add(CRC_BYTES);
                // COBS adds one byte for every 254 begun, and a zero stands on either side.
                let overhead = match plain.checked_div(254) {
                    Some(blocks) => blocks.saturating_add(3),
                    None => 3,
                };
                plain.saturating_add(overhead)
            }
            Self::Stream => frame_bytes.saturating_add(LENGTH_BYTES),
        }
    }

    /// Writes `header` and `payload` as they travel; returns the length written.
    ///
    /// # Errors
    /// [`NoRoom`] when `out` is shorter than [`Framing::wire_bytes`] of the frame.
    pub fn encode(self, header: Header, payload: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
        let frame_bytes = payload.len().saturating_add(HEADER_BYTES);
        if out.len() < self.wire_bytes(frame_bytes) {
            return Err(NoRoom);
        }
        match self {
            Self::Serial => encode_serial(header, payload, out),
            Self::Stream => encode_stream(header, payload, out),
        }
    }
}

fn encode_serial(header: Header, payload: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
    let header = header.to_bytes();
    let mut crc = CASTAGNOLI.digest();
    crc.update(&header);
    crc.update(payload);
    let (first, body) = out.split_first_mut().ok_or(NoRoom)?;
    *first = 0;
    let mut cobs = cobs::CobsEncoder::new(body);
    cobs.push(&header).map_err(|_| NoRoom)?;
    cobs.push(payload).map_err(|_| NoRoom)?;
    cobs.push(&crc.finalize().to_le_bytes()).map_err(|_| NoRoom)?;
    let len = cobs.finalize();
    *body.get_mut(len).ok_or(NoRoom)? = 0;
    Ok(len.saturating_add(2))
}

fn encode_stream(header: Header, payload: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
    let frame_bytes = payload.len().saturating_add(HEADER_BYTES);
    let length = u32::try_from(frame_bytes).map_err(|_| NoRoom)?;
    let (prefix, rest) = out.split_first_chunk_mut::<LENGTH_BYTES>().ok_or(NoRoom)?;
    *prefix = length.to_le_bytes();
    let (head, rest) = rest.split_first_chunk_mut::<HEADER_BYTES>().ok_or(NoRoom)?;
    *head = header.to_bytes();
    rest.get_mut(..payload.len()).ok_or(NoRoom)?.copy_from_slice(payload);
    Ok(frame_bytes.saturating_add(LENGTH_BYTES))
}

/// What a decoder found.
#[derive(Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// A whole frame, header included, undamaged as far as the framing can tell.
    Frame(&'a mut [u8]),
    /// Console text: bytes that were no frame. Not yet escaped.
    Text(&'a [u8]),
    /// Something that was no frame and is not text either; dropped, its length in bytes.
    Damaged(usize),
}

/// Takes bytes from a link and gives frames, within the memory that it is lent.
#[derive(Debug)]
pub struct Decoder<B> {
    framing: Framing,
    buffer: B,
    filled: usize,
    /// Bytes of an over-long unit that are still to be passed over.
    skipping: Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skip {
    No,
    /// Serial: until the next zero.
    UntilZero,
    /// Stream: this many bytes more.
    Bytes(usize),
}

impl<B: AsMut<[u8]> + AsRef<[u8]>> Decoder<B> {
    /// A decoder that keeps units of up to `buffer`'s length.
    pub const fn new(framing: Framing, buffer: B) -> Self {
        Self { framing, buffer, filled: 0, skipping: Skip::No }
    }

    /// Forgets a half-received unit, as after a link went down.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.skipping = Skip::No;
    }

    /// Takes bytes from the front of `input` until a unit is complete or `input` is empty.
    ///
    /// Call it again until it gives `None`: it stops behind every unit.
    pub fn feed(&mut self, input: &mut &[u8]) -> Option<Unit<'_>> {
        match self.framing {
            Framing::Serial => self.feed_serial(input),
            Framing::Stream => self.feed_stream(input),
        }
    }

    /// Gives what has come in since the last unit, if it reads as text: a console that writes
    /// without a frame behind it would otherwise stay unseen. Ask after a silence.
    pub fn take_text(&mut self) -> Option<&[u8]> {
        let len = self.filled;
        let text = self.buffer.as_ref().get(..len)?;
        if self.framing == Framing::Stream || len == 0 || !is_text(text) {
            return None;
        }
        self.filled = 0;
        self.buffer.as_ref().get(..len)
    }

    fn feed_serial(&mut self, input: &mut &[u8]) -> Option<Unit<'_>> {
        loop {
            let zero = input.iter().position(|byte| *byte == 0);
            let (piece, rest) = input.split_at_checked(zero.unwrap_or(input.len()))?;
            let fits = self.skipping == Skip::No && self.append(piece);
            *input = rest;
            if !fits {
                self.skipping = Skip::UntilZero;
            }
            let (_, behind) = input.split_first()?;
            *input = behind;
            let len = core::mem::take(&mut self.filled);
            if core::mem::replace(&mut self.skipping, Skip::No) == Skip::UntilZero {
                return Some(Unit::Damaged(len));
            }
            if len > 0 {
                return self.serial_unit(len);
            }
        }
    }

    fn serial_unit(&mut self, len: usize) -> Option<Unit<'_>> {
        let unit = self.buffer.as_mut().get_mut(..len)?;
        // Decoding is in place and would destroy text. A frame never reads as text: its kind, a
        // control character, is the second byte of its COBS encoding.
        if is_text(unit) {
            return Some(Unit::Text(self.buffer.as_ref().get(..len)?));
        }
        let Some(decoded) = cobs::decode_in_place(unit).ok() else {
            return Some(Unit::Damaged(len));
        };
        let whole = self.buffer.as_mut().get_mut(..decoded)?;
        let Some((frame, crc)) = whole.split_last_chunk_mut::<CRC_BYTES>() else {
            return Some(Unit::Damaged(len));
        };
        let is_whole = frame.len() >= HEADER_BYTES && crc32c(frame) == u32::from_le_bytes(*crc);
        Some(if is_whole { Unit::Frame(frame) } else { Unit::Damaged(len) })
    }

    fn feed_stream(&mut self, input: &mut &[u8]) -> Option<Unit<'_>> {
        if let Skip::Bytes(left) = self.skipping {
            let passed = left.min(input.len());
            *input = input.get(passed..)?;
            self.skipping = match left.saturating_sub(passed) {
                0 => Skip::No,
                more => Skip::Bytes(more),
            };
        }
        self.take_up_to(LENGTH_BYTES, input)?;
        let prefix = self.buffer.as_ref().first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*prefix)).ok()?;
        let whole = length.saturating_add(LENGTH_BYTES);
        if length < HEADER_BYTES || whole > self.buffer.as_ref().len() {
            self.filled = 0;
            let passed = length.min(input.len());
            *input = input.get(passed..)?;
            if length > passed {
                self.skipping = Skip::Bytes(length.saturating_sub(passed));
            }
            return Some(Unit::Damaged(length));
        }
        self.take_up_to(whole, input)?;
        self.filled = 0;
        Some(Unit::Frame(self.buffer.as_mut().get_mut(LENGTH_BYTES..whole)?))
    }

    /// Fills the buffer to `target` bytes; `None` while bytes are missing.
    fn take_up_to(&mut self, target: usize, input: &mut &[u8]) -> Option<()> {
        let wanted = target.saturating_sub(self.filled).min(input.len());
        let (piece, rest) = input.split_at_checked(wanted)?;
        self.append(piece);
        *input = rest;
        (self.filled >= target).then_some(())
    }

    fn append(&mut self, piece: &[u8]) -> bool {
        let end = self.filled.saturating_add(piece.len());
        let Some(place) = self.buffer.as_mut().get_mut(self.filled..end) else {
            return false;
        };
        place.copy_from_slice(piece);
        self.filled = end;
        true
    }
}

/// True for what a console prints: no control characters but white space and escape sequences.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e | 0x80..))
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const HEADER: Header = Header { kind: Kind::Message, sequence: 0x0102_0300 };

    fn encoded(framing: Framing, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; framing.wire_bytes(payload.len() + HEADER_BYTES)];
        let len = framing.encode(HEADER, payload, &mut out).unwrap();
        out.truncate(len);
        out
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Found {
        Frame(Vec<u8>),
        Text(Vec<u8>),
        Damaged,
    }

    fn decode_in_pieces(framing: Framing, wire: &[u8], piece_bytes: usize) -> Vec<Found> {
        let mut decoder = Decoder::new(framing, [0_u8; 512]);
        let mut found = Vec::new();
        for mut piece in wire.chunks(piece_bytes) {
            while let Some(unit) = decoder.feed(&mut piece) {
                found.push(match unit {
                    Unit::Frame(frame) => Found::Frame(frame.to_vec()),
                    Unit::Text(text) => Found::Text(text.to_vec()),
                    Unit::Damaged(_) => Found::Damaged,
                });
            }
        }
        found
    }

    fn frame(payload: &[u8]) -> Found {
        Found::Frame([&HEADER.to_bytes(), payload].concat())
    }

    /// CRC-32C check value of the catalogue of parametrised CRC algorithms.
    #[test]
    fn the_crc_is_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    /// Test vectors of RFC 3720, appendix B.4.
    #[test]
    fn the_crc_is_that_of_iscsi() {
        let mut rising = [0; 32];
        for (byte, number) in rising.iter_mut().zip(0..) {
            *byte = number;
        }
        let mut falling = rising;
        falling.reverse();
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&rising), 0x46dd_794e);
        assert_eq!(crc32c(&falling), 0x113f_db5c);
        assert_eq!(crc32c(b""), 0);
    }

    proptest::proptest! {
        /// What a computer writes, a microcontroller without a table reads; also in pieces, as a frame
        /// is checked.
        #[test]
        fn long_tables_and_none_give_the_same_crc(
            bytes in proptest::collection::vec(0_u8.., 0..600),
            at in 0_usize..600,
        ) {
            let long = Crc::<u32, crc::Table<16>>::new(&CRC_32_ISCSI);
            let none = Crc::<u32, crc::NoTable>::new(&CRC_32_ISCSI);
            let (front, rest) = bytes.split_at(at.min(bytes.len()));
            let mut pieces = none.digest();
            pieces.update(front);
            pieces.update(rest);
            proptest::prop_assert_eq!(long.checksum(&bytes), crc32c(&bytes));
            proptest::prop_assert_eq!(none.checksum(&bytes), crc32c(&bytes));
            proptest::prop_assert_eq!(pieces.finalize(), crc32c(&bytes));
        }
    }

    #[test]
    fn a_frame_comes_back_whatever_the_pieces_it_arrives_in() {
        let payload: Vec<u8> = (0..400_u32).map(|index| (index % 7) as u8).collect();
        for framing in [Framing::Serial, Framing::Stream] {
            let wire = encoded(framing, &payload);
            for piece_bytes in [1, 2, 3, 64, wire.len()] {
                assert_eq!(decode_in_pieces(framing, &wire, piece_bytes), [frame(&payload)]);
            }
        }
    }

    #[test]
    fn console_text_between_serial_frames_is_kept_apart() {
        let mut wire = b"boot: slot A\r\n".to_vec();
        wire.extend(encoded(Framing::Serial, b"one"));
        wire.extend(b"sensor ready\n");
        wire.extend(encoded(Framing::Serial, b"two"));
        assert_eq!(
            decode_in_pieces(Framing::Serial, &wire, 5),
            [
                Found::Text(b"boot: slot A\r\n".to_vec()),
                frame(b"one"),
                Found::Text(b"sensor ready\n".to_vec()),
                frame(b"two"),
            ]
        );
    }

    #[test]
    fn every_single_flipped_bit_of_a_serial_frame_is_noticed() {
        let wire = encoded(Framing::Serial, b"every bit counts");
        for bit in 0..wire.len() * 8 {
            let mut damaged = wire.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged.extend(encoded(Framing::Serial, b"next"));
            let found = decode_in_pieces(Framing::Serial, &damaged, 16);
            let whole = found.iter().filter(|unit| matches!(unit, Found::Frame(_))).count();
            assert!(found.contains(&frame(b"next")), "bit {bit}: the next frame was lost");
            // A flip in a delimiter leaves the frame itself whole.
            let delimiter = bit / 8 == 0 || bit / 8 == wire.len() - 1;
            assert!(whole == 1 || delimiter, "bit {bit}: a damaged frame was taken");
        }
    }

    #[test]
    fn an_overlong_unit_is_passed_over_and_the_next_frame_arrives() {
        for framing in [Framing::Serial, Framing::Stream] {
            let mut wire = encoded(framing, &[7; 2000]);
            wire.extend(encoded(framing, b"after"));
            assert_eq!(decode_in_pieces(framing, &wire, 100), [Found::Damaged, frame(b"after")]);
        }
    }

    #[test]
    fn a_header_of_another_kind_is_no_frame() {
        assert_eq!(Header::split(&[9, 0, 0, 0, 0]), None);
        assert_eq!(Header::split(&[1, 0, 0, 0]), None);
        assert_eq!(Header::split(&[1, 0, 3, 2, 1]), Some((HEADER, &[][..])));
    }
}
