//! From stage to confirm or rollback, one step a sighting.

use crate::evidence::{Ending, NoteSeverity, Outcome, Phase, Validator};
use crate::measurement::Limits;
use crate::plan::{OnFail, OnInconclusive, SlotRole};
use crate::qualify::observation::{BootSeen, DeviceFacts, Scene, Seen, StatusFacts};
use crate::qualify::run::{RunStep, StageEntry};
use crate::verdict::RunVerdict;

use super::act::{Act, Saw, Terms};
use super::{Runner, State, StopWhy, TrialOpen};

/// Between the end of a lease and a device that answers again, at most, in milliseconds: the
/// hardware deadline's slack, a slow boot and its hashing.
const GOING_BACK_MS: u64 = 30_000;

impl Runner {
    /// Asks the plan what comes next.
    pub(super) fn poll_plan(&mut self, now_ms: u64) {
        let scene =
            Scene { expect: &self.expect, boot: self.boot.as_ref(), console: &self.console };
        let step = self.plan_run.poll(now_ms, &scene);
        self.record_outcomes(now_ms);
        match step {
            RunStep::EnterStage(entry) => self.enter(now_ms, &entry),
            RunStep::Ask(ask) => {
                self.state = State::Answering;
                self.act(Act::Ask(ask));
            }
            RunStep::WaitUntil { at_ms } => {
                self.state = State::Answering;
                self.act(Act::WaitUntil { at_ms });
            }
            RunStep::Done(verdict) => self.conclude(now_ms, verdict),
        }
    }

    /// Brings the device to where a stage expects it; the plan is asked again once it is there.
    fn enter(&mut self, now_ms: u64, entry: &StageEntry) {
        match entry.slot {
            SlotRole::Incumbent => self.enter_stage(&entry.id, now_ms),
            SlotRole::Inactive if self.is_staged => self.enter_stage(&entry.id, now_ms),
            SlotRole::Trial if self.boot.is_some() => self.enter_stage(&entry.id, now_ms),
            SlotRole::Committed if self.is_committed => self.enter_stage(&entry.id, now_ms),
            SlotRole::Inactive | SlotRole::Trial => self.go_towards_trial(now_ms),
            SlotRole::Committed if self.plan_run.verdict_so_far().allows_commit() => {
                self.confirm(now_ms);
            }
            SlotRole::Committed => {
                self.plan_run.abort(now_ms, "the checks before it do not allow a commit");
            }
        }
        self.waiting_stage = (self.stage.is_none()).then(|| entry.clone());
    }

    /// The next step towards a running trial.
    fn go_towards_trial(&mut self, now_ms: u64) {
        if !self.is_staged {
            self.enter_phase(Phase::Stage, now_ms);
            self.state = State::Staging;
            self.act(Act::Stage { slot: self.expect.trial_slot, again: self.again });
        } else if let Some(TrialOpen { trial_id, .. }) = self.trial {
            self.enter_phase(Phase::Trial, now_ms);
            self.state = State::Arming;
            self.act(Act::Arm { trial_id, boots: 1 });
        } else {
            self.enter_phase(Phase::Trial, now_ms);
            self.state = State::OpeningTrial;
            self.act(Act::OpenTrial { plan: self.expect.plan, terms: self.terms() });
        }
    }

    fn terms(&self) -> Terms {
        let limits = &self.order.plan.timeouts;
        Terms {
            boots: limits.trial_boots,
            lease_ms: u32::try_from(limits.lease_ms).unwrap_or(u32::MAX),
            boot_max_ms: u32::try_from(limits.boot_max_ms).unwrap_or(u32::MAX),
        }
    }

    pub(super) fn staged(&mut self, now_ms: u64, saw: Saw) {
        let facts = match saw {
            Saw::Staged(facts) => facts,
            Saw::Refused { reason, is_stale: false } => {
                let next = if self.again { None } else { Some("noflake device status --explain") };
                let message = format!("the device refused the bundle: {reason}");
                self.end(now_ms, Outcome::Refused, message, next);
                return;
            }
            other => {
                let message = format!(
                    "staging was interrupted: {}; the running version is untouched",
                    other.in_words()
                );
                let next = "run the same command again: it goes on where this run stopped";
                self.end(now_ms, Outcome::Error, message, Some(next));
                return;
            }
        };
        self.expect.trial_slot = facts.slot;
        self.is_staged = true;
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

    /// Goes on towards what the waiting stage expects.
    fn again_or_on(&mut self, now_ms: u64) {
        match self.waiting_stage.take() {
            Some(entry) => {
                self.state = State::Planning;
                self.enter(now_ms, &entry);
            }
            None => self.state = State::Planning,
        }
    }

    pub(super) fn trial_opened(&mut self, now_ms: u64, saw: Saw) {
        match saw {
            Saw::Trial { trial_id } => {
                self.trial = Some(TrialOpen { trial_id, boot_nonce: None, attempts: 0 });
                self.go_towards_trial(now_ms);
            }
            Saw::Refused { reason, is_stale: false } => {
                let message = format!("the device opens no trial: {reason}");
                let next = "noflake device status --explain";
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
            Saw::Done | Saw::Lost { .. } => {
                self.left_ms = now_ms;
                self.console.clear();
                if let Some(trial) = &mut self.trial {
                    trial.attempts = trial.attempts.saturating_add(1);
                }
                let limits = &self.order.plan.timeouts;
                let patience_ms =
                    limits.connect_ms.max(limits.lease_ms.saturating_add(GOING_BACK_MS));
                let not_boot = self.before.as_ref().map(|facts| facts.boot_nonce);
                self.state = State::AwaitingBoot;
                self.act(Act::Connect { until_ms: now_ms.saturating_add(patience_ms), not_boot });
            }
            other => self.look_again(now_ms, &other.in_words()),
        }
    }

    /// The device answers after the reset: from the new image, or from the old one.
    pub(super) fn booted(&mut self, now_ms: u64, saw: Saw) {
        let Saw::Connected { facts, status, at_ms } = saw else {
            let message = format!(
                "the device has not answered since it was reset into the trial: {}",
                saw.in_words()
            );
            let next = "check power and cable, then noflake device status --explain";
            self.end(now_ms, Outcome::NeedsService, message, Some(next));
            return;
        };
        if !self.runs_trial(&facts) {
            self.went_back(now_ms, &facts, &status);
            return;
        }
        let ready_after_ms = at_ms.saturating_sub(self.left_ms);
        self.downtime_ms = Some(ready_after_ms);
        self.measured(now_ms, "downtime", ready_after_ms, "ms");
        let attempts = self.trial.map_or(1, |trial| trial.attempts);
        self.boot = Some(BootSeen { ready_after_ms, attempts });
        if let Some(trial) = &mut self.trial {
            trial.boot_nonce = Some(facts.boot_nonce);
        }
        self.again_or_on(now_ms);
    }

    fn runs_trial(&self, facts: &DeviceFacts) -> bool {
        facts.running == self.expect.trial_slot && facts.bundle == Some(self.order.bundle)
    }

    pub(super) fn answered(&mut self, now_ms: u64, saw: Saw) {
        self.state = State::Planning;
        match saw {
            Saw::Done => {}
            Saw::Seen(seen @ (Seen::LinkError { .. } | Seen::NoAnswer)) if self.trial.is_some() => {
                self.unanswered = Some(seen.clone());
                self.look_again(now_ms, seen.word());
            }
            Saw::Seen(seen) => self.plan_run.observe(now_ms, seen),
            Saw::Refused { is_stale: true, reason } if self.trial.is_some() => {
                self.unanswered = Some(Seen::Refused { reason: reason.clone() });
                self.look_again(now_ms, &reason);
            }
            other => {
                let reason = other.in_words();
                self.plan_run.observe(now_ms, Seen::LinkError { reason });
            }
        }
    }

    /// Something did not come through while a trial was open: what became of the device?
    fn look_again(&mut self, now_ms: u64, why: &str) {
        let limits = &self.order.plan.timeouts;
        let patience_ms = limits.lease_ms.saturating_add(GOING_BACK_MS).min(limits.run_ms);
        self.state = State::LookingAgain { why: why.to_owned() };
        self.act(Act::Connect { until_ms: now_ms.saturating_add(patience_ms), not_boot: None });
    }

    pub(super) fn looked_again(&mut self, now_ms: u64, saw: Saw, why: &str) {
        let Saw::Connected { facts, status, .. } = saw else {
            let message = format!(
                "the device was lost ({why}) and does not answer: {}; it goes back to the old \
                 version by itself when its lease ends",
                saw.in_words()
            );
            let next = "check the cable, then noflake device status --explain";
            self.end(now_ms, Outcome::Error, message, Some(next));
            return;
        };
        let nonce = self.trial.and_then(|trial| trial.boot_nonce);
        if nonce == Some(facts.boot_nonce) {
            self.state = State::Planning;
            if let Some(seen) = self.unanswered.take() {
                self.plan_run.observe(now_ms, seen);
            }
        } else if self.runs_trial(&facts) || status.trial.is_some() {
            self.note(now_ms, NoteSeverity::Warning, format!("the device restarted: {why}"));
            self.plan_run.abort(now_ms, "the device restarted during the trial");
            self.record_outcomes(now_ms);
            self.roll_back(now_ms);
        } else {
            self.went_back(now_ms, &facts, &status);
        }
    }

    /// The old version runs though the host has not asked for it.
    fn went_back(&mut self, now_ms: u64, facts: &DeviceFacts, status: &StatusFacts) {
        let slot = status.slot(self.expect.trial_slot);
        let reason = slot
            .and_then(|slot| slot.rejection)
            .map_or("it gives no reason", |rejection| rejection.reason);
        let message = format!(
            "the device went back to version {} in {} by itself: {reason}",
            facts.version, facts.running
        );
        let next = "noflake device status --explain, then mend the bundle";
        self.trial = None;
        self.end_seeing(now_ms, Outcome::WentBackByItself, message, Some(next), facts);
    }

    /// Every check has come out, or none can any more.
    fn conclude(&mut self, now_ms: u64, verdict: RunVerdict) {
        let policy = &self.order.plan.policy;
        let holds = match verdict {
            RunVerdict::Rejected => policy.on_fail == OnFail::Hold,
            RunVerdict::Inconclusive => policy.on_inconclusive == OnInconclusive::Hold,
            RunVerdict::Qualified | RunVerdict::QualifiedWithDeviations | RunVerdict::Error => {
                false
            }
        };
        if self.is_committed {
            self.end_committed(now_ms, verdict);
        } else if verdict.allows_commit() && self.boot.is_some() {
            self.confirm(now_ms);
        } else if holds && self.trial.is_some() {
            let lease_s = self.order.plan.timeouts.lease_ms / 1_000;
            let message = format!(
                "held on trial as the plan says; the device goes back by itself in {lease_s} s unless \
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

    fn confirm(&mut self, now_ms: u64) {
        if let Some(TrialOpen { trial_id, boot_nonce: Some(boot_nonce), .. }) = self.trial {
            self.enter_phase(Phase::Confirm, now_ms);
            self.state = State::Confirming;
            self.act(Act::Confirm { trial_id, boot_nonce });
        }
    }

    pub(super) fn confirmed(&mut self, now_ms: u64, saw: Saw) {
        match saw {
            Saw::Refused { reason, is_stale: false } => {
                self.note(now_ms, NoteSeverity::Error, format!("confirm was refused: {reason}"));
                self.look_again(now_ms, &reason);
            }
            // Whether a lost answer meant a confirm is read from the device, as after any other.
            _ => {
                self.enter_phase(Phase::Verify, now_ms);
                self.state = State::VerifyingConfirm;
                let until_ms = now_ms.saturating_add(self.order.plan.timeouts.connect_ms);
                self.act(Act::Connect { until_ms, not_boot: None });
            }
        }
    }

    /// Success is what the new image itself says after the confirm (promise P5).
    pub(super) fn confirm_verified(&mut self, now_ms: u64, saw: Saw) {
        let Saw::Connected { facts, status, .. } = saw else {
            let message = format!(
                "the confirm was sent, but the device does not tell what it runs: {}",
                saw.in_words()
            );
            let next = "noflake device status --explain";
            self.end(now_ms, Outcome::Error, message, Some(next));
            return;
        };
        let same_boot = self.trial.and_then(|trial| trial.boot_nonce) == Some(facts.boot_nonce);
        let permanent = status.trial.is_none() && status.active == Some(self.expect.trial_slot);
        if !self.runs_trial(&facts) || !permanent || !same_boot {
            self.went_back(now_ms, &facts, &status);
            return;
        }
        self.is_committed = true;
        self.trial = None;
        self.after = Some(*facts);
        self.again_or_on(now_ms);
    }

    fn end_committed(&mut self, now_ms: u64, verdict: RunVerdict) {
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

    fn roll_back(&mut self, now_ms: u64) {
        if let Some(TrialOpen { trial_id, .. }) = self.trial {
            self.enter_phase(Phase::Rollback, now_ms);
            self.state = State::RollingBack;
            self.act(Act::Rollback { trial_id });
        }
    }

    pub(super) fn rolled_back(&mut self, now_ms: u64, saw: Saw) {
        let said = saw.in_words();
        self.enter_phase(Phase::Verify, now_ms);
        if saw != Saw::Done {
            self.note(now_ms, NoteSeverity::Warning, format!("rollback was not answered: {said}"));
        }
        self.state = State::VerifyingRollback;
        let limits = &self.order.plan.timeouts;
        let patience_ms = limits.connect_ms.max(limits.lease_ms.saturating_add(GOING_BACK_MS));
        let not_boot = self.trial.and_then(|trial| trial.boot_nonce);
        self.act(Act::Connect { until_ms: now_ms.saturating_add(patience_ms), not_boot });
    }

    pub(super) fn rollback_verified(&mut self, now_ms: u64, saw: Saw) {
        let (old, why) = (self.before.clone(), self.why_not());
        match saw {
            Saw::Connected { facts, .. }
                if old.as_ref().is_some_and(|old| old.bundle == facts.bundle) =>
            {
                self.trial = None;
                let device = format!("version {} runs again from {}", facts.version, facts.running);
                if self.stopping.is_some() {
                    self.end_stopped(now_ms, &device, Some(&facts));
                    return;
                }
                let message = format!("{why}; {device}");
                let next = "mend the bundle, or deploy it again with --again";
                self.end_seeing(now_ms, Outcome::RolledBack, message, Some(next), &facts);
            }
            Saw::Connected { facts, status, .. } => {
                let message = format!(
                    "{why}; rolled back, but the device runs {} {}: {}",
                    facts.running, facts.version, status.why
                );
                let next = "noflake device status --explain";
                self.end_seeing(now_ms, Outcome::NeedsService, message, Some(next), &facts);
            }
            other => {
                let message = format!(
                    "{why}; the old version has not been seen running: {}",
                    other.in_words()
                );
                let next = "check power and cable, then noflake device status --explain";
                self.end(now_ms, Outcome::NeedsService, message, Some(next));
            }
        }
    }

    /// The run has to stop: gives an open trial up, if the device can be told. A second stop does
    /// not wait for that.
    pub fn stop(&mut self, now_ms: u64, why: StopWhy) {
        // What waits to be put on record happened; what waits to be done is not done any more.
        self.pending.retain(|act| matches!(act, Act::Record { .. }));
        self.plan_run.abort(now_ms, why.in_words());
        self.record_outcomes(now_ms);
        let was_stopped = self.stopping.replace(why).is_some();
        if self.is_committed {
            let verdict = self.plan_run.verdict_so_far();
            self.end_committed(now_ms, verdict);
        } else if self.trial.is_some() && !was_stopped {
            self.roll_back(now_ms);
        } else {
            let lease_s = self.order.plan.timeouts.lease_ms / 1_000;
            let device = if self.trial.is_some() {
                format!("the device goes back by itself within {lease_s} s")
            } else {
                "the running version is untouched".to_owned()
            };
            self.end_stopped(now_ms, &device, None);
        }
    }

    /// Ends a run that was stopped; `device` says what became of the device.
    fn end_stopped(&mut self, now_ms: u64, device: &str, facts: Option<&DeviceFacts>) {
        let Some(why) = self.stopping.clone() else { return };
        let (outcome, next) = match why {
            StopWhy::Operator => (
                Outcome::Interrupted,
                "run the same command again: it goes on where this run stopped",
            ),
            StopWhy::NoEvidence { .. } => {
                (Outcome::Error, "make room for the evidence, then run the same command again")
            }
        };
        let message = format!("{}; {device}", why.in_words());
        match facts {
            Some(facts) => self.end_seeing(now_ms, outcome, message, Some(next), facts),
            None => self.end(now_ms, outcome, message, Some(next)),
        }
    }

    /// Why the bundle is not committed, in words.
    fn why_not(&self) -> String {
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

impl Saw {
    /// What it means, for messages.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Refused { reason, .. } | Self::Lost { reason } => reason.clone(),
            Self::Seen(seen) => seen.word().to_owned(),
            Self::Connected { .. }
            | Self::Hashes(_)
            | Self::Staged(_)
            | Self::Trial { .. }
            | Self::Done => "the device answered out of turn".to_owned(),
        }
    }
}

/// Limits as the record writes them: one validator each.
pub(super) fn validators(limits: &Limits) -> Vec<Validator> {
    match serde_json::to_value(limits) {
        Ok(serde_json::Value::Object(set)) => {
            set.into_iter().map(|(op, value)| Validator { op, value }).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}
