//! P1 at the switch itself: power fails at any byte while a trial is armed, entered, ended, confirmed.

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::message::Request;
use firmware_protocol::slot::{SlotId, SlotState};
use firmware_protocol::start::{self, BootCheck};

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::Bundle;
use crate::support::flash::Cut;

/// Arm, confirm and rollback are one entry each: after a cut the record tells all of it or nothing, an
/// image that verifies starts, and the floor belongs to the confirmed slot (I1, I4).
#[test]
fn a_cut_in_arm_confirm_or_rollback_leaves_all_of_it_or_nothing() {
    let mut fired = 0;
    for deed in ["arm", "confirm", "rollback"] {
        for operation in 0..6 {
            for bytes in
                (0..256).step_by(16).chain([1, 7, 8, 231, 232, 239, 240, 243, 244, 247, 4095])
            {
                let (mut bench, trial_id) = on_trial();
                bench.fill_record(trial_id);
                let boot_nonce = bench.boot_nonce;
                let operation = bench.flash().mutations() + operation;
                bench.flash().cut = Some(Cut::clean(operation, bytes));
                let answer = bench.ask(match deed {
                    "arm" => Request::Arm { trial_id, boots: 2 },
                    "confirm" => Request::Confirm { trial_id, boot_nonce },
                    _ => Request::Rollback { trial_id },
                });
                let dead = bench.flash().dead;
                assert!(answer.is_err() == dead, "{deed} cut at {bytes}: {answer:?}");
                fired += u32::from(dead);
                bench.restart(ResetCause::PowerOn).open_session();
                let status = bench.status();
                let started = bench.handover.start;
                let context = format!("{deed} cut at byte {bytes}: {started:?} {status:?}");
                assert!(matches!(started, Start::Slot(_)), "{context}");
                let confirmed = status.active == Some(SlotId::B);
                assert_eq!(status.accept_floor, if confirmed { 9 } else { 7 }, "{context}");
                assert!(!confirmed || (deed == "confirm" && status.trial.is_none()), "{context}");
            }
        }
    }
    assert!(fired > 150, "only {fired} cuts struck");
}

/// The boot stage stores before it jumps; a cut there costs at most the attempt. Cut again at the next
/// start, too: a brown-out comes seldom alone.
#[test]
fn a_cut_in_the_boot_stage_never_leads_to_recovery() {
    let mut fired = 0;
    for bytes in 0..240 {
        for again in [None, Some(0), Some(100), Some(239)] {
            let (mut bench, trial_id) = on_trial();
            assert!(bench.ask(Request::Arm { trial_id, boots: 2 }).is_ok());
            let layout = bench.layout.clone();
            let mut flash = bench.device.take().unwrap().into_parts().0;
            for bytes in [Some(bytes), again].into_iter().flatten() {
                flash.cut = Some(Cut::clean(flash.mutations() + 1, bytes));
                let cause = ResetCause::Requested;
                let cut = start::boot(&mut flash, &layout, cause, BootCheck::Full);
                assert_ne!(cut.start, Start::Slot(SlotId::B), "entered without a stored attempt");
                fired += u32::from(flash.dead);
                flash.power_on();
            }
            let booted = start::boot(&mut flash, &layout, ResetCause::BrownOut, BootCheck::Full);
            let slot = matches!(booted.start, Start::Slot(_));
            assert!(slot, "cut at {bytes}, then {again:?}: {booted:?}");
        }
    }
    assert!(fired >= 240 * 7, "only {fired} cuts struck");
}

/// A is confirmed, B runs on trial, and its security version is 9.
fn on_trial() -> (Bench, u32) {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 2000));
    let two = Bundle::changed(2, 2000, 1024, |manifest| manifest.security_version = 9);
    bench.staged(&two);
    let trial_id = bench.armed(&two, TERMS);
    bench.reset();
    assert_eq!(bench.handover.start, Start::Slot(SlotId::B));
    (bench, trial_id)
}

/// A slot is marked `writing` before its first byte changes: whatever a cut leaves of a stage, a slot
/// whose bytes differ from before is not called anything else.
#[test]
fn a_slot_whose_bytes_have_changed_is_marked_as_being_written() {
    let (first, second) = (Bundle::new(1, 3_000), Bundle::new(2, 3_000));
    let mut seen_changed = 0;
    for operation in 0..16 {
        let mut bench = Bench::enrolled();
        bench.confirmed(&first);
        let third = Bundle::new(3, 3_000);
        bench.confirmed(&third);
        let spare = bench.status().active.unwrap().other();
        let manifest = bench.layout.slot(spare).manifest;
        let before = (bench.flash().slice(manifest).to_vec(), *bench.status().slots.get(spare));
        let start = bench.flash().mutations();
        bench.flash().cut = Some(Cut::clean(start + operation, 1));
        let _ = bench.stage(&second, false);
        bench.restart(ResetCause::PowerOn);
        let after = *bench.status().slots.get(spare);
        if bench.flash().slice(manifest) != before.0 {
            seen_changed += 1;
            let marked = matches!(after, SlotState::Writing { .. });
            assert!(marked, "operation {operation}: {after:?} over changed bytes");
        }
    }
    assert!(seen_changed > 0, "no cut struck behind the first changed byte");
}

/// Bytes behind a component's end are part of what is verified: a slot that has some does not start.
#[test]
fn a_slot_with_bytes_behind_a_component_does_not_start() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3_000)).confirmed(&Bundle::new(2, 3_000));
    let active = bench.status().active.unwrap();
    let end = bench.layout.slot(active).areas[0].range.end() as usize;
    bench.flash().bytes[end - 1] ^= 1;
    bench.restart(ResetCause::PowerOn);
    assert_eq!(bench.handover.start, Start::Slot(active.other()));
}
