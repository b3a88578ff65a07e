//! A root record follows the one before it, under both; and one that flash has lost is stored again.

use firmware_protocol::boot::{BootState, ResetCause};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::Range;
use firmware_protocol::message::{How, Reply, Request, RootStatus};
use firmware_protocol::record::read_entry;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{LifeCycle, RootRecord};
use firmware_protocol::trust::{self, NextRootError, TrustError};

use crate::support::bench::{Answer, Bench};
use crate::support::bundle::{
    Bundle, RELEASE, ROOT, role, root_record, root_signed_by, signed_root,
};
use crate::support::flash::Cut;

/// The key of the second root, and of releases under it.
const NEXT_ROOT: u8 = 11;
const NEXT_RELEASE: u8 = 12;

#[test]
fn a_new_root_record_needs_the_keys_in_force_and_its_own() {
    let mut bench = Bench::enrolled();
    let next = signed(&next_root(2, NEXT_RELEASE), &[ROOT, NEXT_ROOT]);
    for (signers, refusal) in [
        (&[NEXT_ROOT][..], Refusal::AlreadyEnrolled),
        (&[RELEASE, NEXT_ROOT][..], Refusal::AlreadyEnrolled),
        (&[ROOT][..], Refusal::UntrustedSignature { valid: 0, needed: 1 }),
    ] {
        let before = bench.flash().mutations();
        let lacking = signed(&next_root(2, NEXT_RELEASE), signers);
        assert_eq!(enroll(&mut bench, &lacking), Err(refusal), "{signers:?}");
        assert_eq!(bench.flash().mutations(), before, "refused before touched");
    }
    assert_eq!(enroll(&mut bench, &next), Ok(Reply::Done(How::Done)));
    assert_eq!(enroll(&mut bench, &next), Ok(Reply::Done(How::FoundDone)));
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(root_version(&mut bench), 2);
    // The keys of the one before are nothing any more; a bundle under the new ones is admitted.
    let old = Bundle::new(1, 9000);
    let untrusted = Err(Refusal::UntrustedSignature { valid: 0, needed: 1 });
    assert_eq!(bench.stage(&old, false), untrusted);
}

/// One at a time, forwards: not the same number again, not an older one, none left out.
#[test]
fn root_records_are_taken_in_order() {
    let mut bench = Bench::enrolled();
    for (version, got) in [(1, 1), (3, 3), (0, 0)] {
        let root = RootRecord { made_at_s: 1, ..next_root(version, RELEASE) };
        let refusal = if version == 0 {
            Refusal::Malformed
        } else {
            Refusal::RootVersion { expected: 2, got }
        };
        let document = signed(&root, &[ROOT, NEXT_ROOT]);
        assert_eq!(enroll(&mut bench, &document), Err(refusal), "{version}");
    }
    for version in 2..6 {
        let root = RootRecord { root: role(&[ROOT], 1), ..next_root(version, RELEASE) };
        let document = signed(&root, &[ROOT]);
        assert_eq!(enroll(&mut bench, &document), Ok(Reply::Done(How::Done)));
        assert_eq!(root_version(&mut bench), version);
    }
    let old = signed_root(&root_record());
    let refusal = Refusal::RootVersion { expected: 6, got: 1 };
    assert_eq!(enroll(&mut bench, &old), Err(refusal), "the first one is over");
}

/// No number follows the last one.
#[test]
fn the_last_root_record_has_no_next_one() {
    let last = RootRecord { version: u32::MAX, ..root_record() };
    let again = signed_root(&last);
    let refusal = NextRootError::Version { expected: u32::MAX, got: u32::MAX };
    assert_eq!(trust::verify_next_root(&again, &last), Err(refusal));
    let garbage = trust::verify_next_root(b"no envelope", &last);
    assert!(matches!(garbage, Err(NextRootError::Trust(TrustError::Envelope(_)))));
}

/// Power fails at any byte while a root record is replaced: the one before or the new one is in force, and
/// whole; and the same request brings the new one.
#[test]
fn a_cut_while_a_root_record_is_replaced_leaves_one_of_them_in_force() {
    let next = signed(&next_root(2, NEXT_RELEASE), &[ROOT, NEXT_ROOT]);
    let mut dry = Bench::enrolled();
    let before = dry.flash().mutations();
    assert!(enroll(&mut dry, &next).is_ok());
    let operations = dry.flash().mutations() - before;
    let mut seen = [0, 0];
    for operation in 0..operations {
        for bytes in (0..256).step_by(16) {
            let mut bench = Bench::enrolled();
            let start = bench.flash().mutations();
            bench.flash().cut = Some(Cut::clean(start + operation, bytes));
            let answer = enroll(&mut bench, &next);
            assert_eq!(answer.is_ok(), !bench.flash().dead);
            bench.restart(ResetCause::PowerOn).open_session();
            let version = root_version(&mut bench);
            seen[version as usize - 1] += 1;
            // Whichever it is, it is there to judge by.
            let bundle = Bundle::new(1, 3000);
            let staged = bench.stage(&bundle, false);
            assert_eq!(staged.is_ok(), version == 1, "cut {operation}.{bytes}: {staged:?}");
            assert!(enroll(&mut bench, &next).is_ok(), "cut {operation}.{bytes}");
            assert_eq!(root_version(&mut bench), 2, "cut {operation}.{bytes}");
        }
    }
    assert!(seen[0] > 20 && seen[1] > 0, "{seen:?}");
}

/// The record knows the digest of a root record that flash has lost; so nobody else's can take its place.
#[test]
fn a_lost_root_record_is_stored_again_and_no_other_one_is() {
    let mut bench = Bench::enrolled();
    let digest = trust::verify_first_root(&signed_root(&root_record())).unwrap().digest();
    let in_force = RootStatus { version: 1, digest, is_held: true, time_floor_s: 1_700_000_000 };
    assert_eq!(root_status(&mut bench), in_force);
    let place = bench.layout.trust()[1];
    bench.flash().lose(place);
    bench.restart(ResetCause::PowerOn).open_session();
    let bundle = Bundle::new(1, 3000);
    assert_eq!(bench.stage(&bundle, false), Err(Refusal::RootLost { version: 1 }));
    assert_eq!(root_status(&mut bench), RootStatus { is_held: false, ..in_force });
    let stranger = RootRecord { root: role(&[7], 1), ..root_record() };
    let other = root_signed_by(&stranger, &[7]);
    assert_eq!(enroll(&mut bench, &other), Err(Refusal::RootLost { version: 1 }));
    let same = signed_root(&root_record());
    assert_eq!(enroll(&mut bench, &same), Ok(Reply::Done(How::Done)));
    assert_eq!(root_status(&mut bench), in_force);
    assert!(bench.stage(&bundle, false).is_ok());
}

#[test]
fn a_new_device_has_no_root_record() {
    let none = RootStatus { version: 0, digest: Digest([0; 32]), is_held: false, time_floor_s: 0 };
    assert_eq!(root_status(&mut Bench::new()), none);
}

/// A device without a record believes the newest root record that it holds, not an older one.
#[test]
fn a_device_without_a_record_goes_back_to_no_older_root_record() {
    let mut bench = Bench::enrolled();
    let first = signed_root(&root_record());
    let next = signed(&next_root(2, NEXT_RELEASE), &[ROOT, NEXT_ROOT]);
    assert!(enroll(&mut bench, &next).is_ok());
    for range in bench.layout.record() {
        bench.flash().lose(range);
    }
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(root_version(&mut bench), 0);
    assert_eq!(enroll(&mut bench, &first), Err(Refusal::InRecovery));
    assert_eq!(enroll(&mut bench, &next), Ok(Reply::Done(How::Done)));
    assert_eq!(root_version(&mut bench), 2);
}

/// The first entry says "factory", so that none which is in doubt ever names a root record that is being written.
#[test]
fn a_first_enrolment_writes_a_factory_entry_then_the_root_then_the_enrolled_entry() {
    let mut bench = Bench::new();
    bench.open_session();
    let root = signed_root(&root_record());
    assert_eq!(enroll(&mut bench, &root), Ok(Reply::Done(How::Done)));
    let ([record, _], [_, odd]) = (bench.layout.record(), bench.layout.trust());
    let log = bench.flash().log.clone();
    let order = |place: Range| {
        let within = |range: &Range| range.start >= place.start && range.start < place.end();
        (log.iter().position(within).unwrap(), log.iter().rposition(within).unwrap())
    };
    let entry = |number: u32| Range { start: record.start + number * 512, len_bytes: 448 };
    let seal = |number: u32| Range { start: record.start + number * 512 + 448, len_bytes: 32 };
    assert!(order(entry(0)).1 < order(seal(0)).0, "the first entry is settled ...");
    assert!(order(seal(0)).1 < order(odd).0, "... before the root record is begun ...");
    assert!(order(odd).1 < order(entry(1)).0, "... which is stored before it is named");
    let states = [0, 1].map(|number| {
        let bytes = bench.flash().slice(entry(number)).to_vec();
        read_entry(bytes.as_slice().try_into().unwrap()).unwrap().1
    });
    assert_eq!(states[0], BootState::default());
    assert_eq!((states[1].life_cycle, states[1].root_version), (LifeCycle::Development, 1));
    assert_eq!(states[1].root_digest, trust::root_digest(&root).unwrap());
}

/// A cut behind the root record leaves a device whose record says "factory" and that holds a root record all the
/// same: it belongs to that root already.
#[test]
fn a_factory_device_that_holds_a_root_record_takes_no_other_one() {
    let root = signed_root(&root_record());
    let stranger = RootRecord { root: role(&[7], 1), ..root_record() };
    let stranger = root_signed_by(&stranger, &[7]);
    let mut dry = Bench::new();
    dry.open_session();
    let before = dry.flash().mutations();
    assert!(enroll(&mut dry, &root).is_ok());
    let operations = dry.flash().mutations() - before;
    let mut refused = 0;
    for operation in 0..operations {
        let mut bench = Bench::new();
        bench.open_session();
        bench.flash().cut = Some(Cut::clean(operation, 0));
        assert!(enroll(&mut bench, &root).is_err(), "cut {operation}");
        bench.restart(ResetCause::PowerOn).open_session();
        let place = bench.layout.trust()[1];
        let held = trust::stored_root(bench.flash().slice(place)).is_some();
        if root_version(&mut bench) == 0 && held {
            assert_eq!(enroll(&mut bench, &stranger), Err(Refusal::InRecovery), "cut {operation}");
            refused += 1;
            assert!(enroll(&mut bench, &root).is_ok(), "cut {operation}");
            assert_eq!(root_version(&mut bench), 1, "cut {operation}");
        } else if root_version(&mut bench) == 0 {
            assert!(enroll(&mut bench, &stranger).is_ok(), "cut {operation}: it belongs to nobody");
        }
    }
    assert!(refused >= 2, "only {refused} cuts left a root record that is not in force");
}

/// The one in force is never written over: versions take turns between two places.
#[test]
fn root_records_of_even_and_odd_versions_have_a_place_each() {
    let mut bench = Bench::enrolled();
    let places = bench.layout.trust();
    for version in 2..6 {
        let root = RootRecord { root: role(&[ROOT], 1), ..next_root(version, RELEASE) };
        let document = signed(&root, &[ROOT]);
        let [own, other] = if version % 2 == 0 { places } else { [places[1], places[0]] };
        let before = bench.flash().slice(other).to_vec();
        assert!(enroll(&mut bench, &document).is_ok());
        assert_eq!(bench.flash().slice(own)[..document.len()], document, "{version}");
        assert_eq!(bench.flash().slice(other), before, "{version}");
    }
}

fn next_root(version: u32, release: u8) -> RootRecord {
    RootRecord {
        version,
        root: role(&[NEXT_ROOT], 1),
        release: role(&[release], 1),
        ..root_record()
    }
}

fn signed(root: &RootRecord, signers: &[u8]) -> Vec<u8> {
    root_signed_by(root, signers)
}

/// Without the boot record, the root record that flash holds tells whose the device is: a read that fails, and a word
/// behind its end that cannot be read, make it nobody else's.
#[test]
fn a_stored_root_record_is_not_missed_for_a_read_that_fails() {
    let stranger = signed(&RootRecord { made_at_s: 2, ..next_root(1, NEXT_RELEASE) }, &[NEXT_ROOT]);
    // Of three tries, each of the whole place and then of its first word, the last one succeeds.
    for fault in ["four reads", "a word behind it"] {
        let mut bench = Bench::enrolled();
        let [_, odd] = bench.layout.trust();
        let record = bench.layout.record();
        for range in record {
            bench.flash().lose(range);
        }
        bench.restart(ResetCause::PowerOn).open_session();
        bench.offer(&stranger);
        match fault {
            "four reads" => bench.flash().flaky = Some((odd, 4)),
            _ => bench.flash().unreadable = vec![Range { start: odd.start + 1016, len_bytes: 8 }],
        }
        assert_eq!(bench.ask(Request::Enroll), Err(Refusal::InRecovery), "{fault}");
        assert!(bench.flash().flaky.is_none_or(|(_, left)| left == 0), "the fault struck");
    }
}

/// Its signatures are what tells a root record from a stranger's once the boot record is lost, so what is stored again
/// has them.
#[test]
fn a_root_record_in_force_is_stored_again_only_with_its_signatures() {
    let root = signed_root(&root_record());
    let mut bare = root.clone();
    *bare.last_mut().unwrap() ^= 1;
    let mut bench = Bench::enrolled();
    let [_, odd] = bench.layout.trust();
    bench.flash().lose(odd);
    let untrusted = Err(Refusal::UntrustedSignature { valid: 0, needed: 1 });
    assert_eq!(enroll(&mut bench, &bare), untrusted);
    assert_eq!(enroll(&mut bench, &root), Ok(Reply::Done(How::Done)));
    // One whose signatures flash has damaged since is stored again, too, though what it says is there.
    let last = odd.start as usize + root.len() - 1;
    bench.flash().bytes[last] ^= 1;
    assert!(root_status(&mut bench).is_held);
    assert_eq!(enroll(&mut bench, &root), Ok(Reply::Done(How::Done)));
    assert_eq!(enroll(&mut bench, &root), Ok(Reply::Done(How::FoundDone)));
}

/// An entry whose write failed may stand there all the same. It names the root record that is about to be written, so
/// the state in force is written first.
#[test]
fn no_entry_in_doubt_names_a_root_record_that_is_being_written() {
    let next = signed(&next_root(2, NEXT_RELEASE), &[ROOT, NEXT_ROOT]);
    let mut dry = Bench::enrolled();
    let before = dry.flash().mutations();
    assert!(enroll(&mut dry, &next).is_ok());
    let mutations = dry.flash().mutations() - before;
    let mut bench = Bench::enrolled();
    // The entry is the last but one, before its seal; all of it is written, and called failed.
    bench.flash().sound_until = bench.flash().mutations() + mutations - 2;
    bench.flash().fails_after = Some(512);
    assert_eq!(enroll(&mut bench, &next), Err(Refusal::Flash));
    assert_eq!(bench.flash().fails_after, None, "the fault struck");
    bench.flash().log.clear();
    assert_eq!(root_version(&mut bench), 1);
    bench.rest();
    assert_eq!(enroll(&mut bench, &next), Ok(Reply::Done(How::Done)));
    let [first, second] = bench.layout.record();
    let is_of_record = |place: &Range| place.start >= first.start && place.start < second.end();
    let programmed = bench.flash().log.clone();
    let stored = programmed.iter().position(|place| !is_of_record(place)).unwrap();
    assert!(stored >= 3, "mark, entry and seal come first: {programmed:?}");
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(root_version(&mut bench), 2);
}

fn enroll(bench: &mut Bench, document: &[u8]) -> Answer {
    bench.offer(document).ask(Request::Enroll)
}

fn root_status(bench: &mut Bench) -> RootStatus {
    match bench.ask(Request::RootStatus) {
        Ok(Reply::RootStatus(root)) => root,
        other => panic!("{other:?}"),
    }
}

fn root_version(bench: &mut Bench) -> u32 {
    match bench.ask(Request::Identify) {
        Ok(Reply::Identity(identity)) => identity.root_version,
        other => panic!("{other:?}"),
    }
}
