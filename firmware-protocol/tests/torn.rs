//! Cells that lost their power on the way read one way today and the other way tomorrow. What reads well once is
//! written again before it is believed: blocks of a slot, its manifest, what was erased behind a component, the
//! record itself.

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::flash::Range;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::slot::{SlotId, SlotState};

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::Bundle;
use crate::support::flash::{Cut, Mood};

/// Cuts every operation of a stage in such a way that all of it is in doubt, and lets it read as done at the next
/// start and as not done ever after: what was called staged is there all the same.
#[test]
fn what_a_cut_left_in_doubt_is_not_called_staged_because_it_reads_well_once() {
    let (short, long) = (Bundle::new(4, 5_000), Bundle::new(3, 14_000));
    let mut dry = over_a_long_image(&long);
    let before = dry.flash().mutations();
    dry.staged(&short);
    let operations = dry.flash().mutations() - before;
    let mut weak = 0;
    for operation in 0..operations {
        for (first, later) in [(Mood::New, Mood::Old), (Mood::Old, Mood::New)] {
            let mut bench = over_a_long_image(&long);
            let start = bench.flash().mutations();
            bench.flash().cut = Some(Cut { operation: start + operation, bytes: 0, weak: true });
            bench.flash().mood = first;
            let _ = try_stage(&mut bench, &short);
            assert!(bench.flash().dead, "operation {operation} was not cut");
            weak += u64::from(bench.flash().weak_cells() > 0);
            bench.restart(ResetCause::PowerOn).open_session();
            let reply = try_stage(&mut bench, &short);
            assert!(matches!(reply, Ok(Reply::Staged { .. })), "{operation} {first:?}: {reply:?}");
            bench.flash().mood = later;
            let trial_id = bench.armed(&short, TERMS);
            bench.reset();
            assert_eq!(bench.handover.start, Start::Slot(SlotId::A), "{operation} {first:?}");
            let boot_nonce = bench.boot_nonce;
            assert!(bench.ask(Request::Confirm { trial_id, boot_nonce }).is_ok());
            for mood in [first, later, first] {
                bench.flash().mood = mood;
                bench.restart(ResetCause::PowerOn).open_session();
                assert_eq!(bench.handover.start, Start::Slot(SlotId::A), "{operation} {mood:?}");
            }
        }
    }
    println!("{operations} operations, {weak} weak");
    assert!(weak > operations, "only {weak} cuts left cells in doubt");
}

/// B is confirmed, A holds a longer image.
fn over_a_long_image(long: &Bundle) -> Bench {
    let mut bench = Bench::enrolled();
    bench.confirmed(long).confirmed(&Bundle::new(2, 3_000));
    assert_eq!(bench.handover.start, Start::Slot(SlotId::B));
    bench
}

/// Stages as a host does, with the block list; the first refusal or silence ends it.
fn try_stage(bench: &mut Bench, bundle: &Bundle) -> crate::support::bench::Answer {
    bench.try_offer(&bundle.envelope)?;
    bench.ask(Request::Stage { again: true })?;
    for component in [0, 1] {
        bench.ask(Request::OpenComponent { index: component })?;
        let digests = bundle.block_list(usize::from(component)).concat();
        bench.ask(Request::BlockList { first_block: 0, digests: &digests })?;
        let asked = bench.ask(Request::Missing { first_block: 0 })?;
        let Reply::Missing { bits, .. } = asked else { panic!("{asked:?}") };
        let payload = &bundle.payloads[usize::from(component)];
        for (block, bytes) in payload.chunks(1024).enumerate() {
            if bits[block / 8] >> (block % 8) & 1 == 1 {
                bench.chunk(component, block as u64 * 1024, bytes);
            }
        }
    }
    bench.ask(Request::Finish)
}

/// A stage of something else over a slot that a cut has left in doubt doubts it as well.
#[test]
fn another_bundle_over_a_slot_in_doubt_keeps_nothing_of_what_is_in_doubt() {
    // The two share all blocks of the first component but the last.
    let one = Bundle::new(5, 9_000);
    let mut bench = over_a_long_image(&Bundle::new(3, 14_000));
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.restart(ResetCause::PowerOn).open_session();
    let notes = Bundle::changed(5, 9_000, 1024, |manifest| manifest.notes = "the same bytes");
    assert_eq!(bench.stage(&notes, false), Ok(Reply::Stage { slot: SlotId::A, how: How::Done }));
    // Once more: the doubt outlives the entry that names the new manifest.
    bench.restart(ResetCause::PowerOn).open_session();
    assert!(bench.stage(&notes, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let digests = &notes.block_list(0).concat();
    assert!(bench.ask(Request::BlockList { first_block: 0, digests }).is_ok());
    assert_eq!(bench.send_missing(&notes, 0), 9, "all of it is in the run that was named");
}

/// A confirm that a cut has left in doubt is decided once: by the boot stage, before it jumps.
#[test]
fn a_confirm_in_doubt_is_decided_by_the_start_behind_the_cut() {
    for (first, later) in [(Mood::New, Mood::Old), (Mood::Old, Mood::New)] {
        for operation in 0..4 {
            let mut bench = Bench::enrolled();
            bench.confirmed(&Bundle::new(1, 3_000));
            let two = Bundle::new(2, 3_000);
            bench.staged(&two);
            let trial_id = bench.armed(&two, TERMS);
            bench.reset();
            let start = bench.flash().mutations();
            bench.flash().cut = Some(Cut { operation: start + operation, bytes: 0, weak: true });
            let boot_nonce = bench.boot_nonce;
            let _ = bench.ask(Request::Confirm { trial_id, boot_nonce });
            bench.flash().mood = first;
            bench.restart(ResetCause::PowerOn).open_session();
            let decided = bench.status().active;
            for mood in [later, first, later] {
                bench.flash().mood = mood;
                bench.restart(ResetCause::PowerOn).open_session();
                assert_eq!(bench.status().active, decided, "{operation} {first:?} {mood:?}");
            }
            let admitted = matches!(bench.status().slots.b, SlotState::Admitted { .. });
            assert_eq!(admitted, decided == Some(SlotId::B));
        }
    }
}

/// Where the boot stage could not write, the engine does.
#[test]
fn an_engine_that_finds_its_record_in_doubt_writes_it_anew() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3_000));
    bench.restart(ResetCause::PowerOn).open_session();
    let entries = bench.status().record_entries;
    let seal = bench.newest_place().start + 448;
    bench.flash().lose(Range { start: seal, len_bytes: 32 });
    bench.restart_engine();
    bench.rest();
    bench.open_session();
    assert_eq!(bench.status().record_entries, entries + 1);
    bench.restart_engine();
    bench.rest();
    bench.open_session();
    assert_eq!(bench.status().record_entries, entries + 1, "once is enough");
}
