//! How a deployment ends: verdict, what became of the device, exit code, next command.

use crate::evidence::{Entry, Moment, Outcome, RunEnd};
use crate::qualify::observation::{DeviceFacts, StatusFacts};
use crate::verdict::RunVerdict;

use super::lost::CutShort;
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
    /// The device was changed since its record was read.
    pub is_status_old: bool,
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
        let status = self.status.take();
        let is_status_old = self.is_status_old;
        self.state = State::Ended(Box::new(Ended { end, after: None, status, is_status_old }));
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

    /// As [`Runner::end`] or [`Runner::end_seeing`]; a run that was asked to stop has stopped, whatever
    /// else was found.
    pub(super) fn end_or_stop(
        &mut self,
        now_ms: u64,
        outcome: Outcome,
        message: &str,
        next: &str,
        after: Option<&DeviceFacts>,
    ) {
        match after {
            _ if self.stopping.is_some() => self.end_stopped(now_ms, message, after),
            Some(after) => self.end_seeing(now_ms, outcome, message, Some(next), after),
            None => self.end(now_ms, outcome, message, Some(next)),
        }
    }

    /// What the checks came to, made no better than what became of the device.
    fn verdict_with(&self, outcome: Outcome) -> RunVerdict {
        let checks = self.plan_run.verdict_so_far();
        match outcome {
            Outcome::Committed => checks,
            Outcome::RolledBack | Outcome::Held => self.judged(),
            // The device did what nobody asked for; only a failure that was seen rejects (promise P10).
            Outcome::WentBackByItself | Outcome::NeedsService => {
                self.judged().max(RunVerdict::Error)
            }
            // Nothing was judged: what was found is no verdict.
            Outcome::AlreadyRunning => RunVerdict::Inconclusive,
            Outcome::Refused | Outcome::Error | Outcome::Interrupted => RunVerdict::Error,
        }
    }

    /// The verdict on the image alone, before whatever ended the run afterwards. A failure that was
    /// seen stays one, however the run then ends.
    pub(super) fn judged(&self) -> RunVerdict {
        let checks = self.early_verdict.unwrap_or_else(|| self.plan_run.verdict_so_far());
        match &self.cut_short {
            Some(CutShort { is_crash: true, .. }) => RunVerdict::Rejected,
            Some(CutShort { is_crash: false, .. }) => checks.max(RunVerdict::Error),
            None => checks,
        }
    }
}

/// The exit code (README, "Exit codes").
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
