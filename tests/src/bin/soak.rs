//! Lets devices live under faults for as long as one likes, and prints what was found (TESTING.md).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hw_sim::{FaultClass, Fired};
use integration::powercut::part::{Part, parts, small};
use integration::powercut::release::Releases;
use integration::soak::fleet::{DEVICES, Fleets, Yard};
use integration::soak::histories::Histories;

/// Let single devices live under up to eight faults at once, and whole fleets under a bad supply and bad lines
#[derive(Debug, Parser)]
struct Options {
    /// How long
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Where everything random begins [default: the time of day]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Only this fleet, once
    #[arg(long, value_name = "SEED")]
    fleet: Option<u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let yard = Yard::new();
    if let Some(seed) = options.fleet {
        let mut fleets = Fleets::default();
        live_twice(&yard, seed, &mut fleets);
        return tell(&Histories::default(), &fleets);
    }
    let seed = options.seed.unwrap_or_else(seed_of_the_day);
    println!("soak: {} min, seed {seed}", options.minutes);
    let until = Instant::now() + Duration::from_secs(options.minutes.saturating_mul(60));
    let (histories, mut fleets) = soak(&yard, seed, until);
    let missing: Vec<FaultClass> =
        FaultClass::ALL.into_iter().filter(|class| !histories.fired.contains_key(class)).collect();
    for class in &missing {
        fleets.failures.push(format!("no fault of class {class} has struck"));
    }
    let Fired { power_cuts, dropped_bytes, corrupted_bits, .. } = fleets.fired;
    let ended = |outcome: &str| fleets.outcomes.get(outcome).copied().unwrap_or(0);
    let (went_on, went_back) =
        (ended("Committed"), ended("RolledBack") + ended("WentBackByItself"));
    if [power_cuts, dropped_bytes, corrupted_bits, went_on, went_back].contains(&0) {
        fleets.failures.push("fleets saw no cut, no bad line, no commit or no rollback".to_owned());
    }
    tell(&histories, &fleets)
}

fn seed_of_the_day() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

/// Fleets on this thread, histories on the others.
fn soak(yard: &Yard, seed: u64, until: Instant) -> (Histories, Fleets) {
    let parts: Vec<Part> = parts().into_iter().chain([small()]).collect();
    let (releases, seeds) = (Releases::new(), AtomicU64::new(seed));
    let histories = Mutex::new(Histories::default());
    let mut fleets = Fleets::default();
    thread::scope(|scope| {
        for _ in 0..others() {
            scope.spawn(|| {
                let mut own = Histories::default();
                own.live(&seeds, &parts, &releases, until);
                histories.lock().unwrap_or_else(PoisonError::into_inner).add(own);
            });
        }
        live_in_fleets(yard, seed, until, &mut fleets);
    });
    (histories.into_inner().unwrap_or_else(PoisonError::into_inner), fleets)
}

fn others() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

fn live_in_fleets(yard: &Yard, seed: u64, until: Instant, fleets: &mut Fleets) {
    live_twice(yard, seed, fleets);
    let mut next = seed;
    while Instant::now() < until {
        next = next.wrapping_add(1);
        yard.live(next, fleets);
    }
}

fn live_twice(yard: &Yard, seed: u64, fleets: &mut Fleets) {
    let first = yard.live(seed, fleets);
    let again = yard.live(seed, &mut Fleets::default());
    if first != again {
        fleets.failures.push(format!("fleet {seed}, twice: it does not live the same way (I11)"));
    }
}

fn tell(histories: &Histories, fleets: &Fleets) -> ExitCode {
    let Histories { count, faults, fired, failures } = histories;
    println!("histories  {count}, with {faults} faults");
    for (class, count) in fired {
        println!("  {:<24} {count:>10}", class.name());
    }
    let Fleets { count, outcomes, runs, boots, virtual_time, real_time, .. } = fleets;
    println!("fleets     {count} of {DEVICES} devices, {boots} starts, {runs} runs of a host");
    for (outcome, count) in outcomes {
        println!("  {outcome:<24} {count:>10}");
    }
    let link = &fleets.fired;
    println!(
        "  struck: {} power cuts, {} bytes dropped, {} bits turned on the line",
        link.power_cuts, link.dropped_bytes, link.corrupted_bits
    );
    let (lived_s, took_s) = (virtual_time.as_secs_f64(), real_time.as_secs_f64());
    println!(
        "  {:.1} h of virtual time in {took_s:.1} s: {:.0} times as fast",
        lived_s / 3600.0,
        lived_s / took_s
    );
    for failure in failures {
        let words: Vec<String> = failure.faults.iter().map(ToString::to_string).collect();
        eprintln!("violated   {}", failure.violation);
        eprintln!(
            "replay     cargo run --release -p integration --bin powercut -- --place {} --faults \"{}\"",
            failure.place,
            words.join(" ")
        );
    }
    for failure in &fleets.failures {
        eprintln!("violated   {failure}");
        let seed = failure.strip_prefix("fleet ").and_then(|rest| rest.split_once(','));
        if let Some((seed, _)) = seed {
            eprintln!("replay     cargo run --release -p integration --bin soak -- --fleet {seed}");
        }
    }
    let violations = failures.len() + fleets.failures.len();
    println!("violations {violations}");
    ExitCode::from(u8::from(violations > 0))
}
