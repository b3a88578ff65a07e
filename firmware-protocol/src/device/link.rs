//! The device's side of a link: what arrived, what goes out, who may ask.

use heapless::Vec;

use crate::frame::{Header, Kind};
use crate::message::{self, Ack, FromDevice, LinkCounters, MAX_REPLY_BYTES, Reply};
use crate::refusal::Refusal;
use crate::sealed::{Channel, LinkKey, TAG_BYTES};

use super::access::{Peer, Via};

/// Silence after which a session may be taken without force, in milliseconds. A live host says
/// something at least three times as often.
pub const SESSION_IDLE_MS: u64 = 3_000;

/// How often failing flash may end what one session asks for, before the session may only end a
/// trial: bounds the erases that a peer can draw from a part that fails (PROTOCOL.md, "Cost"). For all sessions of hosts that
/// may only enrol it counts together, until the device starts again: anybody can open one.
const MAX_FAULTS: u8 = 4;

/// The one frame a call may send.
#[derive(Debug, Default)]
pub struct Outgoing {
    payload: Vec<u8, { MAX_REPLY_BYTES + TAG_BYTES }>,
    head: Option<(Via, Header)>,
}

impl Outgoing {
    /// Nothing to send yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { payload: Vec::new(), head: None }
    }

    /// The frame to send, and the link it goes out on.
    pub fn take(&mut self) -> Option<(u8, Header, &[u8])> {
        let (via, header) = self.head.take()?;
        Some((via.wire, header, &self.payload))
    }

    /// True while a frame waits to be taken.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.head.is_some()
    }

    /// Where a frame goes that has yet to be sealed.
    pub(super) fn unsealed(&self) -> Option<Via> {
        self.head.and_then(|(via, _)| via.is_sealed().then_some(via))
    }

    /// Seals the frame, or drops it where that cannot be done.
    pub(super) fn seal(&mut self, channel: Option<&mut Channel>) {
        let Some((via, header)) = self.head.take() else { return };
        let payload_bytes = self.payload.len();
        let room = payload_bytes.saturating_add(TAG_BYTES);
        if self.payload.resize(room, 0).is_err() {
            return;
        }
        let sealed = channel.and_then(|it| it.seal(header.kind, &mut self.payload, payload_bytes));
        self.head = sealed.map(|(header, _)| (Via::plain(via.wire), header));
    }
}

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) via: Via,
    pub(super) id: u32,
}

/// Numbers what goes out and remembers the last answer that took long, so that a repeated question
/// is not a repeated deed.
#[derive(Debug, Clone, Default)]
pub(super) struct Sender {
    sequence: u32,
    last: Option<(Asked, Vec<u8, MAX_REPLY_BYTES>)>,
}

impl Sender {
    pub(super) fn send(&mut self, via: Via, message: &FromDevice<'_>, out: &mut Outgoing) {
        let mut bytes = [0; MAX_REPLY_BYTES];
        // A reply that does not fit cannot be built: `tests/wire_golden.rs` pins the largest.
        if let Some(payload) = message::encode(message, &mut bytes) {
            self.put(via, Kind::Message, payload, out);
        }
    }

    pub(super) fn reply(
        &mut self,
        asked: Asked,
        reply: Result<Reply<'_>, Refusal>,
        out: &mut Outgoing,
    ) {
        self.send(asked.via, &FromDevice::Reply { id: asked.id, reply }, out);
    }

    /// As [`Sender::reply`], and kept for a host that asks again.
    pub(super) fn reply_kept(
        &mut self,
        asked: Asked,
        reply: Result<Reply<'_>, Refusal>,
        out: &mut Outgoing,
    ) {
        self.reply(asked, reply, out);
        self.last = Vec::from_slice(&out.payload).ok().map(|payload| (asked, payload));
    }

    /// Forgets the kept answer: whoever begins anew on `via` may number its requests as another host did.
    pub(super) fn forget(&mut self, via: Via) {
        self.last.take_if(|(asked, _)| asked.via == via);
    }

    /// Says the kept answer again, if this is its question.
    pub(super) fn repeat(&mut self, asked: Asked, out: &mut Outgoing) -> bool {
        match self.last.take() {
            Some((kept, payload)) if kept == asked => {
                self.put(asked.via, Kind::Message, &payload, out);
                self.last = Some((kept, payload));
                true
            }
            other => {
                self.last = other;
                false
            }
        }
    }

    pub(super) fn put(&mut self, via: Via, kind: Kind, payload: &[u8], out: &mut Outgoing) {
        out.payload.clear();
        if out.payload.extend_from_slice(payload).is_ok() {
            out.head = Some((via, Header { kind, sequence: self.sequence }));
            self.sequence = self.sequence.wrapping_add(1);
        }
    }
}

/// Which of the host's frames have arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    seen: Option<u32>,
    below: u64,
    taken: bool,
    due: bool,
    via: Via,
    pub(super) counters: LinkCounters,
}

impl Received {
    /// A host begins to count anew on `via`.
    pub(super) fn restart(&mut self, via: Via) {
        self.seen = None;
        self.below = 0;
        self.due = false;
        self.via = via;
    }

    /// Only frames of `via` count from now on.
    pub(super) fn follow(&mut self, via: Via) {
        if self.via != via {
            self.restart(via);
        }
    }

    /// Notes a frame; `taken` when its content was kept, so that it need not come again. Frames of
    /// other links are numbered by other hosts and would spoil the count.
    pub(super) fn note(&mut self, via: Via, sequence: u32, taken: bool) {
        if via != self.via {
            return;
        }
        let Some(seen) = self.seen else {
            (self.seen, self.below, self.taken) = (Some(sequence), 0, taken);
            return;
        };
        let ahead = sequence.wrapping_sub(seen);
        let behind = seen.wrapping_sub(sequence);
        if ahead == 0 {
            self.taken |= taken;
        } else if ahead < u32::MAX / 2 {
            let moved = self.below.checked_shl(ahead).unwrap_or(0);
            let old = u64::from(self.taken).checked_shl(ahead.saturating_sub(1)).unwrap_or(0);
            (self.seen, self.below, self.taken) = (Some(sequence), moved | old, taken);
        } else if let (true, Some(bit)) = (taken, 1_u64.checked_shl(behind.saturating_sub(1))) {
            self.below |= bit;
        }
    }

    /// An acknowledgement is owed, if `via` is the one that counts.
    pub(super) fn owe(&mut self, via: Via) {
        self.due = self.due || via == self.via;
    }

    /// There is room for more than was said last, and nobody is waiting for a question.
    pub(super) const fn owe_credit(&mut self) {
        self.due = true;
    }

    pub(super) fn ack(&mut self, credit_blocks: u16) -> Option<(Via, Ack)> {
        if !core::mem::take(&mut self.due) {
            return None;
        }
        let via = self.via;
        let (below, taken) = (self.below, self.taken);
        Some((via, Ack { highest: self.seen?, below, taken, credit_blocks }))
    }
}

/// The one session in which anything can be changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    open: Option<OpenSession>,
    /// Requests of hosts that may only enrol, which failing flash has ended in this boot.
    limited_faults: u8,
}

#[derive(Debug, Clone, Copy)]
struct OpenSession {
    session: u32,
    via: Via,
    /// The key of the host that opened it; `None` on a plain link.
    host: Option<LinkKey>,
    /// It gives way to whoever may do more than enrol.
    is_limited: bool,
    /// The request that opened it: the same one again is the same host asking again, until somebody
    /// says hello on its link.
    opened_by: Option<u32>,
    last_ms: u64,
    /// Requests that failing flash has ended.
    faults: u8,
}

impl Session {
    /// Opens a session, or says why not. Gives its id and whether it was taken over. The id is `fresh`, or
    /// the next one if the session that ends is named so: its host must not pass for the new one's.
    ///
    /// One whose host may only enrol gives way to a host that may do more, and such a host takes over none of these.
    pub(super) fn open(
        &mut self,
        asked: Asked,
        peer: Peer,
        take_over: bool,
        fresh: u32,
        now_ms: u64,
    ) -> Result<(u32, bool), Refusal> {
        if let Some(held) = self.open {
            let is_same = held.via == asked.via && held.host == peer.host;
            if is_same && held.opened_by == Some(asked.id) {
                return Ok((held.session, false));
            }
            let takes = match (peer.is_limited(), held.is_limited) {
                (false, true) => true,
                (true, false) => false,
                (false, false) | (true, true) => take_over,
            };
            let idle_ms = now_ms.saturating_sub(held.last_ms);
            if idle_ms < SESSION_IDLE_MS && !takes {
                let idle_ms = u32::try_from(idle_ms).unwrap_or(u32::MAX);
                return Err(Refusal::SessionHeld { idle_ms });
            }
        }
        let held = self.open.map(|held| held.session);
        let session = if held == Some(fresh) { fresh.wrapping_add(1).max(1) } else { fresh };
        self.open = Some(OpenSession {
            session,
            via: asked.via,
            host: peer.host,
            is_limited: peer.is_limited(),
            opened_by: Some(asked.id),
            last_ms: now_ms,
            faults: 0,
        });
        Ok((session, held.is_some()))
    }

    /// Whether `session` is the open one, and `peer` the host that opened it; if so, it is alive.
    pub(super) fn admit(&mut self, session: u32, peer: Peer, now_ms: u64) -> Result<(), Refusal> {
        match &mut self.open {
            None if session == 0 => Err(Refusal::NoSession),
            Some(open) if open.session == session && open.host == peer.host => {
                (open.last_ms, open.is_limited) = (now_ms, peer.is_limited());
                if open.via != peer.via {
                    (open.via, open.opened_by) = (peer.via, None);
                }
                Ok(())
            }
            Some(_) | None => Err(Refusal::StaleSession),
        }
    }

    /// Where a host is at work that may change something.
    pub(super) fn at_work(&self, now_ms: u64) -> Option<Via> {
        let is_idle = |it: &OpenSession| now_ms.saturating_sub(it.last_ms) >= SESSION_IDLE_MS;
        self.open.filter(|open| !open.is_limited && !is_idle(open)).map(|open| open.via)
    }

    /// Where the session's host last spoke.
    pub(super) fn via(&self) -> Option<Via> {
        self.open.map(|open| open.via)
    }

    /// Somebody begins anew on `via`, and may number its requests as the session's host did.
    pub(super) fn forget_request(&mut self, via: Via) {
        if let Some(open) = self.open.as_mut().filter(|open| open.via == via) {
            open.opened_by = None;
        }
    }

    /// Failing flash has ended what the session asked for.
    pub(super) fn note_fault(&mut self) {
        if let Some(open) = &mut self.open {
            open.faults = open.faults.saturating_add(1);
            let counted = u8::from(open.is_limited);
            self.limited_faults = self.limited_faults.saturating_add(counted);
        }
    }

    /// Flash has failed the session so often that it may not try again.
    pub(super) fn is_spent(&self) -> bool {
        self.open.is_some_and(|open| {
            let counted = if open.is_limited { self.limited_faults } else { open.faults };
            counted >= MAX_FAULTS
        })
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delegation::Actions;

    const VIA: Via = Via::plain(0);
    const HOST: Peer = Peer { via: VIA, host: None, actions: Actions::ALL };

    fn asked(id: u32) -> Asked {
        Asked { via: VIA, id }
    }

    fn acked(received: &mut Received) -> std::vec::Vec<u32> {
        received.owe(VIA);
        let (_, ack) = received.ack(0).unwrap();
        let mut taken: std::vec::Vec<u32> =
            (0..64).filter(|n| ack.below >> n & 1 == 1).map(|n| ack.highest - 1 - n).collect();
        taken.reverse();
        if ack.taken {
            taken.push(ack.highest);
        }
        taken
    }

    #[test]
    fn an_ack_names_exactly_the_frames_that_were_taken() {
        let mut received = Received::default();
        for (sequence, taken) in [(10, true), (11, true), (14, false), (13, true), (15, true)] {
            received.note(VIA, sequence, taken);
        }
        assert_eq!(acked(&mut received), [10, 11, 13, 15]);
        received.note(VIA, 14, true);
        assert_eq!(acked(&mut received), [10, 11, 13, 14, 15]);
    }

    #[test]
    fn frames_far_below_the_highest_are_forgotten() {
        let mut received = Received::default();
        received.note(VIA, 0, true);
        received.note(VIA, 64, true);
        assert_eq!(acked(&mut received), [0, 64]);
        received.note(VIA, 65, true);
        assert_eq!(acked(&mut received), [64, 65]);
        received.note(VIA, 500, false);
        assert_eq!(acked(&mut received), []);
    }

    #[test]
    fn a_silent_session_can_be_taken_and_a_live_one_only_by_force() {
        let mut session = Session::default();
        let (one, two) = (asked(1), asked(2));
        assert_eq!(session.open(one, HOST, false, 71, 0), Ok((71, false)));
        assert_eq!(
            session.open(one, HOST, false, 72, 10),
            Ok((71, false)),
            "the same question again"
        );
        assert_eq!(
            session.open(two, HOST, false, 73, 900),
            Err(Refusal::SessionHeld { idle_ms: 900 })
        );
        assert_eq!(session.open(two, HOST, true, 73, 900), Ok((73, true)));
        assert_eq!(session.admit(71, HOST, 901), Err(Refusal::StaleSession));
        assert_eq!(session.admit(73, HOST, 1_000), Ok(()));
        assert_eq!(session.open(one, HOST, false, 74, 1_000 + SESSION_IDLE_MS), Ok((74, true)));
    }

    #[test]
    fn a_session_is_never_named_as_the_one_it_takes_over() {
        for (fresh, next) in [(71, 72), (u32::MAX, 1)] {
            let mut session = Session::default();
            let (one, two) = (asked(1), asked(2));
            assert_eq!(session.open(one, HOST, false, fresh, 0), Ok((fresh, false)));
            assert_eq!(session.open(two, HOST, true, fresh, 1), Ok((next, true)));
            assert_eq!(session.admit(fresh, HOST, 2), Err(Refusal::StaleSession));
        }
    }
}
