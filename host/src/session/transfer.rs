//! Brings a bundle's components into the spare slot, as a pure machine (PROTOCOL.md, "Transfer").
//!
//! It asks through a [`Session`] and says in [`Need`] what bytes of the bundle it wants; the caller
//! reads them and supplies them. It sends only what the device does not hold already, keeps the line
//! full without queueing more than a few milliseconds ahead of it, and sends again at once what a
//! later acknowledgement shows to be lost.

mod flight;
mod queue;

use firmware_protocol::digest::Digest;
use firmware_protocol::message::{Ack, How, MAX_PIECE_BYTES, MISSING_BLOCKS, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;

use self::flight::Flight;
use self::queue::{BlockQueue, Piece};
use super::{Answer, Session};

pub use self::flight::{LinkTuning, first_chunk_bytes};

/// How often a slot that does not read back as the manifest says is sent again.
const MAX_READ_BACKS: u32 = 3;
/// Wait before asking again which blocks are still to be written, in microseconds.
const SETTLE_US: u64 = 5_000;
/// How long blocks that were acknowledged may stay unwritten before they are sent again, in
/// microseconds.
const UNWRITTEN_US: u64 = 2_000_000;

/// One component as it is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Length, in bytes.
    pub length: u64,
    /// Block size, in bytes.
    pub block_size: u32,
}

/// What the machine wants from its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing but events and time; call again at this time, in microseconds, if it is given.
    Wait {
        /// When to call again.
        until_us: Option<u64>,
    },
    /// Bytes of a component: answer with [`Transfer::supply`].
    Bytes {
        /// Which component, by its place in the manifest.
        component: usize,
        /// From where.
        offset: u64,
        /// How many.
        len: usize,
    },
    /// The digests of a component's blocks: answer with [`Transfer::supply_digests`].
    Digests {
        /// Which component.
        component: usize,
    },
    /// It has ended.
    Ended,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// The slot that holds the bundle now.
    pub slot: SlotId,
    /// How it came there.
    pub how: How,
    /// Bytes of all components.
    pub total_bytes: u64,
    /// Bytes that the device held already.
    pub kept_bytes: u64,
}

/// Why a transfer did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The device refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The device stopped answering.
    #[error("the device stopped answering while {0}")]
    Silent(&'static str),
    /// The device answered something else.
    #[error("the device answered out of turn while {0}")]
    OutOfTurn(&'static str),
    /// Component data does not arrive as it was sent.
    #[error(
        "component {component} still does not read back as the manifest says after {MAX_READ_BACKS} \
         attempts"
    )]
    ReadBack {
        /// Which.
        component: u8,
    },
}

/// How far a transfer has come, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of all components.
    pub total_bytes: u64,
    /// Bytes that are known to be in the device.
    pub done_bytes: u64,
    /// Everything is sent, and the device reads it back.
    pub reading_back: bool,
}

/// The machine.
#[derive(Debug)]
pub struct Transfer {
    document: Vec<u8>,
    again: bool,
    spare: SlotId,
    parts: Vec<Part>,
    tuning: LinkTuning,
    state: State,
    slot: Option<SlotId>,
    how: How,
    kept_bytes: u64,
    finished_bytes: u64,
    read_backs: u32,
    result: Option<Result<Staged, TransferError>>,
}

#[derive(Debug)]
enum State {
    Begin,
    Offering,
    Staging,
    Opening { component: usize },
    NeedDigests { component: usize, blocks: u32 },
    Listing { component: usize, digests: Vec<Digest> },
    Counting { component: usize, blocks: u32, queue: BlockQueue, first: u32 },
    Sending { component: usize, flight: Box<Flight>, wanted: Option<Piece> },
    Settling { component: usize, blocks: u32, since_us: u64, ask_at_us: Option<u64> },
    Finishing,
    Ended,
}

impl Transfer {
    /// A transfer into the slot `spare` of the bundle whose signed envelope is `document`; `parts` are
    /// its components' variants for that slot. `again` also stages a bundle
    /// that the device has rejected before.
    #[must_use]
    pub fn new(
        document: Vec<u8>,
        spare: SlotId,
        parts: Vec<Part>,
        again: bool,
        tuning: LinkTuning,
    ) -> Self {
        Self {
            document,
            again,
            spare,
            parts,
            tuning,
            state: State::Begin,
            slot: None,
            how: How::Done,
            kept_bytes: 0,
            finished_bytes: 0,
            read_backs: 0,
            result: None,
        }
    }

    /// How it ended, once [`Need::Ended`] was said.
    pub fn take_result(&mut self) -> Option<Result<Staged, TransferError>> {
        self.result.take()
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let sent = match &self.state {
            State::Sending { flight, .. } => flight.done_bytes(),
            State::Settling { component, .. } => self.parts.get(*component).map_or(0, |p| p.length),
            _ => 0,
        };
        Progress {
            total_bytes: self.total_bytes(),
            done_bytes: self.finished_bytes.saturating_add(sent).min(self.total_bytes()),
            reading_back: matches!(self.state, State::Finishing),
        }
    }

    /// Goes on; call it until it waits.
    pub fn poll(&mut self, now_us: u64, session: &mut Session) -> Need {
        match &mut self.state {
            State::Begin => {
                self.offer(now_us, session, 0);
                Need::Wait { until_us: None }
            }
            State::NeedDigests { component, .. } => Need::Digests { component: *component },
            State::Sending { component, flight, wanted } => {
                let component = *component;
                if let Some(piece) = wanted {
                    return need_bytes(component, *piece);
                }
                match flight.next(now_us, session) {
                    flight::Next::Send(piece) => {
                        *wanted = Some(piece);
                        need_bytes(component, piece)
                    }
                    flight::Next::Wait { until_us } => Need::Wait { until_us },
                    flight::Next::AllArrived => {
                        let blocks = flight.blocks();
                        self.settle(now_us, session, component, blocks, now_us);
                        Need::Wait { until_us: None }
                    }
                }
            }
            State::Settling { component, blocks, since_us, ask_at_us: Some(at_us) } => {
                let (component, blocks, since_us, at_us) = (*component, *blocks, *since_us, *at_us);
                if now_us < at_us {
                    return Need::Wait { until_us: Some(at_us) };
                }
                self.settle(now_us, session, component, blocks, since_us);
                Need::Wait { until_us: None }
            }
            State::Ended => Need::Ended,
            State::Offering
            | State::Staging
            | State::Opening { .. }
            | State::Listing { .. }
            | State::Counting { .. }
            | State::Settling { .. }
            | State::Finishing => Need::Wait { until_us: None },
        }
    }

    /// Takes the bytes that [`Need::Bytes`] asked for.
    pub fn supply(&mut self, now_us: u64, session: &mut Session, bytes: &[u8]) {
        if let State::Sending { component, flight, wanted } = &mut self.state
            && let Some(piece) = wanted.take()
        {
            let component = u8::try_from(*component).unwrap_or(u8::MAX);
            let sequence = session.send_chunk(component, piece.offset, bytes);
            flight.sent(now_us, sequence, piece, session.wire_bytes(bytes.len()));
        }
    }

    /// Takes the digests that [`Need::Digests`] asked for.
    pub fn supply_digests(&mut self, now_us: u64, session: &mut Session, digests: Vec<Digest>) {
        if let State::NeedDigests { component, blocks } = self.state {
            if usize::try_from(blocks) == Ok(digests.len()) {
                self.list(now_us, session, component, digests, 0);
            } else {
                self.count(now_us, session, component, blocks);
            }
        }
    }

    /// Takes an acknowledgement.
    pub fn handle_ack(&mut self, now_us: u64, ack: &Ack) {
        if let State::Sending { flight, .. } = &mut self.state {
            flight.handle_ack(now_us, ack);
        }
    }

    /// The open request got no answer.
    pub fn handle_silence(&mut self) {
        let doing = self.doing();
        self.end(Err(TransferError::Silent(doing)));
    }

    /// Takes the answer to the open request.
    pub fn handle_answer(&mut self, now_us: u64, session: &mut Session, answer: &Answer) {
        match answer.reply() {
            Ok(reply) => self.take_reply(now_us, session, &reply),
            Err(Refusal::Incomplete { component }) if matches!(self.state, State::Finishing) => {
                self.send_again(now_us, session, component);
            }
            Err(refusal) => self.end(Err(TransferError::Refused(refusal))),
        }
    }

    fn take_reply(&mut self, now_us: u64, session: &mut Session, reply: &Reply<'_>) {
        match (&mut self.state, reply) {
            (State::Offering, Reply::Offered { held_bytes }) => {
                let held = usize::try_from(*held_bytes).unwrap_or(usize::MAX);
                if held < self.document.len() {
                    self.offer(now_us, session, held);
                } else {
                    self.state = State::Staging;
                    session.ask(now_us, Request::Stage { again: self.again });
                }
            }
            (State::Staging, Reply::Stage { slot, how }) if *slot == self.spare => {
                self.slot = Some(*slot);
                self.how = *how;
                if *how == How::FoundDone {
                    self.kept_bytes = self.total_bytes();
                    self.finished_bytes = self.total_bytes();
                    self.finish(now_us, session);
                } else {
                    self.open(now_us, session, 0);
                }
            }
            (State::Opening { component }, Reply::Component { blocks, worth_listing }) => {
                let (component, blocks) = (*component, *blocks);
                if *worth_listing {
                    self.state = State::NeedDigests { component, blocks };
                } else {
                    self.count(now_us, session, component, blocks);
                }
            }
            (State::Listing { .. }, Reply::Listed { blocks }) => {
                self.listed(now_us, session, *blocks);
            }
            (State::Counting { .. }, Reply::Missing { first_block, missing, bits }) => {
                self.counted(now_us, session, *first_block, *missing, bits);
            }
            (State::Settling { .. }, Reply::Missing { missing, .. }) => {
                self.settled(now_us, session, *missing);
            }
            (State::Finishing, Reply::Staged { .. }) => self.staged(),
            _ => {
                let doing = self.doing();
                self.end(Err(TransferError::OutOfTurn(doing)));
            }
        }
    }

    fn offer(&mut self, now_us: u64, session: &mut Session, offset: usize) {
        let end = offset.saturating_add(MAX_PIECE_BYTES).min(self.document.len());
        let request = Request::Offer {
            total_bytes: u32::try_from(self.document.len()).unwrap_or(u32::MAX),
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            bytes: self.document.get(offset..end).unwrap_or_default(),
        };
        self.state = State::Offering;
        session.ask(now_us, request);
    }

    fn open(&mut self, now_us: u64, session: &mut Session, component: usize) {
        if component >= self.parts.len() {
            self.finish(now_us, session);
            return;
        }
        self.state = State::Opening { component };
        let index = u8::try_from(component).unwrap_or(u8::MAX);
        session.ask(now_us, Request::OpenComponent { index });
    }

    fn list(
        &mut self,
        now_us: u64,
        session: &mut Session,
        component: usize,
        digests: Vec<Digest>,
        told: usize,
    ) {
        let piece: Vec<u8> = digests
            .iter()
            .skip(told)
            .take(MAX_PIECE_BYTES / 32)
            .flat_map(|digest| digest.0)
            .collect();
        let first_block = u32::try_from(told).unwrap_or(u32::MAX);
        session.ask(now_us, Request::BlockList { first_block, digests: &piece });
        self.state = State::Listing { component, digests };
    }

    fn listed(&mut self, now_us: u64, session: &mut Session, blocks: u32) {
        let State::Listing { component, digests } =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        let told = usize::try_from(blocks).unwrap_or(usize::MAX);
        let all = u32::try_from(digests.len()).unwrap_or(u32::MAX);
        if told < digests.len() {
            self.list(now_us, session, component, digests, told);
        } else {
            self.count(now_us, session, component, all);
        }
    }

    fn count(&mut self, now_us: u64, session: &mut Session, component: usize, blocks: u32) {
        let queue = BlockQueue::new(self.part(component));
        self.state = State::Counting { component, blocks, queue, first: 0 };
        session.ask(now_us, Request::Missing { first_block: 0 });
    }

    fn counted(
        &mut self,
        now_us: u64,
        session: &mut Session,
        first_block: u32,
        missing: u32,
        bits: &[u8],
    ) {
        let State::Counting { component, blocks, mut queue, first } =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        if first_block == first {
            queue.take_bits(first, bits);
        }
        let next = first.saturating_add(MISSING_BLOCKS);
        if next < blocks && queue.len() < missing {
            self.state = State::Counting { component, blocks, queue, first: next };
            session.ask(now_us, Request::Missing { first_block: next });
            return;
        }
        let part = self.part(component);
        let kept = part.length.saturating_sub(queue.bytes());
        if self.read_backs == 0 {
            self.kept_bytes = self.kept_bytes.saturating_add(kept);
        }
        let flight = Box::new(Flight::new(queue, part, blocks, self.tuning));
        self.state = State::Sending { component, flight, wanted: None };
    }

    fn settle(
        &mut self,
        now_us: u64,
        session: &mut Session,
        component: usize,
        blocks: u32,
        since_us: u64,
    ) {
        self.state = State::Settling { component, blocks, since_us, ask_at_us: None };
        session.ask(now_us, Request::Missing { first_block: 0 });
    }

    fn settled(&mut self, now_us: u64, session: &mut Session, missing: u32) {
        let State::Settling { component, blocks, since_us, .. } = self.state else {
            return;
        };
        if missing == 0 {
            let length = self.part(component).length;
            self.finished_bytes = self.finished_bytes.saturating_add(length);
            self.open(now_us, session, component.saturating_add(1));
        } else if now_us.saturating_sub(since_us) > UNWRITTEN_US {
            self.count(now_us, session, component, blocks);
        } else {
            let ask_at_us = Some(now_us.saturating_add(SETTLE_US));
            self.state = State::Settling { component, blocks, since_us, ask_at_us };
        }
    }

    fn finish(&mut self, now_us: u64, session: &mut Session) {
        self.state = State::Finishing;
        session.ask(now_us, Request::Finish);
    }

    fn send_again(&mut self, now_us: u64, session: &mut Session, component: u8) {
        self.read_backs = self.read_backs.saturating_add(1);
        if self.read_backs >= MAX_READ_BACKS {
            self.end(Err(TransferError::ReadBack { component }));
            return;
        }
        self.finished_bytes = 0;
        self.open(now_us, session, 0);
    }

    fn staged(&mut self) {
        let Some(slot) = self.slot else { return };
        let kept_bytes = self.kept_bytes;
        let total_bytes = self.total_bytes();
        self.end(Ok(Staged { slot, how: self.how, total_bytes, kept_bytes }));
    }

    fn end(&mut self, result: Result<Staged, TransferError>) {
        self.state = State::Ended;
        self.result = Some(result);
    }

    fn part(&self, component: usize) -> Part {
        self.parts.get(component).copied().unwrap_or(Part { length: 0, block_size: 512 })
    }

    fn total_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    const fn doing(&self) -> &'static str {
        match &self.state {
            State::Begin | State::Offering | State::Staging => "the manifest was offered",
            State::Opening { .. } | State::Counting { .. } => "a component was opened",
            State::NeedDigests { .. } | State::Listing { .. } => "blocks were compared",
            State::Sending { .. } | State::Settling { .. } => "blocks were sent",
            State::Finishing => "the slot was read back",
            State::Ended => "nothing was under way",
        }
    }
}

const fn need_bytes(component: usize, piece: Piece) -> Need {
    Need::Bytes { component, offset: piece.offset, len: piece.len }
}
