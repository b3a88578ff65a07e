//! Another host has taken the device over: what it does there is seen, and never judged.

use crate::evidence::Outcome;
use crate::qualify::observation::{DeviceFacts, StatusFacts};

use super::act::{Act, Saw};
use super::fate::running_in_words;
use super::{Runner, State};

/// Patience with a look at a device that is another host's, in milliseconds.
const LOOK_MS: u64 = 10_000;

impl Runner {
    /// Another host keeps the session. What the device runs can be read without one.
    pub(super) fn look_on(&mut self, now_ms: u64) {
        self.state = State::LookingOn;
        self.act(Act::Look { until_ms: now_ms.saturating_add(LOOK_MS) });
    }

    pub(super) fn looked_on(&mut self, now_ms: u64, saw: &Saw) {
        if let Saw::Connected { facts, status, .. } = saw {
            self.taken_over(now_ms, facts, status);
            return;
        }
        let said = saw.in_words();
        let message =
            format!("another host took the device over, which does not tell what it runs: {said}");
        self.end_or_stop(now_ms, Outcome::Error, &message, NEXT, None);
    }

    /// Ends the run of a host that has lost its device to another one.
    pub(super) fn taken_over(&mut self, now_ms: u64, facts: &DeviceFacts, status: &StatusFacts) {
        let running = running_in_words(facts);
        let message = match status.trial {
            None if self.runs_trial(facts) => format!(
                "another host took the device over and confirmed {running}; this run did not judge it"
            ),
            Some(trial) if trial.is_running => {
                format!("another host took the device over; it runs {running}, on trial")
            }
            Some(_) | None => format!("another host took the device over; it runs {running}"),
        };
        self.trial = None;
        self.end_or_stop(now_ms, Outcome::Error, &message, NEXT, Some(facts));
    }
}

const NEXT: &str =
    "noflake device status --explain; run the same command again when the other host is done";
