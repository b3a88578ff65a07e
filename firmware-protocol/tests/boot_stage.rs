//! The boot stage: what it reads before it starts an image, and what it tells that image.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a broken expectation has to stop them, and sizes here are small"
)]

mod support;

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::message::TrialTerms;
use firmware_protocol::slot::SlotId;
use firmware_protocol::start::{self, BootCheck, Handover};

use support::bench::{Bench, TERMS};
use support::bundle::Bundle;
use support::flash::RamFlash;
use support::layout;

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
    let at = layout().slots.b.areas[0].range.start as usize;
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
    let reads = flash.reads.unwrap();
    let layout = layout();
    let read = SlotId::ALL.map(|slot| {
        let areas = &layout.slots.get(slot).areas;
        let within =
            |at: u32| areas.iter().any(|area| area.range.start <= at && at < area.range.end());
        reads.iter().filter(|read| within(read.start)).map(|read| u64::from(read.len_bytes)).sum()
    });
    (handover, read)
}

/// Bytes of a slot's components, with what has to be erased behind them.
fn slot_bytes(slot: SlotId) -> u64 {
    layout().slots.get(slot).areas.iter().map(|area| u64::from(area.range.len_bytes)).sum()
}
