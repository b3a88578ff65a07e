//! A whole plan against one device, check by check.

use core::fmt;
use std::collections::VecDeque;

use super::check_run::{CheckOutcome, CheckRun, CheckStep, ErrorStreak, not_run};
use super::observation::{Ask, Scene, Seen};
use super::verdict::run_verdict;
use crate::plan::{Check, Plan, Severity, SlotRole, StageKind};
use crate::verdict::{CheckVerdict, RunVerdict};

/// A stage as the driver needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageEntry {
    /// Id of the stage.
    pub id: String,
    /// What it is for.
    pub kind: StageKind,
    /// What must be running when its first check starts.
    pub slot: SlotRole,
}

/// What a run wants next.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStep {
    /// A stage begins: bring the device to its slot, then poll again. Before a stage on `committed`
    /// look at [`PlanRun::verdict_so_far`], confirm, or [`PlanRun::abort`].
    EnterStage(StageEntry),
    /// Ask this, and observe its answer.
    Ask(Ask),
    /// Nothing to do before this time, or before the answer that is due.
    WaitUntil {
        /// When to poll again.
        at_ms: u64,
    },
    /// The run is over; [`PlanRun::outcomes`] has one entry for every planned check.
    Done(RunVerdict),
}

/// Why a run ended before its last check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// A blocker failed.
    BlockerFailed {
        /// Id of the check.
        check: String,
    },
    /// Too many bench faults in a row.
    ErrorLimit {
        /// How many there were.
        count: u32,
    },
    /// The run took longer than the plan allows.
    RunTimeout {
        /// The plan's limit.
        limit_ms: u64,
    },
    /// The driver ended it: interrupted, or the device went back by itself.
    Aborted {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockerFailed { check } => write!(f, "the blocker `{check}` failed"),
            Self::ErrorLimit { count } => write!(f, "{count} bench faults in a row"),
            Self::RunTimeout { limit_ms } => {
                write!(f, "the run took longer than its limit of {limit_ms} ms")
            }
            Self::Aborted { reason } => f.write_str(reason),
        }
    }
}

/// A whole plan against one device, as a pure machine.
///
/// Poll until it waits or asks, observe every answer, and poll again after each observation and at
/// the time of the last [`RunStep::WaitUntil`].
#[derive(Debug, Clone)]
pub struct PlanRun {
    pending: VecDeque<(StageEntry, Check)>,
    entered: Option<StageEntry>,
    current: Option<CheckRun>,
    outcomes: Vec<CheckOutcome>,
    streak: ErrorStreak,
    run_limit_ms: u64,
    deadline_ms: u64,
    stopped: Option<StopReason>,
}

impl PlanRun {
    /// Starts the run; its time limit counts from `now_ms`.
    #[must_use]
    pub fn new(plan: &Plan, now_ms: u64) -> Self {
        let entry = |(stage, check): (&crate::plan::Stage, &Check)| {
            let entry = StageEntry { id: stage.id.clone(), kind: stage.kind, slot: stage.slot };
            (entry, check.clone())
        };
        Self {
            pending: plan.checks().map(entry).collect(),
            entered: None,
            current: None,
            outcomes: Vec::new(),
            streak: ErrorStreak { count: 0, limit: plan.policy.consecutive_error_limit },
            run_limit_ms: plan.timeouts.run_ms,
            deadline_ms: now_ms.saturating_add(plan.timeouts.run_ms),
            stopped: None,
        }
    }

    /// Says what to do next. Once done it stays done.
    pub fn poll(&mut self, now_ms: u64, scene: &Scene<'_>) -> RunStep {
        // Bounded by the number of checks: every turn returns, starts a check or ends one.
        loop {
            if !self.is_over() && now_ms >= self.deadline_ms {
                self.stop(now_ms, StopReason::RunTimeout { limit_ms: self.run_limit_ms });
            }
            let Some(current) = &mut self.current else {
                match self.start_next(now_ms) {
                    Some(step) => return step,
                    None => continue,
                }
            };
            match current.poll(now_ms, scene) {
                CheckStep::Ask(ask) => return RunStep::Ask(ask),
                CheckStep::WaitUntil { at_ms } => {
                    return RunStep::WaitUntil { at_ms: at_ms.min(self.deadline_ms) };
                }
                CheckStep::Done(outcome) => self.note(now_ms, outcome),
            }
        }
    }

    /// Takes the answer to the last [`RunStep::Ask`].
    pub fn observe(&mut self, now_ms: u64, seen: Seen) {
        if let Some(current) = &mut self.current {
            current.observe(now_ms, seen);
        }
    }

    /// Ends the run now: a check under way becomes an error, the others are not run.
    pub fn abort(&mut self, now_ms: u64, reason: &str) {
        if !self.is_over() {
            self.stop(now_ms, StopReason::Aborted { reason: reason.to_owned() });
        }
    }

    /// Checks that are through, in plan order; all of them once the run is done.
    #[must_use]
    pub fn outcomes(&self) -> &[CheckOutcome] {
        &self.outcomes
    }

    /// When the plan's time for the whole run is over.
    #[must_use]
    pub const fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// Why the run ended early, if it did.
    #[must_use]
    pub const fn stopped(&self) -> Option<&StopReason> {
        self.stopped.as_ref()
    }

    /// The verdict on the checks that are through: what a confirm before the last stage rests on.
    #[must_use]
    pub fn verdict_so_far(&self) -> RunVerdict {
        let checks = self.outcomes.iter().map(|outcome| (outcome.severity, outcome.verdict));
        let verdict = run_verdict(checks);
        match &self.stopped {
            Some(StopReason::BlockerFailed { .. }) | None => verdict,
            Some(
                StopReason::ErrorLimit { .. }
                | StopReason::RunTimeout { .. }
                | StopReason::Aborted { .. },
            ) => verdict.max(RunVerdict::Error),
        }
    }

    fn is_over(&self) -> bool {
        self.current.is_none() && self.pending.is_empty()
    }

    fn start_next(&mut self, now_ms: u64) -> Option<RunStep> {
        let Some((stage, check)) = self.pending.pop_front() else {
            return Some(RunStep::Done(self.verdict_so_far()));
        };
        if self.entered.as_ref() != Some(&stage) {
            self.entered = Some(stage.clone());
            self.pending.push_front((stage.clone(), check));
            return Some(RunStep::EnterStage(stage));
        }
        self.current = Some(CheckRun::start(check, stage.id, self.streak, now_ms));
        None
    }

    fn note(&mut self, now_ms: u64, outcome: CheckOutcome) {
        if let Some(through) = self.current.take() {
            self.streak = through.streak();
        }
        let is_blocked =
            outcome.severity == Severity::Blocker && outcome.verdict == CheckVerdict::Fail;
        let check = outcome.id.clone();
        self.outcomes.push(outcome);
        if is_blocked {
            self.stop(now_ms, StopReason::BlockerFailed { check });
        } else if self.streak.is_over() {
            self.stop(now_ms, StopReason::ErrorLimit { count: self.streak.count });
        }
    }

    fn stop(&mut self, now_ms: u64, reason: StopReason) {
        if let Some(mut current) = self.current.take() {
            self.outcomes.push(current.abort(now_ms, &reason.to_string()));
        }
        let why = format!("not run: {reason}");
        for (stage, check) in self.pending.drain(..) {
            self.outcomes.push(not_run(&check, &stage.id, &why));
        }
        self.stopped = Some(reason);
    }
}

#[cfg(test)]
mod tests;
