//! Records of runs that were written to be read: their chain holds, every line is short enough, and what they say is meant
//! to cost whoever looks at them.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::time::{Duration, SystemTime};

use integration::hostile;
use integration::site::Site;
use noflake::evidence::{CheckId, Entry, Phase, Recorder, RunFolder, RunStart, Step, Validator};
use noflake::measurement::Measurement;

/// For each command: far more than any takes.
const WITHIN: Duration = Duration::from_secs(100);

fn record(site: &Site, entries: impl Iterator<Item = Entry>) -> String {
    let at = SystemTime::UNIX_EPOCH;
    let folder = RunFolder::create(&site.path("records"), at, "x").unwrap();
    let mut recorder = Recorder::start(&folder, at).unwrap();
    for entry in entries {
        recorder.append(entry, at).unwrap();
    }
    folder.path().display().to_string()
}

fn check(stage: usize) -> CheckId {
    CheckId { stage: format!("{stage:x}"), check: "a".to_owned() }
}

/// A value of a check, held against a list of so many.
fn measured(listed: usize) -> Entry {
    let values = vec![serde_json::Value::from(0); listed];
    Entry::CheckMeasurement {
        check: check(0),
        attempt: if listed > 1 { 1 } else { 2 },
        measurement: Measurement::number("a", 0.0, ""),
        validators: vec![Validator::new("in".to_owned(), &values.into())],
    }
}

#[test]
fn a_record_that_names_more_than_a_plan_holds_is_refused_at_that_line_and_takes_no_memory() {
    let site = Site::new();
    let planned = |line: usize| (0..30_000).map(|stage| check(line * 30_000 + stage)).collect();
    let starts = (0..8).map(|line| RunStart { planned: planned(line), ..RunStart::default() });
    let many_stages = record(&site, starts.map(|start| Entry::RunStart(Box::new(start))));
    let open = (0..1_000).map(|stage| Entry::StepStart(Step::Stage(stage.to_string())));
    let many_open =
        record(&site, [Entry::StepStart(Step::Phase(Phase::Checks))].into_iter().chain(open));
    let begun = || Entry::RunStart(Box::default());
    let twice = record(&site, [begun(), begun()].into_iter());
    for (run, line, expected) in [
        (&many_stages, 2, "at most 256 stages, as in a plan"),
        (&many_open, 259, "at most 256 stages, as in a plan"),
        (&twice, 3, "one testRunStart, before everything that it begins"),
    ] {
        for command in ["show", "verify"] {
            let read = hostile::run(command, &site, &["report", command, run], WITHIN);
            let line = format!("line {line} of ");
            let _ = read.ended.code(2).says(&line).says(expected);
        }
    }
}

/// What is within the bounds is read, in memory that stays near the length of the record.
#[test]
fn a_record_of_long_limits_takes_little_more_memory_than_its_text() {
    let site = Site::new();
    let begin = [Entry::RunStart(Box::default())];
    // The last one is what a table shows.
    let listed = std::iter::repeat_n(measured(100_000), 30).chain([measured(1)]);
    let run = record(&site, begin.into_iter().chain(listed));
    for command in ["show", "verify"] {
        let read = hostile::run(command, &site, &["report", command, &run], WITHIN);
        let _ = read.ended.code(0).says("end");
    }
}
