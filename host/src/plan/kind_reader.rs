//! Reads the keys that belong to one kind of check.

use firmware_protocol::boot::MAX_ARMED;

use super::check::{CheckKind, LinkMetric, SELFTEST_MIN_CHECKS, TimeLimits, TimeUnit};
use super::check_reader::Context;
use super::limits;
use super::section::Section;
use crate::measurement::Limits;

const SUPPORTED: [&str; 9] =
    ["identity", "slot", "boot", "selftest", "measure", "log", "liveness", "command", "link"];

const LATER: [&str; 11] = [
    "series",
    "resource",
    "persistence",
    "interop",
    "compare",
    "soak",
    "fault",
    "rollback_drill",
    "operator",
    "bench",
    "approve",
];

/// Reads `kind` and refuses what this version does not know.
pub(super) fn known(section: &mut Section<'_>) -> Option<&'static str> {
    let (word, at) = section.required_text("kind")?;
    let supported = SUPPORTED.join(", ");
    let found = SUPPORTED.iter().find(|kind| **kind == word).copied();
    if LATER.contains(&word) {
        section.problem_at(
            at,
            format!(
                "check kind \"{word}\" is not supported yet by this \
            version (supported: {supported})"
            ),
        );
    } else if found.is_none() {
        section.problem_at(at, format!("unknown check kind \"{word}\"; allowed: {supported}"));
    }
    found
}

/// Reads the parameters of `kind`; `None` when they have problems, which are reported.
pub(super) fn parameters(
    kind: &str,
    section: &mut Section<'_>,
    context: Context<'_>,
) -> Option<CheckKind> {
    let role = context.role;
    match kind {
        "identity" => Some(CheckKind::Identity { role, serial_re: section.pattern("serial_re") }),
        "slot" => Some(CheckKind::Slot { role }),
        "boot" => Some(boot(section, context)),
        "selftest" => Some(selftest(section)),
        "measure" => measure(section),
        "log" => Some(log(section)),
        "liveness" => liveness(section),
        "command" => command(section),
        "link" => link(section),
        _ => None,
    }
}

fn boot(section: &mut Section<'_>, context: Context<'_>) -> CheckKind {
    if !context.role.runs_new() {
        section.problem("a boot check needs a stage on slot \"trial\" or \"committed\"");
    }
    let ready = time_limits(section);
    let reset_cause = section.texts("reset_cause").unwrap_or_default();
    let max_attempts = section.count("max_attempts", 1..=10_000).and_then(|n| n.try_into().ok());
    // One attempt too many has to be possible, or the check could never fail.
    let trial_boots = u32::from(context.timeouts.trial_boots);
    let possible = trial_boots.min(u32::from(MAX_ARMED));
    if max_attempts.is_some_and(|attempts| attempts >= possible) {
        let text = format!(
            "`max_attempts` must be less than {possible}, the boots that the device may make in a \
                row, else no attempt could be one too many (trial_boots is {trial_boots}, a device \
                arms at most {MAX_ARMED})"
        );
        section.problem_at(section.at("max_attempts"), text);
    }
    CheckKind::Boot { ready, reset_cause, max_attempts }
}

fn selftest(section: &mut Section<'_>) -> CheckKind {
    let only = section.texts("only").unwrap_or_default();
    let min_checks = section.count("min_checks", 0..=1000).and_then(|n| n.try_into().ok());
    CheckKind::Selftest { only, min_checks: min_checks.unwrap_or(SELFTEST_MIN_CHECKS) }
}

fn measure(section: &mut Section<'_>) -> Option<CheckKind> {
    let source = section.required_text("source").map(|(source, _)| source.to_owned());
    let unit = section.text("unit").map(|(unit, _)| unit.to_owned());
    section.require("limits", "limits, such as { ge = 3.14, le = 3.47 }");
    let limits = limits::read(section)?;
    if unit.is_none() && limits::are_numeric(&limits) {
        section.problem_at(
            section.at("limits"),
            "limits of a number need `unit`; write for example unit = \"V\", or unit = \"\" for \
                a plain count",
        );
    }
    Some(CheckKind::Measure { source: source?, unit: unit.unwrap_or_default(), limits })
}

fn log(section: &mut Section<'_>) -> CheckKind {
    let (require, forbid) = (section.patterns("require"), section.patterns("forbid"));
    if require.is_empty() && forbid.is_empty() {
        section.problem("a log check needs `require` or `forbid`, such as forbid = [\"panic\"]");
    }
    CheckKind::Log { require, forbid, window_ms: section.duration_ms("window").unwrap_or(0) }
}

fn liveness(section: &mut Section<'_>) -> Option<CheckKind> {
    section.require("window", "how long to watch, such as \"60s\"");
    section.require("interval", "the pause between two questions, such as \"1s\"");
    let (window_ms, interval_ms) = (section.duration_ms("window"), section.duration_ms("interval"));
    let gap = time_limits(section);
    let min_rate_hz = section.positive("min_rate_hz");
    if !section.has("limits") && !section.has("min_rate_hz") {
        section.problem("a liveness check needs `limits` on the longest gap or `min_rate_hz`");
    }
    let (window_ms, interval_ms) = (window_ms?, interval_ms?);
    if interval_ms >= window_ms {
        let text = format!(
            "`interval` is {interval_ms} ms, it must be shorter than `window`, which is \
                {window_ms} ms"
        );
        section.problem_at(section.at("interval"), text);
    }
    refuse_impossible_rate(section, min_rate_hz, interval_ms);
    Some(CheckKind::Liveness { window_ms, interval_ms, gap, min_rate_hz })
}

fn refuse_impossible_rate(section: &Section<'_>, min_rate_hz: Option<f64>, interval_ms: u64) {
    let most_hz = 1.0 / TimeUnit::S.of_us(interval_ms.saturating_mul(1000));
    if let Some(rate_hz) = min_rate_hz.filter(|rate_hz| *rate_hz > most_hz) {
        let text = format!(
            "`min_rate_hz` is {rate_hz}, an interval of {interval_ms} ms allows at most \
                {most_hz} Hz"
        );
        section.problem_at(section.at("min_rate_hz"), text);
    }
}

fn command(section: &mut Section<'_>) -> Option<CheckKind> {
    section.require("argv", "program and arguments, such as [\"./check.sh\", \"--fast\"]");
    let argv = section.texts("argv");
    let exit = section.count("exit", 0..=255).and_then(|n| n.try_into().ok()).unwrap_or(0);
    let stdout_re = section.pattern("stdout_re");
    let argv = argv?;
    if argv.first().is_none_or(String::is_empty) {
        section.problem_at(
            section.at("argv"),
            "`argv` names no program; write for example [\"./check.sh\"]",
        );
    }
    Some(CheckKind::Command { argv, exit, stdout_re })
}

fn link(section: &mut Section<'_>) -> Option<CheckKind> {
    section.require("metric", "loss, rtt_max or rtt_median");
    section.require("count", "how many questions to send");
    section.require("interval", "the pause between two questions, such as \"100ms\"");
    section.require("limits", "limits, such as { le = 1 }");
    let metric = link_metric(section);
    let count = section.count("count", 1..=10_000).and_then(|n| n.try_into().ok());
    let interval_ms = section.duration_ms("interval");
    let limits = limits::read_numeric(section);
    Some(CheckKind::Link {
        metric: metric?,
        count: count?,
        interval_ms: interval_ms?,
        limits: limits?,
    })
}

fn link_metric(section: &mut Section<'_>) -> Option<LinkMetric> {
    let words = [("loss", None), ("rtt_max", Some(true)), ("rtt_median", Some(false))];
    match section.choice("metric", &words) {
        Some(None) => {
            section.require("unit", "unit = \"%\"");
            section.choice("unit", &[("%", LinkMetric::Loss)])
        }
        Some(Some(true)) => time_unit(section).map(LinkMetric::RttMax),
        Some(Some(false)) => time_unit(section).map(LinkMetric::RttMedian),
        None => {
            section.text("unit");
            None
        }
    }
}

/// Optional limits of a time, which then need a unit.
fn time_limits(section: &mut Section<'_>) -> Option<TimeLimits> {
    if !section.has("limits") {
        if let Some((_, at)) = section.text("unit") {
            section.problem_at(at, "`unit` without `limits` means nothing; add limits or drop it");
        }
        section.value("limits");
        return None;
    }
    let limits: Option<Limits> = limits::read_numeric(section);
    let unit = time_unit(section);
    Some(TimeLimits { unit: unit?, limits: limits? })
}

fn time_unit(section: &mut Section<'_>) -> Option<TimeUnit> {
    section.require("unit", "the unit of the limits: \"us\", \"ms\" or \"s\"");
    section.choice("unit", &[("us", TimeUnit::Us), ("ms", TimeUnit::Ms), ("s", TimeUnit::S)])
}
