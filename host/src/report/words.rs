//! The words that reports use for verdicts, endings, values and limits, each in one place.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::evidence::{
    AttemptView, CheckView, Ending, Integrity, JudgedMeasurement, Outcome, RunView, SignedBy,
    Validator,
};
use crate::measurement::Measurement;
use crate::verdict::{AttemptVerdict, CheckVerdict, RunVerdict};

pub(super) const fn run_verdict(verdict: RunVerdict) -> &'static str {
    match verdict {
        RunVerdict::Qualified => "qualified",
        RunVerdict::QualifiedWithDeviations => "qualified with deviations",
        RunVerdict::Inconclusive => "inconclusive",
        RunVerdict::Error => "error",
        RunVerdict::Rejected => "rejected",
    }
}

pub(super) const fn check_verdict(verdict: CheckVerdict) -> &'static str {
    match verdict {
        CheckVerdict::Pass => "pass",
        CheckVerdict::Skip => "skip",
        CheckVerdict::Marginal => "marginal",
        CheckVerdict::Flaky => "flaky",
        CheckVerdict::Inconclusive => "inconclusive",
        CheckVerdict::Error => "error",
        CheckVerdict::NotRun => "not run",
        CheckVerdict::Fail => "fail",
    }
}

pub(super) const fn attempt_verdict(verdict: Option<AttemptVerdict>) -> &'static str {
    match verdict {
        Some(AttemptVerdict::Pass) => "pass",
        Some(AttemptVerdict::Marginal) => "marginal",
        Some(AttemptVerdict::Fail) => "fail",
        Some(AttemptVerdict::Error) => "error",
        Some(AttemptVerdict::Timeout) => "timeout",
        Some(AttemptVerdict::Inconclusive) => "inconclusive",
        None => "cut off",
    }
}

pub(super) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Committed => "committed",
        Outcome::RolledBack => "rolled back",
        Outcome::AlreadyRunning => "found done",
        Outcome::Refused => "refused",
        Outcome::WentBackByItself => "went back by itself",
        Outcome::Error => "error",
        Outcome::Interrupted => "interrupted",
        Outcome::NeedsService => "needs service",
        Outcome::Held => "held",
    }
}

pub(super) const fn ending(ending: Option<Ending>) -> &'static str {
    match ending {
        Some(Ending::Done) => "done",
        Some(Ending::FoundDone) => "found done",
        Some(Ending::Resumed) => "resumed",
        Some(Ending::TakenOver) => "taken over",
        Some(Ending::Skipped) => "skipped",
        Some(Ending::Refused) => "refused",
        Some(Ending::Failed) => "failed",
        Some(Ending::WentBack) => "went back",
        Some(Ending::Error) => "error",
        Some(Ending::Interrupted) => "interrupted",
        None => "cut off",
    }
}

/// The verdict of the run in words, a run without end included.
pub(super) fn verdict_of(view: &RunView) -> &'static str {
    match &view.end {
        Some(end) if end.outcome.is_judged() => run_verdict(end.verdict),
        Some(_) => "not judged",
        None => "interrupted",
    }
}

/// `rolled back, exit 1`.
pub(super) fn outcome_of(view: &RunView) -> String {
    match &view.end {
        Some(end) => format!("{}, exit {}", outcome(end.outcome), end.exit_code),
        None => "the record has no end".to_owned(),
    }
}

/// `3.31 V`, and the bare value if it has no unit.
pub(super) fn value(measurement: &Measurement) -> String {
    let Measurement { value, unit, .. } = measurement;
    if unit.is_empty() { value.to_string() } else { format!("{value} {unit}") }
}

pub(super) fn shown_value(check: &CheckView) -> String {
    check.shown_measurement().map_or_else(String::new, |shown| value(&shown.measurement))
}

pub(super) fn shown_limits(check: &CheckView) -> String {
    check.shown_measurement().map_or_else(String::new, limits)
}

/// `>= 3.13, <= 3.47, marginal >= 3.18`, in the unit of the value.
pub(super) fn limits(judged: &JudgedMeasurement) -> String {
    judged.validators.iter().map(limit).collect::<Vec<_>>().join(", ")
}

fn limit(validator: &Validator) -> String {
    let (band, op) = match validator.op.strip_prefix("marginal_") {
        Some(op) => ("marginal ", op),
        None => ("", validator.op.as_str()),
    };
    let sign = match op {
        "ge" => ">=",
        "le" => "<=",
        "gt" => ">",
        "lt" => "<",
        "eq" => "=",
        "ne" => "not",
        "re" => "matches",
        "not_re" => "does not match",
        "in" => "one of",
        "not_in" => "none of",
        other => other,
    };
    format!("{band}{sign} {}", json(&validator.value()))
}

fn json(value: &Json) -> String {
    if let Json::String(text) = value {
        return text.clone();
    }
    if let Json::Array(items) = value {
        return items.iter().map(json).collect::<Vec<_>>().join(" ");
    }
    value.to_string()
}

/// One line an attempt: what it came to, why, and what was measured.
pub(super) fn attempt(number: u32, attempt: &AttemptView) -> String {
    let mut line = format!("attempt {number}: {}", attempt_verdict(attempt.verdict));
    if !attempt.reason.is_empty() {
        line = line + ": " + &attempt.reason;
    }
    for judged in &attempt.measurements {
        line = line + "; " + &judged.measurement.name + " = " + &value(&judged.measurement);
        if !judged.validators.is_empty() {
            line = line + " (" + &limits(judged) + ")";
        }
    }
    line
}

/// `record complete, 24 lines, each chained to the next; ...`. The chain cannot cover its own last line,
/// so the words say what does.
pub(super) fn integrity(integrity: &Integrity) -> String {
    match integrity {
        Integrity::Complete { lines, head } => {
            format!(
                "record complete, {lines} lines, each chained to the next; compare the head with one noted elsewhere: {head}"
            )
        }
        Integrity::Interrupted { lines, head, torn_bytes } => {
            let torn = match torn_bytes {
                0 => String::new(),
                bytes => format!(", {bytes} bytes of a cut-off line left out"),
            };
            format!("record ends at line {lines} (interrupted{torn}), chain verified, head {head}")
        }
    }
}

/// `signed to the end by 0123456789abcdef`: whose key that is, no record can say.
#[must_use]
pub fn signed(view: &RunView) -> String {
    let lines = match &view.integrity {
        Integrity::Complete { lines, .. } | Integrity::Interrupted { lines, .. } => lines,
    };
    let to_end: Vec<_> = view.signed_to_end().collect();
    let part = |signed: &SignedBy| {
        let hint = signed.hint();
        if to_end.contains(&signed) {
            format!("signed to the end by {hint}")
        } else {
            format!("signed up to line {} of {lines} by {hint}", signed.lines)
        }
    };
    let mut parts: Vec<String> = view.signed.iter().take(SIGNERS_MAX).map(part).collect();
    match view.signed.len().saturating_sub(SIGNERS_MAX) {
        0 => {}
        more => parts.push(format!("and by {more} more")),
    }
    if parts.is_empty() { "not signed".to_owned() } else { parts.join(", ") }
}

/// Counts of every verdict that occurs, plus those that a reader looks for, in a fixed order.
///
/// Kept apart (P10): an error is not a failure, and what did not run is no pass.
pub(super) fn counts(view: &RunView) -> String {
    let mut counts: BTreeMap<CheckVerdict, usize> = BTreeMap::new();
    for check in view.stages.iter().flat_map(|stage| &stage.checks) {
        *counts.entry(check.verdict).or_default() += 1;
    }
    let counted = |verdict: &CheckVerdict| counts.get(verdict).copied().unwrap_or_default();
    let always = ALWAYS_COUNTED.iter().map(|verdict| (verdict, counted(verdict)));
    let seen = COUNTED_IF_SEEN.iter().map(|verdict| (verdict, counted(verdict)));
    let parts = always.chain(seen.filter(|(_, count)| *count > 0));
    let word =
        |(verdict, count): (&CheckVerdict, usize)| format!("{count} {}", check_verdict(*verdict));
    parts.map(word).collect::<Vec<_>>().join(", ")
}

/// `4.200`, for milliseconds as seconds with a dot, whatever the locale.
pub(super) fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// The first characters of a digest, enough to compare by eye.
pub(super) fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// A record has one signer; more are somebody else's, and need no page.
const SIGNERS_MAX: usize = 3;
const ALWAYS_COUNTED: [CheckVerdict; 5] = [
    CheckVerdict::Pass,
    CheckVerdict::Fail,
    CheckVerdict::Error,
    CheckVerdict::Flaky,
    CheckVerdict::NotRun,
];
const COUNTED_IF_SEEN: [CheckVerdict; 3] =
    [CheckVerdict::Marginal, CheckVerdict::Inconclusive, CheckVerdict::Skip];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evidence::sample;
    use crate::measurement::Value;

    #[test]
    fn limits_read_like_a_sentence_and_keep_the_marginal_band_apart() {
        let validator = |(op, value): (&str, Json)| Validator::new(op.to_owned(), &value);
        let judged = JudgedMeasurement {
            measurement: sample::volts(3.3),
            validators: [
                ("ge", json!(3.13)),
                ("marginal_le", json!(3.43)),
                ("not_re", json!("panic")),
                ("in", json!(["A", "B"])),
            ]
            .map(validator)
            .into(),
        };
        assert_eq!(limits(&judged), ">= 3.13, marginal <= 3.43, does not match panic, one of A B");
    }

    #[test]
    fn a_whole_number_has_no_fraction_and_a_flag_no_unit() {
        assert_eq!(value(&sample::measurement("n", Value::Number(65_536.0), "B")), "65536 B");
        assert_eq!(value(&sample::measurement("ok", Value::Flag(true), "")), "true");
    }

    #[test]
    fn how_far_a_record_is_signed_is_said_for_each_key() {
        let of = |seed, lines| SignedBy { public_key: [seed; 32], lines };
        let told =
            |parts: &[SignedBy]| signed(&RunView { signed: parts.to_vec(), ..sample::view() });
        assert_eq!(told(&[]), "not signed");
        let (whole, part) = (of(1, 35), of(2, 20));
        let expected = format!(
            "signed to the end by {}, signed up to line 20 of 35 by {}",
            whole.hint(),
            part.hint()
        );
        assert_eq!(told(&[whole, part]), expected);
        let many: Vec<_> = (1..=5).map(|seed| of(seed, u64::from(30 - seed))).collect();
        assert!(told(&many).ends_with(", and by 2 more"), "{}", told(&many));
    }

    #[test]
    fn seconds_have_three_places_and_a_dot() {
        assert_eq!([0, 7, 4_200, 61_005].map(seconds), ["0.000", "0.007", "4.200", "61.005"]);
    }

    #[test]
    fn errors_failures_flaky_and_not_run_are_counted_apart() {
        assert_eq!(counts(&sample::view()), "1 pass, 1 fail, 0 error, 1 flaky, 1 not run");
    }
}
