//! The life of a device: enrolment, trials and how they end, repeated requests.

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::device::Effect;
use firmware_protocol::digest::Digest;
use firmware_protocol::message::{How, Reply, Request, TrialTerms};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::RootRecord;
use firmware_protocol::slot::{RejectReason, SlotId, SlotState};

use crate::support::bench::{Bench, PLAN, TERMS};
use crate::support::bundle::{self, Bundle, role, root_record, root_signed_by, signed_root};

#[test]
fn a_device_enrols_once_and_finds_the_same_root_done() {
    let mut bench = Bench::enrolled();
    assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::FoundDone)));
    let stranger = RootRecord { root: role(&[7], 1), ..root_record() };
    bench.offer(&root_signed_by(&stranger, &[7]));
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::AlreadyEnrolled));
    bench.restart(ResetCause::PowerOn).open_session().offer(&signed_root(&root_record()));
    assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::FoundDone)));
}

#[test]
fn a_device_in_factory_state_stages_nothing() {
    let mut bench = Bench::new();
    bench.open_session();
    assert_eq!(bench.stage(&Bundle::new(1, 9000), false), Err(Refusal::NotEnrolled));
}

/// P2, P5, P7: every step of the good path, and what the record says after each.
#[test]
fn a_bundle_is_staged_tried_confirmed_and_then_boots_by_itself() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let bundle = one.digest;
    assert_eq!(bench.status().slots.a, SlotState::Staged { bundle });
    let trial_id = bench.armed(&one, TERMS);
    assert_eq!(bench.handover.start, Start::Recovery);
    bench.reset();
    assert_eq!(bench.handover.start, Start::Slot(SlotId::A));
    assert_eq!(bench.handover.row, BootRow::TrialArmed);
    let trial = bench.status().trial.unwrap();
    assert!(trial.running && trial.armed == 0 && trial.boots_left == TERMS.boots - 1);
    assert_eq!(bench.status().accept_floor, 0);
    for _ in 0..5 {
        bench.now_ms += u64::from(TERMS.lease_ms) - 100;
        let reply = bench.ask(Request::Renew);
        assert!(matches!(reply, Ok(Reply::Renewed { lease_left_ms: 10_000, .. })), "{reply:?}");
    }
    let boot_nonce = bench.boot_nonce;
    let wrong = Request::Confirm { trial_id, boot_nonce: boot_nonce ^ 1 };
    assert_eq!(bench.ask(wrong), Err(Refusal::WrongBoot));
    let confirm = Request::Confirm { trial_id, boot_nonce };
    assert_eq!(bench.ask(confirm), Ok(Reply::Done(How::Done)));
    assert_eq!(bench.ask(confirm), Ok(Reply::Done(How::FoundDone)));
    assert_eq!(bench.status().accept_floor, 7);
    let entries = bench.status().record_entries;
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(bench.handover.row, BootRow::Confirmed);
    let status = bench.status();
    assert_eq!((status.active, status.slots.a), (Some(SlotId::A), SlotState::Admitted { bundle }));
    assert_eq!(status.record_entries, entries, "a confirmed boot writes nothing");
}

/// A second bundle, while the image of the first trial still runs, now confirmed: its trial is not
/// running, so this boot must not be able to confirm it (P2, P5).
#[test]
fn the_boot_that_was_confirmed_cannot_confirm_the_next_trial() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let two = Bundle::new(2, 9000);
    bench.staged(&two);
    let trial_id = bench.armed(&two, TERMS);
    assert!(!bench.status().trial.unwrap().running);
    let boot_nonce = bench.boot_nonce;
    let reply = bench.ask(Request::Confirm { trial_id, boot_nonce });
    assert_eq!(reply, Err(Refusal::NotInTrial));
    bench.reset();
    assert_eq!(bench.handover.start, Start::Slot(SlotId::B));
}

#[test]
fn a_rollback_by_the_host_ends_in_the_confirmed_slot() {
    let (mut bench, trial_id) = on_trial(TERMS);
    assert_eq!(bench.ask(Request::Rollback { trial_id }), Ok(Reply::Done(How::Done)));
    bench.until_reset();
    bench.restart(ResetCause::Requested).open_session();
    assert_back(&mut bench, RejectReason::HostDecided, trial_id);
    assert_eq!(bench.ask(Request::Rollback { trial_id }), Ok(Reply::Done(How::FoundDone)));
    assert_eq!(bench.ask(Request::Rollback { trial_id: 9 }), Err(Refusal::NoTrial));
}

/// P3: the device goes back by itself when the host is silent.
#[test]
fn an_expired_lease_ends_the_trial() {
    let (mut bench, trial_id) = on_trial(TERMS);
    let lease_end = bench.now_ms + u64::from(TERMS.lease_ms);
    while bench.last.effect != Effect::Reset {
        bench.now_ms += 99;
        bench.step();
        assert!(bench.now_ms < lease_end + 1000, "no reset after the lease");
    }
    assert!(bench.now_ms >= lease_end - 2, "reset {} ms early", lease_end - bench.now_ms);
    bench.restart(ResetCause::Requested).open_session();
    assert_back(&mut bench, RejectReason::LeaseExpired, trial_id);
}

#[test]
fn the_lease_also_ends_a_trial_that_is_paused() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TERMS);
    bench.now_ms += u64::from(TERMS.lease_ms);
    for _ in 0..12 {
        bench.step();
        assert_ne!(bench.last.effect, Effect::Reset);
    }
    let reason = RejectReason::LeaseExpired;
    let slot = bench.status().slots.a;
    assert_eq!(slot, SlotState::Rejected { bundle: one.digest, reason, trial_id });
}

#[test]
fn a_boot_that_outlives_its_limit_ends_the_trial_although_it_is_renewed() {
    let (mut bench, trial_id) = on_trial(TERMS);
    while bench.last.effect != Effect::Reset {
        // An entry of the record takes a few calls.
        bench.now_ms += if bench.now_ms < 60_000 { 2_000 } else { 10 };
        assert!(bench.now_ms < 61_000, "no reset after the limit");
        if bench.now_ms < 60_000 {
            assert!(bench.ask(Request::Renew).is_ok());
        }
        bench.step();
    }
    bench.restart(ResetCause::Requested).open_session();
    assert_back(&mut bench, RejectReason::BootLimit, trial_id);
}

/// A host that waits for a long check asks the same question again; that too is a sign of life.
#[test]
fn asking_for_the_progress_of_a_long_request_renews_the_lease() {
    let (mut bench, _) = on_trial(TERMS);
    let (session, id) = (bench.session, 7_000);
    bench.device().board_mut().polls_left = 0;
    let first = bench.send_once(id, Request::RunCheck { index: 0 });
    assert_eq!(first, None);
    bench.device().board_mut().polls_left = u32::MAX;
    for _ in 0..8 {
        bench.now_ms += 6_000;
        let reply = bench.send(0, id, session, Request::RunCheck { index: 0 });
        assert_eq!(reply, Ok(Reply::Working { left_bytes: 0 }));
    }
    assert!(bench.status().trial.is_some(), "the lease held");
    assert_eq!(bench.device().board_mut().checks_started, 1);
}

#[test]
fn crashes_and_power_failures_have_a_budget_each() {
    let image = [ResetCause::Watchdog, ResetCause::Crash, ResetCause::Unknown];
    let power = [ResetCause::PowerOn, ResetCause::BrownOut, ResetCause::Pin];
    for cause in image {
        assert_eq!(boots_until_end(cause), (2, RejectReason::Crashed), "{cause:?}");
    }
    // The deadline is the lease's, and nobody can say that the image was not merely slow.
    assert_eq!(boots_until_end(ResetCause::Deadline), (2, RejectReason::LeaseExpired));
    for cause in power {
        assert_eq!(boots_until_end(cause), (3, RejectReason::PowerLost), "{cause:?}");
    }
    assert_eq!(boots_until_end(ResetCause::Requested), (5, RejectReason::BootsSpent));
}

#[test]
fn arming_is_bounded_by_what_is_left_and_can_be_taken_back() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TrialTerms { boots: 3, ..TERMS });
    let arm = |boots| Request::Arm { trial_id, boots };
    assert_eq!(bench.ask(arm(5)), Err(Refusal::Limit { got: 5, limit: 4 }));
    assert_eq!(bench.ask(arm(4)), Err(Refusal::Limit { got: 4, limit: 3 }));
    let how = How::FoundDone;
    assert_eq!(bench.ask(arm(1)), Ok(Reply::Trial { trial_id, armed: 1, how }));
    let how = How::Done;
    assert_eq!(bench.ask(arm(0)), Ok(Reply::Trial { trial_id, armed: 0, how }));
    bench.reset();
    assert_eq!(bench.handover.start, Start::Recovery, "not armed: not entered");
    let other = Request::Arm { trial_id: trial_id + 1, boots: 1 };
    let named = trial_id + 1;
    assert_eq!(bench.ask(other), Err(Refusal::WrongTrial { named, open: trial_id }));
}

#[test]
fn while_a_trial_is_open_nothing_else_can_be_staged_or_opened() {
    let (mut bench, trial_id) = on_trial(TERMS);
    let refused = Err(Refusal::TrialOpen { trial_id });
    assert_eq!(bench.stage(&Bundle::new(8, 5000), false), refused);
    bench.restart(ResetCause::Requested).open_session();
    let bundle = Bundle::new(2, 9000).digest;
    let open = |plan| Request::OpenTrial { bundle, plan, terms: TERMS };
    let again = bench.ask(open(PLAN));
    assert_eq!(again, Ok(Reply::Trial { trial_id, armed: 0, how: How::FoundDone }));
    assert_eq!(bench.ask(open(Digest([1; 32]))), refused);
}

#[test]
fn a_rejected_bundle_is_taken_again_only_when_asked_for_and_needs_no_bytes() {
    let (mut bench, trial_id) = on_trial(TERMS);
    assert!(bench.ask(Request::Rollback { trial_id }).is_ok());
    bench.until_reset();
    bench.restart(ResetCause::Requested).open_session();
    let two = Bundle::new(2, 9000);
    assert_eq!(bench.stage(&two, false), Err(Refusal::RejectedBefore { trial_id }));
    let staged = bench.ask(Request::Stage { again: true });
    assert_eq!(staged, Ok(Reply::Stage { slot: SlotId::B, how: How::Done }));
    let programs = bench.flash().programmed_bytes;
    let finished = bench.ask(Request::Finish);
    assert_eq!(finished, Ok(Reply::Staged { bundle: two.digest, how: How::Done }));
    assert!(bench.flash().programmed_bytes - programs <= 264, "one record entry");
    let next = bench.armed(&two, TERMS);
    assert_eq!(next, trial_id + 1);
}

#[test]
fn a_damaged_trial_slot_is_never_started() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TERMS);
    let at = bench.layout.slots().a.areas[0].range.start as usize;
    bench.flash().bytes[at + 77] ^= 4;
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(bench.handover.start, Start::Recovery);
    let reason = RejectReason::Corrupt;
    let slot = bench.status().slots.a;
    assert_eq!(slot, SlotState::Rejected { bundle: one.digest, reason, trial_id });
}

/// Without a fallback it gives way to recovery, which does not hand a crashed image a new one.
#[test]
fn a_confirmed_image_that_crashes_gives_way_and_recovery_gives_it_no_new_budget() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    for _ in 0..2 {
        bench.restart(ResetCause::Crash);
        assert_eq!(bench.handover.row, BootRow::Confirmed);
    }
    bench.restart(ResetCause::Crash).open_session();
    assert_eq!(bench.handover.row, BootRow::CrashedAlone);
    bench.now_ms += 100_000;
    bench.rest();
    assert_eq!(bench.status().crash_left, 0);
    bench.restart(ResetCause::Crash);
    assert_eq!(bench.handover.start, Start::Recovery);
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(bench.handover.start, Start::Slot(SlotId::A), "a power-on gives it one more try");
    bench.now_ms += 100_000;
    bench.rest();
    assert_eq!(bench.status().crash_left, 3, "it ran well for long");
}

#[test]
fn a_repeated_request_does_its_deed_once() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let session = bench.session;
    let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS };
    let first = bench.send(0, 900, session, open);
    let entries = bench.status().record_entries;
    assert_eq!(bench.send(0, 900, session, open), first);
    assert_eq!(bench.status().record_entries, entries);
}

/// Two hosts that both number their requests from one: the second must not get the first's answers.
#[test]
fn a_new_host_that_says_hello_is_not_given_the_answers_of_the_one_before() {
    let mut bench = Bench::new();
    bench.open_session().offer(&signed_root(&root_record()));
    let session = bench.session;
    assert_eq!(bench.send(0, 50, session, Request::Enroll), Ok(Reply::Done(How::Done)));
    assert!(bench.send(0, 48, 0, Request::Hello { min: 1, current: 1 }).is_ok());
    let reply = bench.send(0, 50, 0, Request::Status);
    assert!(matches!(reply, Ok(Reply::Status(_))), "{reply:?}");
}

#[test]
fn a_long_request_says_working_and_others_are_told_that_the_device_is_busy() {
    let mut bench = Bench::enrolled();
    let session = bench.session;
    assert_eq!(bench.send_once(60, Request::RunCheck { index: 0 }), None);
    let again = bench.send_once(60, Request::RunCheck { index: 0 });
    assert_eq!(again, Some(Ok(Reply::Working { left_bytes: 0 })));
    let other = bench.send_once(61, Request::Finish);
    assert_eq!(other, Some(Err(Refusal::Busy)));
    let reply = bench.send(0, 60, session, Request::RunCheck { index: 0 });
    assert!(matches!(reply, Ok(Reply::Working { .. } | Reply::Checked(_))), "{reply:?}");
    for _ in 0..20 {
        bench.step();
    }
    let reply = bench.send(0, 60, session, Request::RunCheck { index: 0 });
    assert!(matches!(reply, Ok(Reply::Checked(_))), "{reply:?}");
    assert_eq!(bench.device().board_mut().checks_started, 1);
}

#[test]
fn nothing_but_a_poll_feeds_the_watchdog_and_none_does_between_lease_end_and_reset() {
    let (mut bench, _) = on_trial(TERMS);
    bench.step();
    assert!(matches!(bench.last.effect, Effect::Feed { deadline_ms: Some(_) }));
    bench.now_ms += u64::from(TERMS.lease_ms);
    // Flash that refuses keeps the device from storing the end; it is not fed meanwhile either.
    let record = bench.layout.record()[0];
    bench.flash().refuses = Some(record);
    for _ in 0..3 {
        bench.step();
        assert!(!matches!(bench.last.effect, Effect::Feed { .. }), "{:?}", bench.last);
    }
}

/// A bench on which slot A is confirmed and slot B's bundle runs on trial.
fn on_trial(terms: TrialTerms) -> (Bench, u32) {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let two = Bundle::new(2, 9000);
    bench.staged(&two);
    let trial_id = bench.armed(&two, terms);
    bench.reset();
    assert_eq!(bench.handover.start, Start::Slot(SlotId::B));
    (bench, trial_id)
}

fn assert_back(bench: &mut Bench, reason: RejectReason, trial_id: u32) {
    assert_eq!(bench.handover.start, Start::Slot(SlotId::A));
    let bundle = bundle::Bundle::new(2, 9000).digest;
    let status = bench.status();
    assert_eq!(status.slots.b, SlotState::Rejected { bundle, reason, trial_id });
    assert_eq!(status.trial, None);
}

/// How many trial boots end by `cause` before the device gives the trial up, and why it does.
fn boots_until_end(cause: ResetCause) -> (u32, RejectReason) {
    let (mut bench, trial_id) = on_trial(TERMS);
    for boots in 1..10 {
        bench.restart(cause).open_session();
        if let SlotState::Rejected { reason, .. } = bench.status().slots.b {
            return (boots, reason);
        }
        let armed = bench.ask(Request::Arm { trial_id, boots: 1 });
        assert!(armed.is_ok(), "{armed:?}");
        bench.restart(ResetCause::Requested).open_session();
        assert_eq!(bench.handover.row, BootRow::TrialArmed, "boot {boots}, {cause:?}");
    }
    panic!("the trial does not end")
}
