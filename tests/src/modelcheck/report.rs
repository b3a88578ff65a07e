//! What an exploration has found, in words.

use std::fmt::Write as _;

use super::explore::Found;
use super::fate::{Budget, Step};
use super::moves::successors;
use super::scene::{Begin, Scene};
use super::state::State;
use super::witness::Violation;

/// Head of the table.
pub const HEAD: &str = "\
| begin | resets | losses | stalls | runs | stops | states | devices | transitions | ends | deepest | exit codes | violations | s |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// One row of the table.
pub fn row(begin: Begin, budget: Budget, found: &Found) -> String {
    let Budget { resets, losses, stalls, runs, stops } = budget;
    let violations = u8::from(found.violation.is_some());
    let exits: Vec<String> = found.exits.keys().map(u8::to_string).collect();
    format!(
        "| {begin:?} | {resets} | {losses} | {stalls} | {} | {stops} | {} | {} | {} | {} | {} | {} | {violations} | {:.1} |",
        runs + 1,
        found.states,
        found.devices,
        found.transitions,
        found.ends,
        found.depth,
        exits.join(" "),
        found.took.as_secs_f64()
    )
}

/// A violation, and the way there step by step.
pub fn story(violation: &Violation, path: &[Step], begin: &State, scene: &Scene) -> String {
    let mut text = format!("violated   {}: {}\n", violation.promise, violation.seen);
    let mut state = begin.clone();
    let _ = writeln!(text, "           {}", state.in_words());
    for (number, step) in (1..).zip(path) {
        let _ = writeln!(text, "{number:>4}  {step}");
        let next = successors(&state, scene).into_iter().find(|(taken, _)| taken == step);
        match next {
            Some((_, Ok(next))) => state = next,
            Some((_, Err(_))) | None => break,
        }
        let _ = writeln!(text, "           {}", state.in_words());
    }
    text
}
