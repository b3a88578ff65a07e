//! What a device without a clock knows of time: the newest that it has seen signed (TRUST.md, "Time").

use firmware_protocol::boot::{BootState, ResetCause};
use firmware_protocol::delegation::Delegation;
use firmware_protocol::device::Input;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{FromDevice, Reply, Request, ToDevice};
use firmware_protocol::record::RecordStore;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::{Bundle, encode, signed_root};
use crate::support::field::{
    DONE, LINKED, claims, delegated, delegation, field_of, field_record, host,
};
use crate::support::handshake::{begun, third};
use crate::support::range;

const MADE_S: u64 = 1_700_000_000;
const DAY_S: u64 = 86_400;

/// A delegation that was made `from_s` behind the root record and counts for a day.
fn of_day(from_s: u64) -> Vec<u8> {
    let made_at_s = MADE_S + from_s;
    delegation(&Delegation { made_at_s, not_after_s: made_at_s + DAY_S, ..claims() })
}

fn time_floor_s(bench: &mut Bench) -> u64 {
    match bench.ask(Request::RootStatus) {
        Ok(Reply::RootStatus(root)) => root.time_floor_s,
        other => panic!("{other:?}"),
    }
}

fn power_cycle(bench: &mut Bench) {
    bench.restart(ResetCause::PowerOn);
}

/// The two halves of what TRUST.md says of a delegation that is over.
#[test]
fn a_delegation_that_is_over_is_refused_behind_a_newer_statement_and_accepted_without_one() {
    let old = of_day(0);
    let mut ignorant = field_of(&field_record());
    assert_eq!(ignorant.link(&host(), &old), LINKED, "it has seen nothing newer");
    let mut aware = field_of(&field_record());
    assert_eq!(aware.link(&host(), &of_day(3 * DAY_S)), LINKED);
    let over = Refusal::DelegationOver { not_after_s: MADE_S + DAY_S, seen_s: MADE_S + 3 * DAY_S };
    assert_eq!(aware.link(&host(), &old), Err(over));
    // The remedy reaches both: the epoch of a new root record.
    let epochs = Epochs { operate: 1, ..field_record().epochs };
    let next = RootRecord { version: 2, epochs, ..field_record() };
    ignorant.open_session().offer(&signed_root(&next));
    assert_eq!(ignorant.ask(Request::Enroll), DONE);
    let refused = Refusal::BelowEpoch { offered: 0, lowest: 1 };
    assert_eq!(ignorant.link(&host(), &old), Err(refused));
}

/// A delegation of three days ahead is stored by itself, one of an hour with the next entry only.
#[test]
fn what_was_seen_outlives_the_boot_once_it_is_a_day_ahead() {
    let mut bench = field_of(&field_record());
    assert_eq!(bench.link(&host(), &of_day(3_600)), LINKED);
    let before = bench.status().record_entries;
    bench.rest();
    assert_eq!(bench.status().record_entries, before, "an hour is not worth an entry");
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S);
    assert_eq!(bench.link(&host(), &of_day(3 * DAY_S)), LINKED);
    bench.rest();
    assert_eq!(bench.status().record_entries, before + 1);
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S + 3 * DAY_S);
    assert!(matches!(bench.link(&host(), &of_day(0)), Err(Refusal::DelegationOver { .. })));
}

/// Bundles say when they were built. It counts once they are confirmed, and is stored with that: one that is only staged
/// does not end the delegation of the host that stages it, nor one that goes back.
#[test]
fn a_bundle_moves_time_once_it_is_confirmed() {
    let mut bench = delegated();
    let built = |number, at_s| {
        Bundle::changed(number, 9000, 1024, |manifest| manifest.provenance.built_at_s = at_s)
    };
    let later_s = claims().not_after_s + DAY_S;
    let later = built(1, later_s);
    let trial_id = bench.staged(&later).armed(&later, TERMS);
    bench.reset();
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED, "it still counts");
    bench.open_session();
    assert_eq!(bench.ask(Request::Rollback { trial_id }), DONE);
    bench.until_reset();
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S);

    bench.open_session();
    let sooner = built(2, MADE_S + 7_000);
    bench.confirmed(&sooner);
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S + 7_000, "an hour or two, and stored");
}

/// A confirm that flash refuses leaves a trial that may still go back: its bundle says nothing of time.
#[test]
fn a_bundle_whose_confirm_fails_moves_no_time() {
    let mut bench = delegated();
    let later_s = claims().not_after_s + DAY_S;
    let later = Bundle::changed(1, 9000, 1024, |manifest| {
        manifest.provenance.built_at_s = later_s;
    });
    let trial_id = bench.staged(&later).armed(&later, TERMS);
    let boot_nonce = bench.reset().boot_nonce;
    let [first, second] = bench.layout.record();
    bench.flash().refuses = Some(first.hull(second));
    assert_eq!(bench.ask(Request::Confirm { trial_id, boot_nonce }), Err(Refusal::Flash));
    bench.flash().refuses = None;
    assert_eq!(time_floor_s(&mut bench), MADE_S);
    assert_eq!(bench.ask(Request::Rollback { trial_id }), DONE);
    bench.until_reset();
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S);
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED, "which is not over");
}

/// A link is judged once, so what its delegation says of time counts whatever the device is at.
#[test]
fn a_delegation_that_is_shown_while_something_is_stored_moves_time() {
    let mut bench = delegated();
    bench.open_session();
    let bundle = Bundle::new(1, 9000);
    bench.offer(&bundle.envelope);
    let shown = of_day(10 * DAY_S);
    let begun = begun(&mut bench, 1, &host());
    let (_, mut third) = third(&begun, &shown);
    assert_eq!(bench.tell(9_000, Request::Stage { again: false }), None, "it is being stored");
    bench.poll_raw(Input::Frame { link: 1, frame: &mut third });
    bench.rest();
    bench.sealed = None;
    assert_eq!(time_floor_s(&mut bench), MADE_S + 10 * DAY_S);
}

/// Nobody moves time by what no key of the root record has signed.
#[test]
fn what_is_refused_moves_nothing() {
    let mut bench = field_of(&field_record());
    let of = |claims: &Delegation<'_>| delegation(claims);
    let later = Delegation { made_at_s: MADE_S + 9, not_after_s: MADE_S + 10, ..claims() };
    let mut forged = of(&later);
    *forged.last_mut().unwrap() ^= 1;
    let strangers = of(&Delegation { host: [1; 32], ..later.clone() });
    let elsewhere = of(&Delegation { serials: ["X"].into_iter().collect(), ..later.clone() });
    let epochs = Epochs { operate: 1, ..Epochs::default() };
    let mut raised = field_of(&RootRecord { epochs, ..field_record() });
    assert!(raised.link(&host(), &of(&later)).is_err(), "taken back");
    raised.sealed = None;
    assert_eq!(time_floor_s(&mut raised), MADE_S);
    for shown in [forged, strangers, elsewhere] {
        assert!(bench.link(&host(), &shown).is_err());
        bench.sealed = None;
        assert_eq!(time_floor_s(&mut bench), MADE_S);
    }
    assert_eq!(bench.link(&host(), &of(&later)), LINKED);
    assert_eq!(time_floor_s(&mut bench), MADE_S + 9);
}

/// A clock that was set wrong in the office, or a thief of its key, ends no delegation before its time.
#[test]
fn a_statement_from_far_ahead_moves_nothing_and_a_root_record_may_go_any_way() {
    let mut bench = field_of(&field_record());
    let far = 401 * DAY_S;
    assert_eq!(bench.link(&host(), &of_day(far)), LINKED, "it counts all the same");
    assert_eq!(time_floor_s(&mut bench), MADE_S);
    assert_eq!(bench.link(&host(), &of_day(399 * DAY_S)), LINKED);
    assert_eq!(time_floor_s(&mut bench), MADE_S + 399 * DAY_S);
    let enroll = |bench: &mut Bench, record: &RootRecord| {
        bench.open_session().offer(&signed_root(record));
        assert_eq!(bench.ask(Request::Enroll), DONE);
    };
    // An older time of a root record moves nothing back ...
    let next = RootRecord { version: 2, made_at_s: MADE_S + DAY_S, ..field_record() };
    enroll(&mut bench, &next);
    assert_eq!(time_floor_s(&mut bench), MADE_S + 399 * DAY_S);
    // ... unless it says so, which is for good.
    let reset = RootRecord { version: 3, resets_time: true, ..next };
    enroll(&mut bench, &reset);
    assert_eq!(time_floor_s(&mut bench), MADE_S + DAY_S);
    bench.rest();
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S + DAY_S);
    // And forward it goes as far as it says.
    let made_at_s = MADE_S + 4_000 * DAY_S;
    enroll(&mut bench, &RootRecord { version: 4, made_at_s, resets_time: false, ..reset });
    assert_eq!(time_floor_s(&mut bench), made_at_s);
}

/// Whoever makes a link in the very moment in which a root record is stored neither takes its reset of time back, nor finds the device
/// without the time that it knew.
#[test]
fn a_handshake_while_a_root_record_is_stored_changes_nothing_of_its_time() {
    for resets_time in [true, false] {
        let mut bench = field_of(&field_record());
        assert_eq!(bench.link(&host(), &of_day(399 * DAY_S)), LINKED);
        bench.rest();
        bench.sealed = None;
        let made_at_s = MADE_S + DAY_S;
        let next = RootRecord { version: 2, made_at_s, resets_time, ..field_record() };
        bench.open_session().offer(&signed_root(&next));
        let begun = begun(&mut bench, 1, &host());
        let (_, mut third) = third(&begun, &of_day(0));
        let (id, session) = (9_000, bench.session);
        let asked = encode(&ToDevice { id, session, request: Request::Enroll });
        assert_eq!(bench.frame(0, Kind::Message, &asked), None, "it is being stored");
        bench.poll_raw(Input::Frame { link: 1, frame: &mut third });
        let answer = (0..1_000).find_map(|_| match bench.step() {
            Some(FromDevice::Reply { id: 9_000, reply }) => Some(reply),
            _ => None,
        });
        assert_eq!(answer, Some(DONE));
        bench.rest();
        power_cycle(&mut bench);
        let expected = if resets_time { made_at_s } else { MADE_S + 399 * DAY_S };
        assert_eq!(time_floor_s(&mut bench), expected, "resets_time {resets_time}");
    }
}

/// What a device knows of time stays although flash refuses the root record that was to be stored with it.
#[test]
fn an_enrolment_that_fails_forgets_no_time() {
    let mut bench = field_of(&field_record());
    bench.host = Some((host(), of_day(3_600)));
    bench.open_session().offer(&signed_root(&RootRecord { version: 2, ..field_record() }));
    bench.flash().refuses = Some(range(0, 0x2000));
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::Flash));
    bench.flash().refuses = None;
    assert_eq!(time_floor_s(&mut bench), MADE_S + 3_600);
}

/// The last second in which a delegation counts, and the first day that is worth an entry.
#[test]
fn the_bounds_are_those_of_trust_md() {
    let mut bench = field_of(&field_record());
    let ends_at = |not_after_s| delegation(&Delegation { not_after_s, ..claims() });
    assert_eq!(bench.link(&host(), &ends_at(MADE_S)), LINKED, "in its last second");
    assert!(bench.link(&host(), &ends_at(MADE_S - 1)).is_err());
    let entries = |bench: &mut Bench| {
        bench.sealed = None;
        bench.rest();
        bench.status().record_entries
    };
    let before = entries(&mut bench);
    assert_eq!(bench.link(&host(), &of_day(DAY_S - 1)), LINKED);
    assert_eq!(entries(&mut bench), before);
    assert_eq!(bench.link(&host(), &of_day(DAY_S)), LINKED);
    assert_eq!(entries(&mut bench), before + 1, "a day is worth an entry");
}

/// What an engine before the time floor has left: its root record says when it was made, and that counts.
#[test]
fn a_record_of_version_1_knows_the_time_of_its_root_record() {
    let mut bench = field_of(&field_record());
    let record = bench.layout.record();
    let mut store = RecordStore::load(bench.flash(), record);
    let state = BootState { time_floor_s: 0, ..store.state().unwrap().clone() };
    store.write(bench.flash(), &state).unwrap();
    power_cycle(&mut bench);
    assert_eq!(time_floor_s(&mut bench), MADE_S);
    let ended = delegation(&Delegation { not_after_s: MADE_S - 1, ..claims() });
    let over = Refusal::DelegationOver { not_after_s: MADE_S - 1, seen_s: MADE_S };
    assert_eq!(bench.link(&host(), &ended), Err(over));
}
