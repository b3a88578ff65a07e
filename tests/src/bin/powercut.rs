//! Cuts the power everywhere and prints what was found.
#![expect(clippy::print_stdout, reason = "its whole purpose")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use integration::powercut::deed::DEEDS;
use integration::powercut::part::parts;
use integration::powercut::release::Releases;
use integration::powercut::sweep::Sweep;
use integration::powercut::table::Table;

fn main() -> ExitCode {
    let (parts, releases) = (parts(), Releases::new());
    let mut work = Vec::new();
    for part in &parts {
        for (place, deed) in DEEDS.iter().enumerate() {
            for phase in 0..deed.ages {
                work.push((place, Sweep { part, releases: &releases, deed, phase }));
            }
        }
    }
    let (table, next) = (Mutex::new(Table::default()), AtomicUsize::new(0));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((place, sweep)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let figures = sweep.run(None);
                    table.lock().unwrap().add(*place, sweep.deed.name, &figures);
                }
            });
        }
    });
    let table = table.into_inner().unwrap();
    for line in table.lines() {
        println!("{line}");
    }
    for failure in table.failures().take(20) {
        println!("{} {:?} {}", failure.place, failure.cut, failure.violation);
    }
    ExitCode::from(u8::from(table.failures().next().is_some()))
}
