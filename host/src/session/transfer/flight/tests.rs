//! A flight against a device with room for two blocks that takes its time to write them.

use firmware_protocol::frame::Framing;

use super::*;
use crate::session::Patience;

const BLOCK_BYTES: u32 = 1_024;
const BLOCKS: u8 = 8;
const ROOM_BLOCKS: usize = 2;
const WRITE_US: u64 = 30_000;

/// A device that is behind never sees a byte twice: what it has no room for is not sent.
#[test]
fn a_device_that_writes_slowly_gets_every_chunk_once() {
    let mut slow = Slow::new(false);
    slow.run();
    assert_eq!(slow.refused, 0, "chunks sent to a device without room");
    assert_eq!(slow.sent, u32::from(BLOCKS) * 2);
}

/// The word that there is room again is said once, and may be lost: the device is tried after a while.
#[test]
fn a_device_whose_word_of_new_room_is_lost_is_tried() {
    let mut slow = Slow::new(true);
    slow.run();
    assert!(slow.lost_words > 0, "no word was lost");
    assert!(slow.now_us > TAIL_US, "it was not waited for");
}

/// A device that keeps nothing of what it takes is asked what it misses, instead of being flooded.
#[test]
fn a_device_that_keeps_nothing_is_asked() {
    let mut slow = Slow::new(false);
    let mut sent = 0;
    loop {
        match slow.flight.next(slow.now_us, &slow.session) {
            Next::Send(piece) => {
                sent += 1;
                slow.flight.sent(slow.now_us, sent, piece, piece.len);
                let ack = Ack { highest: sent, below: 0, taken: false, credit_blocks: 2 };
                slow.flight.handle_ack(slow.now_us, &ack);
            }
            Next::Wait { until_us } => slow.now_us = until_us.unwrap(),
            Next::AllArrived => panic!("nothing has arrived"),
            Next::Stalled => break,
        }
        assert!(sent <= MAX_FRUITLESS, "{sent} chunks to a device that keeps none");
    }
}

struct Slow {
    flight: Flight,
    session: Session,
    now_us: u64,
    /// Blocks in the device's memory, with their bytes.
    held: BTreeMap<u32, usize>,
    /// When the device has written the next block.
    writes_us: Option<u64>,
    loses_word: bool,
    lost_words: u32,
    sequence: u32,
    below: u64,
    taken: bool,
    sent: u32,
    refused: u32,
}

impl Slow {
    fn new(loses_word: bool) -> Self {
        let part =
            Part { length: u64::from(BLOCK_BYTES) * u64::from(BLOCKS), block_size: BLOCK_BYTES };
        let mut queue = BlockQueue::new(part);
        queue.take_bits(0, &[0xFF]);
        let tuning = LinkTuning {
            baud: None,
            chunk_bytes: 512,
            window_bytes: 65_536,
            device_window_bytes: BLOCK_BYTES * 2,
        };
        Self {
            flight: Flight::new(queue, part, u32::from(BLOCKS), tuning),
            session: Session::new(Framing::Stream, 1, Patience::default()),
            now_us: 0,
            held: BTreeMap::new(),
            writes_us: None,
            loses_word,
            lost_words: 0,
            sequence: 0,
            below: 0,
            taken: false,
            sent: 0,
            refused: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..10_000 {
            self.write();
            match self.flight.next(self.now_us, &self.session) {
                Next::Send(piece) => self.take(piece),
                Next::Wait { until_us } => {
                    let next_us = until_us.into_iter().chain(self.writes_us).min();
                    self.now_us = next_us.unwrap().max(self.now_us + 1);
                }
                Next::AllArrived => return,
                Next::Stalled => panic!("stalled at {} us", self.now_us),
            }
        }
        panic!("the flight goes on for ever");
    }

    fn take(&mut self, piece: Piece) {
        self.sequence += 1;
        self.sent += 1;
        self.flight.sent(self.now_us, self.sequence, piece, piece.len);
        let room = self.held.contains_key(&piece.block) || self.held.len() < ROOM_BLOCKS;
        self.below = self.below << 1 | u64::from(self.taken);
        self.taken = room;
        self.refused += u32::from(!room);
        if room {
            *self.held.entry(piece.block).or_default() += piece.len;
        }
        if self.writes_us.is_none() && self.whole().is_some() {
            self.writes_us = Some(self.now_us + WRITE_US);
        }
        self.ack();
    }

    fn write(&mut self) {
        if self.writes_us.is_some_and(|at_us| at_us <= self.now_us) {
            let block = self.whole().unwrap();
            self.held.remove(&block);
            self.writes_us = self.whole().map(|_| self.now_us + WRITE_US);
            if self.loses_word {
                self.lost_words += 1;
            } else {
                self.ack();
            }
        }
    }

    fn whole(&self) -> Option<u32> {
        self.held.iter().find(|(_, bytes)| **bytes == BLOCK_BYTES as usize).map(|(block, _)| *block)
    }

    fn ack(&mut self) {
        let credit_blocks = u16::try_from(ROOM_BLOCKS - self.held.len()).unwrap();
        let (highest, below, taken) = (self.sequence, self.below, self.taken);
        self.flight.handle_ack(self.now_us, &Ack { highest, below, taken, credit_blocks });
    }
}
