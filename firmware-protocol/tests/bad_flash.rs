//! Flash that fails without dying: what the engine says, and what it costs.
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]

use firmware_protocol::bench_reset::BenchReset;
use firmware_protocol::boot::{CONFIRMED_CRASH_BUDGET, ResetCause, Start};
use firmware_protocol::device::{Effect, Input};
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::RootRecord;
use firmware_protocol::slot::SlotId;
use firmware_protocol::trust::BodyType;
use firmware_protocol::version::Version;

use crate::support::bench::{Bench, PLAN, TERMS};
use crate::support::bundle::{Bundle, encode, envelope, role, root_record, signed_root};
use crate::support::field::{DONE, field_of, field_record};
use crate::support::flash::RamFlash;

/// A root record that did not hold must not be named by the boot record: the device would be
/// enrolled under something it cannot read, for good.
#[test]
fn a_root_record_that_flash_did_not_hold_leaves_the_device_in_factory_state() {
    let mut bench = Bench::new();
    let root = signed_root(&root_record());
    bench.open_session().offer(&root);
    bench.flash().stuck = Some(bench.layout.trust()[1].start + 16);
    assert_eq!(root[16] & 1, 1, "the stuck bit has to matter");
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::Flash));
    bench.flash().stuck = None;
    bench.offer(&root);
    assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::Done)));
}

/// Another root record in the place of the one in force, even one that is signed as it should be, is damage.
#[test]
fn a_root_record_that_is_not_the_recorded_one_is_not_believed() {
    let mut bench = Bench::enrolled();
    let mut other = root_record();
    other.made_at_s += 1;
    let other = signed_root(&other);
    let at = bench.layout.trust()[1].start as usize;
    assert_eq!(bench.flash().bytes[at..at + other.len()][..16], other[..16], "the place in force");
    bench.flash().bytes[at..at + other.len()].copy_from_slice(&other);
    assert_eq!(bench.stage(&Bundle::new(1, 9000), false), Err(Refusal::RootLost { version: 1 }));
    let root = bench.ask(Request::RootStatus);
    assert!(matches!(root, Ok(Reply::RootStatus(root)) if !root.is_held), "{root:?}");
}

/// What the device wants to write by itself is tried again behind 1 s, 2 s, 4 s and so on, not at every poll: each try may
/// erase a range of the record, block by block, but for the one that fails. Here that is a crash budget.
#[test]
fn a_record_that_refuses_is_not_hammered() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    bench.restart(ResetCause::Watchdog).open_session();
    bench.flash().refuses = Some(crate::support::range(0, 0x2000));
    bench.now_ms += 60_000;
    let mut tries = Vec::new();
    for passed_ms in 0..20_000 {
        let before = bench.flash().mutations();
        bench.step();
        if bench.flash().mutations() > before {
            tries.push(passed_ms / 1_000);
        }
    }
    tries.dedup();
    assert_eq!(tries, [0, 1, 3, 7, 15], "seconds in which flash was tried");
    // What works once, by whomever it was asked, does not let the rest wait.
    bench.flash().refuses = None;
    let two = Bundle::new(2, 9000);
    assert!(bench.stage(&two, false).is_ok());
    bench.rest();
    assert_eq!(bench.status().crash_left, CONFIRMED_CRASH_BUDGET);
}

/// P3: the end of a trial waits for a second at most, whatever else has failed before; and a boot on trial resets though
/// its end cannot be stored.
#[test]
fn the_end_of_a_trial_does_not_wait_for_what_the_device_could_not_write_before() {
    for runs in [false, true] {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000));
        bench.restart(ResetCause::Watchdog).open_session();
        let two = Bundle::new(2, 9000);
        bench.staged(&two);
        bench.armed(&two, TERMS);
        if runs {
            bench.reset();
            let trial_id = bench.status().trial.unwrap().trial_id;
            let confirm = Request::Confirm { trial_id, boot_nonce: bench.boot_nonce };
            bench.flash().refuses = Some(crate::support::range(0, 0x2000));
            assert_eq!(bench.ask(confirm), Err(Refusal::Flash));
        } else {
            bench.flash().refuses = Some(crate::support::range(0, 0x2000));
        }
        let mut polls = 0;
        while bench.last.effect != Effect::Reset && polls < 2 * TERMS.lease_ms {
            bench.now_ms += 1;
            bench.poll(Input::Nothing);
            polls += 1;
        }
        assert_eq!(bench.last.effect == Effect::Reset, runs, "a boot on trial ends all the same");
        if runs {
            assert!(polls <= TERMS.lease_ms + 1_100, "behind {polls} ms");
            continue;
        }
        bench.flash().refuses = None;
        for _ in 0..1_100 {
            bench.step();
        }
        assert_eq!(bench.status().trial, None);
    }
}

/// A reset whose rollback is not on record would start the trial anew: the host is told, and decides.
#[test]
fn a_rollback_that_cannot_be_stored_is_refused_and_resets_nothing() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TERMS);
    bench.reset();
    bench.flash().refuses = Some(crate::support::range(0, 0x2000));
    let before = bench.flash().programs;
    let rollback = Request::Rollback { trial_id };
    assert_eq!(bench.ask(rollback), Err(Refusal::Flash));
    assert!(bench.flash().programs > before, "it was tried");
    for _ in 0..200 {
        bench.step();
        assert!(matches!(bench.last.effect, Effect::Feed { .. }), "{:?}", bench.last);
    }
    assert!(bench.status().trial.is_some_and(|trial| trial.running), "the trial goes on");
    bench.flash().refuses = None;
    assert_eq!(bench.ask(rollback), Ok(Reply::Done(How::Done)));
    bench.until_reset();
    bench.restart(ResetCause::Requested).open_session();
    assert_eq!(bench.status().trial, None);
}

/// An entry that flash called failed may be there all the same. What is acknowledged later counts.
#[test]
fn a_rollback_behind_a_confirm_that_only_seemed_to_fail_stays_rolled_back() {
    type Fault = fn(&mut RamFlash);
    let faults: [(&str, Fault); 2] = [
        ("the program is done and reported as failed", |flash| flash.fails_after = Some(256)),
        ("the program is done and not read back", |flash| flash.read_back_fails = true),
    ];
    let mut failed = 0;
    // The erase of a range, the mark that the place is begun, the entry, its seal.
    for (operation, (name, fault)) in (0..4).flat_map(|number| faults.map(|fault| (number, fault)))
    {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000));
        let two = Bundle::new(2, 9000);
        bench.staged(&two);
        let trial_id = bench.armed(&two, TERMS);
        bench.reset().fill_record(trial_id);
        let before = bench.status();
        let boot_nonce = bench.boot_nonce;
        bench.flash().sound_until = bench.flash().mutations() + operation;
        fault(bench.flash());
        let answer = bench.ask(Request::Confirm { trial_id, boot_nonce });
        // A mark that is read once more is there.
        if answer.is_ok() && name.contains("not read back") {
            continue;
        }
        assert_eq!(answer, Err(Refusal::Flash), "{name}");
        failed += 1;
        assert_eq!(bench.ask(Request::Rollback { trial_id }), Ok(Reply::Done(How::Done)), "{name}");
        bench.until_reset();
        bench.restart(ResetCause::Requested).open_session();
        let after = bench.status();
        assert_eq!((after.active, after.accept_floor), (before.active, 7), "{name}");
        assert_eq!(bench.handover.start, Start::Slot(SlotId::A), "{name}");
    }
    assert!(failed >= 3, "only {failed} confirms seemed to fail");
}

/// A version that a read too many has hidden must not let a bundle in that may not come from it.
#[test]
fn a_bundle_that_asks_where_it_comes_from_is_refused_while_the_running_version_is_unknown() {
    // Three tries, each of the whole manifest and then of its first word.
    for failing_reads in 1..=6 {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000));
        bench.restart(ResetCause::PowerOn);
        let manifest = bench.layout.slots().a.manifest;
        bench.flash().flaky = Some((manifest, failing_reads));
        bench.restart_engine().open_session();
        assert_eq!(bench.flash().flaky, Some((manifest, 0)), "every fault struck");
        let from = |version| Bundle::changed(3, 9000, 1024, |m| m.from_version = Some(version));
        let (known, too_new) = (from(Version::new(1, 2, 3)), from(Version::new(99, 0, 0)));
        let unknown = failing_reads == 6;
        let before = bench.flash().mutations();
        let refusal = if unknown { Refusal::Flash } else { Refusal::TooOldToComeFrom };
        assert_eq!(bench.stage(&too_new, false), Err(refusal), "{failing_reads}");
        if unknown {
            assert_eq!(bench.stage(&known, false), Err(Refusal::Flash));
            assert_eq!(bench.flash().mutations(), before, "refused before touched");
            assert!(bench.stage(&Bundle::new(3, 9000), false).is_ok(), "it does not ask");
        } else {
            assert!(bench.stage(&known, false).is_ok(), "{failing_reads}");
        }
    }
}

/// In recovery nothing runs that could be too old, and what saves the device must get in.
#[test]
fn recovery_takes_a_bundle_whatever_it_may_come_from() {
    let mut bench = Bench::enrolled();
    let oldest = Some(Version::new(99, 0, 0));
    let bundle = Bundle::changed(3, 9000, 1024, |manifest| manifest.from_version = oldest);
    assert_eq!(bench.handover.start, Start::Recovery);
    assert!(bench.stage(&bundle, false).is_ok());
}

/// What was tried for a whole trial is not lost to a read that fails: the manifest is read three times before that counts.
#[test]
fn a_manifest_that_fails_to_read_twice_is_confirmed() {
    for (failing_reads, said) in [(2, DONE), (u32::MAX, Err(Refusal::Flash))] {
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 9000);
        let trial_id = bench.staged(&one).armed(&one, TERMS);
        bench.reset();
        let boot_nonce = bench.boot_nonce;
        bench.flash().flaky = Some((crate::support::layout().slots().a.manifest, failing_reads));
        assert_eq!(bench.ask(Request::Confirm { trial_id, boot_nonce }), said);
    }
}

/// The same for the trial that is to be opened, and for a slot that is looked at. What flash does not give is no bundle that was
/// never staged: staged anew it would cost the slot another time.
#[test]
fn a_manifest_that_fails_to_read_twice_opens_a_trial_and_is_hashed() {
    let one = Bundle::new(1, 9000);
    let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS };
    let hash = Request::HashComponent { slot: SlotId::A, area: 0 };
    for (request, failing_reads) in [(open, 2), (open, u32::MAX), (hash, 2), (hash, u32::MAX)] {
        let mut bench = Bench::enrolled();
        let place = bench.layout.slots().a.manifest;
        bench.staged(&one).flash().flaky = Some((place, failing_reads));
        match bench.ask(request) {
            Ok(Reply::Trial { armed: 0, how: How::Done, .. } | Reply::Hash { .. }) => {
                assert_eq!(failing_reads, 2, "{request:?}");
            }
            other => {
                assert_eq!((other, failing_reads), (Err(Refusal::Flash), u32::MAX), "{request:?}");
            }
        }
    }
}

/// A slot that changes while the record still calls it something else could be started half-written.
#[test]
fn a_stage_whose_mark_or_manifest_cannot_be_stored_takes_no_block() {
    let one = Bundle::new(1, 9000);
    let places = [crate::support::range(0, 0x2000), crate::support::layout().slots().a.manifest];
    for place in places {
        let mut bench = Bench::enrolled();
        bench.flash().refuses = Some(place);
        let before = bench.flash().erases;
        assert_eq!(bench.stage(&one, false), Err(Refusal::Flash));
        let (is_erased, is_marked) = (bench.flash().erases > before, place != places[0]);
        assert_eq!(is_erased, is_marked, "nothing of the slot is erased before it is marked");
        bench.flash().refuses = None;
        let before = bench.flash().mutations();
        assert_eq!(bench.ask(Request::OpenComponent { index: 0 }), Err(Refusal::NoStage));
        for block in one.payloads[0].chunks(1024) {
            bench.chunk(0, 0, block);
        }
        assert_eq!(bench.flash().mutations(), before, "{place:?}");
        bench.staged(&one);
    }
}

/// A block that never holds its bytes ends the stage, not the part.
#[test]
fn a_stuck_bit_in_the_slot_ends_the_stage_after_a_bounded_number_of_tries() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let at = one.payloads[0].iter().position(|byte| byte & 1 == 1).unwrap();
    bench.flash().stuck = Some(bench.layout.slots().a.areas[0].range.start + at as u32);
    let before = bench.flash().erases;
    for _ in 0..30 {
        bench.chunk(0, 0, &one.payloads[0][..1024]);
    }
    assert_eq!(bench.flash().erases - before, 8);
    assert_eq!(bench.ask(Request::Missing { first_block: 0 }), Err(Refusal::NoStage));
}

/// On a field device anybody can open a session to bring the next root record, and flash may fail there: what that costs does
/// not grow with the sessions.
#[test]
fn strangers_draw_few_erases_from_flash_that_fails_in_however_many_sessions() {
    let mut bench = field_of(&field_record());
    let next = signed_root(&RootRecord { version: 2, ..field_record() });
    let place = bench.layout.trust()[0];
    bench.flash().stuck = Some(place.start + 16);
    (bench.host, bench.sealed) = (None, None);
    let before = bench.flash().erases;
    for _ in 0..50 {
        bench.open_session();
        for _ in 0..6 {
            bench.offer(&next);
            assert_eq!(bench.ask(Request::Enroll), Err(Refusal::Flash));
        }
    }
    let erases = bench.flash().erases - before;
    assert!((1..=8).contains(&erases), "{erases} erases");
    // The flash works again, and so does whoever may do more: the next start forgets.
    bench.flash().stuck = None;
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::Flash));
    bench.restart(ResetCause::PowerOn).open_session();
    bench.offer(&next);
    assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::Done)));
}

/// What a request asks of flash that fails counts whatever was asked: behind four faults the session draws no operation any
/// more.
#[test]
fn every_request_that_flash_ends_counts() {
    const QUALIFY: u8 = 21;
    let record = RootRecord { qualify: role(&[QUALIFY], 1), ..root_record() };
    for request in [Request::Enroll, Request::BenchReset] {
        let mut bench = Bench::new();
        bench.open_session().offer(&signed_root(&record));
        assert_eq!(bench.ask(Request::Enroll), DONE);
        bench.confirmed(&Bundle::changed(1, 9000, 1024, |it| it.security_version = 9)).rest();
        let boot_nonce = bench.boot_nonce;
        let reset = BenchReset {
            product: "demo",
            serial: "SN-1",
            boot_nonce,
            floor: 4,
            epoch: 0,
            made_at_s: 0,
        };
        let document = if request == Request::Enroll {
            signed_root(&RootRecord { version: 2, ..record.clone() })
        } else {
            envelope(BodyType::BenchReset, &encode(&reset), &[QUALIFY])
        };
        bench.offer(&document).flash().refuses = Some(crate::support::range(0, 0x4000));
        let drawn = [(); 6].map(|()| {
            let before = bench.flash().mutations();
            assert_eq!(bench.ask(request), Err(Refusal::Flash));
            bench.flash().mutations() > before
        });
        assert_eq!(drawn, [true, true, true, true, false, false], "{request:?}");
    }
}
