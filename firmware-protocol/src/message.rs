//! Messages (PROTOCOL.md, "Messages").
//!
//! Version rule: a sender never uses more than both sides negotiated in `Hello`. Enums are append
//! only; a request that does not decode is answered with
//! [`crate::refusal::Refusal::Unknown`]. The bytes of every
//! message are pinned by `tests/wire_golden.rs`.
//!
//! Every request carries an id and may be sent again: the device answers the same question twice,
//! and does the same thing once.

mod check;
mod chunk;
mod reply;
mod request;
mod status;

use serde::{Deserialize, Serialize};

pub use self::check::{CheckGives, CheckInfo, CheckStatus, Reading};
use crate::frame::HEADER_BYTES;
use crate::sealed::TAG_BYTES;

pub use self::chunk::{CHUNK_HEAD_BYTES, Chunk};
pub use self::reply::{Ack, FromDevice, How, Reply};
pub use self::request::{Request, ToDevice, TrialTerms};
pub use self::status::{AreaInfo, Identity, LinkCounters, RootStatus, Status, TrialStatus, Wear};

/// Oldest protocol version that this code speaks.
pub const PROTOCOL_MIN: u8 = 1;
/// Newest protocol version that this code speaks.
pub const PROTOCOL_CURRENT: u8 = 1;

/// Most payload bytes of one message from a device.
pub const MAX_REPLY_BYTES: usize = 512;
/// Most payload bytes of one message to a device, chunks apart.
pub const MAX_REQUEST_BYTES: usize = 1100;
/// Shortest longest frame with which a device hears every request: header, payload, and the tag of a sealed link.
pub const LEAST_FRAME_BYTES: usize = HEADER_BYTES + MAX_REQUEST_BYTES + TAG_BYTES;
/// Most bytes of a document or block list in one request.
pub const MAX_PIECE_BYTES: usize = 1024;
/// Most bytes of the boot record in one reply.
pub const MAX_RECORD_PIECE_BYTES: usize = 256;
/// Blocks that one [`Reply::Missing`] tells of.
pub const MISSING_BLOCKS: u32 = 512;

/// Decodes a message; `None` unless the bytes are one whole message and nothing else.
#[must_use]
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    let (message, rest) = postcard::take_from_bytes(payload).ok()?;
    rest.is_empty().then_some(message)
}

/// The id of a request whose rest this code may not know.
#[must_use]
pub fn request_id(payload: &[u8]) -> Option<u32> {
    postcard::take_from_bytes(payload).ok().map(|(id, _)| id)
}

/// Encodes a message into `out`; `None` when it does not fit.
pub fn encode<'o, T: Serialize>(message: &T, out: &'o mut [u8]) -> Option<&'o [u8]> {
    postcard::to_slice(message, out).ok().map(|written| &*written)
}
