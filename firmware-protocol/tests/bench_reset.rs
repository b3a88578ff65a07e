//! The one way below a floor: a word of the qualify role, for one device in one boot, and never in the field (promise P7).

use firmware_protocol::bench_reset::BenchReset;
use firmware_protocol::boot::ResetCause;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, LifeCycle, Policy, RootRecord};
use firmware_protocol::trust::BodyType;

use crate::support::bench::{Answer, Bench, TERMS};
use crate::support::bundle::{Bundle, encode, envelope, role, root_record, signed_root};
use crate::support::field::{DONE, OPERATE, claims as delegated, delegation, field_of, host};

const QUALIFY: u8 = 21;
const OTHER_QUALIFY: u8 = 22;

fn record() -> RootRecord {
    RootRecord {
        qualify: role(&[QUALIFY, OTHER_QUALIFY], 2),
        epochs: Epochs { qualify: 3, ..Epochs::default() },
        policy: Policy { lowest_security_version: 2, ..Policy::default() },
        ..root_record()
    }
}

fn secure(number: u64, security_version: u64) -> Bundle {
    Bundle::changed(number, 9000, 1024, |it| it.security_version = security_version)
}

/// A device of a bench that has confirmed security version 9.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.open_session().offer(&signed_root(&record()));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    bench.confirmed(&secure(1, 9));
    bench
}

fn claims(bench: &Bench) -> BenchReset<'static> {
    let boot_nonce = bench.boot_nonce;
    BenchReset { product: "demo", serial: "SN-1", boot_nonce, floor: 4, epoch: 3, made_at_s: 0 }
}

fn signed(reset: &BenchReset<'_>, by: &[u8]) -> Vec<u8> {
    envelope(BodyType::BenchReset, &encode(reset), by)
}

fn show(bench: &mut Bench, reset: &[u8]) -> Answer {
    bench.offer(reset).ask(Request::BenchReset)
}

const BOTH: [u8; 2] = [QUALIFY, OTHER_QUALIFY];

#[test]
fn a_bench_reset_lowers_the_floor_and_lets_an_older_bundle_in() {
    let mut bench = bench();
    let older = secure(2, 5);
    let below = Refusal::BelowFloor { offered: 5, floor: 9 };
    assert_eq!(bench.stage(&older, false), Err(below));
    let reset = signed(&claims(&bench), &BOTH);
    assert_eq!(show(&mut bench, &reset), DONE);
    assert_eq!(show(&mut bench, &reset), Ok(Reply::Done(How::FoundDone)));
    assert_eq!(bench.status().accept_floor, 4);
    bench.confirmed(&older);
    assert_eq!(bench.status().accept_floor, 5, "and it rises again at the next confirm");
    // Kept and shown once more it does nothing: that boot is over.
    assert_eq!(show(&mut bench, &reset), Err(Refusal::WrongBoot));
    assert_eq!(bench.status().accept_floor, 5);
    // As far down as the root record lets any version in, and no further.
    let lowest = BenchReset { floor: record().policy.lowest_security_version, ..claims(&bench) };
    assert_eq!(show(&mut bench, &signed(&lowest, &BOTH)), DONE);
    assert_eq!(bench.status().accept_floor, lowest.floor);
}

/// Each thing that speaks against one, by itself; nothing durable changes.
#[test]
fn a_bench_reset_is_refused_unless_it_is_for_this_device_in_this_boot() {
    let mut bench = bench();
    let good = claims(&bench);
    let of = |change: fn(&mut BenchReset<'static>)| {
        let mut changed = good;
        change(&mut changed);
        signed(&changed, &BOTH)
    };
    let few = |valid| Refusal::UntrustedSignature { valid, needed: 2 };
    for (shown, refusal) in [
        (signed(&good, &[QUALIFY]), few(1)),
        (signed(&good, &[QUALIFY, QUALIFY]), few(1)),
        (signed(&good, &[OPERATE, OTHER_QUALIFY]), few(1)),
        (of(|it| it.product = "other"), Refusal::ResetDevice),
        (of(|it| it.serial = "SN-2"), Refusal::ResetDevice),
        (of(|it| it.serial = "SN-*"), Refusal::ResetDevice),
        (of(|it| it.epoch = 2), Refusal::BelowEpoch { offered: 2, lowest: 3 }),
        (of(|it| it.boot_nonce ^= 1), Refusal::WrongBoot),
        (of(|it| it.boot_nonce = 0), Refusal::Malformed),
        (of(|it| it.floor = 1), Refusal::BelowFloor { offered: 1, floor: 2 }),
        (of(|it| it.floor = 10), Refusal::FloorNotLower { offered: 10, floor: 9 }),
        (envelope(BodyType::Certificate, &encode(&good), &BOTH), Refusal::Malformed),
    ] {
        let before = bench.flash().mutations();
        assert_eq!(show(&mut bench, &shown), Err(refusal));
        assert_eq!(bench.flash().mutations(), before, "{refusal}");
    }
    let next = secure(2, 9);
    let trial_id = bench.staged(&next).armed(&next, TERMS);
    let reset = signed(&good, &BOTH);
    assert_eq!(show(&mut bench, &reset), Err(Refusal::TrialOpen { trial_id }));
}

/// A cut at every operation leaves the old floor or the new one.
#[test]
fn a_cut_leaves_one_floor_or_the_other() {
    let mut ends = [0; 2];
    for operation in 0..4 {
        for bytes in [0, 1, 60, 128, 240, 244, 4095] {
            let mut bench = bench();
            let reset = signed(&claims(&bench), &BOTH);
            bench.offer(&reset);
            let operation = bench.flash().mutations() + operation;
            bench.flash().cut = Some(crate::support::flash::Cut::clean(operation, bytes));
            let _ = bench.ask(Request::BenchReset);
            bench.flash().cut = None;
            bench.restart(ResetCause::PowerOn).open_session();
            match bench.status().accept_floor {
                9 => ends[0] += 1,
                4 => ends[1] += 1,
                other => panic!("floor {other}"),
            }
        }
    }
    assert!(ends.iter().all(|count| *count > 0), "{ends:?}");
}

/// Whoever holds the qualify keys lowers no floor in the field, whatever else they hold.
#[test]
fn no_floor_is_lowered_in_the_field() {
    let life_cycle = LifeCycle::Field;
    let mut bench = field_of(&RootRecord { operate: role(&[OPERATE], 1), life_cycle, ..record() });
    bench.host = Some((host(), delegation(&delegated())));
    bench.open_session();
    bench.confirmed(&secure(1, 9));
    let reset = signed(&claims(&bench), &BOTH);
    assert_eq!(show(&mut bench, &reset), Err(Refusal::NotOnABench));
    assert_eq!(bench.status().accept_floor, 9);
}
