//! The boot stage: what it reads before it starts an image, and what it tells that image.

use firmware_protocol::boot::{Blame, BootRow, CONFIRMED_CRASH_BUDGET, ResetCause, Start};
use firmware_protocol::flash::Range;
use firmware_protocol::message::TrialTerms;
use firmware_protocol::slot::{SlotId, SlotState};
use firmware_protocol::start::{self, BootCheck, Handover};

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::Bundle;
use crate::support::flash::RamFlash;
use crate::support::{layout, range};

const CHECKS: [BootCheck; 2] = [BootCheck::Full, BootCheck::OnChange];

/// `Full` reads the confirmed slot through at every start; `OnChange` reads none of it after a reset that
/// the engine asked for, and all of it after any other. Nobody reads the fallback.
#[test]
fn a_confirmed_slot_is_read_through_unless_on_change_sees_a_requested_reset() {
    let flash = two_confirmed();
    for cause in ResetCause::ALL {
        for check in CHECKS {
            let skips = check == BootCheck::OnChange && cause == ResetCause::Requested;
            let read = if skips { [0, 0] } else { [0, slot_bytes(SlotId::B)] };
            let (handover, found) = boot_and_watch(&flash, cause, check);
            assert_eq!(handover.start, Start::Slot(SlotId::B), "{cause:?} {check:?}");
            assert_eq!(found, read, "bytes read of A and B, {cause:?} {check:?}");
        }
    }
}

/// What was skipped is trusted: only a start that hashes sees a changed byte.
#[test]
fn on_change_starts_a_changed_slot_only_behind_a_requested_reset() {
    let mut flash = two_confirmed();
    let at = layout().slots().b.areas[0].range.start as usize;
    flash.bytes[at + 77] ^= 4;
    for cause in ResetCause::ALL {
        for check in CHECKS {
            let skips = check == BootCheck::OnChange && cause == ResetCause::Requested;
            let (handover, _) = boot_and_watch(&flash, cause, check);
            let slot = if skips { SlotId::B } else { SlotId::A };
            assert_eq!(handover.start, Start::Slot(slot), "{cause:?} {check:?}");
        }
    }
}

/// The resets into a trial and back are requested ones too, and skip nothing.
#[test]
fn on_change_reads_through_the_slot_on_trial_and_the_confirmed_one_beside_it() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let two = Bundle::new(2, 9000);
    bench.staged(&two);
    bench.armed(&two, TERMS);
    for check in CHECKS {
        let mut flash = bench.flash().clone();
        for (row, read) in [
            (BootRow::TrialArmed, [0, slot_bytes(SlotId::B)]),
            (BootRow::TrialPaused, [slot_bytes(SlotId::A), 0]),
        ] {
            let (handover, found) = boot_and_watch(&flash, ResetCause::Requested, check);
            assert_eq!((handover.row, found), (row, read), "{check:?}");
            start::boot(&mut flash, &layout(), ResetCause::Requested, check);
        }
    }
}

/// The first hardware deadline is the shorter one of lease and boot limit, plus the slack: an image that
/// never polls must not outlive either.
#[test]
fn a_trial_boot_is_handed_the_shorter_one_of_lease_and_boot_limit() {
    for (lease_ms, boot_max_ms) in [(10_000, 60_000), (60_000, 10_000)] {
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 9000);
        bench.staged(&one);
        bench.armed(&one, TrialTerms { lease_ms, boot_max_ms, ..TERMS });
        assert_eq!(bench.handover.deadline_ms, None, "recovery runs without one");
        bench.restart(ResetCause::Requested);
        assert_eq!(bench.handover.deadline_ms, Some(12_000), "{lease_ms} {boot_max_ms}");
        bench.restart(ResetCause::Requested);
        assert_eq!(bench.handover.deadline_ms, None, "a paused trial has none");
    }
}

/// Reads of a range that have to fail so that it counts as unreadable: a manifest is read once more, word by word.
fn too_many(place: Range) -> u32 {
    let is_manifest = SlotId::ALL.iter().any(|slot| layout().slot(*slot).manifest == place);
    if is_manifest { 2 } else { 1 }
}

/// A read that fails, of whatever has to be read of a slot, must not cost the slot its place.
#[test]
fn a_read_that_fails_once_passes_the_confirmed_slot_over_for_one_boot_and_stores_nothing() {
    for place in places(SlotId::B) {
        for cause in ResetCause::ALL.into_iter().filter(|cause| cause.blame() != Blame::Image) {
            let mut flash = two_confirmed();
            let before = flash.mutations();
            flash.flaky = Some((place, too_many(place)));
            let handover = start::boot(&mut flash, &layout(), cause, BootCheck::Full);
            assert_eq!(flash.flaky, Some((place, 0)), "the fault struck");
            let found = (handover.start, handover.row);
            assert_eq!(found, (Start::Slot(SlotId::A), BootRow::PassedOver), "{place:?} {cause:?}");
            assert_eq!(flash.mutations(), before);
            let handover = start::boot(&mut flash, &layout(), cause, BootCheck::Full);
            let found = (handover.start, handover.row);
            assert_eq!(found, (Start::Slot(SlotId::B), BootRow::Confirmed), "{place:?} {cause:?}");
        }
    }
}

/// Without a fallback recovery runs once; where no read ever succeeds it runs for as long.
#[test]
fn a_lone_slot_that_cannot_be_read_starts_again_as_soon_as_it_can() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let mut flash = bench.flash().clone();
    let before = flash.mutations();
    flash.unreadable = vec![layout().slots().a.areas[0].range];
    for _ in 0..5 {
        let handover = start::boot(&mut flash, &layout(), ResetCause::PowerOn, BootCheck::Full);
        assert_eq!((handover.start, handover.row), (Start::Recovery, BootRow::NothingBoots));
    }
    flash.unreadable.clear();
    let handover = start::boot(&mut flash, &layout(), ResetCause::PowerOn, BootCheck::Full);
    assert_eq!((handover.start, handover.row), (Start::Slot(SlotId::A), BootRow::Confirmed));
    assert_eq!(flash.mutations(), before);
}

/// The trial is passed over too, with the boot that was armed for it.
#[test]
fn a_read_that_fails_once_leaves_an_armed_trial_armed() {
    for place in places(SlotId::B) {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000));
        let two = Bundle::new(2, 9000);
        bench.staged(&two);
        bench.armed(&two, TERMS);
        bench.flash().flaky = Some((place, too_many(place)));
        bench.restart(ResetCause::Requested).open_session();
        assert_eq!(bench.flash().flaky, Some((place, 0)), "the fault struck");
        let found = (bench.handover.start, bench.handover.row);
        assert_eq!(found, (Start::Slot(SlotId::A), BootRow::PassedOver), "{place:?}");
        let trial = bench.status().trial.unwrap();
        assert_eq!((trial.running, trial.armed, trial.boots_left), (false, 1, TERMS.boots));
        bench.reset();
        assert_eq!(bench.handover.row, BootRow::TrialArmed);
    }
}

/// A trial whose spent boot cannot be stored gives way to the confirmed image, if that one verifies.
#[test]
fn a_trial_boot_that_cannot_be_stored_starts_the_confirmed_slot_only_if_it_matches() {
    for damaged in [false, true] {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000));
        let two = Bundle::new(2, 9000);
        bench.staged(&two);
        bench.armed(&two, TERMS);
        let mut flash = bench.flash().clone();
        flash.refuses = Some(range(0, 0x2000));
        let at = layout().slots().a.areas[0].range.start as usize;
        flash.bytes[at + 77] ^= u8::from(damaged);
        let before = flash.programs;
        let handover = start::boot(&mut flash, &layout(), ResetCause::Requested, BootCheck::Full);
        assert!(flash.programs > before, "it was tried");
        let (slot, recovery) = (Start::Slot(SlotId::A), Start::Recovery);
        let (start, row) =
            if damaged { (recovery, BootRow::NothingBoots) } else { (slot, BootRow::PassedOver) };
        assert_eq!((handover.start, handover.row, handover.deadline_ms), (start, row, None));
    }
}

/// What runs becomes the confirmed version in the very entry that marks the other slot as written to.
#[test]
fn a_stage_into_a_confirmed_slot_that_was_passed_over_confirms_what_runs_first() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000)).confirmed(&Bundle::new(2, 9000));
    bench.restart(ResetCause::Crash);
    bench.flash().flaky = Some((layout().slots().b.manifest, 2));
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!((bench.handover.row, bench.status().active), (BootRow::PassedOver, Some(SlotId::B)));
    let three = Bundle::new(3, 9000);
    let entries = bench.status().record_entries;
    assert!(bench.stage(&three, false).is_ok());
    let status = bench.status();
    assert_eq!(status.record_entries, entries + 1);
    let crashes = CONFIRMED_CRASH_BUDGET;
    assert_eq!((status.active, status.crash_left), (Some(SlotId::A), crashes));
    assert_eq!(status.slots.b, SlotState::Writing { bundle: three.digest });
    bench.restart(ResetCause::PowerOn);
    assert_eq!(bench.handover.row, BootRow::Confirmed);
    assert_eq!(bench.handover.start, Start::Slot(SlotId::A));
}

/// A recovery image that crashes for ever must not wear the record out: the budget is spent once.
#[test]
fn a_recovery_image_that_crashes_stops_writing_the_record() {
    let mut alone = Bench::enrolled();
    alone.confirmed(&Bundle::new(1, 9000));
    let mut paused = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    paused.staged(&one);
    paused.armed(&one, TERMS);
    assert_rests_in_recovery("enrolled", Bench::enrolled());
    assert_rests_in_recovery("confirmed alone", alone);
    assert_rests_in_recovery("on trial", paused);
}

fn assert_rests_in_recovery(name: &str, mut bench: Bench) {
    let mut programs = vec![];
    for boot in 0..40 {
        bench.restart(ResetCause::Watchdog);
        bench.step();
        programs.push(bench.flash().programs);
        assert!(boot < 20 || bench.handover.start == Start::Recovery, "{name}");
    }
    assert_eq!(programs[20], programs[39], "{name}: still writes, {programs:?}");
}

/// Where a slot is read at every start: its manifest, a component's bytes, and what is behind them.
fn places(slot: SlotId) -> [Range; 3] {
    let layout = layout();
    let slot = layout.slot(slot);
    let app = slot.areas[0].range;
    [slot.manifest, range(app.start + 4096, 8), range(app.end() - 8, 8)]
}

/// Slot A holds the fallback, slot B the confirmed image.
fn two_confirmed() -> RamFlash {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000)).confirmed(&Bundle::new(2, 9000));
    bench.flash().clone()
}

/// Boots a copy of `flash`; gives the bytes that were read of the components of A and of B.
fn boot_and_watch(flash: &RamFlash, cause: ResetCause, check: BootCheck) -> (Handover, [u64; 2]) {
    let mut flash = flash.clone();
    flash.reads = Some(vec![]);
    let handover = start::boot(&mut flash, &layout(), cause, check);
    let reads = flash.reads.unwrap_or_default();
    let layout = layout();
    let read = SlotId::ALL.map(|slot| {
        let areas = &layout.slot(slot).areas;
        let within =
            |at: u32| areas.iter().any(|area| area.range.start <= at && at < area.range.end());
        reads.iter().filter(|read| within(read.start)).map(|read| u64::from(read.len_bytes)).sum()
    });
    (handover, read)
}

/// Bytes of a slot's components, with what has to be erased behind them.
fn slot_bytes(slot: SlotId) -> u64 {
    layout().slot(slot).areas.iter().map(|area| u64::from(area.range.len_bytes)).sum()
}
