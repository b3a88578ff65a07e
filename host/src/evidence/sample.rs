//! One run for the tests of evidence and reports: a bench error that was retried, a flaky boot, a
//! failed log check, a stage that never ran, and a rollback.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::fold::ViewBuilder;
use super::{
    BundleRef, CheckId, CheckStart, DeviceFacts, Ending, Entry, Integrity, Moment, NoteSeverity,
    Outcome, Phase, PlanRef, RunEnd, RunStart, RunView, Step, Validator, Verb,
};
use crate::measurement::{Measurement, Value};
use crate::verdict::{AttemptVerdict, CheckVerdict, RunVerdict};

pub(crate) fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_380_400_000 + ms)
}

pub(crate) fn check(id: &str) -> CheckId {
    let stage = if id == "soak" { "pq" } else { "oq" };
    CheckId { stage: stage.to_owned(), check: id.to_owned() }
}

pub(crate) fn volts(number: f64) -> Measurement {
    measurement("rail_3v3", Value::Number(number), "V")
}

pub(crate) fn measurement(name: &str, value: Value, unit: &str) -> Measurement {
    Measurement { name: name.to_owned(), value, unit: unit.to_owned() }
}

pub(crate) fn run_start() -> Entry {
    let (id, version) = ("rover-nav.release".to_owned(), "7".to_owned());
    Entry::RunStart(Box::new(RunStart {
        verb: Verb::Qualify,
        plan: PlanRef { id, version, digest: "9a02".into(), path: "plans/release.toml".into() },
        bundle: BundleRef {
            product: "rover-nav".into(),
            version: "2.1.0".into(),
            digest: "bd01".into(),
        },
        tool_version: "0.1.0".into(),
        command_line: "noflake qualify rover-nav.nfb".into(),
        bench: "bench-3".into(),
        device_address: "tcp:10.0.0.5:7700".into(),
        device_class: "mcu".into(),
        seed: Some(7),
        planned: ["rail-3v3", "cold-boot", "log-clean", "soak"].map(check).into(),
    }))
}

pub(crate) fn facts(version: &str, nonce: &str) -> DeviceFacts {
    DeviceFacts {
        product: "rover-nav".into(),
        hardware: "rn-mcu".into(),
        revision: "C".into(),
        serial: "SN-17".into(),
        slot: "A".into(),
        bundle: "aa00".into(),
        version: version.into(),
        boot_nonce: nonce.into(),
        reset_cause: "power_on".into(),
    }
}

/// The run, in the order of its events.
pub(crate) fn run() -> Vec<(SystemTime, Entry)> {
    let mut entries = vec![run_start()];
    entries.extend(deployment());
    entries.extend(checks());
    entries.extend(ending());
    let second = |n: usize| at(u64::try_from(n).unwrap_or_default() * 1_000);
    entries.into_iter().enumerate().map(|(n, entry)| (second(n), entry)).collect()
}

/// A view of [`run`], as if read from a whole record.
pub(crate) fn view() -> RunView {
    view_of(run())
}

pub(crate) fn view_of(entries: impl IntoIterator<Item = (SystemTime, Entry)>) -> RunView {
    let mut builder = ViewBuilder::default();
    let mut lines = 1;
    for (at, entry) in entries {
        let at = u64::try_from(at.duration_since(UNIX_EPOCH).expect("after 1970").as_millis());
        let at = at.expect("before the year 584 million");
        builder.saw_time(at);
        builder.push(entry, at);
        lines += 1;
    }
    let head = "c0ffee".repeat(11);
    let integrity = if builder.has_end() {
        Integrity::Complete { lines, head }
    } else {
        Integrity::Interrupted { lines, head, torn_bytes: 12 }
    };
    builder.finish(integrity)
}

/// The device refused the bundle: no stage of the plan was reached.
pub(crate) fn refused() -> RunView {
    let reason = "rollback index 3 is below the device floor 5".to_owned();
    let entries = [
        run_start(),
        start(Phase::Precheck),
        device(Phase::Precheck, Moment::Before, "2.0.0", "n1"),
        Entry::StepEnd {
            step: Step::Phase(Phase::Precheck),
            ending: Ending::Refused,
            reason: Some(reason.clone()),
        },
        Entry::RunEnd(Box::new(RunEnd {
            verdict: RunVerdict::Error,
            outcome: Outcome::Refused,
            exit_code: 5,
            downtime_ms: None,
            message: reason,
            next_command: None,
        })),
    ];
    view_of(entries.map(|entry| (at(0), entry)))
}

fn deployment() -> Vec<Entry> {
    vec![
        start(Phase::Precheck),
        device(Phase::Precheck, Moment::Before, "2.0.0", "n1"),
        end(Phase::Precheck, Ending::Done),
        start(Phase::Stage),
        Entry::StepMeasurement {
            step: Step::Phase(Phase::Stage),
            measurement: measurement("sent", Value::Number(65_536.0), "B"),
        },
        end(Phase::Stage, Ending::Resumed),
        start(Phase::Trial),
        Entry::Console { text: "boot: slot B <ready> & ok".into() },
        end(Phase::Trial, Ending::Done),
    ]
}

fn checks() -> Vec<Entry> {
    let mut entries = vec![start(Phase::Checks), Entry::StepStart(stage())];
    entries.extend(rail());
    entries.extend(cold_boot());
    entries.extend(log_clean());
    entries.extend([
        Entry::StepEnd { step: stage(), ending: Ending::Failed, reason: Some("log-clean".into()) },
        end(Phase::Checks, Ending::Done),
    ]);
    entries
}

fn rail() -> Vec<Entry> {
    let limits = [("ge", 3.13), ("le", 3.47), ("marginal_ge", 3.18)];
    vec![
        check_start("rail-3v3", "series", 40),
        attempt("rail-3v3", 1, AttemptVerdict::Error, "the meter did not answer in 2 s"),
        Entry::CheckMeasurement {
            check: check("rail-3v3"),
            attempt: 2,
            measurement: volts(3.31),
            validators: limits.map(|(op, value)| Validator::new(op.into(), &value.into())).into(),
        },
        attempt("rail-3v3", 2, AttemptVerdict::Pass, ""),
        check_end("rail-3v3", CheckVerdict::Pass, ""),
    ]
}

fn cold_boot() -> Vec<Entry> {
    vec![
        check_start("cold-boot", "boot", 52),
        attempt("cold-boot", 1, AttemptVerdict::Fail, "ready after 9.2 s, limit 8 s"),
        attempt("cold-boot", 2, AttemptVerdict::Pass, ""),
        check_end("cold-boot", CheckVerdict::Flaky, "passed in attempt 2 of 2"),
    ]
}

fn log_clean() -> Vec<Entry> {
    let reason = "the log has \"panic | <nav>\"";
    vec![
        check_start("log-clean", "log", 61),
        Entry::Console { text: "panic | <nav>".into() },
        attempt("log-clean", 1, AttemptVerdict::Fail, reason),
        check_end("log-clean", CheckVerdict::Fail, reason),
    ]
}

fn ending() -> Vec<Entry> {
    vec![
        start(Phase::Rollback),
        end(Phase::Rollback, Ending::Done),
        start(Phase::Verify),
        device(Phase::Verify, Moment::After, "2.0.0", "n3"),
        end(Phase::Verify, Ending::Done),
        Entry::Note { severity: NoteSeverity::Warning, text: "the lab door was open".into() },
        Entry::RunEnd(Box::new(RunEnd {
            verdict: RunVerdict::Rejected,
            outcome: Outcome::RolledBack,
            exit_code: 1,
            downtime_ms: Some(4_200),
            message: "log-clean failed; version 2.0.0 runs again in slot A".into(),
            next_command: Some("noflake report show runs/x".into()),
        })),
    ]
}

fn stage() -> Step {
    Step::Stage("oq".into())
}

fn start(phase: Phase) -> Entry {
    Entry::StepStart(Step::Phase(phase))
}

fn end(phase: Phase, ending: Ending) -> Entry {
    Entry::StepEnd { step: Step::Phase(phase), ending, reason: None }
}

fn device(phase: Phase, moment: Moment, version: &str, nonce: &str) -> Entry {
    Entry::Device { phase, moment, facts: Box::new(facts(version, nonce)) }
}

fn check_start(id: &str, kind: &str, line: u32) -> Entry {
    Entry::CheckStart(CheckStart {
        id: check(id),
        kind: kind.into(),
        severity: "blocker".into(),
        plan_line: Some(line),
        requirements: vec!["REQ-112.4".into()],
    })
}

fn attempt(id: &str, attempt: u32, verdict: AttemptVerdict, reason: &str) -> Entry {
    Entry::AttemptEnd { check: check(id), attempt, verdict, reason: reason.into() }
}

fn check_end(id: &str, verdict: CheckVerdict, reason: &str) -> Entry {
    Entry::CheckEnd { check: check(id), verdict, reason: reason.into() }
}
