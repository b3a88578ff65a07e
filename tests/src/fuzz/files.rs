//! Files that a person names.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use hw_sim::Scenario;
use noflake::boot_record::BootRecord;
use noflake::bundle::Bundle;
use noflake::evidence::{Integrity, RunRecord};
use noflake::plan::Plan;
use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = TempDir::new().expect("a temporary folder");
}

/// These bytes as a file.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.with(|folder| folder.path().join(name));
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder in a temporary folder");
    fs::write(&path, bytes).expect("a file in a temporary folder");
    path
}

/// A bundle that opens has every byte that it says it has, and no more.
pub(super) fn bundle(bytes: &[u8]) -> bool {
    let Ok(bundle) = Bundle::open(&file("x.nfb", bytes)) else { return false };
    let mut sum = bundle.envelope().len();
    for (index, (role, payload)) in bundle.payloads().collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(bundle.payload_index(role), Some(index));
        let mut read = Vec::new();
        if let Ok(mut reader) = bundle.payload(index)
            && reader.read_to_end(&mut read).is_ok()
        {
            assert!(read.len() as u64 <= payload.stored_length);
            sum += read.len();
        }
        let _ = bundle.block_digests(index);
        let _ = bundle.describe(role);
    }
    assert!(sum <= bytes.len(), "{sum} bytes in a file of {}", bytes.len());
    let _ = (bundle.plan_text(), bundle.certificates().len());
    true
}

/// A plan that parses is the same plan in its canonical words.
pub(super) fn plan(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(plan) = Plan::parse(text, "fuzzed.toml") else { return false };
    assert!(plan.checks().count() > 0);
    assert!(plan.boots_until_ready() > 0);
    true
}

/// A record that reads is one whose every line fits the one before.
pub(super) fn record_file(bytes: &[u8]) -> bool {
    RunRecord::read(&file("record.jsonl", bytes)).is_ok()
}

/// Signatures that count are about lines that are there.
pub(super) fn signatures_file(bytes: &[u8]) -> bool {
    let record = file("signed/record.jsonl", &signed_record());
    let _ = file("signed/signatures.jsonl", bytes);
    let Ok(read) = RunRecord::read(&record) else { return false };
    let (Integrity::Complete { lines, .. } | Integrity::Interrupted { lines, .. }) =
        read.view().integrity;
    assert!(read.view().signed.iter().all(|by| by.lines <= lines));
    !read.view().signed.is_empty()
}

/// The record that signatures are held against.
pub(super) fn signed_record() -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/record_file");
    fs::read(corpus.join("seed-committed")).expect("the record of the corpus")
}

pub(super) fn boot_record_file(bytes: &[u8]) -> bool {
    let Ok(record) = BootRecord::read(&file("boot.bin", bytes), None) else { return false };
    let [first, second] = record.range_bytes();
    assert!(u64::from(first) + u64::from(second) <= bytes.len() as u64);
    true
}

pub(super) fn scenario(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    Scenario::parse(text, "fuzzed.toml").is_ok()
}
