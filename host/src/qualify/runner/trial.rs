//! From the staged bundle to its first answer.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step knows the sightings that carry it on; every other one is told in words"
)]

use crate::evidence::{Ending, NoteSeverity, Outcome};
use crate::qualify::observation::{BootSeen, DeviceFacts, StatusFacts};

use super::act::{Act, Missing, Saw};
use super::fate::Fate;
use super::lost::{GOING_BACK_MS, LINK_IS_GONE};
use super::stopping::UNTOUCHED;
use super::{Reached, Runner, State, TrialOpen};

impl Runner {
    pub(super) fn staged(&mut self, now_ms: u64, saw: Saw) {
        let facts = match saw {
            Saw::Staged(facts) => facts,
            Saw::Refused { reason, is_stale: false, next } => {
                let message = format!("the device refused the bundle: {reason}");
                self.end(now_ms, Outcome::Refused, message, Some(next));
                return;
            }
            other => {
                let message = format!("staging was interrupted: {}; {UNTOUCHED}", other.in_words());
                let next = "run the same command again: it goes on where this run stopped";
                self.end(now_ms, Outcome::Error, message, Some(next));
                return;
            }
        };
        self.expect.trial_slot = facts.slot;
        self.reached = Reached::Staged;
        self.measured(now_ms, "total", facts.total_bytes, "B");
        self.measured(now_ms, "kept", facts.kept_bytes, "B");
        self.measured(now_ms, "sent", facts.sent_bytes, "B");
        self.measured(now_ms, "device_counted", facts.device_bytes, "B");
        self.measured(now_ms, "took", facts.took_ms, "ms");
        let ending = match (facts.is_found_done, facts.is_resumed) {
            (true, _) => Ending::FoundDone,
            (false, true) => Ending::Resumed,
            (false, false) => Ending::Done,
        };
        if facts.is_resumed {
            let text = format!(
                "an earlier attempt was gone on with: {} of {} bytes were there already",
                facts.kept_bytes, facts.total_bytes
            );
            self.note(now_ms, NoteSeverity::Info, text);
        }
        self.leave_phase(now_ms, ending, None);
        self.again_or_on(now_ms);
    }

    pub(super) fn trial_opened(&mut self, now_ms: u64, saw: Saw) {
        match saw {
            Saw::Trial { trial_id } => {
                let crash_left = Some(u32::from(self.terms().crashes));
                self.trial = Some(TrialOpen { trial_id, boot_nonce: None, crash_left });
                self.go_towards_trial(now_ms);
            }
            Saw::Refused { reason, is_stale: false, next } => {
                let message = format!(
                    "the device opens no trial: {reason}; the bundle stays staged, {UNTOUCHED}"
                );
                self.end(now_ms, Outcome::Refused, message, Some(next));
            }
            other => self.look_again(now_ms, &other.in_words()),
        }
    }

    pub(super) fn armed(&mut self, now_ms: u64, saw: Saw) {
        let nonce = self.before.as_ref().map(|facts| facts.boot_nonce);
        match (saw, nonce) {
            (Saw::Done, Some(boot_nonce)) => {
                self.state = State::Resetting;
                self.act(Act::Reset { boot_nonce });
            }
            (other, _) => self.look_again(now_ms, &other.in_words()),
        }
    }

    pub(super) fn resetting(&mut self, now_ms: u64, saw: Saw) {
        match saw {
            // An answer that got lost on its way is no reason to doubt the reset.
            // One that reached the device twice meets a boot that knows nothing of the session.
            Saw::Done | Saw::Lost { .. } | Saw::Refused { is_stale: true, .. } => {
                self.left_ms = now_ms;
                self.console.clear();
                self.console_bytes = 0;
                let limits = &self.order.plan.timeouts;
                let patience_ms =
                    limits.connect_ms.max(limits.lease_ms.saturating_add(GOING_BACK_MS));
                // A reset that never arrived is asked for again, so any boot may answer then.
                let not_boot = self.before.as_ref().map(|facts| facts.boot_nonce);
                let not_boot = not_boot.filter(|_| !matches!(saw, Saw::Lost { .. }));
                self.state = State::AwaitingBoot;
                self.act(Act::Connect { until_ms: now_ms.saturating_add(patience_ms), not_boot });
            }
            other => self.look_again(now_ms, &other.in_words()),
        }
    }

    /// The device answers after the reset: from the new image, or from the old one.
    pub(super) fn booted(&mut self, now_ms: u64, saw: Saw) {
        let Saw::Connected { facts, status, at_ms } = saw else {
            self.not_booted(now_ms, &saw);
            return;
        };
        let nonce = self.before.as_ref().map(|facts| facts.boot_nonce);
        if nonce == Some(facts.boot_nonce) && self.may_retry() {
            self.state = State::Resetting;
            self.act(Act::Reset { boot_nonce: facts.boot_nonce });
            return;
        }
        match (self.fate(&facts, &status), status.trial) {
            (Fate::OnTrial { .. }, _) => self.answers(now_ms, &facts, &status, at_ms),
            (Fate::Paused, Some(trial)) => self.paused_unheard(now_ms, &facts, &status, trial),
            (other, _) => self.end_by(now_ms, other, &facts, &status),
        }
    }

    fn not_booted(&mut self, now_ms: u64, saw: &Saw) {
        let said = saw.in_words();
        match saw {
            Saw::Lost { missing: Missing::Session, .. } => self.look_on(now_ms),
            Saw::Lost { missing: Missing::Link, .. } => {
                let message = format!(
                    "the way to the device was lost behind its reset into the trial: {said}; {}",
                    self.goes_back()
                );
                self.end_or_stop(now_ms, Outcome::Error, &message, LINK_IS_GONE, None);
            }
            _ => {
                let message = format!(
                    "the device has not answered since it was reset into the trial: {said}; if only the cable is \
                     out, {}",
                    self.goes_back()
                );
                let next = "check power and cable, then noflake device status --explain";
                self.end_or_stop(now_ms, Outcome::NeedsService, &message, next, None);
            }
        }
    }

    /// The new image answers for the first time.
    fn answers(&mut self, now_ms: u64, facts: &DeviceFacts, status: &StatusFacts, at_ms: u64) {
        let ready_after_ms = at_ms.saturating_sub(self.left_ms);
        self.downtime_ms = Some(ready_after_ms);
        self.measured(now_ms, "downtime", ready_after_ms, "ms");
        let crash_left = status.trial.map(|trial| trial.crash_left);
        let allowed = u32::from(self.terms().crashes);
        let crashes = allowed.saturating_sub(crash_left.unwrap_or(allowed));
        self.boot = Some(BootSeen { ready_after_ms, attempts: crashes.saturating_add(1) });
        if let Some(trial) = &mut self.trial {
            trial.boot_nonce = Some(facts.boot_nonce);
            trial.crash_left = crash_left;
        }
        self.again_or_on(now_ms);
    }
}
