//! Something did not come through: what became of the device?

use crate::evidence::{NoteSeverity, Outcome};
use crate::qualify::observation::{DeviceFacts, StatusFacts};

use super::act::{Act, Saw};
use super::{Runner, State, TrialOpen};

/// Between the end of a lease and a device that answers again, at most, in milliseconds: the
/// hardware deadline's slack, a slow boot and its hashing.
pub(super) const GOING_BACK_MS: u64 = 30_000;
/// How often in one run something that did not come through is tried again.
const MAX_RETRIES: u8 = 3;

/// Why a trial was given up whose image did not live to be judged.
pub(super) const CRASHED: &str = "the trial image crashed while it was checked";

/// What has become of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It runs, confirmed.
    Committed,
    /// It runs on trial.
    OnTrial {
        /// In the boot that this run has seen.
        same_boot: bool,
    },
    /// Its trial is open, and the confirmed version runs.
    Paused,
    /// No trial is open, and something else runs.
    Back,
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
            if self.hung_at_ms().is_some_and(|at_ms| at_ms <= now_ms && now_ms < until_ms) {
                let silence_s = self.order.plan.timeouts.silence_ms / 1_000;
                let reason = format!("hung: no sign of life for {silence_s} s");
                self.plan_run.abort(now_ms, &reason);
                self.record_outcomes(now_ms);
                self.look(why, until_ms);
                return;
            }
            let message = format!(
                "the device was lost ({why}) and does not answer: {}; it goes back to the old \
                 version by itself when its lease ends",
                saw.in_words()
            );
            let next = "check the cable, then noflake device status --explain";
            self.end(now_ms, Outcome::Error, message, Some(next));
            return;
        };
        match self.find(&facts, &status) {
            Found::OnTrial { same_boot: true } => {
                self.state = State::Planning;
                if let Some(seen) = self.unanswered.take() {
                    self.plan_run.observe(now_ms, seen);
                }
            }
            Found::Committed => self.committed(now_ms, *facts),
            // The trial image has not been started yet: nothing is lost but time.
            Found::Back | Found::Paused if self.boot.is_none() && self.may_retry() => {
                self.before = Some(*facts);
                self.trial = status.trial.map(|trial| TrialOpen {
                    trial_id: trial.trial_id,
                    boot_nonce: None,
                    crash_left: None,
                });
                self.go_towards_trial(now_ms);
            }
            Found::OnTrial { same_boot: false } | Found::Paused => {
                self.note(now_ms, NoteSeverity::Warning, format!("the device restarted: {why}"));
                self.restarted(now_ms, &status);
            }
            Found::Back => self.went_back(now_ms, &facts, &status),
        }
    }

    /// The trial's boot is over before it was judged. A crash speaks against the image, by the
    /// device's own count; anything else that restarts a device does not (promise P10).
    fn restarted(&mut self, now_ms: u64, status: &StatusFacts) {
        let left = status.trial.map(|trial| trial.crash_left);
        let before = self.trial.and_then(|trial| trial.crash_left);
        self.has_crashed = left.zip(before).is_some_and(|(left, before)| left < before);
        let why = if self.has_crashed { CRASHED } else { "the device restarted during the trial" };
        self.plan_run.abort(now_ms, why);
        self.record_outcomes(now_ms);
        self.roll_back(now_ms);
    }

    /// What has become of the bundle, by the device's own word.
    pub(super) fn find(&self, facts: &DeviceFacts, status: &StatusFacts) -> Found {
        let runs = self.runs_trial(facts);
        let nonce = self.trial.and_then(|trial| trial.boot_nonce);
        match status.trial {
            None if runs && status.active == Some(self.expect.trial_slot) => Found::Committed,
            None => Found::Back,
            Some(trial) if runs && trial.is_running => {
                Found::OnTrial { same_boot: nonce == Some(facts.boot_nonce) }
            }
            Some(_) => Found::Paused,
        }
    }

    /// Counts attempts at what did not come through.
    pub(super) const fn may_retry(&mut self) -> bool {
        self.retries = self.retries.saturating_add(1);
        self.retries <= MAX_RETRIES
    }

    /// The old version runs though the host has not asked for it.
    pub(super) fn went_back(&mut self, now_ms: u64, facts: &DeviceFacts, status: &StatusFacts) {
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
}
