use super::*;
use crate::measurement::Measurement;
use crate::qualify::checks::testing::{expectation, facts, status};
use crate::qualify::observation::{BootSeen, CheckInfo, DeviceStatus};

#[test]
fn the_built_in_plan_qualifies_a_healthy_device() {
    let plan = Plan::default_deploy().unwrap();
    let (run, verdict) = drive(&plan, healthy);
    assert_eq!(verdict, RunVerdict::Qualified, "{:#?}", run.outcomes());
    assert_eq!(run.outcomes().len(), 5);
    assert_eq!(run.stopped(), None);
}

#[test]
fn a_failed_blocker_stops_the_run_and_the_rest_is_not_run() {
    let plan = plan(&["a", "b", "c"], "severity = 'blocker'", "");
    let (run, verdict) =
        drive(&plan, |ask| reading(ask, if is_run_of(ask, "b") { 9.0 } else { 1.0 }));
    assert_eq!(verdict, RunVerdict::Rejected);
    assert_eq!(verdicts(&run), [CheckVerdict::Pass, CheckVerdict::Fail, CheckVerdict::NotRun]);
    assert_eq!(run.outcomes()[2].reason, "not run: the blocker `b` failed");
    assert_eq!(run.stopped(), Some(&StopReason::BlockerFailed { check: "b".into() }));
}

#[test]
fn a_failed_major_check_rejects_and_the_others_still_run() {
    let plan = plan(&["a", "b"], "severity = 'major'", "");
    let (run, verdict) =
        drive(&plan, |ask| reading(ask, if is_run_of(ask, "a") { 9.0 } else { 1.0 }));
    assert_eq!(verdict, RunVerdict::Rejected);
    assert_eq!(verdicts(&run), [CheckVerdict::Fail, CheckVerdict::Pass]);
}

#[test]
fn an_error_is_retried_after_the_delay_where_the_plan_says_so() {
    let plan = plan(&["a"], "retry = { on = ['error'], max_attempts = 3, delay = '5s' }", "");
    let mut faults = 1;
    let (run, verdict) = drive(&plan, |ask| {
        if faults == 0 {
            return reading(ask, 1.0);
        }
        faults -= 1;
        Seen::LinkError { reason: "noise".into() }
    });
    assert_eq!(verdict, RunVerdict::Qualified);
    let [first, second] = run.outcomes()[0].attempts.as_slice() else { panic!("{run:?}") };
    assert_eq!(second.started_ms - first.ended_ms, 5_000);
}

#[test]
fn a_pass_after_a_failure_is_flaky_and_a_deviation() {
    let plan = plan(&["a"], "severity = 'major'\nretry = { on = ['fail'], max_attempts = 2 }", "");
    let mut runs = 0;
    let (run, verdict) = drive(&plan, |ask| {
        runs += i32::from(is_run_of(ask, "a"));
        reading(ask, if runs == 1 { 9.0 } else { 1.0 })
    });
    assert_eq!(verdicts(&run), [CheckVerdict::Flaky]);
    assert_eq!(verdict, RunVerdict::QualifiedWithDeviations);
    assert!(run.outcomes()[0].reason.contains("outside limits"));
}

#[test]
fn attempts_end_at_their_maximum() {
    let plan = plan(&["a"], "retry = { on = ['error'], max_attempts = 3 }", "");
    let (run, verdict) = drive(&plan, |_| Seen::LinkError { reason: "gone".into() });
    assert_eq!((run.outcomes()[0].attempts.len(), verdict), (3, RunVerdict::Error));
}

#[test]
fn a_verdict_that_is_not_listed_is_not_retried() {
    let plan = plan(&["a"], "retry = { on = ['error'], max_attempts = 3 }", "");
    let (run, _) = drive(&plan, |_| Seen::NoAnswer);
    assert_eq!(run.outcomes()[0].attempts.len(), 1);
}

#[test]
fn bench_faults_in_a_row_end_the_run_in_error_even_amid_retries() {
    let keys = "retry = { on = ['error'], max_attempts = 3 }";
    let plan = plan(&["a", "b", "c"], keys, "consecutive_error_limit = 5");
    let (run, verdict) = drive(&plan, |_| Seen::LinkError { reason: "gone".into() });
    assert_eq!(verdict, RunVerdict::Error);
    let attempts: Vec<usize> =
        run.outcomes().iter().map(|outcome| outcome.attempts.len()).collect();
    assert_eq!(attempts, [3, 2, 0]);
    assert_eq!(run.stopped(), Some(&StopReason::ErrorLimit { count: 5 }));
}

#[test]
fn a_judged_attempt_between_bench_faults_starts_the_count_anew() {
    let plan = plan(&["a", "b", "c"], "severity = 'major'", "consecutive_error_limit = 2");
    let (run, _) = drive(&plan, |ask| {
        if is_run_of(ask, "a") || is_run_of(ask, "c") {
            return Seen::LinkError { reason: "noise".into() };
        }
        reading(ask, 1.0)
    });
    assert_eq!(verdicts(&run), [CheckVerdict::Error, CheckVerdict::Pass, CheckVerdict::Error]);
    assert_eq!(run.stopped(), None);
}

#[test]
fn a_failure_seen_before_the_bench_broke_still_rejects() {
    let plan = plan(&["a", "b"], "severity = 'major'", "consecutive_error_limit = 1");
    let (_, verdict) = drive(&plan, |ask| {
        if is_run_of(ask, "b") {
            return Seen::LinkError { reason: "gone".into() };
        }
        reading(ask, 9.0)
    });
    assert_eq!(verdict, RunVerdict::Rejected);
}

#[test]
fn a_run_past_its_time_limit_ends_in_error_and_names_the_limit() {
    let plan = plan(&["a", "b"], "", "\n[timeouts]\nrun = '10s'");
    let mut run = PlanRun::new(&plan, 0);
    let expect = expectation();
    let scene = Scene { expect: &expect, boot: None, console: &[] };
    run.poll(0, &scene);
    assert!(matches!(run.poll(0, &scene), RunStep::Ask(Ask::ListChecks)));
    assert_eq!(run.poll(1, &scene), RunStep::WaitUntil { at_ms: 10_000 });
    assert_eq!(run.poll(10_000, &scene), RunStep::Done(RunVerdict::Error));
    assert_eq!(verdicts(&run), [CheckVerdict::Error, CheckVerdict::NotRun]);
    assert_eq!(run.outcomes()[0].reason, "the run took longer than its limit of 10000 ms");
}

#[test]
fn an_interrupted_run_is_an_error_that_lists_every_check() {
    let plan = plan(&["a", "b"], "", "");
    let mut run = PlanRun::new(&plan, 0);
    run.abort(1, "interrupted by the operator");
    assert_eq!(run.verdict_so_far(), RunVerdict::Error);
    assert_eq!(verdicts(&run), [CheckVerdict::NotRun; 2]);
    run.abort(2, "again");
    assert_eq!(run.outcomes().len(), 2);
}

#[test]
fn each_stage_is_entered_once_before_its_first_check() {
    let text = format!(
        "{}\n[[stage]]\nid = 'post'\nkind = 'post'\n[[stage.check]]\nid = 'after'\nkind = \
            'identity'",
        text(&["a", "b"], "", "")
    );
    let plan = Plan::parse(&text, "p.toml").unwrap();
    let mut run = PlanRun::new(&plan, 0);
    let expect = expectation();
    let scene = Scene { expect: &expect, boot: None, console: &[] };
    let mut entered = Vec::new();
    loop {
        match run.poll(0, &scene) {
            RunStep::EnterStage(stage) => {
                entered.push((stage.id, stage.slot, run.outcomes().len()));
            }
            RunStep::Ask(ask) => run.observe(0, reading(&ask, 1.0)),
            RunStep::WaitUntil { .. } => panic!("nothing to wait for"),
            RunStep::Done(verdict) => break assert_eq!(verdict, RunVerdict::Qualified),
        }
    }
    let expected =
        [("oq".to_owned(), SlotRole::Trial, 0), ("post".to_owned(), SlotRole::Committed, 2)];
    assert_eq!(entered, expected);
}

/// Whatever one answer is lost or broken, nothing but a judged value rejects, and nothing commits.
#[test]
fn a_fault_of_the_bench_at_any_question_neither_rejects_nor_commits() {
    let plan = plan(&["a", "b", "c"], "", "");
    for fault in [
        Seen::NoAnswer,
        Seen::LinkError { reason: "x".into() },
        Seen::Refused { reason: "x".into() },
    ] {
        for broken in 0..6 {
            let mut asked = 0;
            let (_, verdict) = drive(&plan, |ask| {
                asked += 1;
                if asked == broken + 1 { fault.clone() } else { reading(ask, 1.0) }
            });
            assert_eq!(verdict, RunVerdict::Error, "{fault:?} at question {broken}");
        }
    }
}

/// Runs `plan` to its end in virtual time.
fn drive(plan: &Plan, mut device: impl FnMut(&Ask) -> Seen) -> (PlanRun, RunVerdict) {
    let (expect, boot) = (expectation(), BootSeen { ready_after_ms: 900, attempts: 1 });
    let scene = Scene { expect: &expect, boot: Some(&boot), console: &[] };
    let mut run = PlanRun::new(plan, 0);
    let mut now_ms = 0;
    loop {
        match run.poll(now_ms, &scene) {
            RunStep::EnterStage(_) => {}
            RunStep::Ask(ask) => run.observe(now_ms, device(&ask)),
            RunStep::WaitUntil { at_ms } => {
                assert!(at_ms > now_ms, "a wait that is over already would spin");
                now_ms = at_ms;
            }
            RunStep::Done(verdict) => return (run, verdict),
        }
    }
}

fn healthy(ask: &Ask) -> Seen {
    match ask {
        Ask::Identify => Seen::Facts(facts()),
        Ask::Status => Seen::Status(status()),
        Ask::ListChecks => Seen::Checks(vec![CheckInfo {
            name: "imu".into(),
            unit: String::new(),
            is_status: true,
        }]),
        Ask::RunCheck { name } => Seen::CheckStatus {
            name: name.clone(),
            status: DeviceStatus::Ok,
            detail: String::new(),
        },
        Ask::Ping => Seen::Pong { rtt_us: 800 },
        Ask::Command { .. } => {
            Seen::CommandExit { code: Some(0), stdout: String::new(), stderr: String::new() }
        }
    }
}

/// A device whose every check reads `value`.
fn reading(ask: &Ask, value: f64) -> Seen {
    let info = |name: &str| CheckInfo { name: name.into(), unit: "V".into(), is_status: false };
    match ask {
        Ask::ListChecks => Seen::Checks(["a", "b", "c"].map(info).to_vec()),
        Ask::RunCheck { name } => Seen::Reading(Measurement::number(name.clone(), value, "V")),
        Ask::Identify | Ask::Status | Ask::Ping | Ask::Command { .. } => healthy(ask),
    }
}

fn is_run_of(ask: &Ask, check: &str) -> bool {
    matches!(ask, Ask::RunCheck { name } if name == check)
}

fn verdicts(run: &PlanRun) -> Vec<CheckVerdict> {
    run.outcomes().iter().map(|outcome| outcome.verdict).collect()
}

fn plan(ids: &[&str], keys: &str, policy: &str) -> Plan {
    Plan::parse(&text(ids, keys, policy), "p.toml").unwrap()
}

/// One stage that measures each of `ids` as `le = 2` V.
fn text(ids: &[&str], keys: &str, policy: &str) -> String {
    let check = |id: &&str| {
        format!(
            "[[stage.check]]\nid = '{id}'\nkind = 'measure'\nsource = '{id}'\nunit = 'V'\nlimits \
                = {{ le = 2 }}\n{keys}\n"
        )
    };
    let checks: String = ids.iter().map(check).collect();
    format!(
        "schema = 'qualplan/1'\n[plan]\nid = 'p'\nversion = \
            '1'\n[policy]\n{policy}\n[[stage]]\nid = 'oq'\n{checks}"
    )
}
