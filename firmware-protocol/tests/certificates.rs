//! What a root record may ask of a bundle beside its release signature: an epoch that still counts, a security version
//! within reach, a certificate (promise P4).

use firmware_protocol::boot::ResetCause;
use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::HardwareRange;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{CertificateNeed, Epochs, MAX_KEYS, Policy, RootRecord};
use firmware_protocol::trust::{BodyType, MAX_SIGNATURES};

use crate::support::bench::{Answer, Bench, PLAN, TERMS};
use crate::support::bundle::{
    Bundle, RELEASE, ROOT, encode, envelope, role, root_record, root_signed_by, signed_root,
};

const QUALIFY: u8 = 21;
const OTHER_QUALIFY: u8 = 22;
const DONE: Answer = Ok(Reply::Done(How::Done));

/// P4: what is below the epoch, below the floor of the root, or too far above what was confirmed is refused before
/// the first erase.
#[test]
fn epochs_and_security_versions_are_held_against_the_root_record() {
    let policy = Policy { lowest_security_version: 5, max_security_step: 3, ..Policy::default() };
    let epochs = Epochs { release: 4, ..Epochs::default() };
    let mut bench = enrolled(&RootRecord { policy, epochs, ..root_record() });
    let bundle = |epoch, security_version| {
        Bundle::changed(1, 9000, 1024, |manifest| {
            (manifest.epoch, manifest.security_version) = (epoch, security_version);
        })
    };
    for (epoch, version, refusal) in [
        (3, 7, Refusal::BelowEpoch { offered: 3, lowest: 4 }),
        (4, 4, Refusal::BelowFloor { offered: 4, floor: 5 }),
        (4, 9, Refusal::SecurityStep { offered: 9, most: 8 }),
        (u32::MAX, u64::MAX, Refusal::SecurityStep { offered: u64::MAX, most: 8 }),
    ] {
        refused(&mut bench, |bench| bench.stage(&bundle(epoch, version), false), refusal);
    }
    bench.confirmed(&bundle(4, 7));
    assert_eq!(bench.status().accept_floor, 7);
    // Both ends move with what was confirmed.
    let below = Refusal::BelowFloor { offered: 6, floor: 7 };
    refused(&mut bench, |bench| bench.stage(&bundle(9, 6), false), below);
    let above = Refusal::SecurityStep { offered: 11, most: 10 };
    refused(&mut bench, |bench| bench.stage(&bundle(9, 11), false), above);
    bench.staged(&bundle(9, 10));
}

/// An epoch is raised by the next root record: what was signed before it is refused, and what is installed runs on.
#[test]
fn a_raised_epoch_takes_back_what_is_not_installed() {
    let mut bench = enrolled(&root_record());
    let old = Bundle::new(1, 9000);
    bench.confirmed(&old);
    let next = RootRecord {
        version: 2,
        epochs: Epochs { release: 1, ..Epochs::default() },
        ..root_record()
    };
    bench.offer(&signed_root(&next));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let refusal = Refusal::BelowEpoch { offered: 0, lowest: 1 };
    refused(&mut bench, |bench| bench.stage(&Bundle::new(2, 9000), false), refusal);
    let before = bench.handover.start;
    bench.restart(ResetCause::PowerOn);
    assert_eq!(bench.handover.start, before, "what is installed still boots");
}

/// What was staged before and not tried yet is taken back as well: no trial of it is opened.
#[test]
fn a_raised_epoch_takes_back_what_is_only_staged() {
    let mut bench = enrolled(&root_record());
    let old = Bundle::new(1, 9000);
    bench.staged(&old);
    let next = RootRecord {
        version: 2,
        epochs: Epochs { release: 1, ..Epochs::default() },
        ..root_record()
    };
    bench.offer(&signed_root(&next));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let trial = Request::OpenTrial { bundle: old.digest, plan: PLAN, terms: TERMS };
    let refusal = Refusal::BelowEpoch { offered: 0, lowest: 1 };
    refused(&mut bench, |bench| bench.ask(trial), refusal);
}

/// Who signed it is asked again, too, of the bytes that flash gives.
#[test]
fn a_release_key_that_is_gone_takes_back_what_is_only_staged() {
    let mut bench = enrolled(&root_record());
    let old = Bundle::new(1, 9000);
    bench.staged(&old);
    let next = RootRecord { version: 2, release: role(&[QUALIFY], 1), ..root_record() };
    bench.offer(&signed_root(&next));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let trial = Request::OpenTrial { bundle: old.digest, plan: PLAN, terms: TERMS };
    let refusal = Refusal::UntrustedSignature { valid: 0, needed: 1 };
    refused(&mut bench, |bench| bench.ask(trial), refusal);
}

/// And the floor that the root record states.
#[test]
fn a_raised_lowest_security_version_takes_back_what_is_only_staged() {
    let mut bench = enrolled(&root_record());
    let old = Bundle::changed(1, 9000, 1024, |manifest| manifest.security_version = 5);
    bench.staged(&old);
    let policy = Policy { lowest_security_version: 8, ..Policy::default() };
    bench.offer(&signed_root(&RootRecord { version: 2, policy, ..root_record() }));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let trial = Request::OpenTrial { bundle: old.digest, plan: PLAN, terms: TERMS };
    let refusal = Refusal::BelowFloor { offered: 5, floor: 8 };
    refused(&mut bench, |bench| bench.ask(trial), refusal);
}

/// An epoch or a key that goes in the middle of a trial: what was tried is not kept, and the trial ends as one without a confirm.
#[test]
fn what_is_taken_back_in_the_middle_of_its_trial_is_not_confirmed() {
    let epochs = Epochs { release: 1, ..Epochs::default() };
    for (next, refusal) in [
        (
            RootRecord { version: 2, epochs, ..root_record() },
            Refusal::BelowEpoch { offered: 0, lowest: 1 },
        ),
        (
            RootRecord { version: 2, release: role(&[QUALIFY], 1), ..root_record() },
            Refusal::UntrustedSignature { valid: 0, needed: 1 },
        ),
    ] {
        let mut bench = enrolled(&root_record());
        let bundle = Bundle::new(1, 9000);
        let trial_id = bench.staged(&bundle).armed(&bundle, TERMS);
        bench.offer(&signed_root(&next));
        assert_eq!(bench.ask(Request::Enroll), DONE);
        bench.reset();
        let boot_nonce = bench.boot_nonce;
        let confirm = Request::Confirm { trial_id, boot_nonce };
        refused(&mut bench, |bench| bench.ask(confirm), refusal);
        assert_eq!(bench.ask(Request::Rollback { trial_id }), DONE);
    }
}

/// The hardware, too: one decision that went wrong at the stage opens no trial.
#[test]
fn what_is_for_other_hardware_is_not_tried_however_it_came_into_the_slot() {
    let mut bench = enrolled(&root_record());
    let bundle = Bundle::new(1, 9000);
    bench.staged(&bundle);
    bench.device().board_mut().revision += 100;
    let trial = Request::OpenTrial { bundle: bundle.digest, plan: PLAN, terms: TERMS };
    let revision = bench.device().board_mut().revision;
    refused(&mut bench, |bench| bench.ask(trial), Refusal::WrongHardware { revision });
}

/// P4: without a certificate of a level that is high enough nothing is staged.
#[test]
fn a_certificate_that_is_needed_before_a_stage_is_needed_for_this_very_bundle() {
    let mut bench = needing(CertificateNeed::BeforeStage { level: 3 });
    let (bundle, other) = (Bundle::new(1, 9000), Bundle::new(2, 9000));
    let needed = Refusal::CertificateNeeded { level: 3 };
    refused(&mut bench, |bench| bench.stage(&bundle, false), needed);
    shows(&mut bench, &certificate(&other, 3));
    refused(&mut bench, |bench| bench.stage(&bundle, false), needed);
    shows(&mut bench, &certificate(&bundle, 2));
    let level = Refusal::CertificateLevel { got: 2, lowest: 3 };
    refused(&mut bench, |bench| bench.stage(&bundle, false), level);
    shows(&mut bench, &certificate(&bundle, 3));
    bench.staged(&bundle);
    // The trial has to run by the plan that the certificate is about.
    let other_plan =
        Request::OpenTrial { bundle: bundle.digest, plan: Digest([1; 32]), terms: TERMS };
    refused(&mut bench, |bench| bench.ask(other_plan), Refusal::CertificatePlan);
    // It is forgotten with the boot: the next host shows it again.
    bench.restart(ResetCause::Pin).open_session();
    let trial = Request::OpenTrial { bundle: bundle.digest, plan: PLAN, terms: TERMS };
    refused(&mut bench, |bench| bench.ask(trial), needed);
    shows(&mut bench, &certificate(&bundle, 3));
    let trial_id = bench.armed(&bundle, TERMS);
    let boot_nonce = bench.reset().boot_nonce;
    let confirm = Request::Confirm { trial_id, boot_nonce };
    refused(&mut bench, |bench| bench.ask(confirm), needed);
    shows(&mut bench, &certificate(&bundle, 3));
    assert_eq!(bench.ask(confirm), DONE);
}

/// A root record that comes in the middle of a trial takes certificates back, or wants more of them, and none of that is got
/// round by having shown one before.
#[test]
fn a_certificate_that_is_taken_back_in_the_middle_of_a_trial_confirms_nothing() {
    let before = |level| root_needing(CertificateNeed::BeforeStage { level });
    let needed = |level| Refusal::CertificateNeeded { level };
    let taken_back = Epochs { qualify: 1, ..Epochs::default() };
    for (next, shown_again, refusal) in [
        (
            RootRecord { epochs: taken_back, ..before(1) },
            Err(Refusal::BelowEpoch { offered: 0, lowest: 1 }),
            needed(1),
        ),
        (
            RootRecord { qualify: role(&[22], 1), ..before(1) },
            Err(Refusal::UntrustedSignature { valid: 0, needed: 1 }),
            needed(1),
        ),
        (before(9), DONE, Refusal::CertificateLevel { got: 1, lowest: 9 }),
    ] {
        let mut bench = needing(CertificateNeed::BeforeStage { level: 1 });
        let bundle = Bundle::new(1, 9000);
        shows(&mut bench, &certificate(&bundle, 1));
        let trial_id = bench.staged(&bundle).armed(&bundle, TERMS);
        bench.offer(&signed_root(&RootRecord { version: 2, ..next }));
        assert_eq!(bench.ask(Request::Enroll), DONE);
        let boot_nonce = bench.reset().boot_nonce;
        bench.offer(&certificate(&bundle, 1));
        assert_eq!(bench.ask(Request::Certify), shown_again);
        let confirm = Request::Confirm { trial_id, boot_nonce };
        refused(&mut bench, |bench| bench.ask(confirm), refusal);
        assert_eq!(bench.ask(Request::Rollback { trial_id }), DONE);
    }
}

/// A stricter need that comes in the middle of a trial leaves no gap between the two.
#[test]
fn a_certificate_that_becomes_needed_in_the_middle_of_a_trial_is_needed_for_its_confirm() {
    for first in [CertificateNeed::Never, CertificateNeed::BeforeConfirm { level: 2 }] {
        let mut bench = needing(first);
        let bundle = Bundle::new(1, 9000);
        let trial_id = bench.staged(&bundle).armed(&bundle, TERMS);
        let boot_nonce = bench.reset().boot_nonce;
        let stricter = root_needing(CertificateNeed::BeforeStage { level: 2 });
        bench.offer(&signed_root(&RootRecord { version: 2, ..stricter }));
        assert_eq!(bench.ask(Request::Enroll), DONE);
        let confirm = Request::Confirm { trial_id, boot_nonce };
        refused(&mut bench, |bench| bench.ask(confirm), Refusal::CertificateNeeded { level: 2 });
        shows(&mut bench, &certificate(&bundle, 2));
        assert_eq!(bench.ask(confirm), DONE);
    }
}

/// P1, P4: a trial may run without it, and is not confirmed without it.
#[test]
fn a_certificate_that_is_needed_before_a_confirm_is_needed_in_the_boot_that_confirms() {
    let mut bench = needing(CertificateNeed::BeforeConfirm { level: 1 });
    let bundle = Bundle::new(1, 9000);
    bench.staged(&bundle);
    shows(&mut bench, &certificate(&bundle, 1));
    let trial_id = bench.armed(&bundle, TERMS);
    bench.reset();
    let confirm = Request::Confirm { trial_id, boot_nonce: bench.boot_nonce };
    let needed = Refusal::CertificateNeeded { level: 1 };
    refused(&mut bench, |bench| bench.ask(confirm), needed);
    let plan = Digest([1; 32]);
    shows(&mut bench, &signed(&Certificate { plan, ..claims(&bundle, 1) }, &[QUALIFY]));
    refused(&mut bench, |bench| bench.ask(confirm), Refusal::CertificatePlan);
    shows(&mut bench, &certificate(&bundle, 1));
    assert_eq!(bench.ask(confirm), DONE);
}

/// P4: who may sign it, and what for.
#[test]
fn a_certificate_is_refused_unless_the_qualify_role_signed_it_for_this_device() {
    let epochs = Epochs { qualify: 2, ..Epochs::default() };
    let policy =
        Policy { certificate: CertificateNeed::BeforeStage { level: 0 }, ..Policy::default() };
    let qualify = role(&[QUALIFY, OTHER_QUALIFY], 2);
    let mut bench = enrolled(&RootRecord { qualify, policy, epochs, ..root_record() });
    let bundle = Bundle::new(1, 9000);
    let good = Certificate { epoch: 2, ..claims(&bundle, 0) };
    let both = [QUALIFY, OTHER_QUALIFY];
    let untrusted = |valid| Refusal::UntrustedSignature { valid, needed: 2 };
    let other_board = [HardwareRange { id: "board", first_revision: 9, last_revision: 9 }];
    let refusals = [
        (signed(&good, &[QUALIFY]), untrusted(1)),
        (signed(&good, &[QUALIFY, QUALIFY]), untrusted(1)),
        (signed(&good, &[RELEASE, ROOT]), untrusted(0)),
        (
            signed(&Certificate { epoch: 1, ..good.clone() }, &both),
            Refusal::BelowEpoch { offered: 1, lowest: 2 },
        ),
        (signed(&Certificate { product: "other", ..good.clone() }, &both), Refusal::WrongProduct),
        (
            signed(
                &Certificate { hardware: other_board.into_iter().collect(), ..good.clone() },
                &both,
            ),
            Refusal::WrongHardware { revision: 3 },
        ),
        // What the same keys signed as something else.
        (envelope(BodyType::Manifest, &encode(&good), &both), Refusal::Malformed),
        (signed(&good, &both)[..100].to_vec(), Refusal::Malformed),
    ];
    for (document, refusal) in refusals {
        bench.offer(&document);
        refused(&mut bench, |bench| bench.ask(Request::Certify), refusal);
        let needed = Refusal::CertificateNeeded { level: 0 };
        refused(&mut bench, |bench| bench.stage(&bundle, false), needed);
    }
    shows(&mut bench, &signed(&good, &both));
    bench.staged(&bundle);
}

/// The keys under which it was signed are replaced: it has to be shown again, under those that replaced them.
#[test]
fn a_new_root_record_forgets_what_was_shown_under_the_one_before() {
    let mut bench = needing(CertificateNeed::BeforeStage { level: 0 });
    let bundle = Bundle::new(1, 9000);
    shows(&mut bench, &certificate(&bundle, 0));
    let next = RootRecord {
        version: 2,
        qualify: role(&[OTHER_QUALIFY], 1),
        ..root_needing(CertificateNeed::BeforeStage { level: 0 })
    };
    bench.offer(&signed_root(&next));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let needed = Refusal::CertificateNeeded { level: 0 };
    refused(&mut bench, |bench| bench.stage(&bundle, false), needed);
    bench.offer(&certificate(&bundle, 0));
    let untrusted = Refusal::UntrustedSignature { valid: 0, needed: 1 };
    refused(&mut bench, |bench| bench.ask(Request::Certify), untrusted);
}

/// Where nobody has the role, nobody can speak for it; and no root record wants what nobody can sign.
#[test]
fn a_role_that_is_not_used_signs_nothing() {
    let mut bench = enrolled(&root_record());
    let bundle = Bundle::new(1, 9000);
    for signers in [&[][..], &[RELEASE], &[ROOT], &[QUALIFY]] {
        bench.offer(&signed(&claims(&bundle, 9), signers));
        let untrusted = Refusal::UntrustedSignature { valid: 0, needed: 0 };
        refused(&mut bench, |bench| bench.ask(Request::Certify), untrusted);
    }
    let unsatisfiable = RootRecord {
        version: 2,
        qualify: role(&[], 0),
        ..root_needing(CertificateNeed::BeforeConfirm { level: 0 })
    };
    bench.offer(&signed_root(&unsatisfiable));
    refused(&mut bench, |bench| bench.ask(Request::Enroll), Refusal::Malformed);
}

/// Every role full, every signature that an envelope takes: a device has room for it.
#[test]
fn the_largest_root_record_fits() {
    let full = |first: u8| {
        let numbers: Vec<u8> = (first..).take(MAX_KEYS).collect();
        role(&numbers, 5)
    };
    let (root, release, qualify, operate) = (full(101), full(111), full(121), full(131));
    let policy = Policy {
        lowest_security_version: u64::MAX,
        max_security_step: u64::MAX,
        certificate: CertificateNeed::BeforeStage { level: u8::MAX },
        max_boots: u16::MAX,
        max_boot_ms: u32::MAX,
        max_lease_ms: u32::MAX,
    };
    let epochs = Epochs { release: u32::MAX, qualify: u32::MAX, operate: u32::MAX };
    let record = RootRecord {
        version: 1,
        root,
        release,
        qualify,
        operate,
        policy,
        epochs,
        made_at_s: u64::MAX,
        ..root_record()
    };
    let signers: Vec<u8> = (101..).take(5).chain([1, 2, 3]).collect();
    assert_eq!(signers.len(), MAX_SIGNATURES);
    let document = root_signed_by(&record, &signers);
    println!("{} bytes", document.len());
    let mut bench = Bench::new();
    bench.open_session().offer(&document);
    assert_eq!(bench.ask(Request::Enroll), DONE);
    bench.restart(ResetCause::PowerOn);
    assert!(matches!(bench.ask(Request::RootStatus), Ok(Reply::RootStatus(root)) if root.is_held));
}

fn enrolled(root: &RootRecord) -> Bench {
    let mut bench = Bench::new();
    bench.open_session().offer(&signed_root(root));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    bench
}

fn root_needing(certificate: CertificateNeed) -> RootRecord {
    let policy = Policy { certificate, ..Policy::default() };
    RootRecord { qualify: role(&[QUALIFY], 1), policy, ..root_record() }
}

fn needing(certificate: CertificateNeed) -> Bench {
    enrolled(&root_needing(certificate))
}

fn claims(bundle: &Bundle, level: u8) -> Certificate<'static> {
    Certificate {
        product: "demo",
        hardware: [HardwareRange { id: "board", first_revision: 1, last_revision: 5 }]
            .into_iter()
            .collect(),
        bundle: bundle.digest,
        plan: PLAN,
        verdict: CertifiedVerdict::Qualified,
        level,
        epoch: 0,
        made_at_s: 1_700_000_000,
    }
}

fn signed(certificate: &Certificate<'_>, signers: &[u8]) -> Vec<u8> {
    envelope(BodyType::Certificate, &encode(certificate), signers)
}

fn certificate(bundle: &Bundle, level: u8) -> Vec<u8> {
    signed(&claims(bundle, level), &[QUALIFY])
}

fn shows(bench: &mut Bench, certificate: &[u8]) {
    bench.offer(certificate);
    assert_eq!(bench.ask(Request::Certify), DONE);
}

/// A refusal, with nothing durable changed.
fn refused(bench: &mut Bench, ask: impl FnOnce(&mut Bench) -> Answer, refusal: Refusal) {
    let before = bench.flash().mutations();
    assert_eq!(ask(bench), Err(refusal));
    assert_eq!(bench.flash().mutations(), before, "refused before touched: {refusal}");
}
