//! The device keeps answering: longest gap and rate over a window.
//! Silence is the measurement here.

use super::pulse::Pulse;
use super::{Claim, Judgement, Next};
use crate::measurement::{Limits, Measurement};
use crate::plan::{TimeLimits, TimeUnit};
use crate::qualify::observation::{Ask, Scene, Seen};

/// Asks at a steady pace and notes the longest time without an answer.
#[derive(Debug, Clone)]
pub(super) struct Liveness {
    started_ms: u64,
    until_ms: u64,
    interval_ms: u64,
    gap: Option<TimeLimits>,
    min_rate_hz: Option<f64>,
    next_ask_ms: u64,
    heard_ms: u64,
    longest_gap_ms: u64,
    pulse: Pulse,
}

impl Liveness {
    pub(super) fn new(
        now_ms: u64,
        window_ms: u64,
        interval_ms: u64,
        gap: Option<TimeLimits>,
        min_rate_hz: Option<f64>,
    ) -> Self {
        Self {
            started_ms: now_ms,
            until_ms: now_ms.saturating_add(window_ms),
            interval_ms,
            gap,
            min_rate_hz,
            next_ask_ms: now_ms,
            heard_ms: now_ms,
            longest_gap_ms: 0,
            pulse: Pulse::default(),
        }
    }

    fn note_gap(&mut self, now_ms: u64) {
        self.longest_gap_ms = self.longest_gap_ms.max(now_ms.saturating_sub(self.heard_ms));
    }

    fn judge(&mut self, now_ms: u64) -> Judgement {
        self.note_gap(now_ms);
        if let Some(dead) = self.pulse.dead_link() {
            return dead;
        }
        let gap = self.judge_gap();
        match self.judge_rate(now_ms) {
            Some(rate) => gap.and(rate),
            None => gap,
        }
    }

    fn judge_gap(&self) -> Judgement {
        let (unit, limits) = match &self.gap {
            Some(TimeLimits { unit, limits }) => (*unit, limits.clone()),
            None => (TimeUnit::Ms, Limits::default()),
        };
        let gap = unit.of_us(self.longest_gap_ms.saturating_mul(1000));
        Judgement::from_limits(Measurement::number("longest_gap", gap, unit.symbol()), &limits)
    }

    fn judge_rate(&self, now_ms: u64) -> Option<Judgement> {
        let ge = self.min_rate_hz?;
        let watched_ms = now_ms.saturating_sub(self.started_ms).max(1);
        let rate_hz =
            f64::from(self.pulse.answers()) / TimeUnit::S.of_us(watched_ms.saturating_mul(1000));
        let limits = Limits { ge: Some(ge), ..Limits::default() };
        Some(Judgement::from_limits(Measurement::number("answer_rate", rate_hz, "Hz"), &limits))
    }
}

impl Claim for Liveness {
    fn next(&mut self, now_ms: u64, _scene: &Scene<'_>) -> Next {
        if now_ms >= self.until_ms {
            Next::Judged(self.judge(now_ms))
        } else if now_ms >= self.next_ask_ms {
            self.next_ask_ms = now_ms.saturating_add(self.interval_ms);
            Next::Ask(Ask::Ping)
        } else {
            Next::Wait { at_ms: self.next_ask_ms.min(self.until_ms) }
        }
    }

    fn see(&mut self, now_ms: u64, seen: Seen) -> Option<Judgement> {
        match self.pulse.see(seen) {
            Ok(Some(_)) => {
                self.note_gap(now_ms);
                self.heard_ms = now_ms;
                None
            }
            Ok(None) => None,
            Err(judgement) => Some(judgement),
        }
    }

    fn measures_silence(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::expectation;
    use crate::verdict::AttemptVerdict;

    #[test]
    fn a_steady_device_passes_with_its_gap_and_rate_on_record() {
        let judgement = watch(|_| Seen::Pong { rtt_us: 1 });
        assert_eq!(judgement.verdict, AttemptVerdict::Pass, "{}", judgement.reason);
        assert_eq!(
            judgement.reason,
            "longest_gap = 1 s, inside limits le 3; answer_rate = 1 Hz, inside limits ge 0.5"
        );
    }

    #[test]
    fn a_gap_past_the_limit_fails_though_the_device_came_back() {
        let judgement = watch(|now_ms| {
            if (2_000..6_000).contains(&now_ms) { Seen::NoAnswer } else { Seen::Pong { rtt_us: 1 } }
        });
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "longest_gap = 5 s, outside limits le 3");
    }

    #[test]
    fn silence_at_the_end_of_the_window_counts_as_a_gap() {
        let judgement =
            watch(|now_ms| if now_ms > 5_000 { Seen::NoAnswer } else { Seen::Pong { rtt_us: 1 } });
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
    }

    #[test]
    fn a_silent_device_fails_and_a_dead_link_is_an_error() {
        assert_eq!(watch(|_| Seen::NoAnswer).verdict, AttemptVerdict::Fail);
        let dead = watch(|_| Seen::LinkError { reason: "port closed".into() });
        assert_eq!(dead.verdict, AttemptVerdict::Error);
        assert!(dead.reason.contains("port closed"));
    }

    /// Ten seconds at one question a second, answers by the second.
    fn watch(answer: impl Fn(u64) -> Seen) -> Judgement {
        let limits = Limits { le: Some(3.0), ..Limits::default() };
        let gap = Some(TimeLimits { unit: TimeUnit::S, limits });
        let mut claim = Liveness::new(0, 10_000, 1_000, gap, Some(0.5));
        let expect = expectation();
        let scene = Scene { expect: &expect, boot: None, console: &[] };
        let mut now_ms = 0;
        loop {
            match claim.next(now_ms, &scene) {
                Next::Judged(judgement) => return judgement,
                Next::Wait { at_ms } => now_ms = at_ms,
                Next::Ask(_) => assert_eq!(claim.see(now_ms, answer(now_ms)), None),
            }
        }
    }
}
