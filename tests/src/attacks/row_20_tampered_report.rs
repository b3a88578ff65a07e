//! Row 20: the evidence of a run, changed afterwards.

use std::fs;
use std::path::Path;

use firmware_protocol::planted::Defence;
use noflake::trust::Hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Outcome, Row, Switch};
use crate::cli::Ended;
use crate::office::Office;
use crate::site::{Release, plan_with};

/// The row.
pub const ROW: Row = Row {
    number: 20,
    name: "tampered report",
    attack: "lines of a signed record edited, dropped, swapped, cut off and chained anew; signatures cut off, of another \
             run, of the attacker's own; the failed check and the verdict made a pass",
    defence: "each line names the digest of the one before, and the bench signs the digests behind steps and at the end",
    switch: Switch::Defence(Defence::EvidenceChain),
    run,
};

/// A run's two files, as the attacker leaves them, and where that has to be noticed.
struct Forged {
    what: &'static str,
    record: Vec<String>,
    signatures: String,
    /// The first line that is changed, from 1.
    changed: usize,
}

/// Evidence as it lies in a run folder.
struct Evidence {
    record: Vec<String>,
    signatures: String,
}

fn run() -> Outcome {
    let office = Office::new(&[("bench", "bench"), ("bench", "stranger")]);
    let failing = plan_with("id = \"no\"\nkind = \"command\"\nargv = [\"false\"]");
    let bundle = office.site.bundle(&Release::new("1.1.0").plan(&failing));
    let deploy = |key: &str| {
        let known = office.site.runs();
        let _ = office.say(&["deploy", &bundle, "-d", "sim:", "--sign", key]).code(1);
        office.site.runs().into_iter().find(|run| !known.contains(run)).unwrap()
    };
    let (run, other, stranger) = (deploy("bench.key"), deploy("bench.key"), deploy("stranger.key"));
    let verify = || verify(&office, &run);
    assert!(verify().code(0).json()["proven_by"].is_string());

    let honest = Evidence::read(&run);
    let attacks = attacks(&honest, &Evidence::read(&other), &Evidence::read(&stranger));
    for forged in &attacks {
        fs::write(run.join("record.jsonl"), forged.record.concat()).unwrap();
        fs::write(run.join("signatures.jsonl"), &forged.signatures).unwrap();
        let ended = verify();
        if ended.code == Some(0) {
            return Outcome::Succeeded(format!("{}: passes as signed by the bench", forged.what));
        }
        let (what, named) = (forged.what, ended.code(2).json()["line"].as_u64());
        let named = named.unwrap_or_else(|| panic!("{what}: no line is named"));
        // What is noticed by the chain shows in the line behind, what only a signature shows from that of the one before on.
        assert!(named <= forged.changed as u64 + 1, "{what}: line {named}, not {}", forged.changed);
    }
    Outcome::Refused(format!("{} forgeries refused (exit 2), each with its line", attacks.len()))
}

fn verify(office: &Office, run: &Path) -> Ended {
    let run = run.to_str().unwrap();
    office.noflake(&["--format", "json", "report", "verify", run, "--key", "bench.pub"])
}

impl Evidence {
    fn read(run: &Path) -> Self {
        let record = fs::read_to_string(run.join("record.jsonl")).unwrap();
        let signatures = fs::read_to_string(run.join("signatures.jsonl")).unwrap();
        Self { record: record.split_inclusive('\n').map(str::to_owned).collect(), signatures }
    }

    /// The first line, from 0, that says `word`.
    fn line_with(&self, word: &str) -> usize {
        self.record.iter().position(|line| line.contains(word)).unwrap()
    }

    /// With other lines under the same signatures; `changed` counts from 0.
    fn with(&self, what: &'static str, record: Vec<String>, changed: usize) -> Forged {
        Forged { what, record, signatures: self.signatures.clone(), changed: changed + 1 }
    }

    /// With one line rewritten.
    fn edited(&self, what: &'static str, at: usize, from: &str, to: &str) -> Forged {
        let mut record = self.record.clone();
        assert!(record[at].contains(from), "{what}: {}", record[at]);
        record[at] = record[at].replace(from, to);
        self.with(what, record, at)
    }
}

fn attacks(honest: &Evidence, other: &Evidence, stranger: &Evidence) -> Vec<Forged> {
    let last = honest.record.len() - 1;
    // A line in the middle of a step, so that no signature is about its very digest.
    let failed = honest.line_with("no:fail");
    let (from, to) = ("\"verdict\":\"no:fail\"", "\"verdict\":\"no:pass\"");
    let check = honest.edited("the failed check made a pass", failed, from, to);
    let (from, to) = ("\"exit_code\":1", "\"exit_code\":0");
    let verdict = honest.edited("the exit code in the last line made 0", last, from, to);
    let measured = honest.line_with("\"measurement\"");
    let value = honest.edited("a measurement renamed", measured, "\"name\":\"", "\"name\":\"un");

    let mut dropped = honest.record.clone();
    dropped.remove(failed);
    let mut swapped = honest.record.clone();
    swapped.swap(failed, failed - 1);
    let cut = honest.record[..last].to_vec();
    let rechained = rechained(&check.record);
    let torn = honest.signatures.trim_end();
    let one_less = torn.rsplit_once('\n').unwrap().0.to_owned() + "\n";
    let signed_of = |of: &Evidence, what| Forged {
        signatures: of.signatures.clone(),
        ..honest.with(what, honest.record.clone(), last)
    };
    let unsigned = Forged {
        signatures: String::new(),
        ..honest.with("a chain computed anew, without signatures", rechained.clone(), failed)
    };
    let attackers = Forged {
        signatures: stranger.signatures.clone(),
        ..honest.with(
            "a run of the attacker's own, signed by the attacker",
            stranger.record.clone(),
            0,
        )
    };
    let last_unsigned = Forged {
        signatures: one_less.clone(),
        ..honest.with(
            "the last signature cut off, and the exit code made 0",
            verdict.record.clone(),
            last,
        )
    };
    let shorter = Forged {
        signatures: up_to(&one_less, last),
        ..honest.with("record and signatures cut off behind a step", cut.clone(), last)
    };
    vec![
        check,
        verdict,
        value,
        honest.with("a line dropped", dropped, failed),
        honest.with("two lines swapped", swapped, failed - 1),
        honest.with("the end of the run cut off", cut, last),
        honest.with("the failed check made a pass, and the chain computed anew", rechained, failed),
        signed_of(other, "the signatures of another run of the bench"),
        signed_of(stranger, "the signatures of the attacker"),
        unsigned,
        attackers,
        last_unsigned,
        shorter,
    ]
}

/// The signatures that are about at most `lines` lines.
fn up_to(signatures: &str, lines: usize) -> String {
    let about = |line: &&str| {
        let signature: Value = serde_json::from_str(line).unwrap();
        signature["lines"].as_u64().unwrap() <= lines as u64
    };
    signatures.split_inclusive('\n').filter(about).collect()
}

/// Every line naming the digest of the one before, as the attacker needs it.
fn rechained(record: &[String]) -> Vec<String> {
    let mut prev = hex(b"noflake record v1\n");
    let link = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value["metadata"]["prev"] = prev.clone().into();
        let line = value.to_string() + "\n";
        prev = hex(line.as_bytes());
        line
    };
    record.iter().map(link).collect()
}

fn hex(bytes: &[u8]) -> String {
    Hex(&Sha256::digest(bytes)).to_string()
}
