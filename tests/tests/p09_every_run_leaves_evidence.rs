//! P9, every run leaves evidence: whole when the run ends, shorter and still valid when it is killed,
//! and every later change to it is found.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;
use std::path::Path;

use ed25519_dalek::SigningKey;
use integration::cli::{Running, noflake, wait_for};
use integration::office::Office;
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{Release, Site, plan_with};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The program that signs, whichever key it is told to.
const SIGNER: &str = env!("CARGO_BIN_EXE_signer");

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
fn a_killed_run_leaves_a_valid_shorter_record_that_says_so_and_where_its_signed_part_ends() {
    let office = Office::new(&[("bench", "bench")]);
    let site = &office.site;
    let device = Simulator::start(site, &SimOptions::tcp());
    let slow = plan_with("id = \"wait\"\nkind = \"command\"\nargv = [\"sleep\", \"60\"]");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&slow));
    let mut command = noflake();
    let deploy = ["deploy", &bundle, "-d", &device.address(), "--sign", "bench.key"];
    command.args(deploy).args(["--passphrase-fd", "0"]);
    let host = Running::spawn(site.folder(), command, "secret\n");
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
    let (signed, lines) = (&shown["signed"][0], shown["record"]["lines"].as_u64().unwrap());
    assert_eq!(signed["to_end"], false);
    let signed = signed["lines"].as_u64().unwrap();
    assert!(signed > 2 && signed < lines, "behind the last step that ended: {signed} of {lines}");
    let told = site.noflake(&["report", "show", &run]).code(0);
    let _ = told.says(&format!("signed up to line {signed} of {lines} by "));
    let verify = ["report", "verify", &run, "--key", "bench.pub"];
    let missing = format!("line {} is missing: the record ends before it", lines + 1);
    site.noflake(&verify).code(2).says(&missing).is_one_clear_error();
}

/// Takes a key in that a program signs with, and names it in the configuration: no test waits for scrypt.
fn bench_key(site: &Site, name: &str, seed: u8) {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    let (key, seed) = (hex(&key.to_bytes()), seed.to_string());
    let adopt = ["key", "adopt", "--role", "bench", "--public-key", &key, name, "--"];
    let _ = site.noflake(&[&adopt[..], &[SIGNER, &seed]].concat()).code(0);
}

#[test]
fn a_signed_run_is_verified_by_the_key_of_its_bench_and_by_no_other() {
    let site = Site::new();
    for (name, seed) in [("bench", 41), ("other", 42)] {
        bench_key(&site, name, seed);
    }
    let bundle = site.bundle(&Release::new("1.1.0"));
    let deploy = ["--format", "json", "deploy", &bundle, "-d", "sim:", "--sign", "bench.signer"];
    let deployed = site.noflake(&deploy).code(0).says("is to sign the evidence").json();
    let run = deployed["evidence"].as_str().unwrap();
    let show = site.noflake(&["report", "show", run]).code(0);
    let hint = deployed["signed_by"].as_str().unwrap();
    let _ = show.says(&format!("signed to the end by {hint}"));
    let summary = fs::read_to_string(site.path(run).join("summary.md")).unwrap();
    assert!(summary.contains(&format!("signed to the end by {hint}")), "{summary}");

    let verify = |keys: &[&str]| site.noflake(&[&["report", "verify", run], keys].concat());
    let _ = verify(&["--key", "other.pub", "--key", "bench.pub"]).code(0).says("one of the keys");
    let _ = verify(&[]).code(0).says("is not proven");
    let other = verify(&["--key", "other.pub"]).code(2).says("line 1 is not signed by a key");
    other.says(hint).is_one_clear_error();
    // A key that signs something else says nothing about evidence.
    let public = fs::read_to_string(site.path("bench.pub")).unwrap();
    site.write("release.pub", &public.replace("bench", "release"));
    let _ =
        verify(&["--key", "release.pub"]).code(2).says("is a release key, expected a bench key");

    fs::remove_file(site.path(run).join("signatures.jsonl")).unwrap();
    let _ = verify(&["--key", "bench.pub"]).code(2).says("line 1 is not signed, nor is any other");
    let _ = verify(&[]).code(0).says("not signed: nothing says who wrote it");
}

/// The verdict stands, the shell hears of the evidence: no certificate that wants a signature is made from it.
#[test]
fn a_signer_that_fails_at_the_end_changes_no_verdict_and_one_that_fails_at_the_begin_lets_nothing_begin()
 {
    let site = Site::new();
    bench_key(&site, "bench", 41);
    let program = |script: String| {
        let text = format!("schema = \"signer/1\"\nprogram = [\"sh\", \"-c\", {script:?}]\n");
        site.write("bench.signer", &text);
    };
    site.write(
        "noflake.toml",
        "runs = \"runs\"\n[trust]\nroot = \"trust/root.nfr\"\nbench_key = \"bench.signer\"\n",
    );
    let failing = plan_with("id = \"no\"\nkind = \"command\"\nargv = [\"false\"]");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&failing));
    program(format!("test ! -e once && touch once && exec {SIGNER} 41"));
    let ended = site.noflake(&["--format", "json", "deploy", &bundle, "-d", "sim:"]).code(3);
    let lines: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [result, error] = lines.as_slice() else { panic!("{ended:?}") };
    assert_eq!((&result["verdict"], &result["exit"]), (&"rejected".into(), &1.into()));
    assert_eq!(result["signed_by"], Value::Null);
    let said = error["error"].as_str().unwrap();
    assert!(said.contains("is signed up to line 2 of") && said.contains("the verdict"), "{said}");
    let run = site.runs().remove(0).display().to_string();
    let shown = site.noflake(&["report", "show", &run]).code(0).says("REJECTED: rolled back");
    let _ = shown.says("signed up to line 2 of");
    let _ = site.noflake(&["report", "verify", &run, "--key", "bench.pub"]).code(2).says("line 3 ");

    let device = Simulator::start(&site, &SimOptions::tcp());
    program("exit 1".to_owned());
    let ended = site.noflake(&["deploy", &bundle, "-d", &device.address()]).code(3);
    ended.says("sh refused").is_one_clear_error();
    assert_eq!(boots(device.state())[1], 0, "the device was not worked on");
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
