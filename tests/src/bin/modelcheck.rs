//! Explores the A/B protocol, host and device, and prints what was found (TESTING.md, "Model check").
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::process::ExitCode;

use clap::Parser;
use integration::modelcheck::explore::explore;
use integration::modelcheck::fate::Budget;
use integration::modelcheck::report::{HEAD, row, story};
use integration::modelcheck::scene::Scene;
use integration::modelcheck::state::State;

/// Explore the A/B protocol, host and device, over a lossy link: resets, losses, deadlines, several runs
#[derive(Debug, Default, Parser)]
struct Options {
    /// Make this mistake in the device's engine and look for the promise that it breaks; `list` names them all
    #[cfg(feature = "planted")]
    #[arg(long, value_name = "MISTAKE")]
    plant: Option<String>,
    /// Only these bounds: resets, losses, stalls, runs behind the first, stops, as in 2,1,0,1,0
    #[arg(long, value_name = "BOUNDS", value_delimiter = ',')]
    bounds: Vec<u8>,
    /// With `--bounds`: begin with the other slot empty, not with the bundle staged
    #[arg(long)]
    empty: bool,
}

/// Resets, losses, stalls, runs behind the first, stops; and whether the other slot is empty at the begin.
const BOUNDS: [([u8; 5], bool); 1] = [([1, 1, 0, 0, 0], false)];

fn main() -> ExitCode {
    let options = Options::parse();
    let scene = Scene::new();
    println!("{HEAD}");
    let all = match options.bounds[..] {
        [resets, losses, stalls, runs, stops] => {
            vec![([resets, losses, stalls, runs, stops], options.empty)]
        }
        _ => BOUNDS.to_vec(),
    };
    for ([resets, losses, stalls, runs, stops], is_empty) in all {
        let budget = Budget { resets, losses, stalls, runs, stops };
        let (name, flash) =
            if is_empty { ("empty", &scene.empty) } else { ("staged", &scene.staged) };
        let begin = match State::begin(&scene, flash.clone(), budget) {
            Ok(begin) => begin,
            Err(violation) => {
                eprintln!("error: {violation:?}");
                return ExitCode::from(2);
            }
        };
        let found = explore(begin.clone(), &scene);
        println!("{}  {:?} free {}", row(name, budget, &found), found.exits, found.longest_free);
        if let Some((violation, path)) = &found.violation {
            println!("{}", story(violation, path, &begin, &scene));
            return ExitCode::from(1);
        }
    }
    ExitCode::SUCCESS
}
