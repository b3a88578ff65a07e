//! Everything that reads foreign bytes, fed with what fuzzing has found worth keeping and with changed copies of it
//! (promise P8; TESTING.md, "Fuzzing").
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy.toml excuses test functions, not their helpers"
)]

use std::fs;
use std::path::{Path, PathBuf};

use integration::fuzz::{TARGETS, Target, changed, seeds};
use integration::random::{Random, seed};

/// Changed copies of each file.
const COPIES: u64 = 400;

fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

fn files(target: &Target) -> Vec<PathBuf> {
    let folder = fs::read_dir(corpus(target)).expect("every target has a corpus");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A corpus that is all noise tests nothing: at least one file of each gets past the first look.
#[test]
fn every_corpus_is_taken_without_a_panic() {
    for target in TARGETS {
        let mut taken = 0;
        for file in files(&target) {
            println!("{}", file.display());
            taken += u32::from((target.run)(&fs::read(&file).unwrap()));
        }
        assert!(taken > 0, "{}: nothing of its corpus is taken", target.name);
    }
}

#[test]
fn changed_copies_are_taken_without_a_panic() {
    let mut random = Random::new(seed("fuzz_corpora", 20_261_129));
    for target in TARGETS {
        for file in files(&target) {
            let bytes = fs::read(&file).unwrap();
            for copy in 0..COPIES {
                let changed = changed(&bytes, &bytes, &mut random);
                println!("{} copy {copy}: {} bytes", file.display(), changed.len());
                let _ = (target.run)(&changed);
            }
        }
    }
}

/// The examples that the corpora begin with are as the code makes them today: a format that changes takes its corpus along.
/// `--ignored` writes them.
#[test]
fn the_seeds_are_of_todays_formats() {
    for (target, name, bytes) in seeds() {
        // Its times and names differ with each run.
        if target == "record_file" {
            continue;
        }
        let path = corpus(&integration::fuzz::target(target)).join(format!("seed-{name}"));
        let held = fs::read(&path).unwrap_or_default();
        assert!(held == bytes, "{} is not what the code makes; see TESTING.md", path.display());
    }
}

#[test]
#[ignore = "writes into the source tree"]
fn write_the_seeds() {
    for (target, name, bytes) in seeds() {
        let folder = corpus(&integration::fuzz::target(target));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("seed-{name}")), bytes).unwrap();
    }
}
