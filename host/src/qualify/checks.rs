//! One attempt at one check, as a pure machine; one claim a file.
//!
//! ```text
//!            poll                      observe
//!   start ---------> Ask ... waiting ----------> poll ... -> Done(Attempt)
//!                     \--- deadline: Done, timeout
//! ```
//!
//! [`CheckMachine`] holds what all checks share: one question at a time, the attempt's time limit,
//! and the rule that trouble of the link is an error of the bench and never a failure of the
//! device.

mod boot;
mod command;
mod identity;
mod link;
mod liveness;
mod log;
mod measure;
mod pulse;
mod selftest;
mod slot;

#[cfg(test)]
pub(super) mod testing;

use core::fmt::Debug;

use serde::Serialize;

use super::observation::{Ask, CheckInfo, Scene, Seen};
use crate::measurement::{Limits, Measurement, Standing};
use crate::plan::{Check, CheckKind};
use crate::verdict::AttemptVerdict;

/// A value and the limits it was held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// What was seen.
    pub measurement: Measurement,
    /// The plan's limits; empty when the value is only recorded.
    pub limits: Limits,
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// The verdict.
    pub verdict: AttemptVerdict,
    /// Values that were seen, also when the attempt ended early.
    pub measurements: Vec<Measured>,
    /// Why, as one sentence for a person.
    pub reason: String,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
}

/// What a machine wants next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask this, and observe its answer.
    Ask(Ask),
    /// Nothing to do before this time, or before the answer that is due.
    WaitUntil {
        /// When to poll again.
        at_ms: u64,
    },
    /// The attempt is over.
    Done(Attempt),
}

/// One attempt at one check.
///
/// Poll again after every observation and at the time of the last [`Step::WaitUntil`].
#[derive(Debug, Clone)]
pub struct CheckMachine {
    claim: Box<dyn Claim>,
    started_ms: u64,
    timeout_ms: u64,
    is_waiting: bool,
    done: Option<Attempt>,
}

/// Starts an attempt at `check`.
#[must_use]
pub fn start(check: &Check, now_ms: u64) -> CheckMachine {
    CheckMachine {
        claim: claim(check, now_ms),
        started_ms: now_ms,
        timeout_ms: check.timeout_ms,
        is_waiting: false,
        done: None,
    }
}

impl CheckMachine {
    /// Says what to do next. Once done it stays done.
    pub fn poll(&mut self, now_ms: u64, scene: &Scene<'_>) -> Step {
        if let Some(attempt) = &self.done {
            return Step::Done(attempt.clone());
        }
        let deadline_ms = self.started_ms.saturating_add(self.timeout_ms);
        if self.is_waiting && now_ms < deadline_ms {
            return Step::WaitUntil { at_ms: deadline_ms };
        }
        // An answer that arrived at the last moment still counts, so the claim may judge first.
        let next = if self.is_waiting {
            Next::Wait { at_ms: deadline_ms }
        } else {
            self.claim.next(now_ms, scene)
        };
        match next {
            Next::Judged(judgement) => Step::Done(self.end(now_ms, judgement)),
            Next::Ask(_) | Next::Wait { .. } if now_ms >= deadline_ms => {
                Step::Done(self.end(now_ms, self.late()))
            }
            Next::Ask(ask) => {
                self.is_waiting = true;
                Step::Ask(ask)
            }
            Next::Wait { at_ms } => Step::WaitUntil { at_ms: at_ms.min(deadline_ms) },
        }
    }

    /// Takes the answer to the last [`Step::Ask`]; an answer nobody waits for is dropped.
    pub fn observe(&mut self, now_ms: u64, seen: Seen) {
        if self.done.is_some() || !core::mem::take(&mut self.is_waiting) {
            return;
        }
        let judgement = match bench_fault(&seen) {
            Some(fault) if !(self.claim.measures_silence() && is_silence(&seen)) => Some(fault),
            Some(_) | None => self.claim.see(now_ms, seen),
        };
        if let Some(judgement) = judgement {
            self.end(now_ms, judgement);
        }
    }

    /// Ends the attempt from outside, as an error of the bench.
    pub fn abort(&mut self, now_ms: u64, reason: &str) -> Attempt {
        match &self.done {
            Some(attempt) => attempt.clone(),
            None => self.end(now_ms, Judgement::error(reason)),
        }
    }

    fn late(&self) -> Judgement {
        let what =
            if self.is_waiting { "an answer was still due" } else { "the check was not through" };
        Judgement::of(
            AttemptVerdict::Timeout,
            format!("{what} after {} ms, the time limit of the check", self.timeout_ms),
        )
    }

    fn end(&mut self, now_ms: u64, judgement: Judgement) -> Attempt {
        let judgement = match self.claim.take_so_far() {
            Some(before) => before.and(judgement),
            None => judgement,
        };
        let Judgement { verdict, measurements, reason } = judgement;
        let (started_ms, ended_ms) = (self.started_ms, now_ms);
        let attempt = Attempt { verdict, measurements, reason, started_ms, ended_ms };
        self.done = Some(attempt.clone());
        attempt
    }
}

/// What one kind of check decides; everything else is [`CheckMachine`].
trait Claim: Debug + Send + Sync + Fork {
    /// Says what is wanted next. Called again after every observation and every wait.
    fn next(&mut self, now_ms: u64, scene: &Scene<'_>) -> Next;

    /// Takes an answer; `Some` ends the attempt at once.
    fn see(&mut self, now_ms: u64, seen: Seen) -> Option<Judgement>;

    /// Takes what was judged before the attempt broke off: a failure that was seen stays one.
    fn take_so_far(&mut self) -> Option<Judgement> {
        None
    }

    /// Whether silence and link errors are what this check measures.
    fn measures_silence(&self) -> bool {
        false
    }
}

/// A claim as it is now, twice: a run can be gone on with in more than one way.
trait Fork {
    fn fork(&self) -> Box<dyn Claim>;
}

impl<T: Claim + Clone + 'static> Fork for T {
    fn fork(&self) -> Box<dyn Claim> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Claim> {
    fn clone(&self) -> Self {
        // Of the claim, and not of the box.
        (**self).fork()
    }
}

#[derive(Debug, PartialEq)]
enum Next {
    Ask(Ask),
    Wait { at_ms: u64 },
    Judged(Judgement),
}

/// A verdict with what it rests on.
#[derive(Debug, Clone, PartialEq)]
struct Judgement {
    verdict: AttemptVerdict,
    measurements: Vec<Measured>,
    reason: String,
}

impl Judgement {
    fn of(verdict: AttemptVerdict, reason: impl Into<String>) -> Self {
        Self { verdict, measurements: Vec::new(), reason: reason.into() }
    }

    fn error(reason: impl Into<String>) -> Self {
        Self::of(AttemptVerdict::Error, reason)
    }

    /// An answer that does not fit the question: the driver or the device's agent is at fault.
    fn unexpected(expected: &str, seen: &Seen) -> Self {
        Self::error(format!(
            "expected a {expected}, got a {}; the driver or the device speaks another version",
            seen.word()
        ))
    }

    /// Pass without complaints, else fail with all of them.
    fn from_complaints(pass: impl Into<String>, complaints: &[String]) -> Self {
        if complaints.is_empty() {
            Self::of(AttemptVerdict::Pass, pass)
        } else {
            Self::of(AttemptVerdict::Fail, complaints.join("; "))
        }
    }

    /// Holds `measurement` against `limits`.
    fn from_limits(measurement: Measurement, limits: &Limits) -> Self {
        let verdict = match limits.judge(&measurement.value) {
            Ok(Standing::Inside) => AttemptVerdict::Pass,
            Ok(Standing::Marginal) => AttemptVerdict::Marginal,
            Ok(Standing::Outside) => AttemptVerdict::Fail,
            Err(mismatch) => {
                return Self::error(format!("{}: {mismatch}", measurement.name));
            }
        };
        let position = match verdict {
            AttemptVerdict::Fail => "outside",
            AttemptVerdict::Marginal => "inside the hard, outside the marginal",
            AttemptVerdict::Pass
            | AttemptVerdict::Error
            | AttemptVerdict::Timeout
            | AttemptVerdict::Inconclusive => "inside",
        };
        let reason = format!("{measurement}, {position} limits {limits}");
        let measurements = vec![Measured { measurement, limits: limits.clone() }];
        Self { verdict, measurements, reason }
    }

    /// The worse of two; values and reasons of both are kept.
    fn and(mut self, other: Self) -> Self {
        let reason = if rank(self.verdict) == 0 && rank(other.verdict) > 0 {
            other.reason
        } else if rank(other.verdict) == 0 && rank(self.verdict) > 0 {
            self.reason
        } else {
            format!("{}; {}", self.reason, other.reason)
        };
        let verdict =
            if rank(other.verdict) > rank(self.verdict) { other.verdict } else { self.verdict };
        self.measurements.extend(other.measurements);
        Self { verdict, measurements: self.measurements, reason }
    }
}

/// Order in which parts of one attempt outweigh each other: a seen failure stays one whatever else
/// went wrong, and trouble of the bench outweighs a pass.
const fn rank(verdict: AttemptVerdict) -> u8 {
    match verdict {
        AttemptVerdict::Pass => 0,
        AttemptVerdict::Marginal => 1,
        AttemptVerdict::Inconclusive => 2,
        AttemptVerdict::Timeout => 3,
        AttemptVerdict::Error => 4,
        AttemptVerdict::Fail => 5,
    }
}

fn bench_fault(seen: &Seen) -> Option<Judgement> {
    match seen {
        Seen::Refused { reason } => {
            Some(Judgement::error(format!("the device refused the question: {reason}")))
        }
        Seen::LinkError { reason } => Some(Judgement::error(format!("the link failed: {reason}"))),
        Seen::NoAnswer => Some(Judgement::of(AttemptVerdict::Timeout, "the device did not answer")),
        Seen::Facts(_)
        | Seen::Status(_)
        | Seen::Checks(_)
        | Seen::Reading(_)
        | Seen::CheckStatus { .. }
        | Seen::Pong { .. }
        | Seen::CommandExit { .. } => None,
    }
}

/// Names of the device's checks, for a message.
fn listing<'c>(checks: impl Iterator<Item = &'c CheckInfo>) -> String {
    let names: Vec<&str> = checks.map(|check| check.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

const fn is_silence(seen: &Seen) -> bool {
    matches!(seen, Seen::LinkError { .. } | Seen::NoAnswer)
}

fn claim(check: &Check, now_ms: u64) -> Box<dyn Claim> {
    match check.kind.clone() {
        CheckKind::Identity { role, serial_re } => {
            Box::new(identity::Identity::new(role, serial_re))
        }
        CheckKind::Slot { role } => Box::new(slot::Slot::new(role)),
        CheckKind::Boot { ready, reset_cause, max_attempts } => {
            Box::new(boot::Boot::new(ready, reset_cause, max_attempts))
        }
        CheckKind::Selftest { only, min_checks } => {
            Box::new(selftest::Selftest::new(only, min_checks))
        }
        CheckKind::Measure { source, unit, limits } => {
            Box::new(measure::Measure::new(source, unit, limits))
        }
        CheckKind::Log { require, forbid, window_ms } => {
            Box::new(log::Log::new(require, forbid, now_ms.saturating_add(window_ms)))
        }
        CheckKind::Liveness { window_ms, interval_ms, gap, min_rate_hz } => {
            Box::new(liveness::Liveness::new(now_ms, window_ms, interval_ms, gap, min_rate_hz))
        }
        CheckKind::Command { argv, exit, stdout_re } => {
            Box::new(command::Command::new(argv, exit, stdout_re, check.timeout_ms))
        }
        CheckKind::Link { metric, count, interval_ms, limits } => {
            Box::new(link::Link::new(metric, count, interval_ms, limits))
        }
    }
}

#[cfg(test)]
mod tests;
