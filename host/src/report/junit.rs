//! `junit.xml`, for what GitLab, Jenkins and the common GitHub actions really parse.
//!
//! One suite `<plan>.deploy` with a case for each phase, then one suite for each stage with a case for each
//! check. Attempts are `flakyFailure` and `rerunFailure` children, never cases of their own: GitLab drops
//! duplicate names and some actions let any pass win. GitLab shows an element's text and not its `message`,
//! so the first line of the text repeats it.

mod case;

use self::case::{Case, Mark};
use super::words;
use super::xml::Element;
use crate::evidence::{DeviceFacts, PhaseView, RunView, StageView, utc_from_unix_ms};

/// Renders a run as JUnit XML.
#[must_use]
pub fn junit_xml(view: &RunView) -> String {
    let phases: Vec<Case> = view.phases.iter().map(|phase| case::of_phase(view, phase)).collect();
    let stages: Vec<(&StageView, Vec<Case>)> =
        view.stages.iter().map(|stage| (stage, checks_of(view, stage))).collect();
    let mut tally = Tally::default();
    for case in phases.iter().chain(stages.iter().flat_map(|(_, cases)| cases)) {
        tally.count(case);
    }

    // A run may fail where no phase and no check did; without a case CI would show it green.
    let outcome = tally.is_clean().then(|| case::of_outcome(view)).flatten();
    if let Some(case) = &outcome {
        tally.count(case);
    }

    let mut suites = vec![deploy_suite(view, phases.into_iter().chain(outcome).collect())];
    suites.extend(stages.into_iter().map(|(stage, cases)| stage_suite(view, stage, cases)));
    tally
        .onto(Element::new("testsuites").with("name", plan_name(view)))
        .with("time", words::seconds(span_ms(view.started_unix_ms, Some(view.ended_unix_ms))))
        .with("timestamp", timestamp(view.started_unix_ms))
        .around(suites)
        .document()
}

fn checks_of(view: &RunView, stage: &StageView) -> Vec<Case> {
    stage.checks.iter().map(|check| case::of_check(view, check)).collect()
}

fn deploy_suite(view: &RunView, cases: Vec<Case>) -> Element {
    let name = format!("{}.deploy", plan_name(view));
    let ended = Some(view.ended_unix_ms);
    let console = view.phases.iter().flat_map(|phase: &PhaseView| &phase.console);
    suite(view, &name, (Some(view.started_unix_ms), ended), cases, console)
}

fn stage_suite(view: &RunView, stage: &StageView, cases: Vec<Case>) -> Element {
    let name = format!("{}.{}", plan_name(view), stage.id);
    let span = (stage.started_unix_ms, stage.ended_unix_ms);
    suite(view, &name, span, cases, &stage.console)
}

fn suite<'a>(
    view: &RunView,
    name: &str,
    (started, ended): (Option<u64>, Option<u64>),
    cases: Vec<Case>,
    console: impl IntoIterator<Item = &'a String>,
) -> Element {
    let mut tally = Tally::default();
    for case in &cases {
        tally.count(case);
    }
    let duration_ms = started.map_or(0, |started| span_ms(started, ended));
    let element = tally
        .onto(Element::new("testsuite").with("name", name))
        .with("time", words::seconds(duration_ms))
        .with("timestamp", timestamp(started.unwrap_or(view.started_unix_ms)))
        .with_some("hostname", &view.run.bench)
        .around([properties(view)])
        .around(cases.into_iter().map(|case| case.element));
    element.around(system_out(console))
}

fn properties(view: &RunView) -> Element {
    let unknown = DeviceFacts::default();
    let device = view.before.as_ref().or(view.after.as_ref()).unwrap_or(&unknown);
    let hardware = [&device.hardware, &device.revision].map(String::as_str).join(" ");
    let seed = view.run.seed.map(|seed| seed.to_string()).unwrap_or_default();
    let known = [
        ("bundle.sha256", view.run.bundle.digest.as_str()),
        ("bundle.version", &view.run.bundle.version),
        ("plan.sha256", &view.run.plan.digest),
        ("plan.version", &view.run.plan.version),
        ("device.serial", &device.serial),
        ("device.hw", hardware.trim()),
        ("tool.version", &view.run.tool_version),
        ("seed", &seed),
        ("verdict", words::verdict_of(view)),
    ];
    let known = known.into_iter().filter(|(_, value)| !value.is_empty());
    Element::new("properties").around(known.map(|(name, value)| property(name, value)))
}

fn property(name: impl ToString, value: impl ToString) -> Element {
    Element::new("property").with("name", name).with("value", value)
}

/// The last lines that fit: a device says why it died at the end.
fn system_out<'a>(console: impl IntoIterator<Item = &'a String>) -> Option<Element> {
    let lines: Vec<&str> = console.into_iter().map(String::as_str).collect();
    let mut room = SYSTEM_OUT_MAX_BYTES;
    let fits = |line: &&&str| {
        let before = room;
        room = room.saturating_sub(line.len().saturating_add(1));
        before > line.len()
    };
    let kept = lines.iter().rev().take_while(fits).count();
    let left_out = lines.len().saturating_sub(kept);
    let mut text = String::new();
    if left_out > 0 {
        text = format!("[{left_out} earlier lines are in record.jsonl]\n");
    }
    text += &lines.into_iter().skip(left_out).collect::<Vec<_>>().join("\n");
    (!text.is_empty()).then(|| Element::new("system-out").holding(text))
}

/// Cases by how they ended; an error is not a failure (P10).
#[derive(Debug, Default)]
struct Tally {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Tally {
    const fn count(&mut self, case: &Case) {
        self.tests += 1;
        match case.mark {
            Mark::Pass => {}
            Mark::Failure => self.failures += 1,
            Mark::Error => self.errors += 1,
            Mark::Skipped => self.skipped += 1,
        }
    }

    const fn is_clean(&self) -> bool {
        self.failures == 0 && self.errors == 0
    }

    fn onto(&self, element: Element) -> Element {
        element
            .with("tests", self.tests)
            .with("failures", self.failures)
            .with("errors", self.errors)
            .with("skipped", self.skipped)
    }
}

/// A run that ends before it names its plan still needs a name that CI can show.
fn plan_name(view: &RunView) -> &str {
    if view.run.plan.id.is_empty() { "unknown-plan" } else { &view.run.plan.id }
}

const fn span_ms(started: u64, ended: Option<u64>) -> u64 {
    match ended {
        Some(ended) => ended.saturating_sub(started),
        None => 0,
    }
}

/// The JUnit schema has no place for a time zone; the time is UTC.
fn timestamp(unix_ms: u64) -> String {
    utc_from_unix_ms(unix_ms).trim_end_matches('Z').to_owned()
}

/// Jenkins keeps a tail of its own beyond this; GitLab loads the whole file.
const SYSTEM_OUT_MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Ending, Entry, Outcome, Phase, RunEnd, Step, sample};
    use crate::verdict::RunVerdict;

    #[test]
    fn a_rejected_run_is_rendered_exactly() {
        assert_eq!(junit_xml(&sample::view()), REJECTED);
    }

    #[test]
    fn a_refused_bundle_is_visible_though_no_check_ran() {
        let xml = junit_xml(&sample::refused());
        let case = "<testcase name=\"precheck\" classname=\"rover-nav.release.deploy\"";
        assert!(xml.contains(case), "{xml}");
        let error = "<error type=\"refused\" message=\"rollback index 3 is below the device floor 5\">\
                     rollback index 3 is below the device floor 5</error>";
        assert!(xml.contains(error), "{xml}");
        assert!(xml.contains("errors=\"1\" skipped=\"4\""), "{xml}");
    }

    fn with_end(verdict: RunVerdict, outcome: Outcome) -> String {
        let end = RunEnd {
            verdict,
            outcome,
            exit_code: 3,
            downtime_ms: None,
            message: "the port is held by another program".into(),
            next_command: None,
        };
        let entries = [sample::run_start(), Entry::RunEnd(Box::new(end))];
        junit_xml(&sample::view_of(entries.map(|entry| (sample::at(0), entry))))
    }

    #[test]
    fn an_error_outside_any_phase_is_a_case_of_its_own() {
        let xml = with_end(RunVerdict::Error, Outcome::Error);
        assert!(xml.contains("<testcase name=\"outcome\""), "{xml}");
        assert!(xml.contains("<error type=\"bench\" message=\"the port is held by"), "{xml}");
    }

    #[test]
    fn a_qualified_run_has_no_extra_case() {
        let xml = with_end(RunVerdict::Qualified, Outcome::Committed);
        assert!(!xml.contains("\"outcome\""), "{xml}");
    }

    /// The cable was out until the device went back: that is no failure of the product.
    #[test]
    fn a_device_that_went_back_is_a_failure_only_where_the_run_is_rejected() {
        for (verdict, counted) in [
            (RunVerdict::Error, "failures=\"0\" errors=\"1\""),
            (RunVerdict::Rejected, "failures=\"1\" errors=\"0\""),
        ] {
            let step = Step::Phase(Phase::Verify);
            let reason = Some("its lease expired".to_owned());
            let end = RunEnd {
                verdict,
                outcome: Outcome::WentBackByItself,
                exit_code: 6,
                downtime_ms: None,
                message: String::new(),
                next_command: None,
            };
            let entries = [
                Entry::StepStart(step.clone()),
                Entry::StepEnd { step, ending: Ending::WentBack, reason },
                Entry::RunEnd(Box::new(end)),
            ];
            let xml = junit_xml(&sample::view_of(entries.map(|entry| (sample::at(0), entry))));
            assert!(xml.contains(counted), "{verdict}: {xml}");
        }
    }

    #[test]
    fn a_killed_run_is_an_error_and_its_checks_are_not_passes() {
        let xml = junit_xml(&sample::view_of(sample::run().into_iter().take(1)));
        assert!(xml.contains("tests=\"5\" failures=\"0\" errors=\"1\" skipped=\"4\""), "{xml}");
        assert!(xml.contains("type=\"interrupted\""), "{xml}");
    }

    #[test]
    fn nothing_but_a_record_with_no_run_in_it_still_gives_a_report() {
        let xml = junit_xml(&sample::view_of([]));
        assert!(xml.contains("<testsuite name=\"unknown-plan.deploy\" tests=\"1\""), "{xml}");
    }

    #[test]
    fn a_long_console_keeps_its_end_and_says_what_is_missing() {
        let lines: Vec<String> = (0..10_000).map(|n| format!("line {n:05}")).collect();
        let out = system_out(&lines).expect("is there").document();
        assert!(out.len() < SYSTEM_OUT_MAX_BYTES + 200);
        assert!(
            out.contains("[4043 earlier lines are in record.jsonl]\nline 04043\n"),
            "{}",
            &out[..200]
        );
        assert!(out.contains("line 09999</system-out>"));
    }

    /// Serial, time and run id change from run to run; a name that holds one pairs with nothing.
    #[test]
    fn names_hold_nothing_that_changes_from_run_to_run() {
        let xml = junit_xml(&sample::view());
        for line in xml.lines().filter(|line| line.contains("<testcase")) {
            assert!(!line.contains("SN-17") && !line.contains("2026"), "{line}");
        }
    }

    const REJECTED: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="rover-nav.release" tests="10" failures="1" errors="0" skipped="1" time="33.000" timestamp="2026-11-22T20:46:40">
  <testsuite name="rover-nav.release.deploy" tests="6" failures="0" errors="0" skipped="0" time="33.000" timestamp="2026-11-22T20:46:40" hostname="bench-3">
    <properties>
      <property name="bundle.sha256" value="bd01"/>
      <property name="bundle.version" value="2.1.0"/>
      <property name="plan.sha256" value="9a02"/>
      <property name="plan.version" value="7"/>
      <property name="device.serial" value="SN-17"/>
      <property name="device.hw" value="rn-mcu C"/>
      <property name="tool.version" value="0.1.0"/>
      <property name="seed" value="7"/>
      <property name="verdict" value="rejected"/>
    </properties>
    <testcase name="precheck" classname="rover-nav.release.deploy" file="plans/release.toml" time="2.000">
      <properties>
        <property name="ending" value="done"/>
      </properties>
    </testcase>
    <testcase name="stage" classname="rover-nav.release.deploy" file="plans/release.toml" time="2.000">
      <properties>
        <property name="ending" value="resumed"/>
        <property name="sent" value="65536 B"/>
      </properties>
    </testcase>
    <testcase name="trial" classname="rover-nav.release.deploy" file="plans/release.toml" time="2.000">
      <properties>
        <property name="ending" value="done"/>
      </properties>
    </testcase>
    <testcase name="checks" classname="rover-nav.release.deploy" file="plans/release.toml" time="16.000">
      <properties>
        <property name="ending" value="done"/>
      </properties>
    </testcase>
    <testcase name="rollback" classname="rover-nav.release.deploy" file="plans/release.toml" time="1.000">
      <properties>
        <property name="ending" value="done"/>
      </properties>
    </testcase>
    <testcase name="verify" classname="rover-nav.release.deploy" file="plans/release.toml" time="2.000">
      <properties>
        <property name="ending" value="done"/>
      </properties>
    </testcase>
    <system-out>boot: slot B &lt;ready&gt; &amp; ok</system-out>
  </testsuite>
  <testsuite name="rover-nav.release.oq" tests="3" failures="1" errors="0" skipped="0" time="14.000" timestamp="2026-11-22T20:46:51" hostname="bench-3">
    <properties>
      <property name="bundle.sha256" value="bd01"/>
      <property name="bundle.version" value="2.1.0"/>
      <property name="plan.sha256" value="9a02"/>
      <property name="plan.version" value="7"/>
      <property name="device.serial" value="SN-17"/>
      <property name="device.hw" value="rn-mcu C"/>
      <property name="tool.version" value="0.1.0"/>
      <property name="seed" value="7"/>
      <property name="verdict" value="rejected"/>
    </properties>
    <testcase name="rail-3v3" classname="rover-nav.release.oq.mcu" file="plans/release.toml" line="40" time="4.000">
      <properties>
        <property name="verdict" value="pass"/>
        <property name="kind" value="series"/>
        <property name="severity" value="blocker"/>
        <property name="requirement" value="REQ-112.4"/>
        <property name="n" value="1"/>
        <property name="value" value="3.31"/>
        <property name="unit" value="V"/>
        <property name="limit.ge" value="3.13"/>
        <property name="limit.le" value="3.47"/>
        <property name="limit.marginal_ge" value="3.18"/>
      </properties>
      <flakyFailure type="error" message="the meter did not answer in 2 s">
        <stackTrace>attempt 1: error: the meter did not answer in 2 s</stackTrace>
      </flakyFailure>
    </testcase>
    <testcase name="cold-boot" classname="rover-nav.release.oq.mcu" file="plans/release.toml" line="52" time="3.000">
      <properties>
        <property name="verdict" value="flaky"/>
        <property name="kind" value="boot"/>
        <property name="severity" value="blocker"/>
        <property name="requirement" value="REQ-112.4"/>
        <property name="n" value="2"/>
      </properties>
      <flakyFailure type="fail" message="ready after 9.2 s, limit 8 s">
        <stackTrace>attempt 1: fail: ready after 9.2 s, limit 8 s</stackTrace>
      </flakyFailure>
    </testcase>
    <testcase name="log-clean" classname="rover-nav.release.oq.mcu" file="plans/release.toml" line="61" time="3.000">
      <properties>
        <property name="verdict" value="fail"/>
        <property name="kind" value="log"/>
        <property name="severity" value="blocker"/>
        <property name="requirement" value="REQ-112.4"/>
        <property name="n" value="1"/>
      </properties>
      <failure type="log" message="the log has &quot;panic | &lt;nav&gt;&quot;">the log has "panic | &lt;nav&gt;"
attempt 1: fail: the log has "panic | &lt;nav&gt;"</failure>
    </testcase>
    <system-out>panic | &lt;nav&gt;</system-out>
  </testsuite>
  <testsuite name="rover-nav.release.pq" tests="1" failures="0" errors="0" skipped="1" time="0.000" timestamp="2026-11-22T20:46:40" hostname="bench-3">
    <properties>
      <property name="bundle.sha256" value="bd01"/>
      <property name="bundle.version" value="2.1.0"/>
      <property name="plan.sha256" value="9a02"/>
      <property name="plan.version" value="7"/>
      <property name="device.serial" value="SN-17"/>
      <property name="device.hw" value="rn-mcu C"/>
      <property name="tool.version" value="0.1.0"/>
      <property name="seed" value="7"/>
      <property name="verdict" value="rejected"/>
    </properties>
    <testcase name="soak" classname="rover-nav.release.pq.mcu" file="plans/release.toml" time="0.000">
      <properties>
        <property name="verdict" value="not run"/>
        <property name="n" value="0"/>
      </properties>
      <skipped message="the record ends before its end">the record ends before its end</skipped>
    </testcase>
  </testsuite>
</testsuites>
"#;
}
