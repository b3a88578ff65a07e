//! What is asked next, and what an answer means: one step of a transfer each.

use firmware_protocol::digest::Digest;
use firmware_protocol::message::{MAX_PIECE_BYTES, MISSING_BLOCKS, Request};

use super::flight::Flight;
use super::queue::BlockQueue;
use super::{MAX_READ_BACKS, Session, Staged, State, Transfer, TransferError};

/// Wait before asking again which blocks are still to be written, in microseconds.
const SETTLE_US: u64 = 5_000;
/// How long blocks that were acknowledged may stay unwritten before they are sent again, in
/// microseconds.
const UNWRITTEN_US: u64 = 2_000_000;
/// How often in one transfer blocks may be counted anew.
const MAX_RECOUNTS: u32 = 64;

impl Transfer {
    pub(super) fn offer(&mut self, now_us: u64, session: &mut Session, offset: usize) {
        let end = offset.saturating_add(MAX_PIECE_BYTES).min(self.document.len());
        let request = Request::Offer {
            total_bytes: u32::try_from(self.document.len()).unwrap_or(u32::MAX),
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            bytes: self.document.get(offset..end).unwrap_or_default(),
        };
        self.state = State::Offering { offset };
        session.ask(now_us, request);
    }

    pub(super) fn open(&mut self, now_us: u64, session: &mut Session, component: usize) {
        if component >= self.parts.len() {
            self.finish(now_us, session);
            return;
        }
        self.state = State::Opening { component };
        let index = u8::try_from(component).unwrap_or(u8::MAX);
        session.ask(now_us, Request::OpenComponent { index });
    }

    pub(super) fn list(
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
        self.state = State::Listing { component, digests, told };
    }

    pub(super) fn listed(&mut self, now_us: u64, session: &mut Session, blocks: u32) {
        let State::Listing { component, digests, told: before } =
            std::mem::replace(&mut self.state, State::Ended)
        else {
            return;
        };
        let told = usize::try_from(blocks).unwrap_or(usize::MAX);
        let all = u32::try_from(digests.len()).unwrap_or(u32::MAX);
        if told <= before {
            self.end(Err(TransferError::NoProgress("blocks were compared")));
        } else if told < digests.len() {
            self.list(now_us, session, component, digests, told);
        } else {
            self.count(now_us, session, component, all);
        }
    }

    pub(super) fn count(
        &mut self,
        now_us: u64,
        session: &mut Session,
        component: usize,
        blocks: u32,
    ) {
        self.recounts = self.recounts.saturating_add(1);
        if self.recounts > MAX_RECOUNTS {
            self.end(Err(TransferError::NoProgress("blocks were sent")));
            return;
        }
        let queue = BlockQueue::new(self.part(component));
        self.state = State::Counting { component, blocks, queue, first: 0 };
        session.ask(now_us, Request::Missing { first_block: 0 });
    }

    pub(super) fn counted(
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

    pub(super) fn settle(
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

    pub(super) fn settled(&mut self, now_us: u64, session: &mut Session, missing: u32) {
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

    pub(super) fn finish(&mut self, now_us: u64, session: &mut Session) {
        self.state = State::Finishing;
        session.ask(now_us, Request::Finish);
    }

    pub(super) fn send_again(&mut self, now_us: u64, session: &mut Session, component: u8) {
        self.read_backs = self.read_backs.saturating_add(1);
        if self.read_backs >= MAX_READ_BACKS {
            self.end(Err(TransferError::ReadBack { component }));
            return;
        }
        self.finished_bytes = 0;
        self.open(now_us, session, 0);
    }

    pub(super) fn staged(&mut self, bundle: Digest) {
        let Some(slot) = self.slot else { return };
        let kept_bytes = self.kept_bytes;
        let total_bytes = self.total_bytes();
        self.end(Ok(Staged { slot, bundle, how: self.how, total_bytes, kept_bytes }));
    }
}
