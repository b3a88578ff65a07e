//! Feeds every fuzz target with changed copies of its corpus for a while (TESTING.md, "Fuzzing").
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a tool of the tests, whose words are its result"
)]

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use integration::fuzz::{TARGETS, Target, changed};
use integration::random::Random;

/// Feed everything that reads foreign bytes with changed copies of good ones
#[derive(Debug, Parser)]
struct Args {
    /// How long each target is fed
    #[arg(long, value_name = "N", default_value_t = 10)]
    seconds: u64,
    /// Only this target
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Where everything random begins [default: the time of day]
    #[arg(long)]
    seed: Option<u64>,
    /// Only this input, once: what an earlier run has left
    #[arg(long, value_name = "FILE", requires = "only")]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let seed = args.seed.unwrap_or(now_s);
    let is_meant = |target: &Target| args.only.as_deref().is_none_or(|name| name == target.name);
    let targets: Vec<Target> = TARGETS.into_iter().filter(is_meant).collect();
    if let (Some(path), Some(target)) = (&args.input, targets.first()) {
        let taken = (target.run)(&fs::read(path).expect("a file that is there"));
        println!("{}: {}", target.name, if taken { "taken" } else { "refused" });
        return ExitCode::SUCCESS;
    }
    println!("{:<18} {:>10} {:>10}", "target", "inputs", "taken");
    let left = Mutex::new(targets.into_iter());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failed: usize = thread::scope(|scope| {
        let feed = || {
            let mut failed = 0;
            while let Some(target) = { left.lock().expect("nobody panics with it").next() } {
                failed += usize::from(!feed(target, seed, Duration::from_secs(args.seconds)));
            }
            failed
        };
        let feeding: Vec<_> = (0..threads).map(|_| scope.spawn(feed)).collect();
        feeding.into_iter().map(|feeding| feeding.join().expect("panics are caught")).sum()
    });
    println!("seed {seed}, targets that failed: {failed}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Feeds one target; false when something did not hold, and the input is left beside the corpus.
fn feed(target: Target, seed: u64, time: Duration) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("corpus").join(target.name))
        .expect("every target has a corpus")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().filter_map(|path| fs::read(path).ok()).collect();
    assert!(!corpus.is_empty(), "{} has no corpus", target.name);
    let mut random = Random::new(seed);
    let pick = |random: &mut Random| {
        let at = random.between(0, corpus.len() as u64);
        corpus[usize::try_from(at).unwrap_or(0)].clone()
    };
    let (began, mut inputs, mut taken) = (Instant::now(), 0_u64, 0_u64);
    while began.elapsed() < time {
        let (bytes, other) = (pick(&mut random), pick(&mut random));
        let input = changed(&bytes, &other, &mut random);
        let ran = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        inputs += 1;
        if let Ok(is_taken) = ran {
            taken += u64::from(is_taken);
        } else {
            let path = folder.join("artifacts").join(format!("{}-{seed}-{inputs}", target.name));
            let _ = fs::create_dir_all(folder.join("artifacts"));
            let _ = fs::write(&path, &input);
            eprintln!("{}: input {inputs} fails; it is left in {}", target.name, path.display());
            println!(
                "replay     cargo run --release -p integration --bin fuzz -- --only {} --input {}",
                target.name,
                path.display()
            );
            return false;
        }
    }
    println!("{:<18} {inputs:>10} {taken:>10}", target.name);
    // A target whose every copy is refused at the first look is fed with nothing.
    taken > 0
}
