//! One `testcase`: what a phase, a check or the run as a whole looks like to CI.

use super::{property, span_ms};
use crate::evidence::{
    AttemptView, CheckView, Ending, Integrity, Outcome, PhaseView, RunEnd, RunView,
};
use crate::report::words;
use crate::report::xml::Element;
use crate::verdict::{AttemptVerdict, CheckVerdict, RunVerdict};

/// A `testcase` and how it counts.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) mark: Mark,
    pub(super) element: Element,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Pass,
    Failure,
    Error,
    Skipped,
}

/// How a case counts, and the `type` of the element that says so.
type Marked = (Mark, &'static str);

pub(super) fn of_check(view: &RunView, check: &CheckView) -> Case {
    let (mark, kind) = mark_of_check(check);
    let line = check.start.plan_line.map(|line| line.to_string()).unwrap_or_default();
    let duration_ms = check.started_unix_ms.map_or(0, |at| span_ms(at, check.ended_unix_ms));
    let element = testcase(&check.start.id.check, &class_name(view, &check.start.id.stage))
        .with_some("file", &view.run.plan.path)
        .with_some("line", &line)
        .with("time", words::seconds(duration_ms))
        .around([properties(check)])
        .around(marked((mark, kind), &first_line(check), &details(check)))
        .around(attempts(check, mark))
        .around(marginal_note(check));
    Case { mark, element }
}

pub(super) fn of_phase(view: &RunView, phase: &PhaseView) -> Case {
    let verdict = view.end.as_ref().map(|end| end.verdict);
    let marked_as = mark_of_phase(phase.ending, verdict);
    let ending = words::ending(phase.ending);
    let message = phase.reason.clone().unwrap_or_else(|| ending.to_owned());
    let values = phase.measurements.iter().map(|m| property(&m.name, words::value(m)));
    let element = testcase(phase.phase.name(), &class_name(view, "deploy"))
        .with_some("file", &view.run.plan.path)
        .with("time", words::seconds(span_ms(phase.started_unix_ms, phase.ended_unix_ms)))
        .around([Element::new("properties").around([property("ending", ending)]).around(values)])
        .around(marked(marked_as, &message, ""));
    Case { mark: marked_as.0, element }
}

/// A case for a run that is not a pass; `None` if it is one.
pub(super) fn of_outcome(view: &RunView) -> Option<Case> {
    let (marked_as, message) = match &view.end {
        // A bundle that runs already is what the pipeline wanted.
        Some(RunEnd { outcome: Outcome::AlreadyRunning, .. }) => return None,
        Some(end) => (mark_of_run(end.verdict), end.message.clone()),
        None => ((Mark::Error, "interrupted"), interruption(&view.integrity)),
    };
    let element = testcase("outcome", &class_name(view, "deploy"))
        .with_some("file", &view.run.plan.path)
        .with("time", words::seconds(0))
        .around(marked(marked_as, &message, &words::outcome_of(view)));
    (marked_as.0 != Mark::Pass).then_some(Case { mark: marked_as.0, element })
}

fn testcase(name: &str, class_name: &str) -> Element {
    Element::new("testcase").with("name", name).with("classname", class_name)
}

/// `<plan>.<stage>.<device class>`; the class comes from the plan, so it is there in every run or in none.
fn class_name(view: &RunView, stage: &str) -> String {
    let class = &view.run.device_class;
    let base = format!("{}.{stage}", super::plan_name(view));
    if class.is_empty() || stage == "deploy" { base } else { format!("{base}.{class}") }
}

fn mark_of_check(check: &CheckView) -> Marked {
    let last = check.attempts.values().next_back().and_then(|attempt| attempt.verdict);
    match check.verdict {
        CheckVerdict::Pass | CheckVerdict::Marginal | CheckVerdict::Flaky => (Mark::Pass, ""),
        CheckVerdict::Skip | CheckVerdict::NotRun => (Mark::Skipped, ""),
        CheckVerdict::Inconclusive => (Mark::Error, "inconclusive"),
        CheckVerdict::Error if last == Some(AttemptVerdict::Timeout) => (Mark::Error, "timeout"),
        CheckVerdict::Error => (Mark::Error, "bench"),
        CheckVerdict::Fail => (Mark::Failure, failure_type(&check.start.kind)),
    }
}

fn failure_type(kind: &str) -> &'static str {
    match kind {
        "boot" | "soak" => "claim",
        "compare" => "compare",
        "fault" | "rollback_drill" => "fault",
        "log" => "log",
        _ => "limit",
    }
}

const fn mark_of_phase(ending: Option<Ending>, run: Option<RunVerdict>) -> Marked {
    match ending {
        Some(Ending::Done | Ending::FoundDone | Ending::Resumed | Ending::TakenOver) => {
            (Mark::Pass, "")
        }
        Some(Ending::Skipped) => (Mark::Skipped, ""),
        // A refusal says that the bundle or the trust is wrong, not that the product failed.
        Some(Ending::Refused) => (Mark::Error, "refused"),
        // A device that went back, or was not seen again, failed only where the run says so (P10).
        Some(Ending::Failed | Ending::WentBack) if matches!(run, Some(RunVerdict::Error)) => {
            (Mark::Error, "bench")
        }
        Some(Ending::Failed) => (Mark::Failure, "limit"),
        Some(Ending::WentBack) => (Mark::Failure, "fault"),
        Some(Ending::Error) => (Mark::Error, "bench"),
        Some(Ending::Interrupted) | None => (Mark::Error, "interrupted"),
    }
}

const fn mark_of_run(verdict: RunVerdict) -> Marked {
    match verdict {
        RunVerdict::Qualified | RunVerdict::QualifiedWithDeviations => (Mark::Pass, ""),
        RunVerdict::Inconclusive => (Mark::Error, "inconclusive"),
        RunVerdict::Error => (Mark::Error, "bench"),
        RunVerdict::Rejected => (Mark::Failure, "fault"),
    }
}

fn marked((mark, kind): Marked, message: &str, details: &str) -> Option<Element> {
    let name = match mark {
        Mark::Pass => return None,
        Mark::Failure => "failure",
        Mark::Error => "error",
        Mark::Skipped => "skipped",
    };
    let text =
        if details.is_empty() { message.to_owned() } else { format!("{message}\n{details}") };
    Some(Element::new(name).with_some("type", kind).with("message", message).holding(capped(text)))
}

fn first_line(check: &CheckView) -> String {
    if check.reason.is_empty() {
        words::check_verdict(check.verdict).to_owned()
    } else {
        check.reason.clone()
    }
}

/// What `message` has no room for: value, unit, limits, and every attempt.
fn details(check: &CheckView) -> String {
    let value = check.shown_measurement().map(|shown| {
        let name = &shown.measurement.name;
        let limits = words::limits(shown);
        format!("{name} = {}, limits: {limits}", words::value(&shown.measurement))
    });
    let attempts = check.attempts.iter().map(|(number, view)| words::attempt(*number, view));
    value.into_iter().chain(attempts).collect::<Vec<_>>().join("\n")
}

fn properties(check: &CheckView) -> Element {
    let start = &check.start;
    let n = check.attempts.values().filter(|attempt| counts(attempt)).count();
    let mut properties = vec![property("verdict", words::check_verdict(check.verdict))];
    let plan = [("kind", &start.kind), ("severity", &start.severity)];
    let plan = plan.into_iter().filter(|(_, value)| !value.is_empty());
    properties.extend(plan.map(|(name, value)| property(name, value)));
    properties.extend(start.requirements.iter().map(|id| property("requirement", id)));
    properties.push(property("n", n));
    if let Some(shown) = check.shown_measurement() {
        properties.push(property("value", &shown.measurement.value));
        properties.push(property("unit", &shown.measurement.unit));
        let limit = |v: &crate::evidence::Validator| property(format!("limit.{}", v.op), v.value());
        properties.extend(shown.validators.iter().map(limit));
    }
    Element::new("properties").around(properties)
}

/// Errors are left out of n, failed attempts always count.
const fn counts(attempt: &AttemptView) -> bool {
    matches!(
        attempt.verdict,
        Some(AttemptVerdict::Pass | AttemptVerdict::Marginal | AttemptVerdict::Fail)
    )
}

/// A pass keeps its failed attempts as `flakyFailure`. Of a failure, the first failed attempt is the
/// `failure` itself, the others are `rerunFailure` (the rule of Surefire, whose words these are).
fn attempts(check: &CheckView, mark: Mark) -> Vec<Element> {
    let (name, told_already) = match mark {
        Mark::Pass => ("flakyFailure", 0),
        Mark::Failure | Mark::Error => ("rerunFailure", 1),
        Mark::Skipped => return Vec::new(),
    };
    let failed = check.attempts.iter().filter(|(_, attempt)| !is_pass(attempt));
    failed.skip(told_already).map(|(n, attempt)| failed_attempt(name, *n, attempt)).collect()
}

fn failed_attempt(name: &'static str, number: u32, attempt: &AttemptView) -> Element {
    let verdict = words::attempt_verdict(attempt.verdict);
    let message = if attempt.reason.is_empty() { verdict } else { &attempt.reason };
    let text = capped(words::attempt(number, attempt));
    Element::new(name)
        .with("type", verdict)
        .with("message", message)
        .around([Element::new("stackTrace").holding(text)])
}

const fn is_pass(attempt: &AttemptView) -> bool {
    matches!(attempt.verdict, Some(AttemptVerdict::Pass | AttemptVerdict::Marginal))
}

fn marginal_note(check: &CheckView) -> Option<Element> {
    let note = format!("marginal: {}\n{}", first_line(check), details(check));
    let is_marginal = check.verdict == CheckVerdict::Marginal;
    is_marginal.then(|| Element::new("system-out").holding(capped(note)))
}

fn interruption(integrity: &Integrity) -> String {
    match integrity {
        Integrity::Complete { lines, .. } | Integrity::Interrupted { lines, .. } => {
            format!("the record ends at line {lines}: the run was interrupted")
        }
    }
}

fn capped(mut text: String) -> String {
    if text.len() <= TEXT_MAX_BYTES {
        return text;
    }
    let mut kept = TEXT_MAX_BYTES;
    while !text.is_char_boundary(kept) {
        kept = kept.saturating_sub(1);
    }
    text.truncate(kept);
    text + "\n[more is in record.jsonl]"
}

/// Of one element; thousands of checks then still fit into the 30 MB that GitLab takes.
const TEXT_MAX_BYTES: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{CheckId, CheckStart};

    fn check(verdict: CheckVerdict, attempts: &[AttemptVerdict]) -> CheckView {
        let attempt = |(n, verdict): (u32, &AttemptVerdict)| {
            (n, AttemptView { verdict: Some(*verdict), ..AttemptView::default() })
        };
        let id = CheckId { stage: "oq".into(), check: "c".into() };
        CheckView {
            start: CheckStart { id, ..CheckStart::default() },
            started_unix_ms: None,
            ended_unix_ms: None,
            attempts: (1..).zip(attempts).map(attempt).collect(),
            verdict,
            reason: "because".into(),
        }
    }

    fn rendered(check: &CheckView) -> String {
        of_check(&crate::evidence::sample::view_of([]), check).element.document()
    }

    #[test]
    fn each_verdict_has_its_mark_and_type() {
        use CheckVerdict as V;
        for (verdict, attempts, expected) in [
            (V::Pass, &[][..], (Mark::Pass, "")),
            (V::Marginal, &[], (Mark::Pass, "")),
            (V::Flaky, &[], (Mark::Pass, "")),
            (V::Skip, &[], (Mark::Skipped, "")),
            (V::NotRun, &[], (Mark::Skipped, "")),
            (V::Inconclusive, &[], (Mark::Error, "inconclusive")),
            (V::Error, &[AttemptVerdict::Error], (Mark::Error, "bench")),
            (V::Error, &[AttemptVerdict::Timeout], (Mark::Error, "timeout")),
            (V::Fail, &[AttemptVerdict::Fail], (Mark::Failure, "limit")),
        ] {
            assert_eq!(mark_of_check(&check(verdict, attempts)), expected, "{verdict:?}");
        }
    }

    #[test]
    fn a_failure_says_why_in_its_message_and_again_in_its_text() {
        let xml = rendered(&check(CheckVerdict::Fail, &[AttemptVerdict::Fail]));
        assert!(xml.contains("message=\"because\">because\nattempt 1: fail</failure>"), "{xml}");
    }

    #[test]
    fn the_first_failed_attempt_is_the_failure_and_the_others_are_reruns() {
        let xml = rendered(&check(CheckVerdict::Fail, &[AttemptVerdict::Fail; 3]));
        assert_eq!(xml.matches("<rerunFailure").count(), 2, "{xml}");
        assert_eq!(xml.matches("<flakyFailure").count(), 0, "{xml}");
    }

    /// P10: a retried failure never becomes a clean pass.
    #[test]
    fn a_pass_after_a_failure_keeps_the_failure() {
        let attempts = [AttemptVerdict::Fail, AttemptVerdict::Pass];
        let xml = rendered(&check(CheckVerdict::Flaky, &attempts));
        assert_eq!(xml.matches("<flakyFailure").count(), 1, "{xml}");
        assert!(xml.contains("<property name=\"n\" value=\"2\"/>"), "{xml}");
    }

    #[test]
    fn an_error_of_the_bench_is_left_out_of_n() {
        let attempts = [AttemptVerdict::Error, AttemptVerdict::Pass];
        let xml = rendered(&check(CheckVerdict::Pass, &attempts));
        assert!(xml.contains("<property name=\"n\" value=\"1\"/>"), "{xml}");
    }

    #[test]
    fn a_marginal_check_passes_and_says_so_in_a_property_and_in_system_out() {
        let xml = rendered(&check(CheckVerdict::Marginal, &[AttemptVerdict::Marginal]));
        assert!(xml.contains("<property name=\"verdict\" value=\"marginal\"/>"), "{xml}");
        assert!(xml.contains("<system-out>marginal: because"), "{xml}");
    }

    #[test]
    fn a_long_text_is_cut_and_says_where_the_rest_is() {
        let text = capped("é".repeat(TEXT_MAX_BYTES));
        assert!(text.ends_with("é\n[more is in record.jsonl]"));
        assert!(text.len() < TEXT_MAX_BYTES + 40);
    }
}
