//! What comes next: the plan is asked, and the device brought to where its stage expects it.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step knows the sightings that carry it on; every other one is told in words"
)]

use crate::evidence::Phase;
use crate::plan::SlotRole;
use crate::qualify::observation::{Scene, Seen};
use crate::qualify::run::{RunStep, StageEntry};

use super::act::{Act, Saw, Terms};
use super::{Reached, Runner, State, TrialOpen};

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
                self.state = State::Waiting;
                self.act(Act::WaitUntil { at_ms });
            }
            RunStep::Done(verdict) => {
                let verdict = self.early_verdict.unwrap_or(verdict);
                self.conclude(now_ms, verdict);
            }
        }
    }

    /// Brings the device to where a stage expects it; the plan is asked again once it is there.
    pub(super) fn enter(&mut self, now_ms: u64, entry: &StageEntry) {
        match entry.slot {
            SlotRole::Incumbent => self.enter_stage(&entry.id, now_ms),
            SlotRole::Inactive if self.reached >= Reached::Staged => {
                self.enter_stage(&entry.id, now_ms);
            }
            SlotRole::Trial if self.boot.is_some() => self.enter_stage(&entry.id, now_ms),
            SlotRole::Committed if self.reached == Reached::Committed => {
                self.enter_stage(&entry.id, now_ms);
            }
            SlotRole::Inactive | SlotRole::Trial => self.go_towards_trial(now_ms),
            SlotRole::Committed if self.plan_run.verdict_so_far().allows_commit() => {
                self.confirm(now_ms);
            }
            SlotRole::Committed => {
                // What is left is not run; what was found so far is what the run comes to.
                self.early_verdict = Some(self.plan_run.verdict_so_far());
                self.plan_run.abort(now_ms, "the checks before it do not allow a commit");
            }
        }
        self.waiting_stage = (self.stage.is_none()).then(|| entry.clone());
    }

    /// The next step towards a running trial.
    pub(super) fn go_towards_trial(&mut self, now_ms: u64) {
        if self.reached < Reached::Staged {
            self.enter_phase(Phase::Stage, now_ms);
            self.is_status_old = true;
            self.state = State::Staging;
            let (slot, again) = (self.expect.trial_slot, self.again);
            self.act(Act::Stage { slot, again, until_ms: self.plan_run.deadline_ms() });
        } else if let Some(TrialOpen { trial_id, .. }) = self.trial {
            self.enter_phase(Phase::Trial, now_ms);
            self.state = State::Arming;
            self.act(Act::Arm { trial_id, boots: self.boots_to_arm() });
        } else {
            self.enter_phase(Phase::Trial, now_ms);
            self.state = State::OpeningTrial;
            self.act(Act::OpenTrial { plan: self.expect.plan, terms: self.terms() });
        }
    }

    /// Goes on towards what the waiting stage expects.
    pub(super) fn again_or_on(&mut self, now_ms: u64) {
        match self.waiting_stage.take() {
            Some(entry) => {
                self.state = State::Planning;
                self.enter(now_ms, &entry);
            }
            None => self.state = State::Planning,
        }
    }

    pub(super) fn terms(&self) -> Terms {
        let limits = &self.order.plan.timeouts;
        Terms {
            boots: limits.trial_boots,
            // The crash of the last boot that may be made ends the trial at once.
            crashes: self.order.plan.boots_until_ready(),
            lease_ms: u32::try_from(limits.lease_ms).unwrap_or(u32::MAX),
            boot_max_ms: u32::try_from(limits.boot_max_ms).unwrap_or(u32::MAX),
        }
    }

    /// A trial that an earlier run opened may have fewer boots left than the plan would arm.
    fn boots_to_arm(&self) -> u8 {
        let open = self.status.as_ref().and_then(|status| status.trial);
        let left = open.and_then(|trial| u8::try_from(trial.boots_left).ok()).unwrap_or(u8::MAX);
        self.order.plan.boots_until_ready().min(left)
    }

    pub(super) fn answered(&mut self, now_ms: u64, saw: Saw) {
        self.state = State::Planning;
        let is_new = self.trial.is_some() || self.reached == Reached::Committed;
        match saw {
            Saw::Seen(seen @ (Seen::LinkError { .. } | Seen::NoAnswer)) if is_new => {
                self.unanswered = Some(seen.clone());
                self.look_again(now_ms, seen.word());
            }
            Saw::Lost { reason, .. } if is_new => {
                self.unanswered = Some(Seen::LinkError { reason: reason.clone() });
                self.look_again(now_ms, &reason);
            }
            // Who it is and what its record says, a device tells outside of any session too.
            Saw::Seen(seen) if self.is_of_another_boot(&seen) => {
                self.unanswered = Some(seen);
                self.look_again(now_ms, "another boot answers than the one on trial");
            }
            Saw::Seen(seen) => self.plan_run.observe(now_ms, seen),
            Saw::Refused { is_stale: true, reason, .. } if is_new => {
                self.unanswered = Some(Seen::Refused { reason: reason.clone() });
                self.look_again(now_ms, &reason);
            }
            other => {
                let reason = other.in_words();
                self.plan_run.observe(now_ms, Seen::LinkError { reason });
            }
        }
    }

    /// The answer is not from the trial's boot that this run judges: what restarted the device in between is
    /// to be found out before anything counts against the bundle.
    fn is_of_another_boot(&self, seen: &Seen) -> bool {
        let Some(TrialOpen { trial_id, boot_nonce: Some(boot_nonce), .. }) = self.trial else {
            return false;
        };
        match seen {
            Seen::Facts(facts) => facts.boot_nonce != boot_nonce,
            Seen::Status(status) => {
                !status.trial.is_some_and(|open| open.trial_id == trial_id && open.is_running)
            }
            _ => false,
        }
    }

    /// A wait is over. What a check watches for may have been missed while the link was gone, so a
    /// link that fails here ends the checks: no verdict is better than one on half a window.
    pub(super) fn waited(&mut self, now_ms: u64, saw: &Saw) {
        self.state = State::Planning;
        if *saw == Saw::Done {
            return;
        }
        let reason = format!("the link failed while a check was watching: {}", saw.in_words());
        self.plan_run.abort(now_ms, &reason);
        self.record_outcomes(now_ms);
        if self.trial.is_some() || self.reached == Reached::Committed {
            self.look_again(now_ms, &reason);
        }
    }
}
