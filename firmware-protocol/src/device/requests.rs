//! Requests: what each may do, and the answer that needs no work. Work goes to [`super::job`].

use crate::boot::BootState;
use crate::delegation::Action;
use crate::flash::Flash;
use crate::frame::Kind;
use crate::message::{
    self, FromDevice, How, PROTOCOL_CURRENT, PROTOCOL_MIN, Reply, Request, ToDevice,
};
use crate::planted::Defence;
use crate::refusal::Refusal;
use crate::slot::{RejectReason, SlotId};
use crate::trust;

use super::access::{Peer, Via};
use super::job::Job;
use super::link::{Asked, Outgoing};
use super::{Board, Device, RESET_GRACE_MS, SESSION_IDLE_MS};

/// What a request comes to at once.
pub(super) enum Answer<'a> {
    /// This reply.
    Now(Reply<'a>),
    /// A job was begun; it replies when it ends.
    Later,
}

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    pub(super) fn take_message(
        &mut self,
        via: Via,
        sequence: u32,
        payload: &[u8],
        out: &mut Outgoing,
    ) {
        let Some(message) = message::decode::<ToDevice<'_>>(payload) else {
            // An id that decodes is worth a clean "too new"; anything else is noise.
            if let Some(id) = message::request_id(payload) {
                let refusal = Refusal::Unknown { current: PROTOCOL_CURRENT };
                self.sender.reply(Asked { via, id }, Err(refusal), out);
            }
            return;
        };
        if matches!(message.request, Request::Hello { .. }) {
            self.sender.forget(via);
            self.session.forget_request(via);
            self.staged_by = self.staged_by.filter(|asked| asked.via != via);
            // Whoever says hello beside a session does not disturb it.
            if self.session.via().is_none_or(|held| held == via) {
                self.received.restart(via);
            }
        }
        let asked = Asked { via, id: message.id };
        let peer = self.peer(via);
        // Whatever is asked in the session is a sign of life, also to hear how far a check has come.
        if self.session.admit(message.session, peer, self.now_ms).is_ok() {
            self.renew_lease(peer);
            self.received.follow(via);
        }
        self.received.note(via, sequence, true);
        if self.sender.repeat(asked, out) {
            return;
        }
        if let Some(reply) = self.job.progress_for(asked) {
            self.sender.reply(asked, Ok(reply), out);
            return;
        }
        self.answer(asked, message, out);
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever does not describe the device goes through `decide`"
    )]
    fn answer(&mut self, asked: Asked, message: ToDevice<'_>, out: &mut Outgoing) {
        match message.request {
            Request::RecordBytes { offset, length } => {
                let mut bytes = [0; message::MAX_RECORD_PIECE_BYTES];
                let reply = self.record_bytes(offset, length, &mut bytes);
                self.sender.reply(asked, reply, out);
            }
            Request::Identify | Request::Area { .. } | Request::Check { .. } => {
                let mut bytes = [0; message::MAX_REPLY_BYTES];
                let reply =
                    FromDevice::Reply { id: asked.id, reply: self.describe(message.request) };
                if let Some(payload) = message::encode(&reply, &mut bytes) {
                    self.sender.put(asked.via, Kind::Message, payload, out);
                }
            }
            other => match self.decide(asked, message.session, other) {
                Ok(Answer::Now(reply)) => self.sender.reply(asked, Ok(reply), out),
                Ok(Answer::Later) => {}
                Err(refusal) => self.sender.reply(asked, Err(refusal), out),
            },
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a request needs a session unless it is named here: the safe default"
    )]
    fn decide(
        &mut self,
        asked: Asked,
        session: u32,
        request: Request<'_>,
    ) -> Result<Answer<'static>, Refusal> {
        match request {
            Request::Hello { min, current } => self.hello(min, current),
            Request::Status => Ok(Answer::Now(Reply::Status(self.status()))),
            Request::Wear => Ok(Answer::Now(Reply::Wear(self.wear()))),
            Request::RootStatus => Ok(Answer::Now(Reply::RootStatus(self.root_status()))),
            Request::OpenSession { take_over, trial_id } => {
                self.open_session(asked, take_over, trial_id)
            }
            // Answered before; listed so that a new request has to choose its place.
            Request::Identify
            | Request::Area { .. }
            | Request::Check { .. }
            | Request::RecordBytes { .. } => Err(Refusal::Busy),
            other => {
                let peer = self.peer(asked.via);
                self.session.admit(session, peer, self.now_ms)?;
                allowed(peer, &other)?;
                self.decide_in_session(asked, other)
            }
        }
    }

    fn decide_in_session(
        &mut self,
        asked: Asked,
        request: Request<'_>,
    ) -> Result<Answer<'static>, Refusal> {
        if request == Request::Renew {
            return Ok(Answer::Now(self.renewed()));
        }
        self.has_time_for(&request)?;
        match request {
            Request::CloseSession => self.close_session(),
            Request::Offer { total_bytes, offset, bytes } => self.offer(total_bytes, offset, bytes),
            Request::Enroll => self.enroll(asked),
            Request::Certify => self.certify(),
            Request::BenchReset => self.bench_reset(asked),
            Request::Stage { again } => self.stage(asked, again),
            Request::OpenComponent { index } => self.open_component(index),
            Request::BlockList { first_block, digests } => {
                self.block_list(asked, first_block, digests)
            }
            Request::Missing { first_block } => self.missing(first_block),
            Request::Finish => self.finish(asked),
            Request::OpenTrial { bundle, plan, terms } => {
                self.open_trial(asked, bundle, plan, terms)
            }
            Request::Arm { trial_id, boots } => self.arm(asked, trial_id, boots),
            Request::Reset { boot_nonce } => self.reset(boot_nonce),
            Request::Confirm { trial_id, boot_nonce } => self.confirm(asked, trial_id, boot_nonce),
            Request::Rollback { trial_id } => {
                self.rollback(asked, trial_id, RejectReason::HostDecided)
            }
            Request::Withdraw { trial_id } => {
                self.rollback(asked, trial_id, RejectReason::Withdrawn)
            }
            Request::RunCheck { index } => self.run_check(asked, index),
            Request::HashComponent { slot, area } => self.hash_component(asked, slot, area),
            Request::Hello { .. }
            | Request::Identify
            | Request::Status
            | Request::Area { .. }
            | Request::Check { .. }
            | Request::OpenSession { .. }
            | Request::Wear
            | Request::RootStatus
            | Request::RecordBytes { .. }
            | Request::Renew => Err(Refusal::Busy),
        }
    }

    /// Whether a request can be begun beside what the device is at.
    fn has_time_for(&self, request: &Request<'_>) -> Result<(), Refusal> {
        // A trial, a boot or a session can be ended whatever a check or a scan is at; what is being stored is not.
        let ends = matches!(
            request,
            Request::Reset { .. }
                | Request::Rollback { .. }
                | Request::Withdraw { .. }
                | Request::CloseSession
        );
        // Only looks on while a run is named; nothing that a transfer waits for.
        let looks = matches!(request, Request::OpenComponent { .. } | Request::Missing { .. })
            && self.job.leaves_the_window();
        if !matches!(self.job, Job::Idle) && (self.job.writes() || !ends) && !looks {
            return Err(Refusal::Busy);
        }
        // Confirm and rollback stay: they end a trial, and the trial's end bounds them.
        let begins = matches!(
            request,
            Request::Enroll
                | Request::Stage { .. }
                | Request::Finish
                | Request::OpenTrial { .. }
                | Request::Arm { .. }
                | Request::BenchReset
        );
        if begins && self.session.is_spent() { Err(Refusal::Flash) } else { Ok(()) }
    }

    fn hello(&self, min: u8, current: u8) -> Result<Answer<'static>, Refusal> {
        let version = PROTOCOL_CURRENT.min(current);
        if version < PROTOCOL_MIN || version < min {
            return Err(Refusal::ProtocolVersion { min: PROTOCOL_MIN, current: PROTOCOL_CURRENT });
        }
        Ok(Answer::Now(Reply::Hello {
            version,
            max_frame_bytes: self.max_frame_bytes,
            window_bytes: u32::try_from(self.window.as_ref().len()).unwrap_or(u32::MAX),
            boot_nonce: self.boot_nonce,
        }))
    }

    fn open_session(
        &mut self,
        asked: Asked,
        take_over: bool,
        trial_id: u32,
    ) -> Result<Answer<'static>, Refusal> {
        let peer = self.peer(asked.via);
        // Who can drive no trial is not the host that this boot is kept for, and keeps no other one out.
        if self.is_reserved(trial_id) && !take_over && !peer.is_limited() {
            let idle_ms = u32::try_from(self.now_ms).unwrap_or(u32::MAX);
            return Err(Refusal::SessionHeld { idle_ms });
        }
        let mut bytes = [0; 4];
        self.board.random(&mut bytes).map_err(|_| Refusal::NoRandom)?;
        if self.boot_nonce == 0 {
            // A source that had failed at the start works now, so this boot can be named after all.
            let mut nonce = [0; 8];
            self.board.random(&mut nonce).map_err(|_| Refusal::NoRandom)?;
            self.boot_nonce = u64::from_le_bytes(nonce).max(1);
        }
        // Zero means "no session" on the wire.
        let fresh = if Defence::FreshKeys.is_off() { 1 } else { u32::from_le_bytes(bytes).max(1) };
        let (session, forced) = self.session.open(asked, peer, take_over, fresh, self.now_ms)?;
        self.was_entered |= !peer.is_limited();
        self.renew_lease(peer);
        self.received.follow(asked.via);
        Ok(Answer::Now(Reply::Session { session, taken_over: forced, actions: peer.actions }))
    }

    /// A sign of life of a host that may drive trials; nobody else keeps one going.
    fn renew_lease(&mut self, peer: Peer) {
        if peer.actions.allow(Action::Trial) {
            self.trial_clock.renew(self.now_ms);
        }
    }

    fn close_session(&mut self) -> Result<Answer<'static>, Refusal> {
        self.give_way();
        self.session.close();
        done(How::Done)
    }

    /// True while this boot is kept for the host that reset the device into the trial. The reset has
    /// ended its session; without this, whoever asks first would have the device in between. Behind its first session
    /// of this boot it has had its turn.
    fn is_reserved(&self, trial_id: u32) -> bool {
        let open = self.store.state().and_then(|state| state.trial);
        let is_owner = open.is_none_or(|open| open.trial_id == trial_id);
        self.in_trial() && !is_owner && !self.was_entered && self.now_ms < SESSION_IDLE_MS
    }

    fn renewed(&self) -> Reply<'static> {
        match self.state().trial {
            Some(open) => Reply::Renewed {
                lease_left_ms: self.trial_clock.lease_left_ms(&open, self.now_ms),
                boot_left_ms: self.trial_clock.boot_left_ms(&open, self.now_ms),
            },
            None => Reply::Renewed { lease_left_ms: 0, boot_left_ms: 0 },
        }
    }

    fn reset(&mut self, boot_nonce: u64) -> Result<Answer<'static>, Refusal> {
        if boot_nonce != self.boot_nonce {
            return Err(Refusal::WrongBoot);
        }
        self.give_way();
        self.reset_at_ms = Some(self.now_ms.saturating_add(RESET_GRACE_MS));
        done(How::Done)
    }

    fn run_check(&mut self, asked: Asked, index: u8) -> Result<Answer<'static>, Refusal> {
        if index >= self.board.check_count() {
            return Err(Refusal::NoSuchItem { index: u32::from(index) });
        }
        self.board.start_check(index, self.now_ms);
        self.job = Job::Check { asked, index };
        Ok(Answer::Later)
    }

    fn hash_component(
        &mut self,
        asked: Asked,
        slot: SlotId,
        area: u8,
    ) -> Result<Answer<'static>, Refusal> {
        let place = self.layout.slot(slot).areas.get(usize::from(area)).cloned();
        let place = place.ok_or(Refusal::NoSuchItem { index: u32::from(area) })?;
        let bundle = self.state().slots.get(slot).bundle().ok_or(Refusal::NotStaged)?;
        let length = self.load_manifest(slot)?;
        let bytes = self.window.as_ref().get(..length).unwrap_or_default();
        let found = trust::admitted_manifest(bytes, bundle).map_err(|_| Refusal::Malformed)?;
        let component = found.claims().components.iter().find(|item| item.name == place.name);
        let variant = component.and_then(|component| component.variant_for(slot));
        let variant = *variant.ok_or(Refusal::NoSuchItem { index: u32::from(area) })?;
        self.job = Job::hash(place.range, &variant, asked).ok_or(Refusal::Malformed)?;
        Ok(Answer::Later)
    }
}

/// Whether the host may ask this of the device.
fn allowed(peer: Peer, request: &Request<'_>) -> Result<(), Refusal> {
    match request.action() {
        None => Ok(()),
        Some(_) if Defence::Delegations.is_off() => Ok(()),
        Some(action) if peer.actions.allow(action) => Ok(()),
        Some(_) if peer.is_limited() => Err(Refusal::NotAuthenticated),
        Some(action) => Err(Refusal::NotDelegated { action }),
    }
}

/// What `OpenTrial` and `Arm` answer.
pub(super) fn trial_reply(state: &BootState, how: How) -> Reply<'static> {
    match state.trial {
        Some(open) => Reply::Trial { trial_id: open.trial_id, armed: open.armed, how },
        None => Reply::Done(how),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it ends handlers that may refuse")]
pub(super) fn done(how: How) -> Result<Answer<'static>, Refusal> {
    Ok(Answer::Now(Reply::Done(how)))
}
