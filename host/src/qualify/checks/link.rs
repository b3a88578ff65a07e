//! The link to the device is good enough: loss, or the time of a round trip.
//! Silence is the measurement here.

use super::pulse::Pulse;
use super::{Claim, Judgement, Next};
use crate::measurement::{Limits, Measurement};
use crate::plan::LinkMetric;
use crate::qualify::observation::{Ask, Scene, Seen};
use crate::verdict::AttemptVerdict;

/// Sends questions at a steady pace, one at a time.
#[derive(Debug, Clone)]
pub(super) struct Link {
    metric: LinkMetric,
    count: u32,
    interval_ms: u64,
    limits: Limits,
    asked: u32,
    next_ask_ms: u64,
    rtts_us: Vec<u64>,
    pulse: Pulse,
}

impl Link {
    pub(super) fn new(metric: LinkMetric, count: u32, interval_ms: u64, limits: Limits) -> Self {
        Self {
            metric,
            count,
            interval_ms,
            limits,
            asked: 0,
            next_ask_ms: 0,
            rtts_us: Vec::new(),
            pulse: Pulse::default(),
        }
    }

    fn judge(&mut self) -> Judgement {
        if let Some(dead) = self.pulse.dead_link() {
            return dead;
        }
        self.rtts_us.sort_unstable();
        let value = match self.metric {
            LinkMetric::Loss => Some(self.loss_percent()),
            LinkMetric::RttMax(unit) => self.rtts_us.last().map(|rtt_us| unit.of_us(*rtt_us)),
            LinkMetric::RttMedian(unit) => self.median_us().map(|rtt_us| unit.of_us(rtt_us)),
        };
        let answered = self.pulse.answers();
        match value {
            Some(value) => {
                let measurement =
                    Measurement::number(self.metric.word(), value, self.metric.unit());
                let mut judgement = Judgement::from_limits(measurement, &self.limits);
                judgement.reason =
                    format!("{}; {answered} of {} answered", judgement.reason, self.asked);
                judgement
            }
            None => Judgement::of(
                AttemptVerdict::Inconclusive,
                format!("none of {} questions was answered, so no round trip was seen", self.asked),
            ),
        }
    }

    fn loss_percent(&self) -> f64 {
        let lost = self.asked.saturating_sub(self.pulse.answers());
        100.0 * f64::from(lost) / f64::from(self.asked.max(1))
    }

    /// The upper of the two middle values when their number is even: a time that was really seen.
    fn median_us(&self) -> Option<u64> {
        self.rtts_us.get(self.rtts_us.len() / 2).copied()
    }
}

impl Claim for Link {
    fn next(&mut self, now_ms: u64, _scene: &Scene<'_>) -> Next {
        if self.asked >= self.count {
            Next::Judged(self.judge())
        } else if self.asked > 0 && now_ms < self.next_ask_ms {
            Next::Wait { at_ms: self.next_ask_ms }
        } else {
            self.asked += 1;
            self.next_ask_ms = now_ms.saturating_add(self.interval_ms);
            Next::Ask(Ask::Ping)
        }
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        match self.pulse.see(seen) {
            Ok(Some(rtt_us)) => {
                self.rtts_us.push(rtt_us);
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
    use crate::plan::TimeUnit;
    use crate::qualify::checks::testing::{answers, expectation};

    #[test]
    fn loss_is_the_share_of_questions_without_an_answer() {
        let judgement = judge(LinkMetric::Loss, 25.0, &[Some(1), None, Some(1), Some(1)]);
        assert_eq!(judgement.verdict, AttemptVerdict::Pass);
        assert_eq!(judgement.reason, "loss = 25 %, inside limits le 25; 3 of 4 answered");
        assert_eq!(
            judge(LinkMetric::Loss, 24.0, &[Some(1), None, Some(1), Some(1)]).verdict,
            AttemptVerdict::Fail
        );
    }

    #[test]
    fn round_trips_read_in_the_unit_of_the_plan() {
        let rtts = [Some(1_000), Some(9_000), Some(2_000)];
        let reason = |metric| judge(metric, 100.0, &rtts).reason;
        assert!(reason(LinkMetric::RttMax(TimeUnit::Ms)).starts_with("rtt_max = 9 ms,"));
        assert!(reason(LinkMetric::RttMedian(TimeUnit::Ms)).starts_with("rtt_median = 2 ms,"));
    }

    #[test]
    fn full_silence_is_full_loss_but_no_round_trip() {
        assert_eq!(judge(LinkMetric::Loss, 20.0, &[None, None]).verdict, AttemptVerdict::Fail);
        let judgement = judge(LinkMetric::RttMax(TimeUnit::Ms), 20.0, &[None, None]);
        assert_eq!(judgement.verdict, AttemptVerdict::Inconclusive);
    }

    #[test]
    fn a_link_that_never_worked_is_an_error() {
        let limits = Limits { le: Some(20.0), ..Limits::default() };
        let seen = vec![Seen::LinkError { reason: "no such port".into() }, Seen::NoAnswer];
        let mut claim = Link::new(LinkMetric::Loss, 2, 100, limits);
        assert_eq!(answers(&mut claim, &expectation(), None, seen).verdict, AttemptVerdict::Error);
    }

    fn judge(metric: LinkMetric, le: f64, rtts_us: &[Option<u64>]) -> Judgement {
        let limits = Limits { le: Some(le), ..Limits::default() };
        let answer =
            |rtt_us: &Option<u64>| rtt_us.map_or(Seen::NoAnswer, |rtt_us| Seen::Pong { rtt_us });
        let seen: Vec<Seen> = rtts_us.iter().map(answer).collect();
        let mut claim = Link::new(metric, u32::try_from(seen.len()).unwrap(), 100, limits);
        answers(&mut claim, &expectation(), None, seen)
    }
}
