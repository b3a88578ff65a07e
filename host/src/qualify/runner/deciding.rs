//! Confirm and verify, or roll back and verify.

use crate::evidence::{NoteSeverity, Outcome, Phase};
use crate::plan::{OnFail, OnInconclusive};
use crate::qualify::observation::{DeviceFacts, StatusFacts, Where};
use crate::verdict::RunVerdict;

use super::act::{Act, Missing, Saw};
use super::fate::{Fate, NOTHING_AGAINST, running_in_words};
use super::lost::{CutShort, EXPLAIN, GOING_BACK_MS, LINK_IS_GONE, Under, WAITS};
use super::stopping::GOES_BACK;
use super::{Reached, Runner, State, TrialOpen};

impl Runner {
    /// Every check has come out, or none can any more.
    pub(super) fn conclude(&mut self, now_ms: u64, verdict: RunVerdict) {
        let policy = &self.order.plan.policy;
        let holds = match verdict {
            RunVerdict::Rejected => policy.on_fail == OnFail::Hold,
            RunVerdict::Inconclusive => policy.on_inconclusive == OnInconclusive::Hold,
            RunVerdict::Qualified | RunVerdict::QualifiedWithDeviations | RunVerdict::Error => {
                false
            }
        };
        if self.reached == Reached::Committed {
            self.end_committed(now_ms, verdict);
        } else if verdict.allows_commit() && self.boot.is_some() {
            self.confirm(now_ms);
        } else if holds && self.trial.is_some() {
            let lease_s = self.order.plan.timeouts.lease_ms / 1_000;
            let message = format!(
                "held on trial as the plan says; {GOES_BACK} in {lease_s} s unless \
                 it is confirmed or rolled back"
            );
            let next = "noflake device confirm, or noflake device rollback";
            self.end(now_ms, Outcome::Held, message, Some(next));
        } else if self.trial.is_some() {
            self.roll_back(now_ms);
        } else {
            let message = format!("{}; nothing was booted", self.why_not());
            let outcome =
                if verdict == RunVerdict::Rejected { Outcome::RolledBack } else { Outcome::Error };
            self.end(now_ms, outcome, message, None);
        }
    }

    pub(super) fn confirm(&mut self, now_ms: u64) {
        if let Some(TrialOpen { trial_id, boot_nonce: Some(boot_nonce), .. }) = self.trial {
            self.enter_phase(Phase::Confirm, now_ms);
            self.asked.confirm = true;
            self.asked.confirm_refused = None;
            self.state = State::Confirming;
            self.act(Act::Confirm { trial_id, boot_nonce });
        }
    }

    pub(super) fn confirmed(&mut self, now_ms: u64, saw: Saw) {
        if let Saw::Refused { reason, .. } = saw {
            self.note(now_ms, NoteSeverity::Error, format!("confirm was refused: {reason}"));
            self.asked.confirm_refused = Some(reason);
        }
        // Whether an answer that was lost, or a refusal, left the trial open is read from the device.
        self.enter_phase(Phase::Verify, now_ms);
        self.state = State::VerifyingConfirm;
        let until_ms = now_ms.saturating_add(self.order.plan.timeouts.connect_ms);
        self.act(Act::Connect { until_ms, not_boot: None });
    }

    /// Success is what the new image itself says after the confirm (promise P5).
    pub(super) fn confirm_verified(&mut self, now_ms: u64, saw: Saw) {
        let Saw::Connected { facts, status, .. } = saw else {
            if matches!(saw, Saw::Lost { missing: Missing::Session, .. }) {
                self.look_on(now_ms);
                return;
            }
            let message = format!(
                "the confirm was sent, but the device does not tell what it runs: {}",
                saw.in_words()
            );
            self.end_or_stop(now_ms, Outcome::Error, &message, EXPLAIN, None);
            return;
        };
        match self.fate(&facts, &status) {
            Fate::Committed => self.committed(now_ms, *facts),
            Fate::OnTrial { same_boot: true } if self.stopping.is_none() && self.may_retry() => {
                self.confirm(now_ms);
            }
            Fate::OnTrial { same_boot: true } => {
                let why = match self.asked.confirm_refused.take() {
                    Some(reason) => format!("the device refused the confirm: {reason}"),
                    None => "the confirm did not come through".to_owned(),
                };
                self.plan_run.abort(now_ms, &why);
                self.record_outcomes(now_ms);
                self.cut_short = Some(CutShort { why, is_crash: false });
                self.roll_back(now_ms);
            }
            Fate::OnTrial { same_boot: false } | Fate::Paused => {
                self.restarted(now_ms, &facts, &status, Under::Confirm);
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

    /// The new version runs, confirmed.
    pub(super) fn committed(&mut self, now_ms: u64, facts: DeviceFacts) {
        let nonce = self.trial.take().and_then(|trial| trial.boot_nonce);
        if nonce != Some(facts.boot_nonce) {
            let text = format!(
                "the device restarted behind the confirm ({}); the new version runs again",
                facts.reset_cause
            );
            self.note(now_ms, NoteSeverity::Warning, text);
        }
        self.reached = Reached::Committed;
        self.after = Some(facts);
        if let Some(seen) = self.unanswered.take() {
            self.plan_run.observe(now_ms, seen);
        }
        if self.stopping.is_some() {
            let verdict = self.plan_run.verdict_so_far();
            self.end_committed(now_ms, verdict);
        } else {
            self.again_or_on(now_ms);
        }
    }

    pub(super) fn end_committed(&mut self, now_ms: u64, verdict: RunVerdict) {
        let Some(after) = self.after.take() else { return };
        let from = self.before.as_ref().map(|facts| facts.version.clone()).unwrap_or_default();
        let mut message =
            format!("version {} runs from {}, confirmed", self.order.version, after.running);
        if !from.is_empty() && from != self.order.version {
            message = format!("{message}; before: {from}");
        }
        if !verdict.allows_commit() {
            message = format!("{message}; but {}", self.why_not());
        }
        self.end_seeing(now_ms, Outcome::Committed, message, None, &after);
    }

    pub(super) fn roll_back(&mut self, now_ms: u64) {
        if let Some(TrialOpen { trial_id, .. }) = self.trial {
            self.enter_phase(Phase::Rollback, now_ms);
            self.asked.rollback = true;
            self.state = State::RollingBack;
            self.act(Act::Rollback { trial_id, blames_bundle: self.blames_bundle() });
        }
    }

    /// Only checks that failed, or a crash, speak against a bundle: not an operator who stops, a full disk or a
    /// bench that breaks (promise P10).
    fn blames_bundle(&self) -> bool {
        self.stopping.is_none() && self.judged() == RunVerdict::Rejected
    }

    /// The bundle is at fault, by this run's judgement or by what the device has on record.
    fn is_blamed(&self, status: &StatusFacts) -> bool {
        let slot = status.slot(self.expect.trial_slot);
        let rejection = slot.and_then(|slot| slot.rejection);
        self.blames_bundle() || rejection.is_some_and(|rejection| rejection.blames_bundle)
    }

    pub(super) fn rolled_back(&mut self, now_ms: u64, saw: &Saw) {
        let said = saw.in_words();
        self.enter_phase(Phase::Verify, now_ms);
        if *saw != Saw::Done {
            self.note(now_ms, NoteSeverity::Warning, format!("rollback was not answered: {said}"));
        }
        self.state = State::VerifyingRollback;
        let limits = &self.order.plan.timeouts;
        let patience_ms = limits.connect_ms.max(limits.lease_ms.saturating_add(GOING_BACK_MS));
        // A device that did not hear it still runs the trial: it has to be told again.
        let nonce = self.trial.and_then(|trial| trial.boot_nonce);
        let not_boot = nonce.filter(|_| *saw == Saw::Done);
        self.act(Act::Connect { until_ms: now_ms.saturating_add(patience_ms), not_boot });
    }

    pub(super) fn rollback_verified(&mut self, now_ms: u64, saw: Saw) {
        let Saw::Connected { facts, status, .. } = saw else {
            self.rollback_not_seen(now_ms, &saw);
            return;
        };
        match self.fate(&facts, &status) {
            // A device that came from its recovery image goes back to it, and waits there for a bundle that works.
            Fate::Ended(_)
                if facts.running != Where::Recovery
                    || (self.expect.from_recovery && !self.is_blamed(&status)) =>
            {
                self.end_rolled_back(now_ms, &facts);
            }
            Fate::OnTrial { .. } | Fate::Paused if self.may_retry() => {
                let trial_id = status.trial.map_or(0, |trial| trial.trial_id);
                let boot_nonce = status.trial.filter(|trial| trial.is_running);
                let boot_nonce = boot_nonce.map(|_| facts.boot_nonce);
                self.trial = Some(TrialOpen { trial_id, boot_nonce, crash_left: None });
                self.roll_back(now_ms);
            }
            Fate::Committed => self.committed(now_ms, *facts),
            Fate::TakenOver => self.taken_over(now_ms, &facts, &status),
            Fate::Ended(_)
            | Fate::OnTrial { .. }
            | Fate::Paused
            | Fate::Staged
            | Fate::Unexplained
            | Fate::InRecovery => {
                self.early_verdict = Some(RunVerdict::Rejected);
                let message = format!(
                    "{}; rolled back, but the device runs {}: {}",
                    self.why_not(),
                    running_in_words(&facts),
                    status.why
                );
                self.end_seeing(now_ms, Outcome::NeedsService, message, Some(EXPLAIN), &facts);
            }
        }
    }

    /// Whether the rollback has reached the device is not known.
    fn rollback_not_seen(&mut self, now_ms: u64, saw: &Saw) {
        let said = saw.in_words();
        let unseen = format!("the old version has not been seen running: {said}");
        if self.stopping.is_some() {
            let device = format!("{unseen}; it comes back by itself when the lease ends");
            self.end_stopped(now_ms, &device, None);
            return;
        }
        let message = format!("{}; {unseen}", self.why_not());
        match saw {
            Saw::Lost { missing: Missing::Session, .. } => self.look_on(now_ms),
            Saw::Lost { missing: Missing::Link, .. } => {
                self.end(now_ms, Outcome::Error, message, Some(LINK_IS_GONE));
            }
            Saw::Lost { missing: Missing::Answer, .. }
            | Saw::Connected { .. }
            | Saw::Hashes(_)
            | Saw::Staged(_)
            | Saw::Trial { .. }
            | Saw::Done
            | Saw::Seen(_)
            | Saw::Refused { .. }
            | Saw::NotMet { .. } => {
                let next = "check power and cable, then noflake device status --explain";
                self.end(now_ms, Outcome::NeedsService, message, Some(next));
            }
        }
    }

    fn end_rolled_back(&mut self, now_ms: u64, facts: &DeviceFacts) {
        let why = self.why_not();
        self.trial = None;
        let device = match facts.running {
            Where::Recovery => WAITS.to_owned(),
            slot @ (Where::SlotA | Where::SlotB) => {
                format!("version {} runs again from {slot}", facts.version)
            }
        };
        if self.stopping.is_some() {
            self.end_stopped(now_ms, &device, Some(facts));
            return;
        }
        let message = format!("{why}; {device}");
        let next = if self.blames_bundle() {
            "mend the bundle, or deploy it again with --again"
        } else {
            NOTHING_AGAINST
        };
        self.end_seeing(now_ms, Outcome::RolledBack, message, Some(next), facts);
    }

    /// Why the bundle is not committed, in words.
    pub(super) fn why_not(&self) -> String {
        if let Some(stopped) = &self.stopping {
            return stopped.in_words().to_owned();
        }
        if let Some(cut_short) = &self.cut_short {
            return cut_short.why.clone();
        }
        let failed: Vec<String> = self
            .plan_run
            .outcomes()
            .iter()
            .filter(|outcome| outcome.verdict.stands_against())
            .map(|outcome| format!("{}: {}", outcome.id, outcome.reason))
            .take(3)
            .collect();
        match (self.plan_run.stopped(), failed.is_empty()) {
            (_, false) => failed.join("; "),
            (Some(stopped), true) => stopped.to_string(),
            (None, true) => "the checks do not allow a commit".to_owned(),
        }
    }
}
