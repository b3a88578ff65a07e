//! Bytes of a wire.

use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Unit};
use firmware_protocol::message::{self, Chunk, FromDevice, ToDevice};
use firmware_protocol::sealed::{
    FIRST_BYTES, Initiator, LinkSecret, Responder, SECOND_BYTES, THIRD_OVERHEAD_BYTES,
};
use serde::Serialize;

/// Longest unit that the decoders keep.
const MAX_UNIT_BYTES: usize = 1_200;

/// Frames come out of a line whatever pieces its bytes come in, each no longer than there is room for, and go in
/// again as they came out.
pub(super) fn frame(bytes: &[u8]) -> bool {
    let Some((piece, bytes)) = bytes.split_first() else { return false };
    let piece_bytes = usize::from(*piece % 64) + 1;
    let mut has_frame = false;
    for framing in [Framing::Serial, Framing::Stream] {
        let whole = units(framing, bytes, bytes.len().max(1));
        assert_eq!(whole, units(framing, bytes, piece_bytes), "in pieces of {piece_bytes}");
        for frame in &whole {
            has_frame = true;
            assert!(frame.len() >= HEADER_BYTES && frame.len() <= MAX_UNIT_BYTES);
            let Some((header, payload)) = Header::split(frame) else { continue };
            let mut wire = vec![0; framing.wire_bytes(frame.len())];
            let written = framing.encode(header, payload, &mut wire).expect("it has room");
            let again = units(framing, &wire[..written], written);
            assert_eq!(again, std::slice::from_ref(frame));
        }
    }
    has_frame
}

fn units(framing: Framing, bytes: &[u8], piece_bytes: usize) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(framing, vec![0; MAX_UNIT_BYTES]);
    let mut frames = Vec::new();
    for mut piece in bytes.chunks(piece_bytes) {
        while let Some(unit) = decoder.feed(&mut piece) {
            match unit {
                Unit::Frame(frame) => frames.push(frame.to_vec()),
                Unit::Text(text) => assert!(!text.contains(&0)),
                Unit::Damaged(_) => {}
            }
        }
    }
    frames
}

/// What decodes as a message says the same when it is encoded again.
pub(super) fn message(bytes: &[u8]) -> bool {
    let to_device = message::decode::<ToDevice<'_>>(bytes);
    if let Some(asked) = to_device {
        let again = encode(&asked);
        assert_eq!(message::decode::<ToDevice<'_>>(&again), Some(asked));
        assert_eq!(message::request_id(bytes), Some(asked.id));
        let _ = (asked.request.action(), asked.request.may_take_long());
    }
    let from_device = message::decode::<FromDevice<'_>>(bytes);
    if let Some(said) = &from_device {
        let again = encode(said);
        assert_eq!(message::decode::<FromDevice<'_>>(&again).as_ref(), Some(said));
        if let FromDevice::Reply { reply: Err(refusal), .. } = said {
            assert!(!refusal.to_string().is_empty());
        }
    }
    let chunk = Chunk::parse(bytes);
    if let Some(chunk) = &chunk {
        assert_eq!([&chunk.head(), chunk.bytes].concat(), bytes);
    }
    to_device.is_some() || from_device.is_some()
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("what was decoded encodes")
}

/// No bytes but those of the other side end a handshake, on either side.
pub(super) fn handshake(bytes: &[u8]) -> bool {
    let secret = |n| LinkSecret::new([n; 32]);
    let (mut first, mut second) = ([0; FIRST_BYTES], [0; SECOND_BYTES]);
    let (initiator, _) = Initiator::begin(&secret(1), &secret(2), &mut first).expect("room");
    let (responder, _) =
        Responder::answer(&secret(3), &secret(4), &first, &mut second).expect("room");
    let mut room = vec![0; THIRD_OVERHEAD_BYTES + 32];
    let is_second = bytes == second;
    assert_eq!(initiator.join(bytes, b"delegation", &mut room).is_some(), is_second);
    let mut third = [0; THIRD_OVERHEAD_BYTES];
    let joined = initiator.join(&second, &[], &mut third).expect("its own answer");
    let is_third = bytes == third;
    assert_eq!(responder.join(bytes, &mut room).is_some(), is_third);
    let mut channel = joined.channel;
    let mut frame = bytes.to_vec();
    if let Some((header, payload)) = Header::split_mut(&mut frame) {
        assert!(channel.open(header, payload).is_none());
    }
    let answered = Responder::answer(&secret(3), &secret(4), bytes, &mut second);
    is_second || is_third || answered.is_some()
}
