//! An engine behind one line answers every frame of it, however the bytes come, and nothing else.

#![allow(clippy::unwrap_used, reason = "tests: a broken expectation has to stop them")]

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::{Device, Effect, Next, Served};
use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{
    self, FromDevice, LEAST_FRAME_BYTES, MAX_REQUEST_BYTES, Request, ToDevice,
};
use firmware_protocol::start::{BootCheck, boot};

use crate::support::bench::WINDOW_BYTES;
use crate::support::flash::RamFlash;
use crate::support::{ScriptBoard, layout};

type Line = Served<Vec<u8>, RamFlash, ScriptBoard, Vec<u8>>;

const WIRE_BYTES: usize = Framing::Serial.wire_bytes(LEAST_FRAME_BYTES);

fn line(outbound_bytes: usize) -> Line {
    let mut flash = RamFlash::even(4096, 0xa_0000 / 4096);
    let handover = boot(&mut flash, &layout(), ResetCause::PowerOn, BootCheck::Full);
    let (window, frame_bytes) = (vec![0; WINDOW_BYTES], u32::try_from(LEAST_FRAME_BYTES).unwrap());
    let engine =
        Device::new(flash, ScriptBoard::new(5), layout(), window, frame_bytes, handover, 0);
    Served::new(engine, Framing::Serial, vec![0; WIRE_BYTES], vec![0; outbound_bytes])
}

/// A request as it travels.
fn frame(id: u32, request: Request<'_>) -> Vec<u8> {
    let mut payload = [0; MAX_REQUEST_BYTES];
    let payload =
        message::encode(&ToDevice { id, session: 0, request }, &mut payload).unwrap().to_vec();
    let header = Header { kind: Kind::Message, sequence: id };
    let mut wire = vec![0; Framing::Serial.wire_bytes(payload.len() + HEADER_BYTES)];
    let length = Framing::Serial.encode(header, &payload, &mut wire).unwrap();
    wire.truncate(length);
    wire
}

/// Turns until nothing is left of `bytes` and the engine may wait; gives what was sent.
fn turns(line: &mut Line, mut bytes: &[u8]) -> Vec<u8> {
    let mut sent = Vec::new();
    for _ in 0..1_000 {
        let next = line.turn(1, &mut bytes, |frame| sent.extend_from_slice(frame));
        assert!(matches!(next.effect, Effect::Feed { deadline_ms: None }));
        if bytes.is_empty() && next.wake_ms > 1 {
            return sent;
        }
    }
    panic!("it goes on for ever");
}

/// The ids that were answered, in order.
fn answered(mut sent: &[u8]) -> Vec<u32> {
    let mut decoder = Decoder::new(Framing::Serial, vec![0; WIRE_BYTES]);
    let mut ids = Vec::new();
    while let Some(unit) = decoder.feed(&mut sent) {
        let Unit::Frame(frame) = unit else { panic!("no frame: {unit:?}") };
        let (_, payload) = Header::split(frame).unwrap();
        if let Some(FromDevice::Reply { id, .. }) = message::decode(payload) {
            ids.push(id);
        }
    }
    ids
}

/// Requests with a console's text, noise and half a frame between them.
fn traffic() -> Vec<u8> {
    let half = &frame(90, Request::Status)[..9];
    let pieces = [
        frame(1, Request::Hello { min: 1, current: 1 }),
        b"AT+OK\r\n".to_vec(),
        frame(2, Request::Identify),
        frame(3, Request::Status),
        vec![0, 9, 1, 1, 200, 0],
        frame(4, Request::Identify),
        half.to_vec(),
        frame(5, Request::Status),
        frame(6, Request::Identify),
        frame(7, Request::Status),
    ];
    pieces.concat()
}

#[test]
fn every_request_is_answered_in_order_however_the_bytes_come() {
    let traffic = traffic();
    for piece_bytes in [1, 2, 7, 64, traffic.len()] {
        let mut line = line(WIRE_BYTES);
        let sent: Vec<u8> =
            traffic.chunks(piece_bytes).flat_map(|piece| turns(&mut line, piece)).collect();
        assert_eq!(answered(&sent), [1, 2, 3, 4, 5, 6, 7], "in pieces of {piece_bytes}");
    }
}

#[test]
fn what_is_left_of_the_bytes_is_for_the_next_turn_which_is_due_at_once() {
    let mut line = line(WIRE_BYTES);
    let both = [frame(1, Request::Identify), frame(2, Request::Identify)].concat();
    let mut bytes = &both[..];
    let mut sent = Vec::new();
    let Next { wake_ms, .. } = line.turn(5, &mut bytes, |frame| sent.extend_from_slice(frame));
    assert_eq!((wake_ms, answered(&sent)), (5, vec![1]));
    // Behind an answer the engine has a turn of its own.
    let left = bytes.len();
    let Next { wake_ms, .. } = line.turn(6, &mut bytes, |_| panic!("it has nothing to say"));
    assert_eq!((wake_ms, bytes.len()), (6, left));
    line.turn(7, &mut bytes, |frame| sent.extend_from_slice(frame));
    assert_eq!((answered(&sent), bytes.len()), (vec![1, 2], 0));
}

#[test]
fn an_answer_that_does_not_fit_is_as_good_as_lost() {
    let mut line = line(16);
    assert!(turns(&mut line, &frame(1, Request::Identify)).is_empty());
    // The engine has gone on all the same.
    line.engine_mut().console(b"ready");
    assert!(turns(&mut line, &frame(2, Request::Status)).is_empty());
}
