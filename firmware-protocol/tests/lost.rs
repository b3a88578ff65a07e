//! What flash has lost between two starts, or cannot read any more: the entry of a trial boot, the manifest of a
//! staged slot, a word behind a component.

use firmware_protocol::boot::{BootRow, CONFIRMED_CRASH_BUDGET, ResetCause};
use firmware_protocol::device::{Effect, Input};
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{SlotId, SlotState};

use crate::support::bench::{Bench, PLAN, TERMS};
use crate::support::bundle::Bundle;
use crate::support::range;

/// Nothing would end a trial boot that the record does not show: neither lease nor boot limit is known. So it
/// resets before it has said a word, and the boot stage decides once more.
#[test]
fn a_trial_boot_whose_entry_is_lost_resets_at_once() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3_000));
    let two = Bundle::new(2, 3_000);
    bench.staged(&two);
    bench.armed(&two, TERMS);
    bench.reset();
    assert_eq!(bench.handover.row, BootRow::TrialArmed);
    bench.restart_engine();
    bench.poll(Input::Nothing);
    assert!(matches!(bench.last.effect, Effect::Feed { deadline_ms: Some(_) }), "on record");
    let newest = bench.newest_place();
    bench.flash().unreadable = vec![newest];
    bench.restart_engine();
    let said = bench.tell(1, Request::Status);
    assert_eq!((said, bench.last.effect), (None, Effect::Reset));
    // The entry before it arms the same boot, which is accounted for anew.
    bench.restart(ResetCause::Requested).open_session();
    assert_eq!(bench.handover.row, BootRow::TrialArmed);
    let trial = bench.status().trial.unwrap();
    assert!(trial.running);
    assert_eq!(trial.boots_left, TERMS.boots - 1);
}

/// With the whole record lost no image runs but recovery, and that one stays.
#[test]
fn only_a_trial_boot_resets_for_a_lost_record() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3_000));
    bench.restart(ResetCause::PowerOn).open_session();
    bench.flash().unreadable = bench.layout.record().to_vec();
    bench.restart_engine();
    bench.rest();
    assert!(matches!(bench.last.effect, Effect::Feed { deadline_ms: None }), "{:?}", bench.last);
}

/// A trial of a slot without its manifest could never be opened; nor would anything but a stage bring it back.
#[test]
fn a_staged_slot_is_found_done_only_while_it_holds_its_manifest() {
    let one = Bundle::new(1, 9_000);
    let found = |how| Ok(Reply::Stage { slot: SlotId::A, how });
    for fault in ["none", "lost", "one bit", "unreadable"] {
        let mut bench = Bench::enrolled();
        bench.staged(&one);
        let manifest = bench.layout.slots().a.manifest;
        match fault {
            "none" => {}
            "lost" => bench.flash().lose(manifest),
            "one bit" => bench.flash().bytes[manifest.start as usize + 40] ^= 1,
            _ => bench.flash().unreadable = vec![range(manifest.start + 40, 8)],
        }
        bench.restart(ResetCause::PowerOn).open_session();
        let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS };
        if fault == "none" {
            assert_eq!(bench.stage(&one, false), found(How::FoundDone));
        } else {
            let is_read = fault != "unreadable";
            let refusal = if is_read { Refusal::NotStaged } else { Refusal::Flash };
            assert_eq!(bench.ask(open), Err(refusal), "{fault}");
            assert_eq!(bench.stage(&one, false), found(How::Done), "{fault}");
            let writing = SlotState::Writing { bundle: one.digest };
            assert_eq!(bench.status().slots.a, writing, "{fault}");
            bench.send_missing(&one, 0);
            bench.send_missing(&one, 1);
            assert!(bench.ask(Request::Finish).is_ok(), "{fault}");
        }
        assert!(bench.ask(open).is_ok(), "{fault}");
    }
}

/// What lies behind the document decides nothing, so the slot starts and says which version it is.
#[test]
fn a_word_that_cannot_be_read_behind_a_manifest_does_not_matter() {
    let one = Bundle::new(1, 3_000);
    let mut bench = Bench::enrolled();
    bench.confirmed(&one);
    let manifest = bench.layout.slots().a.manifest;
    let behind = u32::try_from(one.envelope.len()).unwrap().next_multiple_of(8);
    for (offset, starts) in [(behind, true), (behind - 8, false)] {
        bench.flash().unreadable = vec![range(manifest.start + offset, 8)];
        bench.restart(ResetCause::PowerOn);
        let row = if starts { BootRow::Confirmed } else { BootRow::NothingBoots };
        assert_eq!(bench.handover.row, row, "{offset}");
    }
}

/// The boot stage could not store that the trial's boot was over. What crashes behind that is the confirmed image.
#[test]
fn a_crash_of_the_confirmed_image_is_not_the_trials_though_flash_refused_its_end() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3_000));
    let two = Bundle::new(2, 3_000);
    bench.staged(&two);
    let trial_id = bench.armed(&two, TERMS);
    bench.reset();
    let crash_left = bench.status().trial.unwrap().crash_left;
    let [first, second] = bench.layout.record();
    bench.flash().refuses = Some(range(first.start, second.end() - first.start));
    bench.restart(ResetCause::Requested).open_session();
    assert_eq!(bench.handover.row, BootRow::TrialPaused);
    bench.flash().refuses = None;
    assert!(bench.ask(Request::Arm { trial_id, boots: 1 }).is_ok());
    bench.restart(ResetCause::Watchdog).open_session();
    let status = bench.status();
    assert_eq!(status.trial.unwrap().crash_left, crash_left);
    assert_eq!(status.crash_left, CONFIRMED_CRASH_BUDGET - 1);
}

/// An ECC trap in erase blocks that lie behind the component: one erase heals it.
#[test]
fn a_word_that_cannot_be_read_behind_a_component_is_erased() {
    let one = Bundle::new(1, 9_000);
    let mut bench = Bench::enrolled();
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    let area = bench.layout.slots().a.areas[0].range;
    bench.flash().unreadable = vec![range(area.start + 0x5008, 8)];
    let erases = bench.flash().erases;
    let staged = Reply::Staged { bundle: one.digest, how: How::Done };
    assert_eq!(bench.ask(Request::Finish), Ok(staged));
    assert_eq!(bench.flash().erases - erases, 1);
    assert!(bench.flash().unreadable.is_empty());
    let trial_id = bench.armed(&one, TERMS);
    bench.reset();
    let boot_nonce = bench.boot_nonce;
    assert_eq!(bench.ask(Request::Confirm { trial_id, boot_nonce }), Ok(Reply::Done(How::Done)));
}

/// In the erase block that the component ends in, an erase would take the component's end along: it is sent again.
#[test]
fn a_word_that_cannot_be_read_beside_a_components_end_costs_that_component() {
    let one = Bundle::new(1, 9_000);
    let mut bench = Bench::enrolled();
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    let area = bench.layout.slots().a.areas[0].range;
    bench.flash().unreadable = vec![range(area.start + 0x2ff8, 8)];
    assert_eq!(bench.ask(Request::Finish), Err(Refusal::Incomplete { component: 0 }));
    assert_eq!(bench.send_missing(&one, 0), 9);
    assert!(bench.ask(Request::Finish).is_ok());
}

/// What stays unreadable behind its erase is worn out: the stage ends with that word, and one erase was tried.
#[test]
fn a_word_that_stays_unreadable_behind_a_component_ends_the_stage() {
    let one = Bundle::new(1, 9_000);
    let mut bench = Bench::enrolled();
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    let area = bench.layout.slots().a.areas[0].range;
    bench.flash().flaky = Some((range(area.start + 0x5008, 8), u32::MAX));
    let erases = bench.flash().erases;
    assert_eq!(bench.ask(Request::Finish), Err(Refusal::Flash));
    assert_eq!(bench.flash().erases - erases, 1);
    assert_eq!(bench.status().slots.a, SlotState::Writing { bundle: one.digest });
}
