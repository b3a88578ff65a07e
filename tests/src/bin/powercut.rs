//! Cuts the power at every byte of every flash operation, and prints what was found (TESTING.md).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Parser;
use integration::powercut::deed::DEEDS;
use integration::powercut::part::{Part, parts};
use integration::powercut::release::Releases;
use integration::powercut::sweep::{Failure, Sweep};
use integration::powercut::table::Table;

/// Cut the power at every byte of every flash operation of every deed
#[derive(Debug, Parser)]
struct Options {
    /// Make this mistake in the device's engine and end at the first promise that it breaks; `list`
    /// names them all
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<String>,
    /// Only this sweep: PART/DEED/AGE, as failures name it
    #[arg(long, value_name = "PLACE")]
    place: Option<String>,
    /// These faults
    #[arg(long)]
    faults: Option<String>,
    /// Double cuts
    #[arg(long)]
    double: bool,
    /// Faults that are no power cuts
    #[arg(long)]
    disorder: bool,
    /// A line for each sweep
    #[arg(long)]
    each: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut parts = parts();
    parts.push(integration::powercut::part::small());
    let releases = Releases::new();
    if let Some(words) = &options.faults {
        let faults: Vec<hw_sim::Fault> =
            words.split_whitespace().map(|word| word.parse().unwrap()).collect();
        for (_, sweep) in sweeps(&parts, &releases, &options) {
            let origin = sweep.origin().unwrap();
            println!("{:?}", sweep.court().try_history(&origin, &faults));
        }
        return ExitCode::SUCCESS;
    }
    let table =
        run(&sweeps(&parts, &releases, &options), (options.disorder, options.double), false);
    let lines = if options.each { table.by_sweep() } else { table.by_part() };
    for line in lines.into_iter().chain([String::new()]).chain(table.by_deed()) {
        println!("{line}");
    }
    println!("{:?}", table.fired());
    table.failures().for_each(|failure| print(failure, ""));
    if table.sweeps() == 0 {
        eprintln!(
            "error: there is no such place: a part, a deed and an age, as even-w1-ff/confirm/0"
        );
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(table.failures().next().is_some()))
}

fn sweeps<'a>(
    parts: &'a [Part],
    releases: &'a Releases,
    options: &Options,
) -> Vec<(usize, Sweep<'a>)> {
    let mut sweeps = Vec::new();
    for part in parts {
        for (place, deed) in DEEDS.iter().enumerate() {
            sweeps.extend((0..deed.ages).map(|age| (place, Sweep { part, releases, deed, age })));
        }
    }
    sweeps.retain(|(_, sweep)| options.place.as_ref().is_none_or(|place| *place == sweep.place()));
    sweeps
}

fn run(
    work: &[(usize, Sweep<'_>)],
    (disorder, double): (bool, bool),
    until_failure: bool,
) -> Table {
    let (table, next) = (Mutex::new(Table::default()), AtomicUsize::new(0));
    let stops = AtomicBool::new(false);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((place, sweep)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if stops.load(Ordering::Relaxed) {
                        return;
                    }
                    let figures = if double {
                        sweep.run_double(integration::powercut::cut::Grain::Words, until_failure)
                    } else if disorder {
                        sweep.run_disorder(until_failure)
                    } else {
                        sweep.run(until_failure)
                    };
                    if until_failure && !figures.failures.is_empty() {
                        stops.store(true, Ordering::Relaxed);
                    }
                    table.lock().unwrap_or_else(PoisonError::into_inner).add(
                        *place,
                        sweep.deed.name,
                        &sweep.part.name,
                        sweep.age,
                        &figures,
                    );
                }
            });
        }
    });
    table.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn print(failure: &Failure, how: &str) {
    let Failure { place, faults, violation } = failure;
    println!("violated   {violation}");
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    println!("faults     {}", words.join(" "));
    println!("replay     cargo run --release -p integration {how} --place {place}");
}
