//! A transfer against devices that answer and get nowhere, and one that another host has taken over;
//! in virtual time.

use firmware_protocol::frame::{Decoder, Framing, Header, Kind, Unit};
use firmware_protocol::message::{self, FromDevice, ToDevice};

use super::*;
use crate::session::Patience;

const DOCUMENT_BYTES: usize = 1_500;
const BLOCK_BYTES: u32 = 1_024;

#[test]
fn a_device_that_holds_no_more_of_the_manifest_than_before_makes_no_progress() {
    let mut wire = Wire::new();
    wire.answer(Ok(Reply::Offered { held_bytes: 1_024 }));
    assert_eq!(wire.result(), None);
    wire.answer(Ok(Reply::Offered { held_bytes: 1_024 }));
    assert_eq!(wire.result(), Some(Err(TransferError::NoProgress("the manifest was offered"))));
}

#[test]
fn a_device_that_takes_no_block_digest_makes_no_progress() {
    let mut wire = Wire::at_component(true);
    let Need::Digests { .. } = wire.poll() else { panic!("the device wants the block list") };
    wire.transfer.supply_digests(wire.now_us, &mut wire.session, vec![Digest([1; 32])]);
    wire.answer(Ok(Reply::Listed { blocks: 0 }));
    assert_eq!(wire.result(), Some(Err(TransferError::NoProgress("blocks were compared"))));
}

#[test]
fn a_device_that_takes_every_chunk_and_writes_no_block_makes_no_progress() {
    let mut wire = Wire::at_component(false);
    let (mut chunks, mut turns) = (0_u32, 0);
    let result = loop {
        if let Some(result) = wire.result() {
            break result;
        }
        turns += 1;
        assert!(turns < 1_000_000, "the transfer goes on for ever");
        match wire.poll() {
            Need::Bytes { len, .. } => {
                wire.transfer.supply(wire.now_us, &mut wire.session, &vec![0; len]);
            }
            Need::Wait { until_us } => wire.now_us = until_us.unwrap_or(wire.now_us + 1_000),
            Need::Digests { .. } | Need::Ended => {}
        }
        for said in wire.sent() {
            match said {
                Sent::Chunk(sequence) => {
                    chunks += 1;
                    let ack = Ack { highest: sequence, below: 0, taken: true, credit_blocks: 8 };
                    wire.transfer.handle_ack(wire.now_us, &ack);
                }
                Sent::Missing => wire.answer(Ok(missing())),
                Sent::Other => {}
            }
        }
    };
    assert!(matches!(result, Err(TransferError::Still { still_s: 20, .. })), "{result:?}");
    assert!(chunks > 1, "blocks that stay unwritten are sent again before that");
}

/// Whatever its acknowledgements say, chunks that none of them names are not there: each one keeps the line from
/// looking silent, and credit of zero keeps the host from trying.
#[test]
fn a_device_that_acknowledges_nothing_for_ever_is_given_up() {
    for (highest, credit_blocks) in [(0, 8), (0, 0), (u32::MAX, 0), (u32::MAX, 8)] {
        let mut wire = Wire::at_component(false);
        wire.answer(Ok(missing()));
        wire.sent();
        let result = loop {
            if let Some(result) = wire.result() {
                break result;
            }
            assert!(wire.now_us < 60_000_000, "still waited for: {highest}, {credit_blocks}");
            wire.now_us += 50_000;
            let ack = Ack { highest, below: 0, taken: false, credit_blocks };
            wire.transfer.handle_ack(wire.now_us, &ack);
            if let Need::Bytes { len, .. } = wire.poll() {
                wire.transfer.supply(wire.now_us, &mut wire.session, &vec![0; len]);
            }
            if wire.sent().contains(&Sent::Missing) {
                wire.answer(Ok(missing()));
            }
        };
        assert!(matches!(result, Err(TransferError::Still { .. })), "{result:?}");
    }
}

#[test]
fn a_device_that_counts_other_blocks_than_the_manifest_is_out_of_turn() {
    for blocks in [0, 2, u32::MAX] {
        let mut wire = Wire::at_stage();
        wire.answer(Ok(Reply::Component { blocks, worth_listing: true }));
        let expected = TransferError::OutOfTurn("a component was opened");
        assert_eq!(wire.result(), Some(Err(expected)), "{blocks}");
    }
}

/// A device acknowledges nothing of a session that another host has taken: the transfer asks, and
/// hears whose device it is now.
#[test]
fn a_transfer_whose_session_was_taken_over_asks_and_is_told() {
    let mut wire = Wire::at_component(false);
    wire.answer(Ok(missing()));
    wire.sent();
    let mut asked = false;
    while !asked {
        match wire.poll() {
            Need::Bytes { len, .. } => {
                wire.transfer.supply(wire.now_us, &mut wire.session, &vec![0; len]);
            }
            Need::Wait { until_us } => wire.now_us = until_us.unwrap_or(wire.now_us + 1_000),
            Need::Digests { .. } | Need::Ended => panic!("the transfer goes on for nothing"),
        }
        asked = wire.sent().contains(&Sent::Missing);
        assert!(wire.now_us < 5_000_000, "nothing arrives, and nobody asks why");
    }
    wire.answer(Err(Refusal::StaleSession));
    assert_eq!(wire.result(), Some(Err(TransferError::Refused(Refusal::StaleSession))));
}

/// What the host has put on the wire.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    Chunk(u32),
    Missing,
    Other,
}

/// A transfer of one block, and the device's end of it.
struct Wire {
    now_us: u64,
    session: Session,
    transfer: Transfer,
}

impl Wire {
    /// The manifest is being offered.
    fn new() -> Self {
        let tuning = LinkTuning {
            baud: None,
            chunk_bytes: 1_024,
            window_bytes: 65_536,
            device_window_bytes: 8_192,
        };
        let parts = vec![Part { length: u64::from(BLOCK_BYTES), block_size: BLOCK_BYTES }];
        let transfer = Transfer::new(vec![0; DOCUMENT_BYTES], SlotId::B, parts, false, tuning);
        let session = Session::new(Framing::Stream, 1, Patience::default());
        let mut wire = Self { now_us: 0, session, transfer };
        wire.poll();
        wire
    }

    /// The one component is open.
    fn at_component(worth_listing: bool) -> Self {
        let mut wire = Self::at_stage();
        wire.answer(Ok(Reply::Component { blocks: 1, worth_listing }));
        wire
    }

    /// The manifest is admitted, and the one component about to be opened.
    fn at_stage() -> Self {
        let mut wire = Self::new();
        let held_bytes = u32::try_from(DOCUMENT_BYTES).unwrap();
        wire.answer(Ok(Reply::Offered { held_bytes }));
        wire.answer(Ok(Reply::Stage { slot: SlotId::B, how: How::Done }));
        wire.sent();
        wire
    }

    fn poll(&mut self) -> Need {
        self.transfer.poll(self.now_us, &mut self.session)
    }

    fn answer(&mut self, reply: Result<Reply<'_>, Refusal>) {
        let mut payload = [0; message::MAX_REPLY_BYTES];
        let payload = message::encode(&FromDevice::Reply { id: 0, reply }, &mut payload).unwrap();
        let answer = Answer { payload: payload.to_vec(), took_us: 0, sent: 1 };
        self.transfer.handle_answer(self.now_us, &mut self.session, &answer);
    }

    fn sent(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(wire) = self.session.poll_transmit() {
            let mut decoder = Decoder::new(Framing::Stream, vec![0; 65_536]);
            let Some(Unit::Frame(frame)) = decoder.feed(&mut wire.as_slice()) else {
                panic!("the host sends whole frames")
            };
            let (header, payload) = Header::split(frame).unwrap();
            let asked = message::decode::<ToDevice<'_>>(payload).map(|asked| asked.request);
            sent.push(match (header.kind, asked) {
                (Kind::Chunk, _) => Sent::Chunk(header.sequence),
                (Kind::Message, Some(Request::Missing { .. })) => Sent::Missing,
                (_, _) => Sent::Other,
            });
        }
        sent
    }

    fn result(&mut self) -> Option<Result<Staged, TransferError>> {
        self.transfer.take_result()
    }
}

/// The one block is not written.
fn missing() -> Reply<'static> {
    Reply::Missing { first_block: 0, missing: 1, bits: [1].as_slice().try_into().unwrap() }
}
