//! Cuts the power at every byte of every flash operation, and prints what was found (TESTING.md).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::Parser;
use integration::powercut::cut::Cut;
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
    /// Only this cut of it, as failures name it: OPERATION:BYTES, or torn by a seed
    #[arg(long, value_name = "CUT", requires = "place")]
    cut: Option<Cut>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    #[cfg(feature = "planted")]
    if let Some(name) = &options.plant {
        return plant(name, &options);
    }
    let (parts, releases) = (parts(), Releases::new());
    let table = run(&sweeps(&parts, &releases, &options), options.cut, false);
    for line in table.lines() {
        println!("{line}");
    }
    table.failures().for_each(|failure| print(failure, ""));
    if table.sweeps() == 0 {
        eprintln!(
            "error: there is no such place: a part, a deed and an age, as even-w1-ff/confirm/0"
        );
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(table.failures().next().is_some()))
}

/// Proves that a mistake is noticed: 1 when it is, as for a device that is wrong; 2 when it is not.
#[cfg(feature = "planted")]
fn plant(name: &str, options: &Options) -> ExitCode {
    use firmware_protocol::planted::{Mistake, plant};
    if name == "list" {
        Mistake::ALL.iter().for_each(|mistake| println!("{}", mistake.name()));
        return ExitCode::SUCCESS;
    }
    let Some(mistake) = Mistake::ALL.into_iter().find(|mistake| mistake.name() == name) else {
        eprintln!("error: there is no mistake {name:?}; --plant list names them");
        return ExitCode::from(2);
    };
    plant(Some(mistake));
    let (parts, releases) = (parts(), Releases::new());
    let table = run(&sweeps(&parts, &releases, options), options.cut, true);
    let Some(failure) = table.failures().min_by_key(|failure| failure.cut.is_some()) else {
        eprintln!("error: no promise notices {name}");
        return ExitCode::from(2);
    };
    print(failure, &format!("--features planted --bin powercut -- --plant {name}"));
    ExitCode::from(1)
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

fn run(work: &[(usize, Sweep<'_>)], cut: Option<Cut>, until_failure: bool) -> Table {
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
                    let figures = sweep.run(cut);
                    if until_failure && !figures.failures.is_empty() {
                        stops.store(true, Ordering::Relaxed);
                    }
                    table.lock().unwrap_or_else(PoisonError::into_inner).add(
                        *place,
                        sweep.deed.name,
                        &figures,
                    );
                }
            });
        }
    });
    table.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn print(failure: &Failure, how: &str) {
    let Failure { place, cut, violation } = failure;
    println!("violated   {violation}");
    let struck = cut.map_or_else(|| "none".to_owned(), |cut| format!("power cut at {cut}"));
    let only = cut.map_or_else(String::new, |cut| format!(" --cut {cut}"));
    println!("faults     {struck}");
    let how = if how.is_empty() { "--bin powercut --" } else { how };
    println!("replay     cargo run --release -p integration {how} --place {place}{only}");
}
