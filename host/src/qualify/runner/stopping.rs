//! A run that has to stop before its end.

use crate::evidence::Outcome;
use crate::qualify::observation::DeviceFacts;

use super::act::Act;
use super::lost::EXPLAIN;
use super::{Reached, Runner, State, StopWhy};

/// What a run leaves alone until a trial begins; another host that has the device by then need not.
pub const UNTOUCHED: &str = "this run has not touched what the device runs";
/// What an open trial comes to, once nobody drives it.
pub const GOES_BACK: &str = "the device goes back by itself";

impl Runner {
    /// The run has to stop: gives an open trial up, if the device can be told. A second stop does
    /// not wait for that.
    pub fn stop(&mut self, now_ms: u64, why: StopWhy) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        // What waits to be put on record happened; what waits to be done is not done any more.
        self.pending.retain(|act| matches!(act, Act::Record { .. }));
        self.plan_run.abort(now_ms, why.in_words());
        self.record_outcomes(now_ms);
        let was_stopped = self.stopping.replace(why).is_some();
        let confirming = matches!(self.state, State::Confirming | State::VerifyingConfirm);
        if self.state == State::LookingOn {
            self.end_stopped(now_ms, "another host took the device over", None);
        } else if confirming && !was_stopped {
            // The confirm may be on its way: what the device says decides.
            self.state = State::VerifyingConfirm;
            let until_ms = now_ms.saturating_add(self.order.plan.timeouts.connect_ms);
            self.act(Act::Connect { until_ms, not_boot: None });
        } else if self.reached == Reached::Committed {
            let verdict = self.plan_run.verdict_so_far();
            self.end_committed(now_ms, verdict);
        } else if self.trial.is_some() && !was_stopped {
            self.roll_back(now_ms);
        } else {
            let lease_s = self.order.plan.timeouts.lease_ms / 1_000;
            let device = if confirming {
                "whether the confirm has reached the device is not known".to_owned()
            } else if self.trial.is_some() {
                format!("{GOES_BACK} within {lease_s} s")
            } else {
                UNTOUCHED.to_owned()
            };
            self.end_stopped(now_ms, &device, None);
        }
    }

    /// Ends a run that was stopped; `device` says what became of the device.
    pub(super) fn end_stopped(&mut self, now_ms: u64, device: &str, facts: Option<&DeviceFacts>) {
        let Some(why) = self.stopping.clone() else { return };
        let (outcome, next) = match why {
            StopWhy::Operator => (Outcome::Interrupted, self.after_stop()),
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

    /// Only what was staged is gone on with; a trial that was begun has been given up.
    fn after_stop(&self) -> &'static str {
        if matches!(self.state, State::Confirming | State::VerifyingConfirm) {
            EXPLAIN
        } else if self.trial.is_some() || self.asked.rollback {
            "run the same command again: it starts over with a new trial"
        } else if self.is_status_old {
            "run the same command again: it goes on where this run stopped"
        } else {
            "run the same command again"
        }
    }
}
