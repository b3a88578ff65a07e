//! One check with its retries.

use serde::Serialize;

use super::checks::{Attempt, CheckMachine, Step, start};
use super::observation::{Ask, Scene, Seen};
use super::verdict::check_verdict;
use crate::plan::{Check, RetryOn, Severity};
use crate::verdict::{AttemptVerdict, CheckVerdict};

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckOutcome {
    /// Id of the check.
    pub id: String,
    /// Id of its stage.
    pub stage: String,
    /// Kind, as the plan writes it.
    pub kind: &'static str,
    /// What its failure means.
    pub severity: Severity,
    /// Line in the plan, from 1.
    pub line: u32,
    /// Every attempt, failed ones included; empty when it did not run.
    pub attempts: Vec<Attempt>,
    /// All attempts considered.
    pub verdict: CheckVerdict,
    /// Why, as one sentence for a person.
    pub reason: String,
    /// Requirements that the check covers.
    pub requirements: Vec<String>,
}

/// What a check wants next.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckStep {
    /// Ask this, and observe its answer.
    Ask(Ask),
    /// Nothing to do before this time, or before the answer that is due.
    WaitUntil {
        /// When to poll again.
        at_ms: u64,
    },
    /// The check is over.
    Done(CheckOutcome),
}

/// Bench faults in a row, counted in attempts and over checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorStreak {
    /// How many so far.
    pub count: u32,
    /// How many end the run.
    pub limit: u32,
}

impl ErrorStreak {
    /// Whether the bench is to be trusted no longer.
    #[must_use]
    pub const fn is_over(self) -> bool {
        self.count >= self.limit
    }

    const fn after(self, verdict: AttemptVerdict) -> Self {
        let count = if verdict.is_bench_fault() { self.count.saturating_add(1) } else { 0 };
        Self { count, limit: self.limit }
    }
}

/// One check with its retries, as a pure machine.
#[derive(Debug, Clone)]
pub struct CheckRun {
    check: Check,
    stage: String,
    attempts: Vec<Attempt>,
    streak: ErrorStreak,
    state: State,
}

#[derive(Debug, Clone)]
enum State {
    Attempting(CheckMachine),
    /// The last attempt is to be retried.
    Pausing {
        until_ms: u64,
    },
    Over,
}

impl CheckRun {
    /// Starts the first attempt.
    #[must_use]
    pub fn start(check: Check, stage: String, streak: ErrorStreak, now_ms: u64) -> Self {
        let first = State::Attempting(start(&check, now_ms));
        Self { check, stage, attempts: Vec::new(), streak, state: first }
    }

    /// Says what to do next. Once done it stays done.
    pub fn poll(&mut self, now_ms: u64, scene: &Scene<'_>) -> CheckStep {
        // Bounded by max_attempts: every turn either returns or ends an attempt.
        loop {
            match &mut self.state {
                State::Over => return CheckStep::Done(self.outcome()),
                State::Pausing { until_ms } if now_ms < *until_ms => {
                    return CheckStep::WaitUntil { at_ms: *until_ms };
                }
                State::Pausing { .. } => {
                    self.state = State::Attempting(start(&self.check, now_ms));
                }
                State::Attempting(machine) => match machine.poll(now_ms, scene) {
                    Step::Ask(ask) => return CheckStep::Ask(ask),
                    Step::WaitUntil { at_ms } => return CheckStep::WaitUntil { at_ms },
                    Step::Done(attempt) => self.note(now_ms, attempt),
                },
            }
        }
    }

    /// Takes the answer to the last [`CheckStep::Ask`].
    pub fn observe(&mut self, now_ms: u64, seen: Seen) {
        if let State::Attempting(machine) = &mut self.state {
            machine.observe(now_ms, seen);
        }
    }

    /// Ends the check now; an attempt under way becomes an error of the bench.
    pub fn abort(&mut self, now_ms: u64, reason: &str) -> CheckOutcome {
        if let State::Attempting(machine) = &mut self.state {
            let attempt = machine.abort(now_ms, reason);
            self.streak = self.streak.after(attempt.verdict);
            self.attempts.push(attempt);
        }
        self.state = State::Over;
        self.outcome()
    }

    /// Bench faults in a row, this check's included.
    #[must_use]
    pub const fn streak(&self) -> ErrorStreak {
        self.streak
    }

    fn note(&mut self, now_ms: u64, attempt: Attempt) {
        self.streak = self.streak.after(attempt.verdict);
        let is_retried = self.is_retried(attempt.verdict);
        self.attempts.push(attempt);
        self.state = if is_retried {
            State::Pausing { until_ms: now_ms.saturating_add(self.check.retry.delay_ms) }
        } else {
            State::Over
        };
    }

    fn is_retried(&self, verdict: AttemptVerdict) -> bool {
        let made = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let is_listed = match verdict {
            AttemptVerdict::Pass | AttemptVerdict::Marginal => false,
            AttemptVerdict::Error => self.check.retry.on.contains(&RetryOn::Error),
            AttemptVerdict::Timeout => self.check.retry.on.contains(&RetryOn::Timeout),
            AttemptVerdict::Inconclusive => self.check.retry.on.contains(&RetryOn::Inconclusive),
            AttemptVerdict::Fail => {
                self.check.severity != Severity::Blocker
                    && self.check.retry.on.contains(&RetryOn::Fail)
            }
        };
        is_listed && made < self.check.retry.max_attempts && !self.streak.is_over()
    }

    fn outcome(&self) -> CheckOutcome {
        let verdicts: Vec<AttemptVerdict> =
            self.attempts.iter().map(|attempt| attempt.verdict).collect();
        let verdict = check_verdict(self.check.severity, &verdicts);
        let mut outcome = not_run(&self.check, &self.stage, "the check was not run");
        if let Some(telling) = telling(&self.attempts, verdict) {
            outcome.reason.clone_from(&telling.reason);
        }
        outcome.attempts.clone_from(&self.attempts);
        outcome.verdict = verdict;
        outcome
    }
}

/// The outcome of a check that never started.
#[must_use]
pub fn not_run(check: &Check, stage: &str, reason: &str) -> CheckOutcome {
    CheckOutcome {
        id: check.id.clone(),
        stage: stage.to_owned(),
        kind: check.kind.word(),
        severity: check.severity,
        line: check.line,
        attempts: Vec::new(),
        verdict: CheckVerdict::NotRun,
        reason: reason.to_owned(),
        requirements: check.requirements.clone(),
    }
}

/// The attempt whose reason explains the verdict: the failure, if there was one, else the last.
fn telling(attempts: &[Attempt], verdict: CheckVerdict) -> Option<&Attempt> {
    let failure = attempts.iter().rev().find(|attempt| attempt.verdict == AttemptVerdict::Fail);
    match verdict {
        CheckVerdict::Fail | CheckVerdict::Flaky => failure,
        CheckVerdict::Pass
        | CheckVerdict::Skip
        | CheckVerdict::Marginal
        | CheckVerdict::Inconclusive
        | CheckVerdict::Error
        | CheckVerdict::NotRun => attempts.last(),
    }
}
