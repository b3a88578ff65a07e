//! The boot into the trial was in time, for an expected cause, in few attempts.

use super::{Claim, Judgement, Measured, Next};
use crate::measurement::{Limits, Measurement};
use crate::plan::TimeLimits;
use crate::qualify::observation::{Ask, BootSeen, DeviceFacts, Scene, Seen};
use crate::verdict::AttemptVerdict;

/// Judges the boot that the driver timed; asks the device only for its reset cause.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    ready: Option<TimeLimits>,
    reset_cause: Vec<String>,
    max_attempts: Option<u32>,
    facts: Option<DeviceFacts>,
}

impl Boot {
    pub(super) const fn new(
        ready: Option<TimeLimits>,
        reset_cause: Vec<String>,
        max_attempts: Option<u32>,
    ) -> Self {
        Self { ready, reset_cause, max_attempts, facts: None }
    }

    fn judge(&self, boot: &BootSeen, facts: &DeviceFacts) -> Judgement {
        self.judge_ready(boot).and(self.judge_attempts(boot)).and(self.judge_cause(facts))
    }

    fn judge_ready(&self, boot: &BootSeen) -> Judgement {
        let time_us = boot.ready_after_ms.saturating_mul(1000);
        if let Some(TimeLimits { unit, limits }) = &self.ready {
            let ready = Measurement::number("ready_after", unit.of_us(time_us), unit.symbol());
            return Judgement::from_limits(ready, limits);
        }
        let unit = crate::plan::TimeUnit::Ms;
        let ready = Measurement::number("ready_after", unit.of_us(time_us), unit.symbol());
        recorded(format!("{ready}"), ready)
    }

    fn judge_attempts(&self, boot: &BootSeen) -> Judgement {
        let limits = Limits { le: self.max_attempts.map(f64::from), ..Limits::default() };
        let attempts = Measurement::number("boot_attempts", f64::from(boot.attempts), "");
        if self.max_attempts.is_some() {
            Judgement::from_limits(attempts, &limits)
        } else {
            recorded(format!("{attempts}"), attempts)
        }
    }

    fn judge_cause(&self, facts: &DeviceFacts) -> Judgement {
        let cause = &facts.reset_cause;
        let is_expected = self.reset_cause.is_empty() || self.reset_cause.contains(cause);
        let measurement = Measurement::text("reset_cause", cause.clone());
        let mut judgement = recorded(format!("reset cause {cause}"), measurement);
        if !is_expected {
            judgement.verdict = AttemptVerdict::Fail;
            judgement.reason =
                format!("reset cause is {cause}, expected {}", self.reset_cause.join(" or "));
        }
        judgement
    }
}

impl Claim for Boot {
    fn next(&mut self, _now_ms: u64, scene: &Scene<'_>) -> Next {
        let Some(boot) = scene.boot else {
            let reason = "no boot into the trial was seen, so there is nothing to judge";
            return Next::Judged(Judgement::of(AttemptVerdict::Inconclusive, reason));
        };
        match &self.facts {
            None => Next::Ask(Ask::Identify),
            Some(facts) => Next::Judged(self.judge(boot, facts)),
        }
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        let Seen::Facts(facts) = seen else {
            return Some(Judgement::unexpected("device's facts", &seen));
        };
        self.facts = Some(facts);
        None
    }
}

fn recorded(reason: String, measurement: Measurement) -> Judgement {
    let measurements = vec![Measured { measurement, limits: Limits::default() }];
    Judgement { verdict: AttemptVerdict::Pass, measurements, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TimeUnit;
    use crate::qualify::checks::testing::{answers, expectation, facts};

    #[test]
    fn a_boot_in_time_passes_in_the_unit_of_the_plan() {
        let judgement = judge(Some(8.0), &[], None, 7_500, 1);
        assert_eq!(judgement.verdict, AttemptVerdict::Pass);
        assert!(
            judgement.reason.contains("ready_after = 7.5 s, inside limits le 8"),
            "{}",
            judgement.reason
        );
    }

    #[test]
    fn a_late_boot_fails() {
        let judgement = judge(Some(8.0), &[], None, 8_001, 1);
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "ready_after = 8.001 s, outside limits le 8");
        assert_eq!(judgement.measurements.len(), 3);
    }

    #[test]
    fn too_many_attempts_fail() {
        assert_eq!(judge(None, &[], Some(2), 1, 2).verdict, AttemptVerdict::Pass);
        assert_eq!(judge(None, &[], Some(2), 1, 3).verdict, AttemptVerdict::Fail);
    }

    #[test]
    fn another_reset_cause_fails_and_names_the_expected_ones() {
        assert_eq!(judge(None, &["software"], None, 1, 1).verdict, AttemptVerdict::Pass);
        let judgement = judge(None, &["power_on", "brown_out"], None, 1, 1);
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "reset cause is software, expected power_on or brown_out");
    }

    #[test]
    fn a_boot_that_nobody_saw_is_inconclusive() {
        let judgement = answers(&mut Boot::new(None, vec![], None), &expectation(), None, vec![]);
        assert_eq!(judgement.verdict, AttemptVerdict::Inconclusive);
    }

    fn judge(
        le_s: Option<f64>,
        causes: &[&str],
        most: Option<u32>,
        ready_after_ms: u64,
        attempts: u32,
    ) -> Judgement {
        let limits = Limits { le: le_s, ..Limits::default() };
        let ready = le_s.map(|_| TimeLimits { unit: TimeUnit::S, limits });
        let causes = causes.iter().map(ToString::to_string).collect();
        let boot = BootSeen { ready_after_ms, attempts };
        answers(
            &mut Boot::new(ready, causes, most),
            &expectation(),
            Some(&boot),
            vec![Seen::Facts(facts())],
        )
    }
}
