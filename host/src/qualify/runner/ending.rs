//! How a deployment ends: verdict, what became of the device, exit code, next command.

use crate::evidence::{Entry, Moment, Outcome, RunEnd};
use crate::qualify::observation::{DeviceFacts, StatusFacts};
use crate::verdict::RunVerdict;

use super::{Runner, State, notes};

/// How a deployment has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// What is put on record.
    pub end: RunEnd,
    /// What the device said last, if it was reached.
    pub after: Option<DeviceFacts>,
    /// Its record as last read.
    pub status: Option<StatusFacts>,
}

impl Runner {
    /// Ends the run; every planned check that has not reported is put on record as not run.
    pub(super) fn end(
        &mut self,
        now_ms: u64,
        outcome: Outcome,
        message: impl Into<String>,
        next: Option<&str>,
    ) {
        let message = message.into();
        self.plan_run.abort(now_ms, &message);
        self.record_outcomes(now_ms);
        self.leave_stage(now_ms);
        self.leave_phase(now_ms, notes::ending_of(outcome), Some(message.clone()));
        let verdict = self.verdict_with(outcome);
        let end = RunEnd {
            verdict,
            outcome,
            exit_code: exit_code(outcome, verdict),
            downtime_ms: self.downtime_ms,
            message,
            next_command: next.map(str::to_owned),
        };
        self.state = State::Ended(Box::new(Ended { end, after: None, status: self.status.take() }));
    }

    /// As [`Runner::end`], with what the device says now.
    pub(super) fn end_seeing(
        &mut self,
        now_ms: u64,
        outcome: Outcome,
        message: impl Into<String>,
        next: Option<&str>,
        after: &DeviceFacts,
    ) {
        if let Some(phase) = self.phase {
            let facts = Box::new(notes::facts_for_record(after));
            self.record(now_ms, Entry::Device { phase, moment: Moment::After, facts });
        }
        self.end(now_ms, outcome, message, next);
        if let State::Ended(ended) = &mut self.state {
            ended.after = Some(after.clone());
        }
    }

    /// What the checks came to, made no better than what became of the device.
    fn verdict_with(&self, outcome: Outcome) -> RunVerdict {
        let checks = self.plan_run.verdict_so_far();
        match outcome {
            Outcome::Committed => checks,
            Outcome::RolledBack | Outcome::Held => self.judged(),
            Outcome::WentBackByItself | Outcome::NeedsService => RunVerdict::Rejected,
            // Nothing was judged: what was found is no verdict.
            Outcome::AlreadyRunning => RunVerdict::Inconclusive,
            Outcome::Refused | Outcome::Error | Outcome::Interrupted => RunVerdict::Error,
        }
    }

    /// The verdict on the image alone, before whatever ended the run afterwards. A failure that was
    /// seen stays one, however the run then ends.
    pub(super) fn judged(&self) -> RunVerdict {
        let checks = self.early_verdict.unwrap_or_else(|| self.plan_run.verdict_so_far());
        if self.has_crashed { RunVerdict::Rejected } else { checks }
    }
}

/// The exit code of design section 13.
const fn exit_code(outcome: Outcome, verdict: RunVerdict) -> u8 {
    match outcome {
        Outcome::Committed => match verdict {
            RunVerdict::Qualified | RunVerdict::QualifiedWithDeviations => 0,
            RunVerdict::Inconclusive => 4,
            RunVerdict::Error => 3,
            RunVerdict::Rejected => 1,
        },
        Outcome::AlreadyRunning => 0,
        Outcome::RolledBack | Outcome::Held => match verdict {
            RunVerdict::Error => 3,
            RunVerdict::Inconclusive => 4,
            RunVerdict::Qualified | RunVerdict::QualifiedWithDeviations | RunVerdict::Rejected => 1,
        },
        Outcome::Refused => 5,
        Outcome::WentBackByItself => 6,
        Outcome::NeedsService => 7,
        Outcome::Error => 3,
        Outcome::Interrupted => 130,
    }
}
