//! Reads what every `[[stage.check]]` has: id, severity, retry, timeout, requirements.

use super::check::{Check, Retry, RetryOn, Severity};
use super::head::Timeouts;
use super::kind_reader;
use super::section::Section;
use super::stage::SlotRole;

/// Time an attempt gets beyond what its kind takes anyway, unless the check says otherwise.
const TIMEOUT_SLACK_MS: u64 = 30_000;

/// What a check takes from its surroundings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'p> {
    pub(super) role: SlotRole,
    pub(super) timeouts: &'p Timeouts,
}

/// Keys of the schema for statistics, repetition and faults.
const LATER: [&str; 10] = [
    "repeat",
    "claim",
    "sample",
    "baseline",
    "accept",
    "fault",
    "invariant",
    "when",
    "reset",
    "extends",
];

const SUPPORTED: &str =
    "id, kind, severity, retry, timeout, requirements and the keys of the check's kind";

pub(super) fn check(
    mut section: Section<'_>,
    context: Context<'_>,
    mut note_id: impl FnMut(&Section<'_>, &str),
) -> Option<Check> {
    let id = section.required_id("id");
    if let Some(id) = &id {
        section.call(format!("check `{id}`"));
        note_id(&section, id);
    }
    let severity = severity(&mut section);
    let retry = retry(&mut section, severity);
    let timeout_ms = section.duration_ms("timeout");
    let requirements = section.texts("requirements").unwrap_or_default();
    let line = section.line();
    section.later(&LATER, SUPPORTED);
    // Without a kind there is no telling which of the other keys are wrong.
    let kind = kind_reader::known(&mut section)?;
    if kind != "log" {
        section.later(&["require"], SUPPORTED);
    }
    let kind = kind_reader::parameters(kind, &mut section, context);
    if let (Some(kind), Some(timeout_ms)) = (&kind, timeout_ms) {
        judge_timeout(&section, timeout_ms, kind.duration_ms());
    }
    section.finish();
    let (id, kind) = (id?, kind?);
    let default_ms = kind.duration_ms().saturating_add(TIMEOUT_SLACK_MS);
    let timeout_ms = timeout_ms.unwrap_or(default_ms);
    Some(Check { id, kind, severity, retry, timeout_ms, line, requirements })
}

fn judge_timeout(section: &Section<'_>, timeout_ms: u64, needed_ms: u64) {
    if timeout_ms <= needed_ms {
        let text = format!(
            "`timeout` is {timeout_ms} ms, the check takes {needed_ms} ms when all is well; \
             give it more"
        );
        section.problem_at(section.at("timeout"), text);
    }
}

fn severity(section: &mut Section<'_>) -> Severity {
    let words =
        [("blocker", Severity::Blocker), ("major", Severity::Major), ("info", Severity::Info)];
    section.choice("severity", &words).unwrap_or(Severity::Blocker)
}

fn retry(check: &mut Section<'_>, severity: Severity) -> Retry {
    let Some(mut section) = check.table("retry") else { return Retry::default() };
    section.require("on", "a list of verdicts, such as [\"error\"]");
    section.require("max_attempts", "a whole number from 2 to 20");
    let on = retry_on(&mut section, severity);
    let max_attempts = section.count("max_attempts", 2..=20).and_then(|n| n.try_into().ok());
    let delay_ms = section.duration_ms("delay").unwrap_or(0);
    section.finish();
    Retry { on, max_attempts: max_attempts.unwrap_or(1), delay_ms }
}

fn retry_on(section: &mut Section<'_>, severity: Severity) -> Vec<RetryOn> {
    let words = section.texts("on").unwrap_or_default();
    let at = section.at("on");
    if words.is_empty() && section.has("on") {
        section
            .problem_at(at, "`on` names no verdict; allowed: error, timeout, inconclusive, fail");
    }
    let mut on = Vec::new();
    for word in words {
        match word.as_str() {
            "error" => on.push(RetryOn::Error),
            "timeout" => on.push(RetryOn::Timeout),
            "inconclusive" => on.push(RetryOn::Inconclusive),
            "fail" if severity == Severity::Blocker => section.problem_at(
                at,
                "a blocker is never retried on \"fail\": a failure stays a failure; drop it or \
                    use severity = \"major\"",
            ),
            "fail" => on.push(RetryOn::Fail),
            _ => section.problem_at(
                at,
                format!(
                    "`on` has \"{word}\", allowed: error, timeout, \
                inconclusive, fail"
                ),
            ),
        }
    }
    on
}
