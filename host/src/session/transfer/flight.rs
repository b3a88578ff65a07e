//! Chunks in flight: how many, how large, and which are lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use firmware_protocol::message::{Ack, CHUNK_HEAD_BYTES};

use super::super::Session;
use super::Part;
use super::queue::{BlockQueue, Piece};

/// Most chunks in flight: what one acknowledgement can tell of.
const MAX_CHUNKS: usize = 48;
/// Chunks that a line may be behind the host, so that it never runs dry.
const AHEAD_CHUNKS: u64 = 2;
/// Silence behind the last chunk after which it counts as lost, in microseconds, besides what the
/// line needs.
const TAIL_US: u64 = 200_000;
/// How often in a row everything in flight may be lost before the device is asked.
const MAX_SILENCES: u8 = 3;
/// Chunks in a row that the device does not keep, or has no room for, before it is asked.
const MAX_FRUITLESS: u32 = 200;
/// Chunks after which the size is looked at again.
const REVIEW_CHUNKS: u32 = 64;
/// Share of lost chunks above which they become smaller, in percent.
const SHRINK_LOSS_PERCENT: u32 = 5;
/// Parts of a block that a chunk is made of; the device's granularity.
const GRANULES: u32 = 32;

/// What is known about the link when the transfer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTuning {
    /// Line rate, in bits a second; `None` where bytes are not paced by a line.
    pub baud: Option<u32>,
    /// Largest chunk to try, in bytes.
    pub chunk_bytes: usize,
    /// Most bytes in flight.
    pub window_bytes: usize,
    /// The device's memory for blocks, in bytes.
    pub device_window_bytes: u32,
}

impl LinkTuning {
    /// Time that `wire_bytes` take on the line, in microseconds.
    pub(super) fn line_us(&self, wire_bytes: usize) -> u64 {
        let bits = u64::try_from(wire_bytes).unwrap_or(u64::MAX).saturating_mul(10);
        self.baud.map_or(0, |baud| {
            bits.saturating_mul(1_000_000).checked_div(u64::from(baud)).unwrap_or(0)
        })
    }
}

/// What to do next.
pub(super) enum Next {
    Send(Piece),
    Wait {
        until_us: Option<u64>,
    },
    AllArrived,
    /// Nothing has arrived for a while: the device has to be asked why.
    Stalled,
}

/// The chunks of one component on their way.
#[derive(Debug)]
pub(super) struct Flight {
    queue: BlockQueue,
    lost: VecDeque<Piece>,
    flying: BTreeMap<u32, Flying>,
    flying_bytes: usize,
    /// Blocks of which the device has taken something: it has room for the rest of them.
    opened: BTreeSet<u32>,
    /// First chunk of each block whose room the device has not accounted for yet, with the block.
    begun: VecDeque<(u32, u32)>,
    credit_blocks: usize,
    chunk_bytes: usize,
    tuning: LinkTuning,
    part: Part,
    blocks: u32,
    missing_bytes: u64,
    arrived_bytes: u64,
    line_free_us: u64,
    heard_us: u64,
    /// How often in a row everything in flight was lost.
    silences: u8,
    /// Since when nothing is in flight because the device has no room.
    starved_us: Option<u64>,
    /// Chunks lost or held back since one was kept.
    fruitless: u32,
    review: Review,
}

#[derive(Debug, Clone, Copy)]
struct Flying {
    piece: Piece,
}

#[derive(Debug, Clone, Copy, Default)]
struct Review {
    sent: u32,
    lost: u32,
}

impl Flight {
    pub(super) fn new(queue: BlockQueue, part: Part, blocks: u32, tuning: LinkTuning) -> Self {
        let room = tuning.device_window_bytes.checked_div(part.block_size).unwrap_or(1).max(1);
        Self {
            missing_bytes: queue.bytes(),
            queue,
            lost: VecDeque::new(),
            flying: BTreeMap::new(),
            flying_bytes: 0,
            opened: BTreeSet::new(),
            begun: VecDeque::new(),
            credit_blocks: usize::try_from(room).unwrap_or(1).min(32),
            chunk_bytes: tuning.chunk_bytes,
            tuning,
            part,
            blocks,
            arrived_bytes: 0,
            line_free_us: 0,
            heard_us: 0,
            silences: 0,
            starved_us: None,
            fruitless: 0,
            review: Review::default(),
        }
    }

    pub(super) const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Bytes of the component that are in the device.
    pub(super) const fn done_bytes(&self) -> u64 {
        let kept = self.part.length.saturating_sub(self.missing_bytes);
        kept.saturating_add(self.arrived_bytes)
    }

    pub(super) fn next(&mut self, now_us: u64, session: &Session) -> Next {
        if self.flying.is_empty() && self.lost.is_empty() && self.queue.len() == 0 {
            return Next::AllArrived;
        }
        if self.fruitless >= MAX_FRUITLESS {
            return Next::Stalled;
        }
        if self.flying.is_empty() {
            return self.next_from_rest(now_us, session);
        }
        if let Some(tail_us) = self.tail_due(now_us, session) {
            if now_us < tail_us {
                return self
                    .fill(now_us, session)
                    .unwrap_or(Next::Wait { until_us: Some(tail_us) });
            }
            self.lose_all(now_us);
            if self.silences >= MAX_SILENCES {
                return Next::Stalled;
            }
        }
        let wait = Next::Wait { until_us: Some(now_us.saturating_add(TAIL_US)) };
        self.fill(now_us, session).unwrap_or(wait)
    }

    /// What to do when nothing is in flight: a device without room says when it has some again. That
    /// word may be lost, so after a while it is tried.
    fn next_from_rest(&mut self, now_us: u64, session: &Session) -> Next {
        self.heard_us = now_us;
        if let Some(next) = self.fill(now_us, session) {
            self.starved_us = None;
            return next;
        }
        let due_us = self.starved_us.get_or_insert(now_us).saturating_add(TAIL_US);
        if now_us < due_us {
            return Next::Wait { until_us: Some(due_us) };
        }
        self.starved_us = None;
        self.fruitless = self.fruitless.saturating_add(1);
        self.begun.clear();
        self.credit_blocks = self.credit_blocks.max(1);
        self.fill(now_us, session).unwrap_or(Next::Stalled)
    }

    /// Notes that `piece` went out as frame `sequence`.
    pub(super) fn sent(&mut self, now_us: u64, sequence: u32, piece: Piece, wire_bytes: usize) {
        if self.needs_room(piece.block) {
            self.begun.push_back((sequence, piece.block));
        }
        self.flying.insert(sequence, Flying { piece });
        self.flying_bytes = self.flying_bytes.saturating_add(piece.len);
        let start_us = self.line_free_us.max(now_us);
        self.line_free_us = start_us.saturating_add(self.tuning.line_us(wire_bytes));
        self.review.sent = self.review.sent.saturating_add(1);
        self.adapt();
    }

    pub(super) fn handle_ack(&mut self, now_us: u64, ack: &Ack) {
        self.heard_us = now_us;
        self.credit_blocks = usize::from(ack.credit_blocks);
        self.begun.retain(|(sequence, _)| *sequence > ack.highest);
        self.starved_us = None;
        let arrived = |sequence: u32| {
            let behind = ack.highest.wrapping_sub(sequence);
            match behind {
                0 => ack.taken,
                1..=64 => ack.below >> (behind - 1) & 1 == 1,
                _ => false,
            }
        };
        // A line keeps order: what a later frame has overtaken is lost.
        let told: Vec<u32> =
            self.flying.range(..=ack.highest).map(|(sequence, _)| *sequence).collect();
        for sequence in told {
            let Some(Flying { piece }) = self.flying.remove(&sequence) else { continue };
            self.flying_bytes = self.flying_bytes.saturating_sub(piece.len);
            if arrived(sequence) {
                let bytes = u64::try_from(piece.len).unwrap_or(0);
                self.arrived_bytes = self.arrived_bytes.saturating_add(bytes);
                self.opened.insert(piece.block);
                self.silences = 0;
                self.fruitless = 0;
            } else {
                self.review.lost = self.review.lost.saturating_add(1);
                self.fruitless = self.fruitless.saturating_add(1);
                self.lost.push_back(piece);
            }
        }
    }

    /// The next piece, if window, credit and line have room for it.
    fn fill(&mut self, now_us: u64, session: &Session) -> Option<Next> {
        if self.flying.len() >= MAX_CHUNKS || self.flying_bytes >= self.tuning.window_bytes {
            return None;
        }
        let ahead_us =
            self.tuning.line_us(session.wire_bytes(self.chunk_bytes)).saturating_mul(AHEAD_CHUNKS);
        let room_us = self.line_free_us.saturating_sub(ahead_us);
        if room_us > now_us {
            return Some(Next::Wait { until_us: Some(room_us) });
        }
        let has_room = self.begun.len() < self.credit_blocks;
        let fits = |piece: &Piece| has_room || !self.needs_room(piece.block);
        if let Some(place) = self.lost.iter().position(fits) {
            return self.lost.remove(place).map(Next::Send);
        }
        let block = self.queue.next_block()?;
        if !has_room && self.needs_room(block) {
            return None;
        }
        self.queue.next(self.chunk_bytes).map(Next::Send)
    }

    /// Whether the next piece of `block` takes room that the device has to have said it has.
    fn needs_room(&self, block: u32) -> bool {
        let is_begun = self.begun.iter().any(|(_, begun)| *begun == block);
        !is_begun && !self.opened.contains(&block)
    }

    /// When the last chunk counts as lost, unless something is heard before.
    fn tail_due(&self, now_us: u64, session: &Session) -> Option<u64> {
        if self.flying.is_empty() {
            return None;
        }
        let wire_us = self.tuning.line_us(session.wire_bytes(self.chunk_bytes));
        let quiet_us = self.heard_us.max(self.line_free_us.min(now_us.saturating_add(wire_us)));
        Some(quiet_us.saturating_add(TAIL_US).saturating_add(wire_us.saturating_mul(4)))
    }

    fn lose_all(&mut self, now_us: u64) {
        let pieces = std::mem::take(&mut self.flying);
        self.lost.extend(pieces.into_values().map(|flying| flying.piece));
        self.flying_bytes = 0;
        self.begun.clear();
        self.silences = self.silences.saturating_add(1);
        self.heard_us = now_us;
    }

    /// Smaller chunks where many are lost, larger ones where none are. A block's granules bound
    /// both ends.
    fn adapt(&mut self) {
        if self.review.sent < REVIEW_CHUNKS {
            return;
        }
        let percent = self.review.lost.saturating_mul(100) / REVIEW_CHUNKS;
        let granule = usize::try_from(self.part.block_size / GRANULES).unwrap_or(16).max(16);
        if percent > SHRINK_LOSS_PERCENT {
            self.chunk_bytes = (self.chunk_bytes / 2).max(granule).max(256);
        } else if self.review.lost == 0 {
            self.chunk_bytes = self.chunk_bytes.saturating_mul(2).min(self.tuning.chunk_bytes);
        }
        self.review = Review::default();
    }
}

/// The largest power-of-two chunk that fits a frame of `max_frame_bytes` and is worth trying first.
#[must_use]
pub fn first_chunk_bytes(max_frame_bytes: u32, wish_bytes: usize) -> usize {
    let frame = usize::try_from(max_frame_bytes).unwrap_or(usize::MAX);
    let room = frame.saturating_sub(CHUNK_HEAD_BYTES + firmware_protocol::frame::HEADER_BYTES);
    let mut chunk = wish_bytes.next_power_of_two();
    while chunk > room && chunk > 256 {
        chunk /= 2;
    }
    chunk
}

#[cfg(test)]
mod tests;
