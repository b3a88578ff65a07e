//! Refused before touched (P4), and unauthenticated bytes change nothing durable (P8).
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]

use firmware_protocol::boot::{BootRow, ResetCause};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::Flash;
use firmware_protocol::frame::Kind;
use firmware_protocol::manifest::{Encoding, HardwareRange, Manifest};
use firmware_protocol::message::{self, How, Reply, Request, ToDevice, TrialTerms};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{PerSlot, SlotId};
use firmware_protocol::trust::BodyType;
use firmware_protocol::version::Version;

use crate::support::bench::{Bench, PLAN, TERMS};
use crate::support::bundle::{Bundle, encode, envelope, root_record, signed_root};
use crate::support::requests::{Named, every, in_session};
use crate::support::{Rng, bundle};

/// Every refusal of admission: flash is the same, byte for byte, and nothing was erased or
/// programmed.
#[test]
fn what_is_refused_at_stage_has_touched_nothing() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 9000));
    let slot = SlotId::B;
    let other_hardware = |first_revision, last_revision| {
        move |manifest: &mut Manifest<'_>| {
            manifest.hardware = [HardwareRange { id: "board", first_revision, last_revision }]
                .into_iter()
                .collect();
        }
    };
    let cases: Vec<(Bundle, Refusal)> = vec![
        (changed(|manifest| manifest.product = "demo2"), Refusal::WrongProduct),
        (changed(|manifest| manifest.product = "dem"), Refusal::WrongProduct),
        (
            changed(|manifest| manifest.hardware[0].id = "board2"),
            Refusal::WrongHardware { revision: 3 },
        ),
        (changed(other_hardware(4, 9)), Refusal::WrongHardware { revision: 3 }),
        (changed(other_hardware(0, 2)), Refusal::WrongHardware { revision: 3 }),
        (changed(other_hardware(9, 0)), Refusal::WrongHardware { revision: 3 }),
        (
            changed(|manifest| manifest.security_version = 6),
            Refusal::BelowFloor { offered: 6, floor: 7 },
        ),
        (
            changed(|manifest| manifest.from_version = Some(Version::new(1, 2, 4))),
            Refusal::TooOldToComeFrom,
        ),
        (changed(|manifest| drop(manifest.components.pop())), Refusal::Components { index: 1 }),
        (
            changed(|manifest| manifest.components[1].name = "other"),
            Refusal::Components { index: 1 },
        ),
        (
            changed(|manifest| {
                manifest.components[0].variants[0].slot =
                    firmware_protocol::manifest::VariantSlot::A;
            }),
            Refusal::NoVariant { index: 0, slot },
        ),
        (
            changed(|manifest| {
                manifest.components[1].variants[0].payload.encoding = Encoding::Unknown;
            }),
            Refusal::Encoding { index: 1 },
        ),
        (Bundle::new(2, 65_537), Refusal::TooLarge { index: 0, got: 65_537, limit: 65_536 }),
        (
            Bundle::changed(2, 9000, 16_384, |_| {}),
            Refusal::BlockSize { index: 0, got: 16_384, limit: 8192 },
        ),
    ];
    for (bundle, refusal) in cases {
        assert_untouched(&mut bench, &bundle.envelope, &refusal);
    }
}

#[test]
fn what_no_trusted_key_signed_has_touched_nothing() {
    let mut bench = Bench::enrolled();
    let good = Bundle::new(1, 9000);
    let payloads = &good.payloads;
    let body = encode(&bundle::manifest(payloads, 1024));
    let unsigned = Refusal::UntrustedSignature { valid: 0, needed: 1 };
    assert_untouched(&mut bench, &envelope(BodyType::Manifest, &body, &[]), &unsigned);
    assert_untouched(&mut bench, &envelope(BodyType::Manifest, &body, &[1, 3, 4]), &unsigned);
    assert_untouched(&mut bench, &envelope(BodyType::Root, &body, &[2]), &Refusal::Malformed);
    assert_untouched(&mut bench, &[], &Refusal::Malformed);
    let mut flipped = good.envelope.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert_untouched(&mut bench, &flipped, &unsigned);
    flipped = good.envelope.clone();
    flipped[60] ^= 1;
    assert_untouched(&mut bench, &flipped, &unsigned);
    flipped = good.envelope;
    flipped.push(0);
    assert_untouched(&mut bench, &flipped, &Refusal::Malformed);
}

/// A manifest that is longer than its place would run over into the first component.
#[test]
fn a_manifest_longer_than_its_place_is_refused() {
    let mut a = crate::support::slot_at(0x4_0000);
    a.manifest = crate::support::range(0x4_1f00, 256);
    let layout =
        crate::support::layout_of(PerSlot { a, b: crate::support::slot_at(0x8_0000) }, 256);
    let mut bench = Bench::on(crate::support::flash::RamFlash::even(256, 0xa_0000 / 256), layout);
    bench.open_session().offer(&signed_root(&root_record()));
    assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::Done)));
    let long = Bundle::new(1, 9000).envelope;
    let got = long.len() as u32;
    assert!(got > 256);
    assert_untouched(&mut bench, &long, &Refusal::DocumentTooLong { got, limit: 256 });
}

#[test]
fn documents_that_do_not_join_or_fit_are_refused() {
    let mut bench = Bench::enrolled();
    let offer =
        |total_bytes, offset, bytes: &'static [u8]| Request::Offer { total_bytes, offset, bytes };
    bench.offer(&[0; 1345]);
    let too_long = Err(Refusal::DocumentTooLong { got: 1345, limit: 1344 });
    assert_eq!(bench.ask(Request::Enroll), too_long, "no root record is read further");
    let too_long = Err(Refusal::DocumentTooLong { got: 4097, limit: 4096 });
    assert_eq!(bench.ask(offer(4097, 0, &[1])), too_long);
    assert!(bench.ask(offer(u32::MAX, 0, &[1])).is_err());
    assert!(bench.ask(offer(100, 0, &[1; 10])).is_ok());
    let got = 11;
    assert_eq!(bench.ask(offer(100, got, &[1])), Err(Refusal::DocumentPiece { expected: 10, got }));
    assert!(bench.ask(offer(100, 5, &[1; 10])).is_ok());
    let got = 15;
    assert_eq!(
        bench.ask(offer(20, got, &[1; 6])),
        Err(Refusal::DocumentPiece { expected: 15, got })
    );
}

#[test]
fn terms_beyond_the_policy_are_refused() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    for (terms, got, limit) in [
        (TrialTerms { boots: 201, ..TERMS }, 201, 200),
        (TrialTerms { lease_ms: 600_001, ..TERMS }, 600_001, 600_000),
        (TrialTerms { boot_max_ms: 14_400_001, ..TERMS }, 14_400_001, 14_400_000),
    ] {
        let open = Request::OpenTrial { bundle: one.digest, plan: PLAN, terms };
        let before = bench.flash().mutations();
        assert_eq!(bench.ask(open), Err(Refusal::Limit { got, limit }));
        assert_eq!(bench.flash().mutations(), before);
    }
    let bundle = Bundle::new(2, 9000).digest;
    let open = Request::OpenTrial { bundle, plan: PLAN, terms: TERMS };
    assert_eq!(bench.ask(open), Err(Refusal::NotStaged));
}

/// The tests of "every request" mean every one: those of the list, in the order of the wire, are all there are.
#[test]
fn the_list_of_every_request_is_whole() {
    let digest = Digest([0; 32]);
    let named = Named {
        document: &[],
        bundle: digest,
        digests: &[],
        first_block: 0,
        trial_id: 0,
        boot_nonce: 0,
    };
    let list = every(named);
    for (tag, request) in list.iter().enumerate() {
        let mut bytes = [0; 256];
        let asked = ToDevice { id: 0, session: 0, request: *request };
        assert_eq!(usize::from(message::encode(&asked, &mut bytes).unwrap()[2]), tag);
    }
    let mut next = vec![0, 0, list.len() as u8];
    for _ in 0..200 {
        assert!(message::decode::<ToDevice<'_>>(&next).is_none(), "{next:?} is not in the list");
        next.push(0);
    }
}

/// Every request that changes anything, without a session, in a wrong one and in the one before.
#[test]
fn without_the_session_nothing_changes() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    let trial_id = bench.armed(&one, TERMS);
    let stale = bench.session;
    bench.reset();
    let before = (bench.flash().bytes.clone(), bench.flash().mutations());
    let document = Bundle::new(2, 5000).envelope;
    let named = Named {
        document: &document[..100],
        bundle: one.digest,
        digests: &one.block_list(0).concat(),
        first_block: 0,
        trial_id,
        boot_nonce: bench.boot_nonce,
    };
    let mine = bench.session;
    for (id, request) in (10_000..).zip(in_session(named)) {
        for session in [0, stale, mine ^ 1] {
            let reply = bench.send(1, id, session, request);
            assert_eq!(reply, Err(Refusal::StaleSession), "{request:?} in session {session}");
        }
    }
    for _ in 0..50 {
        bench.step();
    }
    assert!(bench.flash().bytes == before.0 && bench.flash().mutations() == before.1);
    bench.session = mine;
    assert!(bench.status().trial.is_some_and(|open| open.running));
}

/// Blocks that the open transfer waits for, from whoever does not hold its session: none is taken, and the
/// session's host still gets its own in.
#[test]
fn chunks_of_another_session_are_not_taken() {
    let mut bench = Bench::enrolled();
    let stale = bench.session;
    let one = Bundle::new(1, 9000);
    bench.open_session().stage(&one, false).unwrap();
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let mine = bench.session;
    let before = (bench.flash().bytes.clone(), bench.flash().mutations());
    let missing = |bench: &mut Bench| bench.ask(Request::Missing { first_block: 0 });
    let (all, counters) = (missing(&mut bench), bench.status().link);
    for session in [stale, 0, mine ^ 1] {
        bench.session = session;
        bench.acks.clear();
        bench.chunk(0, 0, &one.payloads[0][..1024]);
        assert!(bench.acks.iter().all(|ack| !ack.taken), "session {session}: {:?}", bench.acks);
        assert!(!bench.acks.is_empty(), "it has arrived");
    }
    bench.session = mine;
    assert_eq!(missing(&mut bench), all);
    assert_eq!(bench.status().link.payload_bytes, counters.payload_bytes);
    assert!(bench.flash().bytes == before.0 && bench.flash().mutations() == before.1);
    bench.chunk(0, 0, &one.payloads[0][..1024]);
    assert!(bench.acks.last().unwrap().taken && bench.flash().mutations() > before.1);
}

/// P8 by brute force: any frame that does not name the session leaves flash alone.
#[test]
fn mutated_frames_of_a_host_without_the_session_change_nothing() {
    let seed = 77;
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9000);
    bench.staged(&one);
    bench.restart(ResetCause::PowerOn);
    let before = bench.flash().mutations();
    let frames: Vec<Vec<u8>> = [
        Request::Hello { min: 1, current: 1 },
        Request::Identify,
        Request::Stage { again: true },
        Request::OpenTrial { bundle: one.digest, plan: PLAN, terms: TERMS },
        Request::BlockList { first_block: 0, digests: &[3; 320] },
    ]
    .into_iter()
    .map(|request| {
        let mut bytes = [0; 1200];
        message::encode(&ToDevice { id: 7, session: 0, request }, &mut bytes).unwrap().to_vec()
    })
    .collect();
    for _ in 0..20_000 {
        let mut frame = frames[rng.below(frames.len())].clone();
        for _ in 0..rng.below(4) {
            let at = rng.below(frame.len());
            frame[at] = rng.next() as u8;
        }
        frame.truncate(frame.len() - rng.below(3).min(frame.len()));
        let kind = if rng.below(5) == 0 { Kind::Chunk } else { Kind::Message };
        let link = rng.below(3) as u8;
        let _ = bench.frame(link, kind, &frame);
        let _ = bench.step();
    }
    assert_eq!(bench.flash().mutations(), before, "seed {seed}");
}

#[test]
fn a_device_speaks_only_versions_that_it_knows() {
    let mut bench = Bench::new();
    let hello = |min, current| Request::Hello { min, current };
    let refused = Err(Refusal::ProtocolVersion { min: 1, current: 1 });
    assert_eq!(bench.ask(hello(2, 9)), refused);
    assert_eq!(bench.ask(hello(0, 0)), refused);
    assert!(matches!(bench.ask(hello(1, 9)), Ok(Reply::Hello { version: 1, .. })));
    let reply = bench.frame(0, Kind::Message, &[5, 0, 99]);
    let unknown = Err(Refusal::Unknown { current: 1 });
    let expected = message::FromDevice::Reply { id: 5, reply: unknown };
    assert_eq!(reply, Some(expected));
}

fn changed(change: impl FnOnce(&mut Manifest<'_>)) -> Bundle {
    Bundle::changed(2, 9000, 1024, change)
}

fn assert_untouched(bench: &mut Bench, document: &[u8], refusal: &Refusal) {
    let before = (bench.flash().bytes.clone(), bench.flash().mutations());
    if document.is_empty() {
        let offer = Request::Offer { total_bytes: 0, offset: 0, bytes: &[] };
        assert!(bench.ask(offer).is_ok());
    } else {
        bench.offer(document);
    }
    assert_eq!(bench.ask(Request::Stage { again: true }), Err(*refusal));
    for _ in 0..5 {
        bench.step();
    }
    assert_eq!(bench.flash().mutations(), before.1, "{refusal}: flash was touched");
    assert!(bench.flash().bytes == before.0, "{refusal}: flash has changed");
}

/// A device that lost its record must not fall to the first stranger: it was somebody's.
#[test]
fn a_device_that_lost_its_record_enrols_only_under_the_root_it_still_holds() {
    let mut bench = Bench::enrolled();
    let record = bench.layout.record();
    for block in record {
        bench.flash().erase(block).unwrap();
    }
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(bench.handover.row, BootRow::NoRecord);
    let mut stranger = root_record();
    stranger.made_at_s += 1;
    let before = bench.flash().mutations();
    bench.offer(&signed_root(&stranger));
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::InRecovery));
    assert_eq!(bench.flash().mutations(), before, "refused before touched");
    bench.offer(&signed_root(&root_record()));
    assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::Done)));
}
