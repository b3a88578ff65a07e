//! P1, P2, P3, P6, P7 and P11 under power cuts and every other fault: all of it for the deeds that write little,
//! on the part with the fewest words. The whole sweep, all deeds on all parts, is `--bin powercut` (TESTING.md).

use std::process::Command;

use hw_sim::{Fault, FaultClass};
use integration::powercut::crew::{Work, run};
use integration::powercut::cut::Grain;
use integration::powercut::deed::{DEEDS, Deed};
use integration::powercut::part::{Part, small};
use integration::powercut::release::Releases;
use integration::powercut::sweep::{Kind, Sweep, Until};
use integration::powercut::table::Table;

/// Deeds that write little: unoptimised, those that stage a bundle take minutes.
const SHORT: [&str; 9] =
    ["arm", "trial", "confirm", "floor", "rollback", "lease", "fallback", "root", "roots"];

/// Classes that cuts are made of.
const STRIKES_ELSEWHERE: [FaultClass; 4] =
    [FaultClass::Cut, FaultClass::Torn, FaultClass::Scatter, FaultClass::Weak];

#[test]
fn no_cut_in_what_decides_breaks_a_promise() {
    let (part, releases) = (small(), Releases::new());
    let table = sweep(&part, &releases, &SHORT, Kind::Cuts, None);
    let struck: u64 = table.fired().values().sum();
    let cases = table.cases() as u64;
    assert!(struck >= cases, "{struck} tears in {cases} cases: some have torn nothing");
    assert!(cases > 5_000, "only {cases} cuts struck");
    assert_eq!(table.too_alike().count(), 0, "cuts of a deed leave much the same flash");
}

#[test]
fn no_second_cut_on_the_way_on_breaks_a_promise() {
    let (part, releases) = (small(), Releases::new());
    let table = sweep(&part, &releases, &["rollback"], Kind::Doubles, Some(Grain::Words));
    assert!(table.cases() > 3_000, "only {} pairs of cuts struck", table.cases());
}

#[test]
fn no_other_fault_breaks_a_promise() {
    let (part, releases) = (small(), Releases::new());
    let table = sweep(&part, &releases, &SHORT, Kind::Faults, None);
    let struck = table.fired();
    let is_due = |class: &FaultClass| !STRIKES_ELSEWHERE.contains(class);
    for class in FaultClass::ALL.iter().filter(|class| is_due(class)) {
        assert!(struck.contains_key(class), "no fault of class {class} has struck");
    }
}

/// I11: what happens follows from the faults alone.
#[test]
fn the_same_faults_lead_to_the_same_history() {
    let (part, releases) = (small(), Releases::new());
    let deed = Deed::named("confirm").unwrap();
    let sweep = Sweep { part: &part, releases: &releases, deed, age: 0, grain: deed.grain };
    let faults: Vec<Vec<Fault>> = ["cut@2:9 reset@5=crash", "torn@1:40~7 flip@9:1.1"]
        .map(|words| words.split(' ').map(|word| word.parse().unwrap()).collect())
        .into();
    let mark = |faults: &[Fault]| {
        let outcome = sweep.court().try_history(&sweep.origin().unwrap(), faults).unwrap();
        outcome.judged.unwrap();
        outcome.mark
    };
    for faults in &faults {
        assert_eq!(mark(faults), mark(faults), "{faults:?}");
    }
    assert_ne!(mark(&faults[0]), mark(&faults[1]));
}

/// Histories that the soak once took for violations: a signature that flash lost behind its stage, which a stage brings back,
/// and a slot that an erase in the wrong place made whole before the boot stage looked at it.
#[test]
fn histories_that_were_once_violations_are_none() {
    for (place, faults, struck) in [
        ("even-w8-ff/restage/0", "flip@38:6491.4 cut@14:0", "cut 1 flip 1"),
        (
            "even-w16-ff/trial/0",
            "cut@15:0 misdirect@21:1596 cut@16:1 misdirect@20:12799 flip@15:12799.1",
            "cut 2 misdirect 2 flip 1",
        ),
    ] {
        let powercut = env!("CARGO_BIN_EXE_powercut");
        let ended =
            Command::new(powercut).args(["--place", place, "--faults", faults]).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stdout);
        let seen = said.lines().find_map(|line| line.strip_prefix("struck"));
        assert_eq!(seen.map(str::trim), Some(struck), "{place}: {said}");
        assert!(ended.status.success(), "{place}: {said}");
    }
}

/// Every deed of these names, as long as nothing fails; at another grain than its own, if one is named.
fn sweep(
    part: &Part,
    releases: &Releases,
    names: &[&str],
    kind: Kind,
    grain: Option<Grain>,
) -> Table {
    let deeds = DEEDS.iter().enumerate().filter(|(_, deed)| names.contains(&deed.name));
    let work: Vec<Work<'_>> = deeds
        .map(|(row, deed)| Work {
            row,
            sweep: Sweep { part, releases, deed, age: 0, grain: grain.unwrap_or(deed.grain) },
        })
        .collect();
    assert_eq!(work.len(), names.len(), "a deed has another name now");
    let table = run(&work, kind, Until::End);
    let failures: Vec<String> = table
        .failures()
        .map(|failure| format!("{}: {:?}: {}", failure.place, failure.faults, failure.violation))
        .collect();
    assert!(failures.is_empty(), "{failures:#?}");
    table
}
