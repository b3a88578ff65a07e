//! What `noflake report show` prints: plain text, the verdict first, one line a check.

use super::words;
use crate::evidence::{CheckView, DeviceFacts, NoteSeverity, PhaseView, RunView, utc_from_unix_ms};
use crate::verdict::CheckVerdict;

/// Renders a run for people at a terminal. No colour, no control character but the line feed.
#[must_use]
pub fn run_text(view: &RunView) -> String {
    let mut lines = vec![
        format!("{}: {}", words::verdict_of(view).to_uppercase(), words::outcome_of(view)),
        words::signed(view),
    ];
    if let Some(end) = &view.end {
        lines.extend([&end.message].into_iter().filter(|text| !text.is_empty()).cloned());
        lines.extend(end.next_command.iter().map(|command| format!("next: {command}")));
    }
    lines.push(String::new());
    lines.extend(facts(view));
    lines.push(String::new());
    lines.extend(table(view.phases.iter().map(phase_row)));
    if !view.phases.is_empty() {
        lines.push(String::new());
    }
    lines.push(format!("checks: {}", words::counts(view)));
    let checks = view.stages.iter().flat_map(|stage| &stage.checks);
    lines.extend(table(checks.map(check_row)));
    if !view.notes.is_empty() {
        lines.push(String::new());
    }
    lines.extend(
        view.notes.iter().map(|note| format!("{}: {}", severity(note.severity), note.text)),
    );
    lines.push(String::new());
    lines.push(words::integrity(&view.integrity));
    lines.join("\n") + "\n"
}

fn facts(view: &RunView) -> Vec<String> {
    let run = &view.run;
    let mut rows = vec![
        vec![
            "plan".into(),
            run.plan.id.clone(),
            run.plan.version.clone(),
            digest(&run.plan.digest),
        ],
        vec![
            "bundle".into(),
            run.bundle.product.clone(),
            run.bundle.version.clone(),
            digest(&run.bundle.digest),
        ],
    ];
    rows.extend(view.before.as_ref().map(|facts| device_row("before", facts)));
    rows.extend(view.after.as_ref().map(|facts| device_row("after", facts)));
    let mut lines = table(rows);
    let seed = run.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    lines.push(format!(
        "  at {}, bench {}{seed}",
        or_unknown(&run.device_address),
        or_unknown(&run.bench)
    ));
    let downtime = view.end.as_ref().and_then(|end| end.downtime_ms);
    let downtime =
        downtime.map_or_else(|| "not measured".to_owned(), |ms| words::seconds(ms) + " s");
    lines
        .push(format!("  started {}, downtime {downtime}", utc_from_unix_ms(view.started_unix_ms)));
    lines
}

fn device_row(moment: &str, facts: &DeviceFacts) -> Vec<String> {
    vec![
        moment.to_owned(),
        format!("{} {} {} {}", facts.product, facts.hardware, facts.revision, facts.serial),
        facts.version.clone(),
        digest(&facts.bundle),
        format!("slot {}, boot {}, reset {}", facts.slot, facts.boot_nonce, facts.reset_cause),
    ]
}

fn phase_row(phase: &PhaseView) -> Vec<String> {
    let time = phase.ended_unix_ms.map(|ended| ended.saturating_sub(phase.started_unix_ms));
    let values = phase.measurements.iter().map(|m| format!("{} {}", m.name, words::value(m)));
    let remarks = phase.reason.clone().into_iter().chain(values).collect::<Vec<_>>().join(", ");
    vec![
        phase.phase.name().to_owned(),
        words::ending(phase.ending).to_owned(),
        time.map(|ms| words::seconds(ms) + " s").unwrap_or_default(),
        remarks,
    ]
}

fn check_row(check: &CheckView) -> Vec<String> {
    let id = &check.start.id;
    vec![
        mark(check.verdict),
        format!("{}/{}", id.stage, id.check),
        words::shown_value(check),
        words::shown_limits(check),
        check.reason.clone(),
    ]
}

/// What needs a person's eye is in capitals.
fn mark(verdict: CheckVerdict) -> String {
    let word = words::check_verdict(verdict);
    match verdict {
        CheckVerdict::Pass | CheckVerdict::Skip => word.to_owned(),
        CheckVerdict::Marginal
        | CheckVerdict::Flaky
        | CheckVerdict::Inconclusive
        | CheckVerdict::Error
        | CheckVerdict::NotRun
        | CheckVerdict::Fail => word.to_uppercase(),
    }
}

const fn severity(severity: NoteSeverity) -> &'static str {
    match severity {
        NoteSeverity::Info => "note",
        NoteSeverity::Warning => "warning",
        NoteSeverity::Error => "error",
    }
}

fn digest(digest: &str) -> String {
    if digest.is_empty() { String::new() } else { format!("sha256 {}", words::short(digest)) }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// Rows with aligned columns, two blanks in front and between. An over-long cell does not push the others.
fn table(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default().min(COLUMN_MAX_CHARS)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let padded = cells.map(|(cell, width)| format!("  {cell:<width$}"));
        padded.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Wide enough for ids, values and the usual pair of limits.
const COLUMN_MAX_CHARS: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;

    #[test]
    fn a_rejected_run_is_rendered_exactly() {
        assert_eq!(run_text(&sample::view()), REJECTED);
    }

    #[test]
    fn an_interrupted_record_says_where_it_ends() {
        let text = run_text(&sample::view_of(sample::run().into_iter().take(5)));
        assert!(text.starts_with("INTERRUPTED: the record has no end\nnot signed\n"), "{text}");
        assert!(text.contains("\nrecord ends at line 6 (interrupted, 12 bytes of a"), "{text}");
        assert!(text.contains("checks: 0 pass, 0 fail, 0 error, 0 flaky, 4 not run"), "{text}");
    }

    #[test]
    fn an_empty_record_is_rendered_without_a_guess() {
        let text = run_text(&sample::view_of([]));
        assert!(text.contains("at unknown, bench unknown"), "{text}");
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell_and_an_empty_one_is_left_out() {
        let rows = [["a", "", "1"], ["bbb", "", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(rows), ["  a    1", "  bbb  22"]);
    }

    const REJECTED: &str = r#"REJECTED: rolled back, exit 1
not signed
log-clean failed; version 2.0.0 runs again in slot A
next: noflake report show runs/x

  plan    rover-nav.release         7      sha256 9a02
  bundle  rover-nav                 2.1.0  sha256 bd01
  before  rover-nav rn-mcu C SN-17  2.0.0  sha256 aa00  slot A, boot n1, reset power_on
  after   rover-nav rn-mcu C SN-17  2.0.0  sha256 aa00  slot A, boot n3, reset power_on
  at tcp:10.0.0.5:7700, bench bench-3, seed 7
  started 2026-11-22T20:46:40Z, downtime 4.200 s

  precheck  done     2.000 s
  stage     resumed  2.000 s   sent 65536 B
  trial     done     2.000 s
  checks    done     16.000 s
  rollback  done     1.000 s
  verify    done     2.000 s

checks: 1 pass, 1 fail, 0 error, 1 flaky, 1 not run
  pass     oq/rail-3v3   3.31 V  >= 3.13, <= 3.47, marginal >= 3.18
  FLAKY    oq/cold-boot                                              passed in attempt 2 of 2
  FAIL     oq/log-clean                                              the log has "panic | <nav>"
  NOT RUN  pq/soak                                                   the record ends before its end

warning: the lab door was open

record complete, 35 lines, each chained to the next; compare the head with one noted elsewhere: c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee
"#;
}
