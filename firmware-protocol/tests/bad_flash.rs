//! Flash that fails without dying: what the engine says, and what it costs.
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]

mod support;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::Effect;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;

use support::bench::{Bench, TERMS};
use support::bundle::{Bundle, root_record, signed_root};

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

/// What the device wants to write by itself is tried again once a second, not at every poll.
#[test]
fn a_record_that_refuses_is_not_hammered() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    bench.armed(&one, TERMS);
    bench.flash().refuses = Some(support::range(0, 0x2000));
    bench.now_ms += u64::from(TERMS.lease_ms);
    let before = bench.flash().mutations();
    for _ in 0..10_000 {
        bench.step();
    }
    let tries = bench.flash().mutations() - before;
    assert!((5..=40).contains(&tries), "{tries} flash operations in ten seconds");
    bench.flash().refuses = None;
    for _ in 0..2_000 {
        bench.step();
    }
    assert_eq!(bench.status().trial, None, "it ends as soon as flash works again");
}

/// A reset whose rollback is not on record would start the trial anew: the host is told, and decides.
#[test]
fn a_rollback_that_cannot_be_stored_is_refused_and_resets_nothing() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TERMS);
    bench.reset();
    bench.flash().refuses = Some(support::range(0, 0x2000));
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

/// A slot that changes while the record still calls it something else could be started half-written.
#[test]
fn a_stage_whose_mark_or_manifest_cannot_be_stored_takes_no_block() {
    let one = Bundle::new(1, 9000);
    let places = [support::range(0, 0x2000), support::layout().slots().a.manifest];
    for place in places {
        let mut bench = Bench::enrolled();
        bench.flash().refuses = Some(place);
        assert_eq!(bench.stage(&one, false), Err(Refusal::Flash));
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
