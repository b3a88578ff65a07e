//! One value that the device measures, against the plan's limits.

use super::{Claim, Judgement, Next, listing};
use crate::measurement::{Limits, Measurement};
use crate::qualify::observation::{Ask, CheckInfo, Scene, Seen};

/// Looks whether the device has the check before it runs it: a name that does not exist is a
/// mistake of the plan, and its message then says which names do.
#[derive(Debug, Clone)]
pub(super) struct Measure {
    source: String,
    unit: String,
    limits: Limits,
    is_listed: bool,
}

impl Measure {
    pub(super) const fn new(source: String, unit: String, limits: Limits) -> Self {
        Self { source, unit, limits, is_listed: false }
    }

    fn see_list(&mut self, checks: &[CheckInfo]) -> Option<Judgement> {
        let found = checks.iter().find(|check| check.name == self.source);
        let readings = || listing(checks.iter().filter(|check| !check.is_status));
        match found {
            None => Some(Judgement::error(format!(
                "the device has no check `{}`; those that measure: {}",
                self.source,
                readings()
            ))),
            Some(check) if check.is_status => Some(Judgement::error(format!(
                "`{}` of the device gives a status and no value; use a selftest check, or one \
                    of: {}",
                self.source,
                readings()
            ))),
            Some(_) => {
                self.is_listed = true;
                None
            }
        }
    }

    fn judge(&self, reading: Measurement) -> Judgement {
        if reading.name != self.source {
            return Judgement::error(format!(
                "asked for `{}`, got a reading of `{}`",
                self.source, reading.name
            ));
        }
        if reading.unit != self.unit {
            return Judgement::error(format!(
                "`{}` reads in unit \"{}\", the plan expects \"{}\"; units are never converted",
                self.source, reading.unit, self.unit
            ));
        }
        Judgement::from_limits(reading, &self.limits)
    }
}

impl Claim for Measure {
    fn next(&mut self, _now_ms: u64, _scene: &Scene<'_>) -> Next {
        if self.is_listed {
            Next::Ask(Ask::RunCheck { name: self.source.clone() })
        } else {
            Next::Ask(Ask::ListChecks)
        }
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        match (self.is_listed, seen) {
            (false, Seen::Checks(checks)) => self.see_list(&checks),
            (true, Seen::Reading(reading)) => Some(self.judge(reading)),
            (false, seen) => Some(Judgement::unexpected("list of checks", &seen)),
            (true, seen) => Some(Judgement::unexpected("reading", &seen)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::{answers, expectation};
    use crate::verdict::AttemptVerdict;

    #[test]
    fn a_value_is_judged_by_the_limits() {
        assert_eq!(judge("rail", "V", 3.3).verdict, AttemptVerdict::Pass);
        assert_eq!(judge("rail", "V", 3.45).verdict, AttemptVerdict::Marginal);
        let judgement = judge("rail", "V", 3.5);
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert_eq!(judgement.reason, "rail = 3.5 V, outside limits le 3.47, marginal_le 3.43");
    }

    #[test]
    fn another_unit_is_an_error_and_no_failure() {
        let judgement = judge("rail", "mV", 3_300.0);
        assert_eq!(judgement.verdict, AttemptVerdict::Error);
        assert!(judgement.reason.contains("reads in unit \"mV\", the plan expects \"V\""));
    }

    #[test]
    fn a_value_that_is_no_number_is_an_error() {
        assert_eq!(judge("rail", "V", f64::NAN).verdict, AttemptVerdict::Error);
    }

    #[test]
    fn a_name_that_the_device_lacks_is_an_error_that_lists_the_names() {
        let judgement = judge("rial", "V", 3.3);
        assert_eq!(judgement.verdict, AttemptVerdict::Error);
        assert_eq!(
            judgement.reason,
            "the device has no check `rial`; those that measure: rail, temp"
        );
    }

    #[test]
    fn a_status_check_is_no_source() {
        let judgement = judge("imu", "V", 3.3);
        assert_eq!(judgement.verdict, AttemptVerdict::Error);
        assert!(judgement.reason.contains("gives a status and no value"));
    }

    fn judge(source: &str, unit: &str, value: f64) -> Judgement {
        let limits = Limits { le: Some(3.47), marginal_le: Some(3.43), ..Limits::default() };
        let info =
            |name: &str, is_status| CheckInfo { name: name.into(), unit: "V".into(), is_status };
        let checks =
            Seen::Checks(vec![info("rail", false), info("temp", false), info("imu", true)]);
        let seen = vec![checks, Seen::Reading(Measurement::number(source, value, unit))];
        answers(&mut Measure::new(source.into(), "V".into(), limits), &expectation(), None, seen)
    }
}
