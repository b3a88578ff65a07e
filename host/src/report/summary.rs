//! `summary.md`, for the job summary of a CI service: the verdict first, at most 1 MiB.
//!
//! Plan and device text is Markdown-escaped: a check may not be able to draw a heading, an image or a link.

use super::words;
use crate::evidence::{CheckView, DeviceFacts, Outcome, RunView};
use crate::verdict::CheckVerdict;

/// Renders a run as GitHub-flavoured Markdown.
#[must_use]
pub fn summary_markdown(view: &RunView) -> String {
    let mut out = headline(view);
    out += &next_step(view);
    out += &device(view);
    let checks = || view.stages.iter().flat_map(|stage| &stage.checks);
    out += "### Checks: ";
    out += &words::counts(view);
    out += "\n\n";
    out += "| check | verdict | value | limits | reason |\n|---|---|---|---|---|\n";
    push_rows(&mut out, checks().map(check_row), CHECKS_MAX_BYTES);
    out.push('\n');
    let deviations: Vec<String> = checks().filter(|c| deviates(c.verdict)).map(deviation).collect();
    if !deviations.is_empty() {
        out += "### Deviations\n\n";
        push_rows(&mut out, deviations, DEVIATIONS_MAX_BYTES);
        out.push('\n');
    }
    out += "<details><summary>Phases and measurements</summary>\n\n";
    push_rows(&mut out, details(view), DETAILS_MAX_BYTES);
    out + "\n</details>\n\n"
        + &escape(&words::integrity(&view.integrity))
        + "; "
        + &words::signed(view)
        + "\n"
}

fn headline(view: &RunView) -> String {
    let run = &view.run;
    let mut out = format!("## {}: {}\n\n", words::verdict_of(view), words::outcome_of(view));
    if let Some(message) = view.end.as_ref().map(|end| &end.message).filter(|m| !m.is_empty()) {
        out += &cell(message);
        out += "\n\n";
    }
    out + &format!(
        "Bundle {} {}, plan {} {}, device {}, bench {}\n\n",
        cell(&run.bundle.product),
        cell(&run.bundle.version),
        cell(&run.plan.id),
        cell(&run.plan.version),
        cell(&run.device_address),
        cell(&run.bench),
    )
}

fn next_step(view: &RunView) -> String {
    let command = view.end.as_ref().and_then(|end| end.next_command.as_ref());
    command.map(|command| format!("**Next:** {}\n\n", code(command))).unwrap_or_default()
}

fn device(view: &RunView) -> String {
    let mut out = "| device | product | hardware | serial | slot | version | bundle | reset |\n\
                   |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let absent = ["not known", after_unseen(view)];
    let rows = [("before", &view.before), ("after", &view.after)];
    for ((moment, facts), absent) in rows.into_iter().zip(absent) {
        out += &facts.as_ref().map_or_else(
            || format!("| {moment} | {absent} | | | | | | |\n"),
            |facts| device_row(moment, facts),
        );
    }
    let downtime = view.end.as_ref().and_then(|end| end.downtime_ms);
    let downtime =
        downtime.map_or_else(|| "not measured".to_owned(), |ms| words::seconds(ms) + " s");
    out + &format!("\nDowntime: {downtime}\n\n")
}

/// What is true of a device that was not asked again: one that refused runs what it ran.
fn after_unseen(view: &RunView) -> &'static str {
    let refused = view.end.as_ref().is_some_and(|end| end.outcome == Outcome::Refused);
    if refused && view.before.is_some() { "unchanged" } else { "not known" }
}

fn device_row(moment: &str, facts: &DeviceFacts) -> String {
    let hardware = format!("{} {}", facts.hardware, facts.revision);
    row(&[
        moment,
        &facts.product,
        hardware.trim(),
        &facts.serial,
        &facts.slot,
        &facts.version,
        &words::short(&facts.bundle),
        &facts.reset_cause,
    ])
}

fn check_row(check: &CheckView) -> String {
    let verdict = words::check_verdict(check.verdict);
    let id = &check.start.id;
    row(&[
        &format!("{}/{}", id.stage, id.check),
        verdict,
        &words::shown_value(check),
        &words::shown_limits(check),
        &check.reason,
    ])
}

/// Not a plain pass and not a plain failure: what a person who signs has to know of.
const fn deviates(verdict: CheckVerdict) -> bool {
    match verdict {
        CheckVerdict::Pass => false,
        CheckVerdict::Skip
        | CheckVerdict::Marginal
        | CheckVerdict::Flaky
        | CheckVerdict::Inconclusive
        | CheckVerdict::Error
        | CheckVerdict::NotRun
        | CheckVerdict::Fail => true,
    }
}

fn deviation(check: &CheckView) -> String {
    let id = &check.start.id;
    let severity = if check.start.severity.is_empty() { "unknown" } else { &check.start.severity };
    format!(
        "- {}/{} ({}, severity {}): {}\n",
        cell(&id.stage),
        cell(&id.check),
        words::check_verdict(check.verdict),
        cell(severity),
        cell(&check.reason)
    )
}

fn details(view: &RunView) -> Vec<String> {
    let mut lines = Vec::new();
    for phase in &view.phases {
        lines.push(format!("- {}: {}\n", phase.phase.name(), words::ending(phase.ending)));
        let values = phase.measurements.iter();
        lines
            .extend(values.map(|m| format!("  - {}: {}\n", cell(&m.name), cell(&words::value(m)))));
    }
    for check in view.stages.iter().flat_map(|stage| &stage.checks) {
        let id = &check.start.id;
        lines.push(format!("- {}/{}\n", cell(&id.stage), cell(&id.check)));
        let attempts = check.attempts.iter();
        lines.extend(attempts.map(|(n, a)| format!("  - {}\n", cell(&words::attempt(*n, a)))));
    }
    lines
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Adds rows as long as they fit into `max_bytes`, and says how many did not.
fn push_rows(out: &mut String, rows: impl IntoIterator<Item = String>, max_bytes: usize) {
    let mut room = max_bytes;
    let mut left_out = 0_usize;
    for row in rows {
        // After the first row that does not fit none is added: a table with gaps misleads.
        if left_out == 0 && row.len() <= room {
            room -= row.len();
            out.push_str(&row);
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        out.extend(["\n", &left_out.to_string(), " more are in record.jsonl\n"]);
    }
}

/// Escaped and short enough for a cell.
fn cell(text: &str) -> String {
    if text.chars().count() <= CELL_MAX_CHARS {
        return escape(text);
    }
    escape(&text.chars().take(CELL_MAX_CHARS).collect::<String>()) + "..."
}

/// Takes every meaning from a text that Markdown, HTML or a mention could give it.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // A backslash does not stop a mention.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(character);
            }
            '\n' | '\r' => out.push(' '),
            _ => out.push(character),
        }
    }
    // Bare addresses become links without any markup.
    out.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")
}

/// A code span; nothing is escaped inside one, so the one character that ends it is replaced.
fn code(text: &str) -> String {
    format!("`{}`", text.replace(['`', '\n', '\r'], "'"))
}

// GitHub drops a job summary beyond 1 MiB as a whole. The four budgets leave 64 KiB for the rest.
const CHECKS_MAX_BYTES: usize = 512 * 1024;
const DEVIATIONS_MAX_BYTES: usize = 128 * 1024;
const DETAILS_MAX_BYTES: usize = 320 * 1024;
const CELL_MAX_CHARS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{CheckId, Entry, sample};

    #[test]
    fn a_rejected_run_is_rendered_exactly() {
        assert_eq!(summary_markdown(&sample::view()), REJECTED);
    }

    #[test]
    fn device_text_has_no_meaning_in_markdown() {
        let text = "# x | <img src=y> [a](b) @all `c` *d* https://e www.f";
        assert_eq!(
            escape(text),
            "\\# x \\| &lt;img src=y&gt; \\[a\\](b) &#64;all \\`c\\` \\*d\\* https:&#47;&#47;e www&#46;f"
        );
        assert_eq!(code("a`b\nc"), "`a'b'c`");
    }

    #[test]
    fn a_run_of_very_many_checks_stays_under_one_mebibyte_and_says_what_is_missing() {
        let entries = (0..20_000).map(|n| {
            let entry = Entry::CheckEnd {
                check: CheckId { stage: "s".into(), check: format!("c{n}") },
                verdict: CheckVerdict::Fail,
                reason: "|".repeat(400),
            };
            (sample::at(0), entry)
        });
        let summary = summary_markdown(&sample::view_of(entries));
        assert!(summary.len() <= 1024 * 1024, "{}", summary.len());
        assert!(summary.contains("more are in record.jsonl"));
        assert!(summary.contains("</details>"));
    }

    #[test]
    fn a_device_that_never_answered_is_not_known() {
        let summary = summary_markdown(&sample::view_of([]));
        assert!(summary.contains("| before | not known |"), "{summary}");
        assert!(summary.starts_with("## interrupted: the record has no end\n"), "{summary}");
    }

    #[test]
    fn a_device_that_refused_is_unchanged() {
        let summary = summary_markdown(&sample::refused());
        assert!(summary.contains("| after | unchanged |"), "{summary}");
        let summary = summary_markdown(&sample::view_of(sample::run().into_iter().take(5)));
        assert!(summary.contains("| after | not known |"), "{summary}");
    }

    const REJECTED: &str = r#"## rejected: rolled back, exit 1

log-clean failed; version 2.0.0 runs again in slot A

Bundle rover-nav 2.1.0, plan rover-nav.release 7, device tcp:10.0.0.5:7700, bench bench-3

**Next:** `noflake report show runs/x`

| device | product | hardware | serial | slot | version | bundle | reset |
|---|---|---|---|---|---|---|---|
| before | rover-nav | rn-mcu C | SN-17 | A | 2.0.0 | aa00 | power\_on |
| after | rover-nav | rn-mcu C | SN-17 | A | 2.0.0 | aa00 | power\_on |

Downtime: 4.200 s

### Checks: 1 pass, 1 fail, 0 error, 1 flaky, 1 not run

| check | verdict | value | limits | reason |
|---|---|---|---|---|
| oq/rail-3v3 | pass | 3.31 V | &gt;= 3.13, &lt;= 3.47, marginal &gt;= 3.18 |  |
| oq/cold-boot | flaky |  |  | passed in attempt 2 of 2 |
| oq/log-clean | fail |  |  | the log has "panic \| &lt;nav&gt;" |
| pq/soak | not run |  |  | the record ends before its end |

### Deviations

- oq/cold-boot (flaky, severity blocker): passed in attempt 2 of 2
- oq/log-clean (fail, severity blocker): the log has "panic \| &lt;nav&gt;"
- pq/soak (not run, severity unknown): the record ends before its end

<details><summary>Phases and measurements</summary>

- precheck: done
- stage: resumed
  - sent: 65536 B
- trial: done
- checks: done
- rollback: done
- verify: done
- oq/rail-3v3
  - attempt 1: error: the meter did not answer in 2 s
  - attempt 2: pass; rail\_3v3 = 3.31 V (&gt;= 3.13, &lt;= 3.47, marginal &gt;= 3.18)
- oq/cold-boot
  - attempt 1: fail: ready after 9.2 s, limit 8 s
  - attempt 2: pass
- oq/log-clean
  - attempt 1: fail: the log has "panic \| &lt;nav&gt;"
- pq/soak

</details>

record complete, 35 lines, each chained to the next; compare the head with one noted elsewhere: c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee; not signed
"#;
}
