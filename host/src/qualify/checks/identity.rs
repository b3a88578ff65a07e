//! The device says what the manifest and the label say (promise P5: "written" is not "running").

use super::{Claim, Judgement, Next};
use crate::measurement::{Limits, Measurement, Pattern};
use crate::plan::SlotRole;
use crate::qualify::observation::{Ask, DeviceFacts, Expectation, Scene, Seen, short_digest};

/// Asks who is there and compares every fact; all differences are named at once.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    role: SlotRole,
    serial_re: Option<Pattern>,
    facts: Option<DeviceFacts>,
}

impl Identity {
    pub(super) const fn new(role: SlotRole, serial_re: Option<Pattern>) -> Self {
        Self { role, serial_re, facts: None }
    }

    fn judge(&self, facts: &DeviceFacts, expect: &Expectation) -> Judgement {
        let mut complaints = Vec::new();
        differ(&mut complaints, "product", &expect.product, &facts.product);
        differ(&mut complaints, "hardware", &expect.hardware, &facts.hardware);
        if let Some(re) = self.serial_re.as_ref().filter(|re| !re.is_match(&facts.serial)) {
            complaints.push(format!("serial is {}, expected a match of {re}", facts.serial));
        }
        if self.role.runs_new() {
            new_version(&mut complaints, facts, expect);
        }
        let pass = format!("{} runs {} from {}", facts.serial, facts.version, facts.running);
        let mut judgement = Judgement::from_complaints(pass, &complaints);
        judgement.measurements = recorded(facts);
        judgement
    }
}

impl Claim for Identity {
    fn next(&mut self, _now_ms: u64, scene: &Scene<'_>) -> Next {
        match &self.facts {
            None => Next::Ask(Ask::Identify),
            Some(facts) => Next::Judged(self.judge(facts, scene.expect)),
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

/// Only a device that runs the new version can be asked for it.
fn new_version(complaints: &mut Vec<String>, facts: &DeviceFacts, expect: &Expectation) {
    differ(complaints, "version", &expect.version, &facts.version);
    let (expected, got) = (short_digest(Some(&expect.bundle)), short_digest(facts.bundle.as_ref()));
    if facts.bundle != Some(expect.bundle) {
        complaints.push(format!("bundle is {got}, expected {expected}"));
    }
    if facts.running != expect.trial_slot {
        complaints.push(format!("running from {}, expected {}", facts.running, expect.trial_slot));
    }
}

fn differ(complaints: &mut Vec<String>, what: &str, expected: &str, got: &str) {
    if expected != got {
        complaints.push(format!("{what} is {got}, expected {expected}"));
    }
}

fn recorded(facts: &DeviceFacts) -> Vec<super::Measured> {
    let words = [
        ("product", facts.product.clone()),
        ("hardware", facts.hardware.clone()),
        ("hardware_rev", facts.hardware_rev.to_string()),
        ("serial", facts.serial.clone()),
        ("version", facts.version.clone()),
        ("bundle", short_digest(facts.bundle.as_ref())),
        ("running", facts.running.to_string()),
    ];
    let measured = |(name, text)| super::Measured {
        measurement: Measurement::text(name, text),
        limits: Limits::default(),
    };
    words.into_iter().map(measured).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::{answers, expectation, facts};
    use crate::qualify::observation::Where;
    use crate::verdict::AttemptVerdict;

    #[test]
    fn a_device_that_runs_the_bundle_from_the_trial_slot_passes() {
        let judgement = judge(SlotRole::Trial, None, facts());
        assert_eq!(judgement.verdict, AttemptVerdict::Pass, "{}", judgement.reason);
        assert_eq!(judgement.measurements.len(), 7);
    }

    #[test]
    fn every_difference_fails_and_is_named_with_what_was_expected() {
        let wrong = DeviceFacts {
            product: "lander".into(),
            hardware: "h9".into(),
            version: "1.9.0".into(),
            bundle: None,
            running: Where::SlotA,
            ..facts()
        };
        let judgement = judge(SlotRole::Trial, Pattern::new("^XX").ok(), wrong);
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        for part in [
            "product is lander, expected rover",
            "hardware is h9, expected h1",
            "serial is RN-0042, expected a match of ^XX",
            "version is 1.9.0, expected 2.0.0",
            "bundle is no bundle, expected 0707",
            "running from slot A, expected slot B",
        ] {
            assert!(judgement.reason.contains(part), "{part} is not in {}", judgement.reason);
        }
    }

    #[test]
    fn before_the_trial_the_old_version_is_no_difference() {
        let old =
            DeviceFacts { version: "1.9.0".into(), bundle: None, running: Where::SlotA, ..facts() };
        assert_eq!(judge(SlotRole::Incumbent, None, old).verdict, AttemptVerdict::Pass);
    }

    #[test]
    fn another_answer_than_facts_is_an_error_and_no_failure() {
        let judgement =
            Identity::new(SlotRole::Trial, None).see(0, Seen::Pong { rtt_us: 1 }).unwrap();
        assert_eq!(judgement.verdict, AttemptVerdict::Error);
        assert!(judgement.reason.contains("expected a device's facts, got a pong"));
    }

    fn judge(role: SlotRole, serial_re: Option<Pattern>, facts: DeviceFacts) -> Judgement {
        answers(&mut Identity::new(role, serial_re), &expectation(), None, vec![Seen::Facts(facts)])
    }
}
