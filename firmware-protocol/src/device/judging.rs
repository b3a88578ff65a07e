//! Requests about a trial: open, arm, confirm, roll back. What each may do is in [`super::trial`].

use crate::boot::confirm_trial;
use crate::digest::Digest;
use crate::flash::Flash;
use crate::message::{How, TrialTerms};
use crate::planted::Defence;
use crate::refusal::Refusal;
use crate::root::RootRecord;
use crate::slot::{RejectReason, SlotId};
use crate::start::read_manifest;
use crate::trust::{self, BodyType, Envelope};

use super::certified::is_certified_by;
use super::job::{Job, Then};
use super::link::Asked;
use super::requests::{Answer, done, trial_reply};
use super::{Board, Device, READ_TRIES, admission, trial};

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    pub(super) fn open_trial(
        &mut self,
        asked: Asked,
        bundle: Digest,
        plan: Digest,
        terms: TrialTerms,
    ) -> Result<Answer<'static>, Refusal> {
        let root = self.root()?;
        let state = self.state();
        let spare = self.spare(&state);
        let length = self.load_manifest(spare)?;
        let bytes = self.window.as_ref().get(..length).unwrap_or_default();
        let envelope = manifest_of(bytes, bundle).ok_or(Refusal::NotStaged)?;
        // Whose and what it is was asked at the stage, and is asked again of what flash gives: a root record that came
        // since may have taken it back, and one decision that went wrong starts nothing by itself.
        let manifest = if Defence::SecondLook.is_off() {
            trust::admitted_manifest(bytes, bundle)?
        } else {
            trust::released(&envelope, &root)?
        };
        let claims = manifest.claims();
        admission::fits_product(claims.product, &claims.hardware, self.board.info())?;
        admission::still_counts(claims, &state, &root)?;
        let policy = root.policy;
        is_certified_by(self.certified, policy.certificate.to_stage(), (bundle, plan))?;
        match trial::open(&state, spare, &manifest, plan, terms, &policy)? {
            Some(opened) => {
                self.trial_clock = trial::TrialClock::new(self.now_ms);
                self.job = Job::write_record(opened, Then::Trial, Some(asked));
                Ok(Answer::Later)
            }
            None => Ok(Answer::Now(trial_reply(&state, How::FoundDone))),
        }
    }

    pub(super) fn arm(
        &mut self,
        asked: Asked,
        trial_id: u32,
        boots: u8,
    ) -> Result<Answer<'static>, Refusal> {
        let state = self.state();
        match trial::arm(&state, trial_id, boots)? {
            Some(armed) => {
                self.job = Job::write_record(armed, Then::Trial, Some(asked));
                Ok(Answer::Later)
            }
            None => Ok(Answer::Now(trial_reply(&state, How::FoundDone))),
        }
    }

    pub(super) fn confirm(
        &mut self,
        asked: Asked,
        trial_id: u32,
        boot_nonce: u64,
    ) -> Result<Answer<'static>, Refusal> {
        let mut state = self.state();
        if state.trial.is_none() && state.confirmed_trial_id == trial_id && trial_id != 0 {
            return done(How::FoundDone);
        }
        let open = trial::named(&state, trial_id)?;
        if boot_nonce != self.boot_nonce {
            return Err(Refusal::WrongBoot);
        }
        if !self.in_trial() {
            return Err(Refusal::NotInTrial);
        }
        let root = self.root()?;
        // Whenever it was to be shown first: a root record that came since may take certificates back, or want more.
        let wanted = root.policy.certificate.level();
        let bundle = state.slots.get(open.slot).bundle().unwrap_or_default();
        is_certified_by(self.certified, wanted, (bundle, open.plan))?;
        let built_at_s = self.judge_once_more(open.slot, bundle, &root)?;
        confirm_trial(&mut state);
        // Not before: a stage would end the delegation of the very host that is at it. And only with the entry: what is not
        // confirmed says nothing of time.
        state.time_floor_s = self.time_behind(built_at_s, &root);
        self.job = Job::write_record(state, Then::Done, Some(asked));
        Ok(Answer::Later)
    }

    /// Judges what is to become the confirmed version by the root record in force: one that came in the middle of the trial
    /// may have taken it back. Gives when it was built.
    fn judge_once_more(
        &mut self,
        slot: SlotId,
        bundle: Digest,
        root: &RootRecord,
    ) -> Result<u64, Refusal> {
        let state = self.state();
        let length = self.load_manifest(slot)?;
        let bytes = self.window.as_ref().get(..length).unwrap_or_default();
        let envelope = manifest_of(bytes, bundle).ok_or(Refusal::Flash)?;
        let manifest = trust::released(&envelope, root)?;
        admission::still_counts(manifest.claims(), &state, root)?;
        Ok(manifest.claims().provenance.built_at_s)
    }

    /// Reads what a slot has for a manifest to the start of the window, where a transfer or a document gives way to it; gives
    /// its length.
    pub(super) fn load_manifest(&mut self, slot: SlotId) -> Result<usize, Refusal> {
        self.receiver = None;
        self.document_bytes = 0;
        let (place, scratch) = (self.layout.slot(slot), self.window.as_mut());
        let length = (0..READ_TRIES)
            .find_map(|_| read_manifest(&mut self.flash, place, scratch).ok().map(<[u8]>::len));
        length.ok_or(Refusal::Flash)
    }

    pub(super) fn rollback(
        &mut self,
        asked: Asked,
        trial_id: u32,
        reason: RejectReason,
    ) -> Result<Answer<'static>, Refusal> {
        let state = self.state();
        if state.trial.is_none() && trial::was_rolled_back(&state, trial_id) {
            return done(How::FoundDone);
        }
        trial::named(&state, trial_id)?;
        let then = if self.in_trial() { Then::DoneAndReset } else { Then::Done };
        self.give_up_trial(reason, then, Some(asked));
        Ok(Answer::Later)
    }
}

/// The manifest of this bundle at the front of what flash gives, if that is what stands there.
fn manifest_of(bytes: &[u8], bundle: Digest) -> Option<Envelope<'_>> {
    let (envelope, _) = Envelope::parse_front(bytes, BodyType::Manifest).ok()?;
    (envelope.body_digest() == bundle).then_some(envelope)
}
