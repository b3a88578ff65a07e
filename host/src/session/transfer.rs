//! Brings a bundle's components into the spare slot, as a pure machine (PROTOCOL.md, "Transfer").
//!
//! It asks through a [`Session`] and says in [`Need`] what bytes of the bundle it wants; the caller
//! reads them and supplies them. It sends only what the device does not hold already, keeps the line
//! full without queueing more than a few milliseconds ahead of it, and sends again at once what a
//! later acknowledgement shows to be lost.

mod flight;
mod pace;
mod queue;
mod steps;

use firmware_protocol::digest::Digest;
use firmware_protocol::message::{Ack, How, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotId;

use self::flight::Flight;
use self::pace::Pace;
use self::queue::{BlockQueue, Piece};
use super::{Answer, Session};

pub use self::flight::{LinkTuning, first_chunk_bytes};

/// How often a slot that does not read back as the manifest says is sent again.
const MAX_READ_BACKS: u32 = 3;

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
    /// The bundle that the device has read back, as it says.
    pub bundle: Digest,
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
    /// The device answers, and nothing gets further.
    #[error("the device makes no progress while {0}")]
    NoProgress(&'static str),
    /// The device answers, and takes no more bytes.
    #[error(
        "the device has got no further than {taken_bytes} of {total_bytes} bytes for {still_s} s"
    )]
    Still {
        /// Bytes that it has taken.
        taken_bytes: u64,
        /// Bytes of all components.
        total_bytes: u64,
        /// For how long it has taken no more, in seconds.
        still_s: u64,
    },
    /// The device takes bytes, and too few in the time there is.
    #[error(
        "the device is not done within {within_s} s: it has taken {taken_bytes} of {total_bytes} bytes"
    )]
    TooSlow {
        /// Bytes that it has taken.
        taken_bytes: u64,
        /// Bytes of all components.
        total_bytes: u64,
        /// The time there was, in seconds.
        within_s: u64,
    },
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
    /// Bytes of them that it held already.
    pub kept_bytes: u64,
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
    /// How often the open component was counted again because blocks stayed unwritten.
    recounts: u32,
    pace: Pace,
    result: Option<Result<Staged, TransferError>>,
}

#[derive(Debug)]
enum State {
    Begin,
    Offering { offset: usize },
    Staging,
    Opening { component: usize },
    NeedDigests { component: usize, blocks: u32 },
    Listing { component: usize, digests: Vec<Digest>, told: usize },
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
            pace: Pace::new(&parts, tuning, None),
            parts,
            tuning,
            state: State::Begin,
            slot: None,
            how: How::Done,
            kept_bytes: 0,
            finished_bytes: 0,
            read_backs: 0,
            recounts: 0,
            result: None,
        }
    }

    /// As it is, with no more than `limit_us` from its first [`Transfer::poll`] on.
    #[must_use]
    pub fn within(mut self, limit_us: u64) -> Self {
        self.pace = Pace::new(&self.parts, self.tuning, Some(limit_us));
        self
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
            State::Begin
            | State::Offering { .. }
            | State::Staging
            | State::Opening { .. }
            | State::NeedDigests { .. }
            | State::Listing { .. }
            | State::Counting { .. }
            | State::Finishing
            | State::Ended => 0,
        };
        Progress {
            total_bytes: self.total_bytes(),
            done_bytes: self.finished_bytes.saturating_add(sent).min(self.total_bytes()),
            kept_bytes: self.kept_bytes,
            reading_back: matches!(self.state, State::Finishing),
        }
    }

    /// Goes on; call it until it waits.
    pub fn poll(&mut self, now_us: u64, session: &mut Session) -> Need {
        if !matches!(self.state, State::Ended) {
            let (progress, is_sending) = (self.progress(), self.is_sending());
            if let Err(error) = self.pace.judge(now_us, progress, is_sending) {
                self.end(Err(error));
            }
        }
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
                    flight::Next::Stalled => {
                        // Its answer says what is missing, or that the session is over.
                        let blocks = flight.blocks();
                        self.count(now_us, session, component, blocks);
                        Need::Wait { until_us: None }
                    }
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
            State::Offering { .. }
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
            (State::Offering { offset }, Reply::Offered { held_bytes }) => {
                let held = usize::try_from(*held_bytes).unwrap_or(usize::MAX);
                if held <= *offset {
                    self.end(Err(TransferError::NoProgress("the manifest was offered")));
                } else if held < self.document.len() {
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
            (State::Opening { component }, Reply::Component { blocks, worth_listing })
                if Self::blocks_of(&self.parts, *component) == u64::from(*blocks) =>
            {
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
            (State::Finishing, Reply::Staged { bundle, .. }) => self.staged(*bundle),
            _ => {
                let doing = self.doing();
                self.end(Err(TransferError::OutOfTurn(doing)));
            }
        }
    }

    fn end(&mut self, result: Result<Staged, TransferError>) {
        self.state = State::Ended;
        self.result = Some(result);
    }

    fn part(&self, component: usize) -> Part {
        self.parts.get(component).copied().unwrap_or(Part { length: 0, block_size: 512 })
    }

    fn blocks_of(parts: &[Part], component: usize) -> u64 {
        let part = parts.get(component);
        part.map_or(0, |part| part.length.div_ceil(u64::from(part.block_size.max(1))))
    }

    /// Blocks are on their way, and only questions are asked beside them.
    const fn is_sending(&self) -> bool {
        matches!(
            &self.state,
            State::Counting { .. } | State::Sending { .. } | State::Settling { .. }
        )
    }

    fn total_bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.length).sum()
    }

    const fn doing(&self) -> &'static str {
        match &self.state {
            State::Begin | State::Offering { .. } | State::Staging => "the manifest was offered",
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

#[cfg(test)]
mod tests;
