//! Time that the caller tells wrongly: a clock that goes back, jumps or stands at its end.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::{Effect, Input, SESSION_IDLE_MS};
use firmware_protocol::message::Request;
use firmware_protocol::slot::{RejectReason, SlotState};

use crate::support::Rng;
use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::Bundle;

/// Calls come 100 ms apart. Ten steps back, however far, put the end of the lease off by ten calls' time
/// and no more.
#[test]
fn a_clock_that_goes_back_gives_a_lease_one_call_s_time_at_most() {
    for back_to_ms in [0, 1, 499_000] {
        let mut bench = on_trial(500_000);
        let mut passed_ms = 0;
        let mut steps_back = 0;
        while bench.last.effect != Effect::Reset {
            assert!(
                passed_ms <= u64::from(TERMS.lease_ms) + 1_100,
                "{passed_ms} ms pass, no reset"
            );
            let goes_back = passed_ms % 700 == 600 && steps_back < 10;
            steps_back += u32::from(goes_back);
            bench.now_ms = if goes_back { back_to_ms } else { bench.now_ms + 100 };
            // What it has to do at once, it does at once: an entry of the record takes a few calls.
            for _ in 0..8 {
                bench.poll(Input::Nothing);
            }
            passed_ms += 100;
            assert!(bench.last.wake_ms <= bench.now_ms + 100, "{:?}", bench.last);
        }
        assert_eq!(steps_back, 10);
        assert!(passed_ms >= u64::from(TERMS.lease_ms), "{passed_ms}");
        assert_ended(&mut bench);
    }
}

/// A glitch forward ends what it passes over, at once; it does not stop time for what comes after.
#[test]
fn a_clock_that_jumps_to_its_end_and_back_ends_the_lease_and_goes_on() {
    let mut bench = on_trial(0);
    bench.now_ms = u64::MAX;
    bench.rest();
    assert_eq!(bench.last.effect, Effect::Reset);
    assert_ended(&mut bench);
    let open = Request::OpenSession { take_over: false, trial_id: 0 };
    bench.now_ms = u64::MAX;
    bench.poll(Input::Nothing);
    bench.now_ms = 5;
    assert!(bench.send(1, 1, 0, open).is_ok(), "the jump was silence");
    assert!(bench.send(2, 2, 0, open).is_err(), "it is held");
    bench.now_ms += SESSION_IDLE_MS;
    assert!(bench.send(2, 3, 0, open).is_ok(), "time went on");
}

/// A reset that was promised comes, and asks to be called in time, wherever the clock goes meanwhile.
#[test]
fn a_clock_that_goes_back_does_not_hold_up_a_reset() {
    let mut bench = on_trial(70_000);
    bench.open_session();
    let boot_nonce = bench.boot_nonce;
    assert!(bench.ask(Request::Reset { boot_nonce }).is_ok());
    bench.now_ms = 3;
    bench.poll(Input::Nothing);
    assert!((4..=60).contains(&bench.last.wake_ms), "{:?}", bench.last);
    bench.now_ms = bench.last.wake_ms;
    bench.poll(Input::Nothing);
    assert_eq!(bench.last.effect, Effect::Reset);
}

/// Whatever the clock says, the engine answers and does not panic.
#[test]
fn any_clock_is_taken() {
    let seed = 31;
    println!("seed {seed}");
    let mut rng = Rng(seed);
    for round in 0..20 {
        let mut bench = on_trial(if round % 2 == 0 { 0 } else { u64::MAX });
        for _ in 0..200 {
            bench.now_ms = match rng.below(4) {
                0 => rng.next(),
                1 => u64::MAX - rng.next() % 3,
                2 => rng.next() % 3,
                _ => bench.now_ms.saturating_add(1),
            };
            bench.poll(Input::Nothing);
        }
        assert_eq!(bench.last.effect, Effect::Reset, "round {round}");
    }
}

/// A bundle runs on trial, on a clock that begins at `clock_ms`.
fn on_trial(clock_ms: u64) -> Bench {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    bench.armed(&one, TERMS);
    bench.restart_at(ResetCause::Requested, clock_ms);
    bench
}

fn assert_ended(bench: &mut Bench) {
    bench.restart(ResetCause::Requested).open_session();
    let slot = bench.status().slots.a;
    let reason = RejectReason::LeaseExpired;
    assert!(
        matches!(slot, SlotState::Rejected { reason: found, .. } if found == reason),
        "{slot:?}"
    );
}
