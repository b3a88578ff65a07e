//! `boot::decide` over every combination of small domains: what holds for all of them, and the table
//! of docs/BOOT.md, printed from the code. `NOFLAKE_BLESS=1` writes the page anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use firmware_protocol::boot::{
    Blame, BootRow, BootState, CONFIRMED_CRASH_BUDGET, Decision, Finding, Findings, ResetCause,
    Start, Trial, confirm_trial, decide,
};
use firmware_protocol::digest::Digest;
use firmware_protocol::slot::{PerSlot, RejectReason, SlotId, SlotState};

use crate::support::table::{SITUATIONS, situation};

/// Counts how often each row applies; every property below holds for each of a million combinations.
#[test]
fn every_combination_has_an_action_that_is_safe() {
    let mut fired: BTreeMap<BootRow, u32> = BTreeMap::new();
    each_combination(|before, findings, cause| {
        let decision = decide(Some(before), findings, cause);
        *fired.entry(decision.row).or_default() += 1;
        let context = || format!("{before:?}\n{findings:?} {cause:?}\n{decision:?}");
        assert!(starts_what_may_run(before, findings, &decision), "{}", context());
        assert!(spends_before_it_starts(before, &decision), "{}", context());
        assert!(keeps_what_it_must(before, &decision), "{}", context());
        assert!(blames_what_was_read(before, findings, &decision), "{}", context());
        let quiet = before.trial.is_none_or(|trial| !trial.entered);
        let kept = matches!(decision.row, BootRow::Confirmed | BootRow::TrialPaused);
        if quiet && kept && cause.blame() != Blame::Image {
            assert_eq!(decision.state, *before, "a boot without news is written\n{}", context());
        }
    });
    let nothing = decide(None, Findings::default(), ResetCause::PowerOn);
    *fired.entry(nothing.row).or_default() += 1;
    assert_eq!((nothing.start, nothing.row), (Start::Recovery, BootRow::NoRecord));
    for row in BootRow::ALL {
        assert!(fired.get(&row).is_some_and(|count| *count > 0), "{} never applied", row.id());
    }
}

/// Nothing swings: whatever the record says, boots that end the same way come to rest, and the
/// confirmed slot changes at most once on the way.
#[test]
fn boots_that_end_alike_reach_a_fixed_point() {
    each_combination(|before, findings, cause| {
        // Two for a trial boot and its account, three for each image's crash budget and its end.
        let bound = if cause.blame() == Blame::Image { 10 } else { 3 };
        let mut state = before.clone();
        let mut moves = 0;
        for boot in 0.. {
            let decision = decide(Some(&state), findings, cause);
            if decision.state == state {
                break;
            }
            assert!(boot < bound, "no rest after {bound} boots: {before:?} {findings:?} {cause:?}");
            moves += u32::from(decision.state.active != state.active);
            state = decision.state;
        }
        assert!(moves <= 1, "the confirmed slot swings: {before:?} {findings:?} {cause:?}");
    });
}

/// P2: however its boots end, a trial that nobody arms anew runs at most `armed` more times.
#[test]
fn a_trial_runs_no_more_boots_than_are_armed() {
    for cause in ResetCause::ALL {
        for armed in 0..=4 {
            let mut state = situation("trial, paused").unwrap();
            state.trial = state.trial.map(|trial| Trial { armed, boots_left: 3, ..trial });
            let mut ran = 0;
            for _ in 0..20 {
                let decision = decide(Some(&state), Findings::default(), cause);
                ran += u8::from(decision.start == Start::Slot(SlotId::B));
                state = decision.state;
            }
            assert!(ran <= armed.min(3), "{ran} boots of {armed} armed, {cause:?}");
        }
    }
}

/// The hardware deadline is the lease's only where that is the shorter one. An image that no host reached in time is
/// not said to have crashed, nor one that ran too long to have lost its host.
#[test]
fn a_deadline_counts_as_a_lost_host_only_where_the_lease_is_the_shorter_one() {
    let limit = crate::support::table::TRIAL.boot_max_ms;
    for (lease_ms, reason) in [
        (limit - 1, RejectReason::LeaseExpired),
        (limit, RejectReason::Crashed),
        (limit + 1, RejectReason::Crashed),
    ] {
        let mut state = situation("trial, running, last crash").unwrap();
        state.trial = state.trial.map(|trial| Trial { lease_ms, ..trial });
        let after = decide(Some(&state), Findings::default(), ResetCause::Deadline).state;
        let bundle = Digest([2; 32]);
        assert_eq!(
            after.slots.b,
            SlotState::Rejected { bundle, reason, trial_id: 4 },
            "{lease_ms}"
        );
    }
}

/// Garbage that names the confirmed slot as the one on trial costs the trial, not the slot.
#[test]
fn a_trial_of_the_confirmed_slot_ends_and_the_slot_stays() {
    let mut state = situation("trial, armed").unwrap();
    state.trial = state.trial.map(|trial| Trial { slot: SlotId::A, ..trial });
    let decision = decide(Some(&state), Findings::default(), ResetCause::PowerOn);
    assert_eq!((decision.start, decision.row), (Start::Slot(SlotId::A), BootRow::TrialEnded));
    assert_eq!(decision.state.slots, state.slots);
}

/// P7: the floor rises with the confirm, in the same state, and never falls.
#[test]
fn a_confirm_moves_everything_at_once_and_only_for_a_staged_slot() {
    for (floor, offered) in [(0, 7), (7, 7), (9, 7)] {
        for retires_fallback in [false, true] {
            let mut state = situation("trial, armed").unwrap();
            state.accept_floor = floor;
            state.crash_left = 1;
            let security_version = offered;
            state.trial =
                state.trial.map(|trial| Trial { security_version, retires_fallback, ..trial });
            confirm_trial(&mut state);
            assert_eq!((state.active, state.trial), (Some(SlotId::B), None));
            assert_eq!(state.accept_floor, floor.max(offered));
            assert_eq!(state.crash_left, CONFIRMED_CRASH_BUDGET);
            let bundle = Digest([2; 32]);
            assert_eq!(state.slots.b, SlotState::Admitted { bundle });
            let retired =
                matches!(state.slots.a, SlotState::Rejected { reason: RejectReason::Retired, .. });
            assert_eq!(retired, retires_fallback);
        }
    }
}

/// The page and the code cannot part: run with `NOFLAKE_BLESS=1` after a wanted change.
#[test]
fn the_decision_table_in_the_page_is_the_code_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/BOOT.md");
    let page = std::fs::read_to_string(&path).expect("docs/BOOT.md is there");
    let (front, rest) = page.split_once(BEGIN).expect("the page has its first marker");
    let (_, back) = rest.split_once(END).expect("the page has its second marker");
    let fresh = format!("{front}{BEGIN}\n{}{END}{back}", table());
    if std::env::var_os("NOFLAKE_BLESS").is_some() {
        std::fs::write(&path, &fresh).expect("the page can be written");
    } else {
        assert!(page == fresh, "docs/BOOT.md is not current: run this test with NOFLAKE_BLESS=1");
    }
}

const BEGIN: &str = "<!-- decision table: begin -->";
const END: &str = "<!-- decision table: end -->";

fn table() -> String {
    let mut out = String::new();
    let (fine, damaged, unreadable) = (Finding::Nothing, Finding::Damaged, Finding::PassOver);
    let findings = [
        ("Both slots match their digests", [fine, fine]),
        ("Slot A is damaged", [damaged, fine]),
        ("Slot B is damaged", [fine, damaged]),
        ("Both are damaged", [damaged, damaged]),
        ("Slot A cannot be read", [unreadable, fine]),
        ("Slot B cannot be read", [fine, unreadable]),
    ];
    for (title, [a, b]) in findings {
        let _ = write!(
            out,
            "\n{title}:\n\n| record | requested reset | power | crash |\n|---|---|---|---|\n"
        );
        for name in SITUATIONS {
            let state = situation(name);
            let cells: Vec<String> =
                [ResetCause::Requested, ResetCause::PowerOn, ResetCause::Crash]
                    .into_iter()
                    .map(|cause| cell(state.as_ref(), PerSlot { a, b }, cause))
                    .collect();
            let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
        }
    }
    out.push('\n');
    out
}

fn cell(state: Option<&BootState>, findings: Findings, cause: ResetCause) -> String {
    let decision = decide(state, findings, cause);
    let start = match decision.start {
        Start::Slot(slot) => slot.to_string(),
        Start::Recovery => "recovery".into(),
    };
    let stored = if state.is_some_and(|state| *state != decision.state) { " *" } else { "" };
    format!("{} {start}{stored}", decision.row.id())
}

fn starts_what_may_run(before: &BootState, findings: Findings, decision: &Decision) -> bool {
    let Start::Slot(slot) = decision.start else { return true };
    let on_trial = decision.row == BootRow::TrialArmed;
    let may = match decision.state.slots.get(slot) {
        SlotState::Admitted { .. } if decision.row == BootRow::PassedOver => true,
        SlotState::Admitted { .. } => !on_trial && decision.state.active == Some(slot),
        SlotState::Staged { .. } => on_trial && before.trial.is_some_and(|open| open.slot == slot),
        SlotState::Empty | SlotState::Writing { .. } | SlotState::Rejected { .. } => false,
    };
    may && *findings.get(slot) == Finding::Nothing
}

/// A slot that the record trusts becomes `Corrupt`, or gives way for good, only when its bytes differ; or
/// when its image crashed too often.
fn blames_what_was_read(before: &BootState, findings: Findings, decision: &Decision) -> bool {
    let after = &decision.state;
    SlotId::ALL.into_iter().all(|slot| {
        let trusted =
            matches!(before.slots.get(slot), SlotState::Admitted { .. } | SlotState::Staged { .. });
        let corrupt = matches!(
            after.slots.get(slot),
            SlotState::Rejected { reason: RejectReason::Corrupt, .. }
        );
        let gave_way = before.active == Some(slot)
            && after.active != before.active
            && decision.row != BootRow::FallbackCrashed;
        let may_be_blamed = *findings.get(slot) == Finding::Damaged
            || (gave_way && !matches!(before.slots.get(slot), SlotState::Admitted { .. }));
        !(trusted && corrupt || gave_way) || may_be_blamed
    })
}

fn spends_before_it_starts(before: &BootState, decision: &Decision) -> bool {
    match (decision.row, before.trial, decision.state.trial) {
        (BootRow::TrialArmed, Some(old), Some(new)) => {
            new.armed + 1 == old.armed && new.boots_left + 1 == old.boots_left && new.entered
        }
        (BootRow::TrialArmed, _, _) => false,
        (_, _, Some(new)) => !new.entered,
        (_, _, None) => true,
    }
}

fn keeps_what_it_must(before: &BootState, decision: &Decision) -> bool {
    let after = &decision.state;
    let identity = after.root_digest == before.root_digest
        && after.erases == before.erases
        && after.touched == before.touched
        && after.carried == before.carried;
    let no_promotion = SlotId::ALL.iter().all(|slot| {
        let (old, new) = (before.slots.get(*slot), after.slots.get(*slot));
        old == new || matches!(new, SlotState::Rejected { .. })
    });
    let no_new_trial = after.trial.is_none() || before.trial.is_some();
    identity && no_promotion && no_new_trial && after.accept_floor == before.accept_floor
}

/// Calls `check` for every combination: more than a million.
fn each_combination(mut check: impl FnMut(&BootState, Findings, ResetCause)) {
    let mut base = BootState { accept_floor: 5, ..BootState::default() };
    for active in [None, Some(SlotId::A), Some(SlotId::B)] {
        for (a, b) in pairs(&slot_states()) {
            for trial in trials() {
                for crash_left in [0, 1, 3] {
                    base.active = active;
                    base.slots = PerSlot { a, b };
                    base.trial = trial;
                    base.crash_left = crash_left;
                    for (a, b) in pairs(&[Finding::Nothing, Finding::PassOver, Finding::Damaged]) {
                        for cause in ResetCause::ALL {
                            check(&base, PerSlot { a, b }, cause);
                        }
                    }
                }
            }
        }
    }
}

fn pairs<T: Copy>(items: &[T]) -> Vec<(T, T)> {
    items.iter().flat_map(|one| items.iter().map(|two| (*one, *two))).collect()
}

fn slot_states() -> [SlotState; 5] {
    let bundle = Digest([1; 32]);
    [
        SlotState::Empty,
        SlotState::Writing { bundle },
        SlotState::Staged { bundle },
        SlotState::Rejected { bundle, reason: RejectReason::HostDecided, trial_id: 3 },
        SlotState::Admitted { bundle },
    ]
}

fn trials() -> Vec<Option<Trial>> {
    let mut all = vec![None];
    for bits in 0..16_u8 {
        for (crash_left, power_left) in pairs(&[0_u8, 1, 2]) {
            let one = |bit: u8| bits >> bit & 1;
            all.push(Some(Trial {
                slot: if one(0) == 0 { SlotId::A } else { SlotId::B },
                armed: one(1),
                crash_left,
                power_left,
                boots_left: u16::from(one(2)),
                entered: one(3) == 1,
                ..crate::support::table::TRIAL
            }));
        }
    }
    all
}
