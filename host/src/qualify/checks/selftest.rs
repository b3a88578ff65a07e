//! The status checks that the device itself carries.
//!
//! `warn` is marginal, `error` is a failure (a device that cannot check itself is not in order),
//! and
//! `stale` is inconclusive: nothing current was seen.

use std::collections::VecDeque;

use super::{Claim, Judgement, Measured, Next, listing};
use crate::measurement::{Limits, Measurement};
use crate::qualify::observation::{Ask, CheckInfo, DeviceStatus, Scene, Seen};
use crate::verdict::AttemptVerdict;

/// Lists the checks, then runs each; a failure does not hide the ones behind it.
#[derive(Debug, Clone)]
pub(super) struct Selftest {
    only: Vec<String>,
    min_checks: usize,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    Listing,
    Running { left: VecDeque<String>, so_far: Option<Judgement> },
}

impl Selftest {
    pub(super) const fn new(only: Vec<String>, min_checks: usize) -> Self {
        Self { only, min_checks, phase: Phase::Listing }
    }

    fn see_list(&mut self, checks: &[CheckInfo]) -> Option<Judgement> {
        let status: Vec<&CheckInfo> = checks.iter().filter(|check| check.is_status).collect();
        let is_status = |name: &&String| status.iter().any(|check| check.name == **name);
        if let Some(absent) = self.only.iter().find(|name| !is_status(name)) {
            let names = listing(status.iter().copied());
            return Some(Judgement::error(format!(
                "the device has no status check `{absent}`; those it has: {names}"
            )));
        }
        if status.len() < self.min_checks {
            let reason = format!(
                "the device lists {} status checks, expected at least {}",
                status.len(),
                self.min_checks
            );
            return Some(Judgement::of(AttemptVerdict::Inconclusive, reason));
        }
        let is_wanted = |name: &String| self.only.is_empty() || self.only.contains(name);
        let left = status.iter().map(|check| check.name.clone()).filter(is_wanted).collect();
        self.phase = Phase::Running { left, so_far: None };
        None
    }
}

impl Claim for Selftest {
    fn next(&mut self, _now_ms: u64, _scene: &Scene<'_>) -> Next {
        let Phase::Running { left, so_far } = &mut self.phase else {
            return Next::Ask(Ask::ListChecks);
        };
        if let Some(name) = left.front() {
            return Next::Ask(Ask::RunCheck { name: name.clone() });
        }
        let none = || {
            Judgement::of(
                AttemptVerdict::Pass,
                "the device has no status checks, and the plan asks for none",
            )
        };
        Next::Judged(so_far.take().unwrap_or_else(none))
    }

    fn take_so_far(&mut self) -> Option<Judgement> {
        match &mut self.phase {
            Phase::Running { so_far, .. } => so_far.take(),
            Phase::Listing => None,
        }
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        match (&mut self.phase, seen) {
            (Phase::Listing, Seen::Checks(checks)) => self.see_list(&checks),
            (Phase::Running { left, so_far }, Seen::CheckStatus { name, status, detail }) => {
                if left.pop_front().is_none_or(|asked| asked != name) {
                    let reason = format!("got the status of `{name}`, which was not asked for");
                    return Some(Judgement::error(reason));
                }
                let one = judge(name, status, &detail);
                *so_far = Some(match so_far.take() {
                    Some(before) => before.and(one),
                    None => one,
                });
                None
            }
            (Phase::Listing, seen) => Some(Judgement::unexpected("list of checks", &seen)),
            (Phase::Running { .. }, seen) => Some(Judgement::unexpected("check status", &seen)),
        }
    }
}

fn judge(name: String, status: DeviceStatus, detail: &str) -> Judgement {
    let verdict = match status {
        DeviceStatus::Ok => AttemptVerdict::Pass,
        DeviceStatus::Warn => AttemptVerdict::Marginal,
        DeviceStatus::Fail | DeviceStatus::Error => AttemptVerdict::Fail,
        DeviceStatus::Stale => AttemptVerdict::Inconclusive,
    };
    let reason = if detail.is_empty() {
        format!("{name}: {status}")
    } else {
        format!("{name}: {status}, {detail}")
    };
    let measurement = Measurement::text(name, status.to_string());
    Judgement {
        verdict,
        measurements: vec![Measured { measurement, limits: Limits::default() }],
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::{answers, expectation};

    #[test]
    fn all_status_checks_run_and_readings_do_not() {
        let judgement = judge(&[], 1, &[("imu", DeviceStatus::Ok), ("gnss", DeviceStatus::Ok)]);
        assert_eq!((judgement.verdict, judgement.measurements.len()), (AttemptVerdict::Pass, 2));
    }

    #[test]
    fn each_status_has_its_verdict() {
        for (status, verdict) in [
            (DeviceStatus::Ok, AttemptVerdict::Pass),
            (DeviceStatus::Warn, AttemptVerdict::Marginal),
            (DeviceStatus::Fail, AttemptVerdict::Fail),
            (DeviceStatus::Error, AttemptVerdict::Fail),
            (DeviceStatus::Stale, AttemptVerdict::Inconclusive),
        ] {
            assert_eq!(judge(&["imu"], 1, &[("imu", status)]).verdict, verdict, "{status}");
        }
    }

    #[test]
    fn a_failure_does_not_hide_the_checks_behind_it() {
        let judgement = judge(&[], 1, &[("imu", DeviceStatus::Fail), ("gnss", DeviceStatus::Warn)]);
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "imu: fail, d; gnss: warn, d");
    }

    #[test]
    fn a_name_that_the_device_lacks_is_an_error_that_lists_the_names() {
        let judgement = judge(&["radar"], 1, &[]);
        assert_eq!(judgement.verdict, AttemptVerdict::Error);
        assert_eq!(
            judgement.reason,
            "the device has no status check `radar`; those it has: imu, gnss"
        );
    }

    #[test]
    fn a_device_without_status_checks_passes_only_where_the_plan_allows_it() {
        let none = || vec![Seen::Checks(vec![])];
        let judgement = answers(&mut Selftest::new(vec![], 1), &expectation(), None, none());
        assert_eq!(judgement.verdict, AttemptVerdict::Inconclusive);
        let judgement = answers(&mut Selftest::new(vec![], 0), &expectation(), None, none());
        assert_eq!(judgement.verdict, AttemptVerdict::Pass);
    }

    #[test]
    fn the_status_of_another_check_is_an_error() {
        assert_eq!(judge(&[], 1, &[("gnss", DeviceStatus::Ok)]).verdict, AttemptVerdict::Error);
    }

    fn judge(only: &[&str], min_checks: usize, statuses: &[(&str, DeviceStatus)]) -> Judgement {
        let info =
            |name: &str, is_status| CheckInfo { name: name.into(), unit: String::new(), is_status };
        let mut seen =
            vec![Seen::Checks(vec![info("imu", true), info("rail", false), info("gnss", true)])];
        seen.extend(statuses.iter().map(|(name, status)| Seen::CheckStatus {
            name: (*name).into(),
            status: *status,
            detail: "d".into(),
        }));
        let only = only.iter().map(ToString::to_string).collect();
        answers(&mut Selftest::new(only, min_checks), &expectation(), None, seen)
    }
}
