//! Cuts the power at every byte of every flash operation, lets every other fault strike, and prints what was
//! found (TESTING.md).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use hw_sim::{Fault, FaultClass};
use integration::powercut::crew::{Work, run};
use integration::powercut::cut::Grain;
use integration::powercut::deed::{DEEDS, Deed};
use integration::powercut::part::{Part, parts, small};
use integration::powercut::release::Releases;
use integration::powercut::sweep::{Failure, Kind, Sweep, Until};
use integration::powercut::table::{LEAST_DISTINCT_PERCENT, Table};

/// Cut the power at every byte of every flash operation of every deed, twice on a small part, and let every other
/// fault strike
#[derive(Debug, Default, Parser)]
struct Options {
    /// Make this mistake in the device's engine and look for the promise that it breaks; `list` names them all
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<String>,
    /// Only this place: PART/DEED/AGE, as failures name it
    #[arg(long, value_name = "PLACE")]
    place: Option<String>,
    /// Only these faults, in one argument and separated by blanks, as failures name them; tells what happened line by line
    #[arg(long, value_name = "FAULTS", requires = "place")]
    faults: Option<String>,
    /// Only this kind of sweep
    #[arg(long, value_name = "KIND")]
    only: Option<Only>,
    /// Only one in N sweeps: each deed, on parts in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    every: u16,
    /// Everything as finely as can be, and every fault on every part: a quarter of an hour
    #[arg(long)]
    long: bool,
    /// A line for each deed on each part
    #[arg(long)]
    each: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Power fails once
    Cuts,
    /// Power fails once, and again on the way on
    Doubles,
    /// One fault that is no power cut
    Faults,
}

/// Parts on which every single fault is tried without `--long`.
const FAULT_PARTS: [&str; 4] =
    ["even-w1-00", "uneven-w8-ff", "uneven-w16-ff-ecc", "small-w32-ff-trap"];

/// Everything that sweeps are made of.
struct World {
    parts: Vec<Part>,
    small: Part,
    releases: Releases,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let world = World { parts: parts(), small: small(), releases: Releases::new() };
    #[cfg(feature = "planted")]
    if let Some(name) = &options.plant {
        return plant(name, &world, &options);
    }
    if let (Some(place), Some(words)) = (&options.place, &options.faults) {
        return replay(&world, place, words);
    }
    sweep(&world, &options)
}

fn sweep(world: &World, options: &Options) -> ExitCode {
    let mut fired: BTreeMap<FaultClass, u64> = BTreeMap::new();
    let (mut sweeps, mut failed) = (0, false);
    for kind in kinds(options.only) {
        let every = usize::from(options.every);
        let work: Vec<_> = work(world, options, kind).into_iter().step_by(every).collect();
        if work.is_empty() {
            continue;
        }
        println!("{}\n", title(kind));
        eprintln!("{} sweeps, some minutes", work.len());
        let begun = Instant::now();
        let table = run(&work, kind, Until::End);
        let took_s = begun.elapsed().as_secs_f64();
        sweeps += table.sweeps();
        table.lines(options.each).for_each(|line| println!("{line}"));
        println!("in {took_s:.0} s; the seconds above are those of all threads together\n");
        table.failures().for_each(|failure| print(failure, world, ""));
        failed |= table.failures().next().is_some();
        if kind == Kind::Cuts {
            failed |= is_too_alike(&table);
        }
        for (class, count) in table.fired() {
            *fired.entry(class).or_default() += count;
        }
    }
    if sweeps == 0 {
        return no_such_place(world);
    }
    println!("struck");
    FaultClass::ALL.iter().filter_map(|class| fired.get_key_value(class)).for_each(
        |(class, count)| {
            println!("{:<24} {count:>10}", class.name());
        },
    );
    if options.place.is_none() && options.only.is_none() {
        let missing = FaultClass::ALL.into_iter().filter(|class| !fired.contains_key(class));
        for class in missing {
            eprintln!("error: no fault of class {class} has struck: nothing is proven about it");
            failed = true;
        }
    }
    ExitCode::from(u8::from(failed))
}

fn is_too_alike(table: &Table) -> bool {
    let alike: Vec<&str> = table.too_alike().collect();
    for deed in &alike {
        eprintln!(
            "error: fewer than {LEAST_DISTINCT_PERCENT} % of the cuts of {deed} leave different flash"
        );
    }
    !alike.is_empty()
}

fn kinds(only: Option<Only>) -> Vec<Kind> {
    match only {
        None => vec![Kind::Cuts, Kind::Doubles, Kind::Faults],
        Some(Only::Cuts) => vec![Kind::Cuts],
        Some(Only::Doubles) => vec![Kind::Doubles],
        Some(Only::Faults) => vec![Kind::Faults],
    }
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Cuts => {
            "Power fails once: at every byte that an operation changes, in every word, in cells that stay weak"
        }
        Kind::Doubles => {
            "Power fails twice: in every word of the deed, and in every word of the recovery from that"
        }
        Kind::Faults => {
            "Every other fault, once: at every operation, and at every call of the engine"
        }
    }
}

fn work<'a>(world: &'a World, options: &Options, kind: Kind) -> Vec<Work<'a>> {
    let named = options.place.is_some();
    let parts: Vec<&Part> = match kind {
        Kind::Cuts if named => world.parts.iter().chain([&world.small]).collect(),
        Kind::Cuts => world.parts.iter().collect(),
        Kind::Doubles => vec![&world.small],
        Kind::Faults => world
            .parts
            .iter()
            .chain([&world.small])
            .filter(|part| named || options.long || FAULT_PARTS.contains(&part.name.as_str()))
            .collect(),
    };
    let mut work = Vec::new();
    for part in parts {
        for (row, deed) in DEEDS.iter().enumerate() {
            let grain = match kind {
                Kind::Cuts if options.long => Grain::Bytes,
                Kind::Cuts => deed.grain,
                Kind::Doubles | Kind::Faults => Grain::Words,
            };
            let ages = if kind == Kind::Faults && !options.long && !named { 1 } else { deed.ages };
            let releases = &world.releases;
            work.extend(
                (0..ages)
                    .map(|age| Work { row, sweep: Sweep { part, releases, deed, age, grain } }),
            );
        }
    }
    work.retain(|work| options.place.as_ref().is_none_or(|place| *place == work.sweep.place()));
    work
}

/// Tells what happens under these faults; 1 when a promise is broken.
fn replay(world: &World, place: &str, words: &str) -> ExitCode {
    let Some(sweep) = named(world, place) else {
        return no_such_place(world);
    };
    let faults: Result<Vec<Fault>, _> = words.split_whitespace().map(str::parse).collect();
    let faults = match faults {
        Ok(faults) => faults,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    println!("{}", sweep.part.in_words());
    let told = sweep.origin().and_then(|origin| sweep.court().tell_history(&origin, &faults));
    let judged = told.and_then(|outcome| {
        outcome.story.iter().for_each(|line| println!("{line}"));
        let struck = outcome.fired.iter().map(|(class, count)| format!(" {class} {count}"));
        println!("struck    {}", struck.collect::<String>());
        outcome.judged.map(|()| outcome.fired.values().sum::<u64>())
    });
    match judged {
        Ok(0) if !faults.is_empty() => {
            eprintln!("error: nothing has struck: nothing is proven");
            ExitCode::from(2)
        }
        Ok(_) => {
            println!("every promise is kept");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("violated   {violation}");
            ExitCode::from(1)
        }
    }
}

fn no_such_place(world: &World) -> ExitCode {
    let parts = world.parts.iter().chain([&world.small]).map(|part| part.name.as_str());
    eprintln!(
        "error: there is no such place: name a part, a deed and an age, as even-w1-ff/confirm/0\n\
         parts: {}\ndeeds: {}",
        parts.collect::<Vec<_>>().join(" "),
        DEEDS.map(|deed| deed.name).join(" ")
    );
    ExitCode::from(2)
}

fn named<'a>(world: &'a World, place: &str) -> Option<Sweep<'a>> {
    let mut words = place.split('/');
    let (part, deed, age) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
    let part = world.parts.iter().chain([&world.small]).find(|one| one.name == part)?;
    let deed = Deed::named(deed)?;
    Some(Sweep { part, releases: &world.releases, deed, age, grain: deed.grain })
}

/// Prints a failure as shortly as it can be had.
fn print(failure: &Failure, world: &World, how: &str) {
    let Failure { place, faults, violation } = failure;
    let shortest =
        named(world, place).and_then(|sweep| sweep.shortest(faults, violation.invariant));
    let (faults, violation) =
        shortest.as_ref().map_or((faults, violation), |(faults, violation)| (faults, violation));
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    let words = words.join(" ");
    println!("violated   {violation}");
    println!("faults     {}", if words.is_empty() { "none" } else { &words });
    let how = if how.is_empty() { "--bin powercut --" } else { how };
    println!(
        "replay     cargo run --release -p integration {how} --place {place} --faults \"{words}\"\n"
    );
}

/// Proves that a mistake is noticed: 1 when it is, as for a device that is wrong; 2 when it is not.
#[cfg(feature = "planted")]
fn plant(name: &str, world: &World, options: &Options) -> ExitCode {
    use firmware_protocol::planted::{Mistake, plant};
    if name == "list" {
        for mistake in Mistake::ALL {
            println!("{:<24} {}", mistake.name(), mistake.breaks());
        }
        return ExitCode::SUCCESS;
    }
    let Some(mistake) = Mistake::ALL.into_iter().find(|mistake| mistake.name() == name) else {
        eprintln!("error: there is no mistake {name:?}; --plant list names them");
        return ExitCode::from(2);
    };
    plant(Some(mistake));
    if let (Some(place), Some(words)) = (&options.place, &options.faults) {
        return replay(world, place, words);
    }
    let Some(failure) = search(world, mistake.breaks()) else {
        eprintln!("error: {name} goes unnoticed: nothing violates {}", mistake.breaks());
        return ExitCode::from(2);
    };
    println!("planted    {name}, which breaks {}", mistake.breaks());
    print(&failure, world, &format!("--features planted --bin powercut -- --plant {name}"));
    ExitCode::from(1)
}

/// The first failure of this invariant, where few steps lead to it: on the small part before all others.
#[cfg(feature = "planted")]
fn search(world: &World, invariant: &'static str) -> Option<Failure> {
    let found = |part: &Part, kind| {
        let releases = &world.releases;
        let work = DEEDS.iter().enumerate().flat_map(|(row, deed)| {
            let sweep = move |age| Sweep { part, releases, deed, age, grain: deed.grain };
            (0..deed.ages).map(move |age| Work { row, sweep: sweep(age) })
        });
        let table = run(&work.collect::<Vec<_>>(), kind, Until::Violated(invariant));
        let mut failures = table.failures().filter(|one| one.violation.invariant == invariant);
        let first = failures.clone().next().cloned();
        // Rather one that its replay shows as the same.
        let is_shown = |failure: &&Failure| {
            let sweep = named(world, &failure.place);
            sweep.is_some_and(|sweep| sweep.shortest(&failure.faults, invariant).is_some())
        };
        failures.find(is_shown).cloned().or(first)
    };
    let small = [Kind::Cuts, Kind::Faults, Kind::Doubles].into_iter();
    let all = world.parts.iter().flat_map(|part| [(part, Kind::Cuts), (part, Kind::Faults)]);
    small.map(|kind| (&world.small, kind)).chain(all).find_map(|(part, kind)| found(part, kind))
}
