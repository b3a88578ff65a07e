//! The open trial's end by itself, and the watchdog, which is fed until then.

use crate::boot::end_trial;
use crate::flash::Flash;
use crate::slot::RejectReason;
use crate::start::hardware_deadline_ms;

use super::contract::{Effect, Next};
use super::job::{Job, Then};
use super::link::Asked;
use super::{Board, Device, IDLE_WAKE_MS, trial};

impl<W: AsRef<[u8]> + AsMut<[u8]>, F: Flash, B: Board> Device<W, F, B> {
    pub(super) fn in_trial(&self) -> bool {
        self.store.state().is_some_and(|state| trial::in_trial(state, &self.handover))
    }

    /// Ends the trial when its lease or its boot's limit has passed.
    pub(super) fn watch_trial(&mut self) {
        let Some(trial) = self.store.state().and_then(|state| state.trial) else {
            return;
        };
        let in_trial = self.in_trial();
        if self.job.writes() || !self.retries.may_end_trial(self.now_ms) {
            return;
        }
        if let Some(reason) = self.trial_clock.ended(&trial, in_trial, self.now_ms) {
            self.give_up_trial(reason, if in_trial { Then::Reset } else { Then::Over }, None);
        }
    }

    pub(super) fn give_up_trial(&mut self, reason: RejectReason, then: Then, asked: Option<Asked>) {
        let mut state = self.state();
        end_trial(&mut state, reason);
        self.give_way();
        self.job = Job::write_record(state, then, asked);
    }

    /// The watchdog is fed by nothing but this, and no more once the trial's time is up.
    pub(super) fn next(&self, more: bool) -> Next {
        let wait_ms = if more { 0 } else { IDLE_WAKE_MS };
        let wake_ms = self.clock_ms.saturating_add(wait_ms);
        let trial = self.store.state().and_then(|state| state.trial);
        let effect = match trial {
            Some(trial) if self.in_trial() => {
                let left_ms = self
                    .trial_clock
                    .lease_left_ms(&trial, self.now_ms)
                    .min(self.trial_clock.boot_left_ms(&trial, self.now_ms));
                if left_ms == 0 {
                    Effect::Nothing
                } else {
                    Effect::Feed { deadline_ms: Some(hardware_deadline_ms(left_ms)) }
                }
            }
            Some(_) | None => Effect::Feed { deadline_ms: None },
        };
        Next { effect, wake_ms }
    }
}
