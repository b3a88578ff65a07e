//! Explores the A/B protocol, host and device, and prints what was found (TESTING.md, "Model check").
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::collections::HashMap;
use std::process::ExitCode;

use clap::Parser;
use integration::modelcheck::explore::explore;
use integration::modelcheck::fate::{Budget, Kind};
use integration::modelcheck::report::{HEAD, row, story};
use integration::modelcheck::scene::{Begin, Scene};
use integration::modelcheck::state::State;
#[cfg(feature = "planted")]
use integration::modelcheck::witness::Violation;

/// Explore the A/B protocol, host and device, over a lossy link: resets, losses, deadlines, several runs
#[derive(Debug, Default, Parser)]
struct Options {
    /// Make this mistake in the device's engine and look for the promise that it breaks; `list` names them all
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<String>,
    /// Only these bounds: resets, losses, stalls, runs behind the first, stops, as in 2,1,0,1,0
    #[arg(long, value_name = "BOUNDS", value_parser = five)]
    bounds: Option<[u8; 5]>,
    /// With `--bounds`: begin with the other slot empty, not with the bundle staged
    #[arg(long, requires = "bounds")]
    empty: bool,
}

/// What is explored: the name of the begin, then resets, losses, stalls, runs behind the first, stops. The deepest one
/// comes last.
const BOUNDS: [(Begin, [u8; 5]); 4] = [
    (Begin::Empty, [1, 1, 0, 0, 0]),
    (Begin::Staged, [1, 1, 1, 0, 1]),
    (Begin::Staged, [0, 1, 1, 1, 2]),
    (Begin::Staged, [2, 1, 0, 1, 0]),
];

fn five(text: &str) -> Result<[u8; 5], String> {
    let numbers: Result<Vec<u8>, _> = text.split(',').map(str::parse).collect();
    let five = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    five.ok_or_else(|| "expected five numbers, as in 2,1,0,1,0".to_owned())
}

fn main() -> ExitCode {
    let options = Options::parse();
    let scene = Scene::new();
    #[cfg(feature = "planted")]
    if let Some(name) = &options.plant {
        return plant(name, &scene);
    }
    let begin = if options.empty { Begin::Empty } else { Begin::Staged };
    let bounds = options.bounds.map_or_else(|| BOUNDS.to_vec(), |bounds| vec![(begin, bounds)]);
    let mut happened: HashMap<Kind, u64> = HashMap::new();
    println!("{HEAD}");
    for (begin, bounds) in bounds {
        let budget = Budget::of(bounds);
        let state = match State::begin(&scene, begin, budget) {
            Ok(state) => state,
            Err(violation) => {
                println!("violated   {}: {}", violation.promise, violation.seen);
                return ExitCode::from(1);
            }
        };
        let found = explore(state.clone(), &scene);
        println!("{}", row(begin, budget, &found));
        for (kind, count) in &found.happened {
            *happened.entry(*kind).or_default() += count;
        }
        if let Some((violation, path)) = &found.violation {
            println!("\n{}", story(violation, path, &state, &scene));
            return ExitCode::from(1);
        }
        let missed = found.missed(budget);
        for kind in &missed {
            eprintln!("error: it never happened that {kind}");
        }
        if !missed.is_empty() {
            return ExitCode::from(2);
        }
    }
    println!("\nhappened");
    for kind in Kind::ALL {
        println!("{:>9}  {kind}", happened.get(&kind).copied().unwrap_or(0));
    }
    ExitCode::SUCCESS
}

/// Proves that a mistake is noticed by the promise that it breaks: 1 when it is, as for a device that is wrong; 2 when
/// it is not, or by another promise.
#[cfg(feature = "planted")]
fn plant(name: &str, scene: &Scene) -> ExitCode {
    if name == "list" {
        for (mistake, promise) in NOTICED {
            println!("{:<24} {promise}", mistake.name());
        }
        return ExitCode::SUCCESS;
    }
    let Some((mistake, promise)) = NOTICED.into_iter().find(|(known, _)| known.name() == name)
    else {
        eprintln!("error: there is no mistake {name:?}; --plant list names those that show here");
        return ExitCode::from(2);
    };
    firmware_protocol::planted::plant(Some(mistake));
    let Some((violation, story)) = first_violation(scene) else {
        eprintln!("error: {name} goes unnoticed");
        return ExitCode::from(2);
    };
    println!("planted    {name}");
    println!("{story}");
    if violation.promise == promise {
        return ExitCode::from(1);
    }
    eprintln!("error: {name} breaks {promise}, and {} is what was noticed", violation.promise);
    ExitCode::from(2)
}

/// The first promise that is broken within small bounds, and the way there.
#[cfg(feature = "planted")]
fn first_violation(scene: &Scene) -> Option<(Violation, String)> {
    for bounds in [[0; 5], [0, 1, 1, 1, 1], [2, 0, 0, 0, 0]] {
        for begin in [Begin::Empty, Begin::Staged] {
            let state = match State::begin(scene, begin, Budget::of(bounds)) {
                Ok(state) => state,
                Err(violation) => {
                    let story = format!("violated   {}: {}", violation.promise, violation.seen);
                    return Some((violation, story));
                }
            };
            if let Some((violation, path)) = explore(state.clone(), scene).violation {
                let story = story(&violation, &path, &state, scene);
                return Some((violation, story));
            }
        }
    }
    None
}

/// Mistakes that break the protocol, and the promise that each breaks. The others are about how flash fails, which
/// `powercut` is for.
#[cfg(feature = "planted")]
const NOTICED: [(firmware_protocol::planted::Mistake, &str); 6] = {
    use firmware_protocol::planted::Mistake;
    [
        (Mistake::RecordBehindTheJump, "P2"),
        (Mistake::FloorBeforeConfirm, "I4"),
        (Mistake::ArmNotSpent, "P2"),
        (Mistake::LeaseIgnored, "P3"),
        (Mistake::BootsUncounted, "P2"),
        (Mistake::ConfirmKeepsTrial, "P2"),
    ]
};
