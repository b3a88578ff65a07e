//! A host that hears any bytes from what should be a device.

use firmware_protocol::frame::Framing;
use firmware_protocol::message::Request;
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::slot::SlotId;
use noflake::session::transfer::{LinkTuning, Need, Part, Transfer};
use noflake::session::{Credentials, Event, Patience, Session};

/// Most turns of a transfer that a device can cause with what it says.
const MOST_TURNS: usize = 20_000;

/// Whatever a device says: the host neither panics nor says more and more by itself, and a handshake that it has begun ends
/// with no device that does not have its own key.
pub(super) fn link(bytes: &[u8]) -> bool {
    let Some((mode, bytes)) = bytes.split_first() else { return false };
    let framing = if mode % 2 == 0 { Framing::Serial } else { Framing::Stream };
    let mut session = Session::new(framing, 1, Patience::default());
    match mode / 2 % 3 {
        0 => session.ask(0, Request::Identify),
        1 => {
            let shown = Credentials {
                secret: LinkSecret::new([1; 32]),
                delegation: vec![0; 100],
                devices: None,
                shown_to: None,
            };
            session.link(0, &shown, &LinkSecret::new([2; 32]));
        }
        _ => return transfer(session, bytes),
    }
    let mut has_event = false;
    let mut now_us = 0;
    for piece in bytes.chunks(61) {
        now_us += 1_000;
        session.handle_bytes(now_us, piece);
        session.handle_timeout(now_us);
        while session.poll_transmit().is_some() {}
        while let Some(event) = session.poll_event() {
            has_event = true;
            if let Event::Answer(answer) = event {
                let _ = answer.reply();
            }
        }
    }
    has_event
}

fn transfer(mut session: Session, bytes: &[u8]) -> bool {
    let tuning = LinkTuning {
        baud: None,
        chunk_bytes: 256,
        window_bytes: 4_096,
        device_window_bytes: 8_192,
    };
    let parts =
        vec![Part { length: 9_000, block_size: 1_024 }, Part { length: 70, block_size: 512 }];
    let mut transfer = Transfer::new(vec![7; 1_500], SlotId::B, parts, false, tuning);
    let mut pieces = bytes.chunks(97);
    let (mut now_us, mut turns, mut has_ended) = (0, 0, false);
    while let Some(piece) = pieces.next().filter(|_| !has_ended) {
        session.handle_bytes(now_us, piece);
        loop {
            turns += 1;
            assert!(turns < MOST_TURNS, "the transfer goes in circles");
            match transfer.poll(now_us, &mut session) {
                Need::Ended => {
                    has_ended = true;
                    break;
                }
                Need::Bytes { len, .. } => {
                    assert!(len <= 4_096);
                    transfer.supply(now_us, &mut session, &vec![0; len]);
                }
                Need::Digests { .. } => {
                    let digests = vec![firmware_protocol::digest::Digest([0; 32]); 9];
                    transfer.supply_digests(now_us, &mut session, digests);
                }
                Need::Wait { .. } => break,
            }
        }
        while session.poll_transmit().is_some() {}
        while let Some(event) = session.poll_event() {
            match event {
                Event::Answer(answer) => transfer.handle_answer(now_us, &mut session, &answer),
                Event::NoAnswer => transfer.handle_silence(),
                Event::Ack(ack) => transfer.handle_ack(now_us, &ack),
                Event::Linked(_) | Event::Console(_) => {}
            }
        }
        now_us += 2_000;
        session.handle_timeout(now_us);
    }
    turns > 0
}
