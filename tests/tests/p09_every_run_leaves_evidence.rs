//! P9, every run leaves evidence: whole when the run ends, shorter and still valid when it is killed,
//! and every later change to it is found.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;
use std::path::Path;

use integration::cli::wait_for;
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{Release, Site, plan_with};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The chain as EVIDENCE.md tells to compute it by hand, without any code of the tool.
fn assert_chain_holds(record: &Path) -> Vec<Value> {
    let text = fs::read(record).unwrap();
    let mut want = hex(&Sha256::digest(b"noflake record v1\n"));
    let mut entries = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        assert_eq!(line.last(), Some(&b'\n'), "whole lines only: {}", line.escape_ascii());
        let entry: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(entry["metadata"]["prev"], want.as_str(), "line {}", entries.len() + 1);
        assert_eq!(entry["sequenceNumber"], entries.len());
        want = hex(&Sha256::digest(line));
        entries.push(entry);
    }
    entries
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The trace tells of every phase, in their order, and of what was done in each.
fn assert_trace_follows(trace: &Path, phases: &[&str]) {
    let trace = fs::read_to_string(trace).unwrap();
    let mut rest = trace.as_str();
    for phase in phases {
        let (_, behind) = rest
            .split_once(&format!("enters phase={phase:?}"))
            .unwrap_or_else(|| panic!("no phase {phase} where it belongs:\n{trace}"));
        assert!(behind.contains("does at_ms="), "nothing is done in {phase}:\n{trace}");
        rest = behind;
    }
}

#[test]
fn a_run_that_ends_leaves_record_reports_and_trace_and_says_where() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let ended = site.noflake(&["--format", "json", "deploy", &bundle, "-d", "sim:"]).code(0);
    let folder = site.path(ended.json()["evidence"].as_str().unwrap());
    let entries = assert_chain_holds(&folder.join("record.jsonl"));
    let last = entries.last().unwrap();
    assert_eq!(last["metadata"]["runEnd"]["exit_code"], 0, "{last}");
    let junit = fs::read_to_string(folder.join("junit.xml")).unwrap();
    assert!(junit.contains("<testsuite"), "{junit}");
    assert!(fs::read_to_string(folder.join("summary.md")).unwrap().contains("1.1.0"));
    assert_trace_follows(&folder.join("trace.log"), &["precheck", "stage", "trial", "confirm"]);
    let show = site.noflake(&["report", "show", &folder.display().to_string()]).code(0);
    let _ = show.says("QUALIFIED: committed").says_not("interrupted");
}

#[test]
fn a_killed_run_leaves_a_valid_shorter_record_that_says_so() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let slow = plan_with("id = \"wait\"\nkind = \"command\"\nargv = [\"sleep\", \"60\"]");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&slow));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the trial boot", || (boots(device.state())[1] == 1).then_some(()));
    let run = wait_for("a finished check", || {
        let run = site.runs().pop()?;
        let record = fs::read_to_string(run.join("record.jsonl")).ok()?;
        record.contains("diagnosis").then_some(run)
    });
    host.kill();
    assert!(assert_chain_holds(&run.join("record.jsonl")).len() > 5);
    let run = run.display().to_string();
    let _ = site.noflake(&["report", "show", &run]).code(0).says("interrupted");
    let shown = site.noflake(&["--format", "json", "report", "show", &run]).code(0).json();
    assert_eq!(shown["complete"], false);
    assert_eq!(shown["verdict"], Value::Null, "no verdict that nobody came to");
}

#[test]
fn a_record_that_was_changed_is_refused_with_the_line() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, "sim:").code(0);
    let run = site.runs().remove(0);
    let record = run.join("record.jsonl");
    let whole = fs::read_to_string(&record).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let dropped = [&lines[..4], &lines[5..]].concat();
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    let changed = whole.replacen("1.1.0", "1.1.1", 1);
    for spoilt in [dropped.join("\n") + "\n", swapped.join("\n") + "\n", changed] {
        fs::write(&record, spoilt).unwrap();
        let shown = site.noflake(&["report", "show", &run.display().to_string()]).code(2);
        let _ = shown.says("line ").says_not("panicked");
    }
}
