//! What keeps a trial alive, what does not, and what is left of it: lease, boot limit, feeding, budgets.

#![expect(clippy::cast_possible_truncation, reason = "times here are small")]

use firmware_protocol::boot::{BootRow, CONFIRMED_CRASH_BUDGET, ResetCause, Start};
use firmware_protocol::device::{Effect, Input};
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{Chunk, FromDevice, How, Reply, Request, TrialTerms};
use firmware_protocol::record::RecordStore;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{RejectReason, SlotId, SlotState};
use firmware_protocol::start::hardware_deadline_ms;

use crate::support::bench::{Bench, PLAN, TERMS};
use crate::support::bundle::Bundle;
use crate::support::range;

/// P3: a host that has lost its session, a bystander, and blocks that trickle in late say nothing about
/// whether the host that judges the trial lives.
#[test]
fn only_requests_in_the_session_renew_the_lease() {
    let hello = Request::Hello { min: 1, current: 1 };
    let idle = [
        ("status", Said::Outside(Request::Status)),
        ("hello", Said::Outside(hello)),
        ("a renew without a session", Said::Outside(Request::Renew)),
        ("a renew of another session", Said::Stale(Request::Renew)),
        ("a chunk in the session", Said::Chunk),
    ];
    for (name, say) in idle {
        let mut bench = on_trial(TERMS);
        assert!(lives_on(&mut bench, say) <= u64::from(TERMS.lease_ms) + 2_000, "{name}");
        bench.restart(ResetCause::Requested).open_session();
        let slot = bench.status().slots.b;
        let expired = RejectReason::LeaseExpired;
        assert!(
            matches!(slot, SlotState::Rejected { reason, .. } if reason == expired),
            "{slot:?}"
        );
    }
    let alive = [
        ("a renew", Said::InSession(Request::Renew)),
        (
            "a session that opens",
            Said::Outside(Request::OpenSession { take_over: true, trial_id: 0 }),
        ),
    ];
    for (name, say) in alive {
        let lived_ms = lives_on(&mut on_trial(TERMS), say);
        assert!(lived_ms >= u64::from(TERMS.boot_max_ms) - 1_000, "{name}: {lived_ms}");
    }
}

/// The boot limit is the trial image's. The confirmed one may run as long as its host likes.
#[test]
fn the_boot_limit_does_not_end_a_paused_trial() {
    let mut bench = on_trial(TrialTerms { boot_max_ms: 2_000, ..TERMS });
    bench.restart(ResetCause::Requested).open_session();
    assert_eq!(bench.handover.row, BootRow::TrialPaused);
    for _ in 0..20 {
        bench.now_ms += 1_000;
        assert!(bench.ask(Request::Renew).is_ok());
        for _ in 0..3 {
            bench.step();
        }
    }
    assert!(bench.status().trial.is_some(), "ended behind {} ms", bench.now_ms);
}

/// The hardware's timer must not outlast what ends first.
#[test]
fn every_feed_carries_what_is_left_of_the_shorter_one_of_lease_and_boot_limit() {
    let mut bench = on_trial(TERMS);
    let mut seen = (0, 0);
    for _ in 0..55 {
        bench.now_ms += 1_000;
        let reply = bench.ask(Request::Renew);
        let Ok(Reply::Renewed { lease_left_ms, boot_left_ms }) = reply else { panic!("{reply:?}") };
        let deadline_ms = Some(hardware_deadline_ms(lease_left_ms.min(boot_left_ms)));
        assert_eq!(bench.last.effect, Effect::Feed { deadline_ms });
        seen.0 += u32::from(lease_left_ms < boot_left_ms);
        seen.1 += u32::from(boot_left_ms < lease_left_ms);
    }
    assert!(seen.0 > 0 && seen.1 > 0, "{seen:?}");
}

/// Only what was read back whole is tried: not what is half written, and not what was judged, though its manifest is
/// there and its bytes may be sound.
#[test]
fn a_trial_opens_on_a_staged_slot_only() {
    let two = Bundle::new(2, 9_000);
    let open = Request::OpenTrial { bundle: two.digest, plan: PLAN, terms: TERMS };
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9_000));
    assert!(bench.stage(&two, false).is_ok());
    assert!(matches!(bench.status().slots.b, SlotState::Writing { .. }));
    assert_eq!(bench.ask(open), Err(Refusal::NotStaged), "writing");
    bench.staged(&two);
    let trial_id = bench.armed(&two, TERMS);
    assert!(bench.ask(Request::Rollback { trial_id }).is_ok());
    bench.restart(ResetCause::PowerOn).open_session();
    assert!(matches!(bench.status().slots.b, SlotState::Rejected { .. }));
    assert_eq!(bench.ask(open), Err(Refusal::NotStaged), "rejected");
}

/// A lease that is over is over, whether or not flash takes the reason.
#[test]
fn a_trial_that_cannot_be_ended_on_record_is_ended_by_a_reset() {
    let mut bench = on_trial(TERMS);
    let [first, second] = bench.layout.record();
    bench.flash().refuses = Some(range(first.start, second.end() - first.start));
    bench.now_ms += u64::from(TERMS.lease_ms) + 1;
    bench.until_reset();
    bench.flash().refuses = None;
    bench.restart(ResetCause::Requested).open_session();
    assert_eq!(bench.status().active, Some(SlotId::A));
    assert_eq!(bench.handover.start, Start::Slot(SlotId::A));
}

/// A confirm that comes again is found done only as long as nothing else is on trial, and no number of a trial is 0.
#[test]
fn a_confirm_names_the_trial_that_is_open() {
    let mut bench = on_trial(TERMS);
    let boot_nonce = bench.boot_nonce;
    let confirm = |trial_id| Request::Confirm { trial_id, boot_nonce };
    let first = bench.status().trial.unwrap().trial_id;
    assert_eq!(bench.ask(confirm(first)), Ok(Reply::Done(How::Done)));
    assert_eq!(bench.ask(confirm(first)), Ok(Reply::Done(How::FoundDone)));
    let three = Bundle::new(3, 9_000);
    bench.staged(&three);
    let open = bench.armed(&three, TERMS);
    assert_eq!(bench.ask(confirm(first)), Err(Refusal::WrongTrial { named: first, open }));
    let mut fresh = Bench::enrolled();
    let boot_nonce = fresh.boot_nonce;
    let nothing = fresh.ask(Request::Confirm { trial_id: 0, boot_nonce });
    assert_eq!(nothing, Err(Refusal::NoTrial));
}

/// A device that means to reset and does not is one that hangs.
#[test]
fn the_watchdog_is_not_fed_while_a_reset_is_due() {
    let mut bench = Bench::enrolled();
    let boot_nonce = bench.boot_nonce;
    assert!(bench.ask(Request::Reset { boot_nonce }).is_ok());
    let mut waited = 0;
    loop {
        bench.poll(Input::Nothing);
        match bench.last.effect {
            Effect::Nothing => waited += 1,
            Effect::Reset => break,
            fed @ Effect::Feed { .. } => panic!("{fed:?} behind {waited} polls"),
        }
        bench.now_ms += 1;
    }
    assert!(waited > 10, "{waited}");
}

#[test]
fn a_bundle_that_retires_its_fallback_does_so_when_it_is_confirmed() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.confirmed(&one);
    bench.confirmed(&retiring());
    let SlotState::Rejected { bundle, reason, .. } = bench.status().slots.a else {
        panic!("{:?}", bench.status().slots.a)
    };
    assert_eq!((bundle, reason), (one.digest, RejectReason::Retired));
}

/// What takes over has crashed never; the crashes of what it replaces are not its own.
#[test]
fn a_fallback_that_takes_over_has_a_whole_crash_budget() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000)).confirmed(&Bundle::new(2, 9000));
    for _ in 0..CONFIRMED_CRASH_BUDGET {
        assert_eq!(bench.status().active, Some(SlotId::B));
        bench.restart(ResetCause::Crash).open_session();
    }
    assert_eq!(bench.handover.row, BootRow::FallbackCrashed);
    let status = bench.status();
    assert_eq!((status.active, status.crash_left), (Some(SlotId::A), CONFIRMED_CRASH_BUDGET));
}

/// An image that crashes every few seconds would never run out of a budget that comes back at once.
#[test]
fn a_crash_is_forgotten_only_behind_a_minute_without_another() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    bench.restart(ResetCause::Crash).open_session();
    while bench.now_ms < 59_900 {
        assert_eq!(bench.status().crash_left, CONFIRMED_CRASH_BUDGET - 1, "{} ms", bench.now_ms);
        bench.now_ms += 100;
        bench.rest();
    }
    bench.now_ms = 60_001;
    bench.rest();
    assert_eq!(bench.status().crash_left, CONFIRMED_CRASH_BUDGET);
}

/// In recovery the confirmed slot may still hold the best there is: what is staged goes beside it.
#[test]
fn recovery_stages_beside_the_confirmed_slot() {
    for confirmed in [1, 2] {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000));
        if confirmed == 2 {
            bench.confirmed(&retiring());
        }
        for _ in 0..CONFIRMED_CRASH_BUDGET {
            bench.restart(ResetCause::Crash).open_session();
        }
        assert_eq!(bench.handover.start, Start::Recovery);
        let slot = bench.status().active.unwrap().other();
        let reply = bench.stage(&Bundle::new(3, 9000), false);
        assert_eq!(reply, Ok(Reply::Stage { slot, how: How::Done }));
    }
}

/// A trial whose time is up while something is being stored ends behind that: half an entry is none, and whoever asked for it
/// is told what has become of it.
#[test]
fn the_end_of_a_trial_waits_for_what_is_being_stored() {
    let mut bench = Bench::enrolled();
    let bundle = Bundle::new(1, 9000);
    let trial_id = bench.staged(&bundle).armed(&bundle, TERMS);
    bench.rest();
    assert_eq!(bench.tell(9_000, Request::Arm { trial_id, boots: 2 }), None, "it is being stored");
    bench.now_ms += u64::from(TERMS.lease_ms) + 1;
    let said = (0..100).find_map(|_| match bench.step() {
        Some(FromDevice::Reply { id: 9_000, reply }) => Some(reply),
        _ => None,
    });
    assert_eq!(said, Some(Ok(Reply::Trial { trial_id, armed: 2, how: How::Done })));
    bench.rest();
    assert_eq!(bench.status().trial, None);
}

/// The rollback of an earlier trial says nothing of the open one: its host would take that for ended.
#[test]
fn a_rollback_that_names_an_earlier_trial_is_refused_while_another_one_is_open() {
    let mut bench = on_trial(TERMS);
    let record = bench.layout.record();
    let mut store = RecordStore::load(bench.flash(), record);
    let mut state = store.state().unwrap().clone();
    let open = state.trial.unwrap().trial_id;
    let (bundle, reason, ended) = (Digest([3; 32]), RejectReason::HostDecided, 700);
    state.slots.a = SlotState::Rejected { bundle, reason, trial_id: ended };
    store.write(bench.flash(), &state).unwrap();
    bench.restart_engine().open_session();
    let refused = Err(Refusal::WrongTrial { named: ended, open });
    assert_eq!(bench.ask(Request::Rollback { trial_id: ended }), refused);
    assert_eq!(bench.status().trial.map(|trial| trial.trial_id), Some(open));
}

fn retiring() -> Bundle {
    Bundle::changed(2, 9000, 1024, |manifest| manifest.retires_fallback = true)
}

/// What a device is told.
#[derive(Debug, Clone, Copy)]
enum Said {
    Outside(Request<'static>),
    Stale(Request<'static>),
    InSession(Request<'static>),
    Chunk,
}

/// How long a trial lives while this is said every second, in milliseconds.
fn lives_on(bench: &mut Bench, said: Said) -> u64 {
    let (began_ms, session) = (bench.now_ms, bench.session);
    loop {
        assert!(bench.now_ms < 200_000, "no end");
        bench.rest();
        if bench.last.effect == Effect::Reset {
            return bench.now_ms - began_ms;
        }
        bench.now_ms += 1_000;
        let id = bench.now_ms as u32;
        let (session, request) = match said {
            Said::Outside(request) => (0, request),
            Said::Stale(request) => (session ^ 1, request),
            Said::InSession(request) => (session, request),
            Said::Chunk => {
                let chunk = Chunk { session, component: 0, offset: 0, bytes: &[0; 512] };
                bench.frame(0, Kind::Chunk, &[&chunk.head()[..], chunk.bytes].concat());
                continue;
            }
        };
        bench.session = session;
        bench.tell(id, request);
    }
}

/// A bench on which slot A is confirmed and slot B's bundle runs on trial.
fn on_trial(terms: TrialTerms) -> Bench {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let two = Bundle::new(2, 9000);
    bench.staged(&two);
    bench.armed(&two, terms);
    bench.reset();
    assert_eq!(bench.handover.start, Start::Slot(SlotId::B));
    bench
}
