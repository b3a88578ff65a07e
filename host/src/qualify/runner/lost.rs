//! Something did not come through: what became of the device?

use firmware_protocol::slot::RejectReason;

use crate::evidence::{NoteSeverity, Outcome};
use crate::qualify::observation::{DeviceFacts, StatusFacts, TrialFacts, Where};
use crate::verdict::RunVerdict;

use super::act::{Act, Missing, Saw};
use super::fate::{Fate, NOTHING_AGAINST, after_end, restart_in_words, running_in_words};
use super::{Reached, Runner, State, TrialOpen};

/// Between the end of a lease and a device that answers again, at most, in milliseconds: the
/// hardware deadline's slack, a slow boot and its hashing.
pub(super) const GOING_BACK_MS: u64 = 30_000;
/// How often in one run something that did not come through is tried again.
const MAX_RETRIES: u8 = 3;

/// Why a trial's boot was over before it was judged and kept.
#[derive(Debug, Clone)]
pub(super) struct CutShort {
    pub(super) why: String,
    /// By the device's own count.
    pub(super) is_crash: bool,
}

/// How far a trial's boot had come when it was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Under {
    Boot,
    Checks,
    Confirm,
}

impl Runner {
    /// Something did not come through while a trial was open: what became of the device?
    pub(super) fn look_again(&mut self, now_ms: u64, why: &str) {
        let limits = &self.order.plan.timeouts;
        let patience_ms = limits.lease_ms.saturating_add(GOING_BACK_MS).min(limits.run_ms);
        self.look(why, now_ms.saturating_add(patience_ms));
    }

    /// A check waits no longer for a silent device than the plan says; what becomes of the device is
    /// looked for beyond that.
    fn look(&mut self, why: &str, until_ms: u64) {
        let check_waits_ms = self.hung_at_ms().unwrap_or(until_ms);
        self.state = State::LookingAgain { why: why.to_owned(), until_ms };
        self.act(Act::Connect { until_ms: until_ms.min(check_waits_ms), not_boot: None });
    }

    /// When a check that is under way counts as hung.
    fn hung_at_ms(&self) -> Option<u64> {
        let checks = self.boot.is_some() && self.plan_run.stopped().is_none();
        checks.then(|| self.heard_ms.saturating_add(self.order.plan.timeouts.silence_ms))
    }

    pub(super) fn looked_again(&mut self, now_ms: u64, saw: Saw, why: &str, until_ms: u64) {
        let Saw::Connected { facts, status, .. } = saw else {
            self.not_seen_again(now_ms, &saw, why, until_ms);
            return;
        };
        match self.fate(&facts, &status) {
            Fate::OnTrial { same_boot: true } => {
                self.state = State::Planning;
                if let Some(seen) = self.unanswered.take() {
                    self.plan_run.observe(now_ms, seen);
                }
            }
            Fate::Committed => self.committed(now_ms, *facts),
            // The trial image has not been started yet: nothing is lost but time.
            Fate::Staged | Fate::Paused if self.boot.is_none() && self.may_retry() => {
                self.before = Some(*facts);
                self.trial = status.trial.map(|trial| TrialOpen {
                    trial_id: trial.trial_id,
                    boot_nonce: None,
                    crash_left: Some(trial.crash_left),
                });
                self.go_towards_trial(now_ms);
            }
            Fate::OnTrial { same_boot: false } | Fate::Paused => {
                self.note(now_ms, NoteSeverity::Warning, format!("the device restarted: {why}"));
                self.restarted(now_ms, &facts, &status, Under::Checks);
            }
            fate @ (Fate::Staged
            | Fate::Ended(_)
            | Fate::Unexplained
            | Fate::InRecovery
            | Fate::TakenOver) => {
                self.end_by(now_ms, fate, &facts, &status);
            }
        }
    }

    fn not_seen_again(&mut self, now_ms: u64, saw: &Saw, why: &str, until_ms: u64) {
        if matches!(saw, Saw::Lost { missing: Missing::Session, .. }) {
            self.look_on(now_ms);
            return;
        }
        if self.hung_at_ms().is_some_and(|at_ms| at_ms <= now_ms && now_ms < until_ms) {
            let silence_s = self.order.plan.timeouts.silence_ms / 1_000;
            let reason = format!("hung: no sign of life for {silence_s} s");
            self.plan_run.abort(now_ms, &reason);
            self.record_outcomes(now_ms);
            self.look(why, until_ms);
            return;
        }
        let meanwhile = if self.reached == Reached::Committed {
            "the new version is confirmed"
        } else {
            self.goes_back()
        };
        let message = format!(
            "the device was lost ({why}) and does not answer: {}; {meanwhile}",
            saw.in_words()
        );
        self.end_or_stop(now_ms, Outcome::Error, &message, LINK_IS_GONE, None);
    }

    /// The trial's boot is over before it was judged and kept. A crash speaks against the image, by the
    /// device's own count; anything else that restarts a device does not (promise P10).
    pub(super) fn restarted(
        &mut self,
        now_ms: u64,
        facts: &DeviceFacts,
        status: &StatusFacts,
        under: Under,
    ) {
        let is_crash = self.has_crashed(status);
        let cause = &facts.reset_cause;
        let why = match (under, is_crash) {
            (Under::Boot, true) => "the trial image crashed before it answered".to_owned(),
            (Under::Checks, true) => "the trial image crashed while it was checked".to_owned(),
            (Under::Confirm, true) => {
                "the trial image crashed before the confirm reached it".to_owned()
            }
            (Under::Boot, false) => {
                format!("{} before the new version answered", restart_in_words(cause))
            }
            (Under::Checks, false) => format!("{} during the trial", restart_in_words(cause)),
            (Under::Confirm, false) => {
                format!(
                    "the confirm did not reach the device, which restarted (reset cause {cause})"
                )
            }
        };
        self.plan_run.abort(now_ms, &why);
        self.record_outcomes(now_ms);
        self.cut_short = Some(CutShort { why, is_crash });
        self.roll_back(now_ms);
    }

    /// The trial's image has crashed since this run last looked, by the device's own count.
    fn has_crashed(&self, status: &StatusFacts) -> bool {
        let left = status.trial.map(|trial| trial.crash_left);
        let before = self.trial.and_then(|trial| trial.crash_left);
        left.zip(before).is_some_and(|(left, before)| left < before)
    }

    /// The trial is still open, the old version runs, and the new one was never heard.
    pub(super) fn paused_unheard(
        &mut self,
        now_ms: u64,
        facts: &DeviceFacts,
        status: &StatusFacts,
        trial: TrialFacts,
    ) {
        if self.has_crashed(status) {
            self.restarted(now_ms, facts, status, Under::Boot);
            return;
        }
        let message = format!(
            "{} before the new version answered; {} runs, and trial {} is still open with {} boots left",
            restart_in_words(&facts.reset_cause),
            running_in_words(facts),
            trial.trial_id,
            trial.boots_left
        );
        let next = "run the same command again: it goes on with this trial, or with a new one when the \
                    lease has ended it";
        self.end_or_stop(now_ms, Outcome::Error, &message, next, Some(facts));
    }

    /// Ends the run by what has become of the device without this run's doing.
    pub(super) fn end_by(
        &mut self,
        now_ms: u64,
        fate: Fate,
        facts: &DeviceFacts,
        status: &StatusFacts,
    ) {
        match fate {
            Fate::TakenOver => self.taken_over(now_ms, facts, status),
            Fate::Ended(cause) => self.went_back(now_ms, facts, cause),
            Fate::InRecovery => {
                self.early_verdict = Some(RunVerdict::Rejected);
                let message = format!("the device runs the recovery image: {}", status.why);
                self.end_seeing(now_ms, Outcome::NeedsService, message, Some(EXPLAIN), facts);
            }
            Fate::Committed
            | Fate::OnTrial { .. }
            | Fate::Paused
            | Fate::Staged
            | Fate::Unexplained => {
                let message = format!(
                    "no trial came to an end; the device runs {}: {}",
                    running_in_words(facts),
                    status.why
                );
                self.end_or_stop(now_ms, Outcome::Error, &message, NOTHING_AGAINST, Some(facts));
            }
        }
    }

    /// Counts attempts at what did not come through.
    pub(super) const fn may_retry(&mut self) -> bool {
        self.retries = self.retries.saturating_add(1);
        self.retries <= MAX_RETRIES
    }

    /// The old version runs though the host has not asked for it, and the record says why. Only a
    /// failure that the device has seen rejects the bundle (promise P10).
    fn went_back(&mut self, now_ms: u64, facts: &DeviceFacts, cause: RejectReason) {
        let (has_failed, next) = after_end(cause, self.boot.is_some());
        if has_failed {
            self.early_verdict = Some(RunVerdict::Rejected);
        }
        self.trial = None;
        let why = cause.explanation();
        match (facts.running, has_failed) {
            (Where::SlotA | Where::SlotB, _) => {
                let (version, slot) = (&facts.version, facts.running);
                let cause = &facts.reset_cause;
                let message = format!(
                    "the device went back to version {version} in {slot} by itself: {why} (reset cause {cause})"
                );
                self.end_or_stop(now_ms, Outcome::WentBackByItself, &message, next, Some(facts));
            }
            // No version is there to go back to.
            (Where::Recovery, true) => {
                let message = format!("{why}; {WAITS}");
                self.end_or_stop(now_ms, Outcome::NeedsService, &message, next, Some(facts));
            }
            (Where::Recovery, false) => {
                let message = format!("{why}; {WAITS}");
                self.end_or_stop(now_ms, Outcome::Error, &message, next, Some(facts));
            }
        }
    }

    /// What an open trial comes to when its host is lost.
    pub(super) const fn goes_back(&self) -> &'static str {
        if self.expect.from_recovery {
            "it goes back to its recovery image by itself when its lease ends"
        } else {
            "it goes back to the old version by itself when its lease ends"
        }
    }
}

/// Where a device is that came from its recovery image.
pub(super) const WAITS: &str = "the device waits in its recovery image, as before";
/// What to do when the way to the device is gone.
pub(super) const LINK_IS_GONE: &str = "check the cable, then noflake device status --explain";
pub(super) const EXPLAIN: &str = "noflake device status --explain";
