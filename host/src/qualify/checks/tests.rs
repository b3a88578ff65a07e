use super::testing::{expectation, facts};
use super::*;
use crate::plan::{LinkMetric, Retry, Severity, SlotRole};
use crate::qualify::observation::DeviceStatus;

#[test]
fn a_check_asks_once_and_waits_for_its_answer() {
    let mut machine = start(&identity(), 100);
    assert_eq!(poll(&mut machine, 100), Step::Ask(Ask::Identify));
    assert_eq!(poll(&mut machine, 200), Step::WaitUntil { at_ms: 1_100 });
    machine.observe(300, Seen::Facts(facts()));
    let attempt = done(&mut machine, 300);
    assert_eq!(attempt.verdict, AttemptVerdict::Pass);
    assert_eq!((attempt.started_ms, attempt.ended_ms), (100, 300));
}

#[test]
fn an_answer_that_never_comes_is_a_timeout_at_the_limit_of_the_check() {
    let mut machine = start(&identity(), 100);
    poll(&mut machine, 100);
    assert!(matches!(poll(&mut machine, 1_099), Step::WaitUntil { at_ms: 1_100 }));
    let attempt = done(&mut machine, 1_100);
    assert_eq!(attempt.verdict, AttemptVerdict::Timeout);
    assert_eq!(
        attempt.reason,
        "an answer was still due after 1000 ms, the time limit of the check"
    );
}

#[test]
fn an_answer_at_the_last_moment_counts() {
    let mut machine = start(&identity(), 0);
    poll(&mut machine, 0);
    machine.observe(1_000, Seen::Facts(facts()));
    assert_eq!(done(&mut machine, 1_000).verdict, AttemptVerdict::Pass);
}

#[test]
fn trouble_of_the_link_is_never_a_failure_of_the_device() {
    for (seen, verdict) in [
        (Seen::LinkError { reason: "x".into() }, AttemptVerdict::Error),
        (Seen::Refused { reason: "x".into() }, AttemptVerdict::Error),
        (Seen::NoAnswer, AttemptVerdict::Timeout),
        (Seen::Pong { rtt_us: 1 }, AttemptVerdict::Error),
    ] {
        let mut machine = start(&identity(), 0);
        poll(&mut machine, 0);
        machine.observe(1, seen.clone());
        assert_eq!(done(&mut machine, 1).verdict, verdict, "{seen:?}");
    }
}

#[test]
fn a_refused_ping_is_an_error_also_where_silence_is_measured() {
    let kind = CheckKind::Link {
        metric: LinkMetric::Loss,
        count: 2,
        interval_ms: 1,
        limits: Limits::default(),
    };
    let mut machine = start(&Check { kind, ..identity() }, 0);
    poll(&mut machine, 0);
    machine.observe(1, Seen::Refused { reason: "no session".into() });
    assert_eq!(done(&mut machine, 1).verdict, AttemptVerdict::Error);
}

#[test]
fn an_answer_nobody_waits_for_is_dropped() {
    let mut machine = start(&identity(), 0);
    machine.observe(0, Seen::NoAnswer);
    assert_eq!(poll(&mut machine, 0), Step::Ask(Ask::Identify));
}

#[test]
fn a_failure_that_was_seen_outlives_a_link_that_breaks_behind_it() {
    let kind = CheckKind::Selftest { only: Vec::new(), min_checks: 1 };
    let mut machine = start(&Check { kind, ..identity() }, 0);
    let info = |name: &str| CheckInfo { name: name.into(), unit: String::new(), is_status: true };
    let failed =
        Seen::CheckStatus { name: "imu".into(), status: DeviceStatus::Fail, detail: String::new() };
    let broken = Seen::LinkError { reason: "unplugged".into() };
    for seen in [Seen::Checks(vec![info("imu"), info("gnss")]), failed, broken] {
        assert!(matches!(poll(&mut machine, 0), Step::Ask(_)));
        machine.observe(0, seen);
    }
    let attempt = done(&mut machine, 0);
    assert_eq!(attempt.verdict, AttemptVerdict::Fail);
    assert_eq!(attempt.reason, "imu: fail; the link failed: unplugged");
    assert_eq!(attempt.measurements.len(), 1);
}

#[test]
fn a_finished_check_stays_finished() {
    let mut machine = start(&identity(), 0);
    let aborted = machine.abort(5, "interrupted");
    assert_eq!((aborted.verdict, aborted.reason.as_str()), (AttemptVerdict::Error, "interrupted"));
    machine.observe(6, Seen::Facts(facts()));
    assert_eq!(done(&mut machine, 7), aborted);
}

#[test]
fn of_two_judgements_the_worse_counts_and_keeps_its_reason() {
    let of = |verdict, reason: &str| Judgement::of(verdict, reason);
    let both = of(AttemptVerdict::Pass, "a").and(of(AttemptVerdict::Fail, "b"));
    assert_eq!((both.verdict, both.reason.as_str()), (AttemptVerdict::Fail, "b"));
    let both = of(AttemptVerdict::Fail, "a").and(of(AttemptVerdict::Error, "b"));
    assert_eq!((both.verdict, both.reason.as_str()), (AttemptVerdict::Fail, "a; b"));
}

fn poll(machine: &mut CheckMachine, now_ms: u64) -> Step {
    let expect = expectation();
    machine.poll(now_ms, &Scene { expect: &expect, boot: None, console: &[] })
}

fn done(machine: &mut CheckMachine, now_ms: u64) -> Attempt {
    let step = poll(machine, now_ms);
    let Step::Done(attempt) = step else { panic!("expected the end, got {step:?}") };
    attempt
}

fn identity() -> Check {
    Check {
        id: "identity".into(),
        kind: CheckKind::Identity { role: SlotRole::Trial, serial_re: None },
        severity: Severity::Blocker,
        retry: Retry::default(),
        timeout_ms: 1_000,
        line: 1,
        requirements: Vec::new(),
    }
}
