//! Runs the conformance suite on simulated devices that make a mistake or leave out a defence, and prints which promise it
//! finds broken (TESTING.md, "Conformance").
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its whole purpose")]

use std::process::ExitCode;

use clap::Parser;
use firmware_protocol::planted::{Defence, Mistake};
use integration::attacks::Switch;
use integration::attacks::stand_in::{act, go_without};
use integration::conformance::{Suite, found};

/// What is wrong with a device, and the scenario that has to notice it.
const NOTICED: [(Switch, &str); 12] = [
    (Switch::Defence(Defence::BlockDigests), "P1.damaged-bytes"),
    (Switch::Mistake(Mistake::NoReadBack), "P1.damaged-bytes"),
    (Switch::Mistake(Mistake::ArmNotSpent), "P2.armed-once"),
    (Switch::Mistake(Mistake::BootsUncounted), "P2.boots-counted"),
    (Switch::Mistake(Mistake::OldEntryRevived), "P2.unconfirmed"),
    (Switch::Mistake(Mistake::LeaseIgnored), "P3.paused-trial"),
    (Switch::Mistake(Mistake::LeaseIgnored), "P3.silence"),
    (Switch::Defence(Defence::HardwareMatch), "P4.other-product"),
    (Switch::Defence(Defence::Floor), "P4.below-floor"),
    (Switch::Mistake(Mistake::SlotNotMarked), "P6.resumes"),
    (Switch::Mistake(Mistake::FloorBeforeConfirm), "P7.floor-at-confirm"),
    (Switch::Mistake(Mistake::ConfirmKeepsTrial), "P7.floor-at-confirm"),
];

/// Run the conformance suite on devices that break a promise on purpose, and say which of them it notices
#[derive(Debug, Parser)]
struct Options {
    /// Also those that no scenario is bound to notice
    #[arg(long)]
    everything: bool,
}

fn main() -> ExitCode {
    if let Some(exit) = act() {
        return exit;
    }
    let is_everything = Options::parse().everything;
    let mistakes = Mistake::ALL.into_iter().map(Switch::Mistake);
    let everything = mistakes.chain(Defence::ALL.into_iter().map(Switch::Defence));
    let chosen = everything
        .filter(|switch| is_everything || NOTICED.iter().any(|(noticed, _)| noticed == switch));
    let missed = chosen.filter(|switch| !is_noticed(*switch)).count();
    if missed > 0 {
        eprintln!("error: {missed} of them were not noticed where they have to be");
    }
    ExitCode::from(u8::from(missed > 0))
}

fn is_noticed(switch: Switch) -> bool {
    // The bundles are made by a host that leaves nothing out.
    let suite = Suite::new();
    go_without(Some(switch));
    let ended = suite.run(&suite.in_memory(""), &[]);
    go_without(None);
    let (rows, _) = found(&ended);
    let broken: Vec<String> = rows
        .iter()
        .filter(|row| row.finding == "broken")
        .map(|row| format!("{}: {}", row.scenario, row.why))
        .collect();
    let verdict = if broken.is_empty() { "not noticed" } else { "breaks" };
    println!("{} {verdict}", switch.name());
    for line in &broken {
        println!("  {line}");
    }
    NOTICED
        .iter()
        .filter(|(noticed, _)| *noticed == switch)
        .all(|(_, id)| broken.iter().any(|line| line.starts_with(id)))
}
