//! Sessions: who holds one, how it changes hands, and what it owes to chance.

use firmware_protocol::boot::{BootRow, ResetCause};
use firmware_protocol::delegation::Actions;
use firmware_protocol::device::SESSION_IDLE_MS;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::Bundle;

#[test]
fn a_session_is_held_taken_over_by_force_or_after_silence_and_then_stale() {
    let mut bench = Bench::enrolled();
    let old = bench.session;
    let open = |take_over| Request::OpenSession { take_over, trial_id: 0 };
    let held = bench.send(1, 1, 0, open(false));
    assert!(matches!(held, Err(Refusal::SessionHeld { .. })), "{held:?}");
    let Ok(Reply::Session { session, taken_over: true, .. }) = bench.send(1, 2, 0, open(true))
    else {
        panic!("not taken over")
    };
    assert_eq!(bench.send(0, 3_000, old, Request::Renew), Err(Refusal::StaleSession));
    assert!(bench.send(1, 3, session, Request::Renew).is_ok());
    bench.now_ms += SESSION_IDLE_MS;
    assert!(bench.send(2, 4, 0, open(false)).is_ok());
    bench.restart(ResetCause::PowerOn);
    assert_eq!(bench.send(0, 5, session, Request::Renew), Err(Refusal::StaleSession));
    assert_eq!(bench.send(0, 6, 0, Request::Renew), Err(Refusal::NoSession));
}

/// Any request in the session says that its host lives; once it has closed the session, nobody has to wait.
#[test]
fn a_host_that_speaks_keeps_its_session_until_it_closes_it() {
    let mut bench = Bench::enrolled();
    let open = Request::OpenSession { take_over: false, trial_id: 0 };
    for id in 10..20 {
        bench.now_ms += SESSION_IDLE_MS * 2 / 3;
        assert!(bench.ask(Request::Renew).is_ok());
        let held = bench.send(1, id, 0, open);
        assert!(matches!(held, Err(Refusal::SessionHeld { .. })), "{held:?}");
    }
    assert_eq!(bench.ask(Request::CloseSession), Ok(Reply::Done(How::Done)));
    assert_eq!(bench.ask(Request::Renew), Err(Refusal::StaleSession));
    let opened = bench.send(1, 30, 0, open);
    assert!(matches!(opened, Ok(Reply::Session { taken_over: false, .. })), "{opened:?}");
}

/// Ids start anew behind a hello, so the same id no longer says that the same host asks again.
#[test]
fn a_host_that_numbers_its_requests_as_the_one_before_is_not_given_its_session() {
    let mut bench = Bench::enrolled();
    let (hello, id) = (Request::Hello { min: 1, current: 1 }, 900);
    let open = |take_over| Request::OpenSession { take_over, trial_id: 0 };
    let Ok(Reply::Session { session, .. }) = bench.send(0, id, 0, open(true)) else {
        panic!("not opened")
    };
    assert!(bench.send(1, 1, 0, hello).is_ok(), "on another link");
    let again = bench.send(0, id, 0, open(false));
    let same = Reply::Session { session, taken_over: false, actions: Actions::ALL };
    assert_eq!(again, Ok(same), "the same host again");
    assert!(bench.send(0, 1, 0, hello).is_ok());
    let other = bench.send(0, id, 0, open(false));
    assert!(matches!(other, Err(Refusal::SessionHeld { .. })), "{other:?}");
    let Ok(Reply::Session { session: fresh, taken_over: true, .. }) =
        bench.send(0, id, 0, open(true))
    else {
        panic!("not taken over")
    };
    assert_ne!(fresh, session);
    assert_eq!(bench.send(0, 2, session, Request::Renew), Err(Refusal::StaleSession));
}

/// Where a session has moved to, the id of the request that opened it says nothing: another host numbers its requests there.
#[test]
fn a_session_that_moved_is_not_given_to_who_asks_under_the_id_that_opened_it() {
    let mut bench = Bench::enrolled();
    let open = |take_over| Request::OpenSession { take_over, trial_id: 0 };
    let Ok(Reply::Session { session, .. }) = bench.send(0, 5, 0, open(true)) else {
        panic!("not opened")
    };
    assert!(bench.send(1, 6, session, Request::Renew).is_ok(), "it moves");
    let other = bench.send(1, 5, 0, open(false));
    assert!(matches!(other, Err(Refusal::SessionHeld { .. })), "{other:?}");
}

/// Bytes 0..4 name the session, 4..12 the boot if it has no name yet: whichever part of them fails, no
/// session opens, and the same request has one as soon as the source works.
#[test]
fn no_session_opens_before_the_random_source_works_and_one_does_after() {
    for works_for in [0, 4, 11] {
        let mut bench = Bench::enrolled();
        let (old_session, old_nonce) = (bench.session, bench.boot_nonce);
        bench.device().board_mut().random_left = 0;
        bench.restart(ResetCause::PowerOn);
        assert_eq!(hello(&mut bench), 0, "this boot has no name");
        bench.device().board_mut().random_left = works_for;
        let open = Request::OpenSession { take_over: true, trial_id: 0 };
        assert_eq!(bench.ask(open), Err(Refusal::NoRandom), "{works_for} bytes");
        assert_eq!(bench.send(0, 900, 1, Request::Renew), Err(Refusal::StaleSession));
        assert_eq!(bench.send(0, 901, 0, Request::Renew), Err(Refusal::NoSession), "none is open");
        bench.device().board_mut().random_left = usize::MAX;
        bench.open_session();
        assert_eq!(bench.boot_nonce, 0, "said before the session opened");
        let boot_nonce = hello(&mut bench);
        assert!(boot_nonce != 0 && boot_nonce != old_nonce, "{boot_nonce}");
        assert_ne!(bench.session, old_session);
        assert_eq!(bench.ask(Request::Reset { boot_nonce: 0 }), Err(Refusal::WrongBoot));
        assert_eq!(bench.ask(Request::Reset { boot_nonce }), Ok(Reply::Done(How::Done)));
    }
}

/// A boot that has a name keeps it: a confirm names it, and must not miss for a session's sake.
#[test]
fn a_source_that_fails_between_two_sessions_leaves_the_boot_its_name() {
    let mut bench = Bench::enrolled();
    let (session, boot_nonce) = (bench.session, bench.boot_nonce);
    bench.device().board_mut().random_left = 3;
    let open = Request::OpenSession { take_over: true, trial_id: 0 };
    assert_eq!(bench.ask(open), Err(Refusal::NoRandom));
    assert!(bench.ask(Request::Renew).is_ok(), "the open session stays");
    bench.device().board_mut().random_left = usize::MAX;
    bench.open_session();
    assert_ne!(bench.session, session);
    assert_eq!(bench.boot_nonce, boot_nonce);
}

/// The reset into a trial ends the session of the host that asked for it. Until that host is back, the
/// boot is kept for it.
#[test]
fn the_boot_behind_a_reset_into_a_trial_is_kept_for_the_host_that_drives_it() {
    let bundle = Bundle::new(2, 9000);
    let open = |take_over, trial_id| Request::OpenSession { take_over, trial_id };
    let restarted = || {
        let mut bench = Bench::enrolled();
        bench.confirmed(&Bundle::new(1, 9000)).staged(&bundle);
        let trial_id = bench.armed(&bundle, TERMS);
        let boot_nonce = bench.boot_nonce;
        assert_eq!(bench.ask(Request::Reset { boot_nonce }), Ok(Reply::Done(How::Done)));
        bench.until_reset();
        bench.restart(ResetCause::Requested);
        assert_eq!(bench.handover.row, BootRow::TrialArmed, "the trial image runs");
        (bench, trial_id)
    };
    let (mut bench, trial_id) = restarted();
    for other in [0, trial_id - 1, trial_id + 1] {
        bench.now_ms = 900;
        let refused = bench.send(1, 1, 0, open(false, other));
        assert_eq!(refused, Err(Refusal::SessionHeld { idle_ms: 900 }), "names trial {other}");
    }
    let Ok(Reply::Session { session, taken_over: false, .. }) =
        bench.send(0, 2, 0, open(false, trial_id))
    else {
        panic!("not given to its host")
    };
    bench.now_ms = SESSION_IDLE_MS;
    assert!(bench.send(0, 3, session, Request::Renew).is_ok());
    let held = bench.send(1, 4, 0, open(false, trial_id));
    assert!(matches!(held, Err(Refusal::SessionHeld { .. })), "a live session is not named away");

    let (mut bench, _) = restarted();
    assert!(bench.send(1, 1, 0, open(true, 0)).is_ok(), "taken over by force");

    let (mut bench, _) = restarted();
    bench.now_ms = SESSION_IDLE_MS - 1;
    assert!(bench.send(1, 1, 0, open(false, 0)).is_err());
    bench.now_ms = SESSION_IDLE_MS;
    assert!(bench.send(1, 2, 0, open(false, 0)).is_ok(), "its host has not come back");
}

/// Only a trial's own boot is kept: one that runs the confirmed image meanwhile is anybody's.
#[test]
fn a_boot_that_does_not_run_the_trial_is_kept_for_nobody() {
    let bundle = Bundle::new(2, 9000);
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000)).staged(&bundle);
    bench.armed(&bundle, TERMS);
    bench.reset().restart(ResetCause::PowerOn);
    assert_eq!(bench.handover.row, BootRow::TrialPaused);
    let open = Request::OpenSession { take_over: false, trial_id: 0 };
    assert!(bench.send(1, 1, 0, open).is_ok());
}

/// The name of the boot, as a host hears it.
fn hello(bench: &mut Bench) -> u64 {
    match bench.ask(Request::Hello { min: 1, current: 1 }) {
        Ok(Reply::Hello { boot_nonce, .. }) => boot_nonce,
        other => panic!("{other:?}"),
    }
}
