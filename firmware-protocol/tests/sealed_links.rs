//! Sealed links and who may do what on them: nothing that is not authenticated changes anything (promise P8), and what a
//! `field` device takes comes from a host with a delegation that counts (promise P4).
#![expect(clippy::cast_possible_truncation, reason = "numbers here are small")]

mod support;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::delegation::{Action, Actions, Delegation};
use firmware_protocol::device::{Effect, Input};
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{FromDevice, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};
use firmware_protocol::sealed::{FIRST_BYTES, Initiator, LinkSecret};
use firmware_protocol::trust::BodyType;

use support::Rng;
use support::bench::{Bench, TERMS};
use support::bundle::{
    Bundle, RELEASE, ROOT, encode, envelope, role, root_record, root_signed_by, signed_root,
};
use support::field::{
    DONE, LINKED, OPERATE, OTHER_OPERATE, claims, delegated, delegation, field_of, field_record,
    host,
};
use support::requests::{Named, in_session};

/// One of every kind that needs a session, but for its end.
fn requests() -> Vec<Request<'static>> {
    let named = Named {
        document: &[1],
        bundle: Digest([7; 32]),
        digests: &[0; 32],
        first_block: 0,
        trial_id: 1,
        boot_nonce: 0,
    };
    let requests = in_session(named).into_iter();
    requests.filter(|request| *request != Request::CloseSession).collect()
}

fn image(bench: &mut Bench) -> Vec<u8> {
    bench.flash().bytes.clone()
}

/// P8: on a plain link a field device tells how it fares, and takes nothing but its next root record.
#[test]
fn a_field_device_takes_no_change_on_a_plain_link() {
    let mut bench = field_of(&field_record());
    let before = image(&mut bench);
    assert!(matches!(bench.ask(Request::Identify), Ok(Reply::Identity(_))));
    bench.open_session();
    let mut asked = 0;
    for request in requests() {
        let needs = request.action();
        let reply = bench.ask(request);
        if needs.is_some() {
            assert_eq!(reply, Err(Refusal::NotAuthenticated), "{request:?}");
            asked += 1;
        } else {
            assert_ne!(reply, Err(Refusal::NotAuthenticated), "{request:?}");
        }
    }
    assert!(asked >= 13, "every request that changes something was asked: {asked}");
    bench.chunk(0, 0, &[1; 512]);
    assert_eq!(image(&mut bench), before);
}

/// The whole way on a sealed link, through a reset, to a confirmed bundle.
#[test]
fn a_delegated_host_deploys_to_a_field_device() {
    let mut bench = delegated();
    bench.confirmed(&Bundle::new(1, 9000));
    assert_eq!(bench.status().trial, None);
}

#[test]
fn a_delegation_is_refused_unless_the_operate_role_gave_it_to_this_host_for_this_device() {
    let epochs = Epochs { operate: 2, ..Epochs::default() };
    let operate = role(&[OPERATE, OTHER_OPERATE], 2);
    let mut bench = field_of(&RootRecord { operate, epochs, ..field_record() });
    let good = Delegation { epoch: 2, ..claims() };
    let signed =
        |claims: &Delegation<'_>, by: &[u8]| envelope(BodyType::Delegation, &encode(claims), by);
    let both = [OPERATE, OTHER_OPERATE];
    let one = |signers: &[u8], valid| {
        (signed(&good, signers), Refusal::UntrustedSignature { valid, needed: 2 })
    };
    let changed = |change: &dyn Fn(&mut Delegation<'static>), refusal| {
        let mut claims = good.clone();
        change(&mut claims);
        (signed(&claims, &both), refusal)
    };
    let over = Refusal::DelegationOver { not_after_s: 1_699_999_999, seen_s: 1_700_000_000 };
    let mut shortened = signed(&good, &both);
    shortened.pop();
    for (shown, refusal) in [
        one(&[OPERATE], 1),
        one(&[OPERATE, OPERATE], 1),
        one(&[ROOT, RELEASE, OPERATE], 1),
        one(&[], 0),
        changed(&|it| it.host = [1; 32], Refusal::DelegationHost),
        changed(&|it| it.products = ["other"].into_iter().collect(), Refusal::DelegationProduct),
        changed(&|it| it.serials = ["SN-2", "SN"].into_iter().collect(), Refusal::DelegationDevice),
        changed(&|it| it.epoch = 1, Refusal::BelowEpoch { offered: 1, lowest: 2 }),
        changed(&|it| it.not_after_s = 1_699_999_999, over),
        changed(&|it| it.actions = Actions::NONE, Refusal::Malformed),
        changed(&|it| it.name = "", Refusal::Malformed),
        (signed_root(&field_record()), Refusal::Malformed),
        (shortened, Refusal::Malformed),
    ] {
        assert_eq!(bench.link(&host(), &shown), Err(refusal));
        // The link ends with that word.
        let mut frame = bench.framed(0, Kind::Message, &hello(7));
        assert_eq!(bench.poll(Input::Frame { link: 0, frame: &mut frame }), None);
    }
    assert_eq!(bench.link(&host(), &signed(&good, &both)), LINKED);
    let prefix = Delegation { serials: ["X*", "SN-*"].into_iter().collect(), ..good };
    assert_eq!(bench.link(&host(), &signed(&prefix, &both)), LINKED);
}

fn hello(id: u32) -> Vec<u8> {
    let request = Request::Hello { min: 1, current: 1 };
    encode(&ToDevice { id, session: 0, request })
}

/// What each request takes, from TRUST.md and not from the code: a new one has to be put somewhere.
#[test]
fn every_request_takes_the_action_that_trust_md_says() {
    for request in requests() {
        let name = format!("{request:?}");
        let name = name.split([' ', '{']).next().unwrap_or_default();
        let action = match name {
            "Stage" | "OpenComponent" | "BlockList" | "Missing" | "Finish" | "Certify" => {
                Some(Action::Stage)
            }
            "OpenTrial" | "Arm" | "Reset" | "Rollback" | "Withdraw" | "RunCheck"
            | "HashComponent" => Some(Action::Trial),
            "Confirm" | "BenchReset" => Some(Action::Confirm),
            "Offer" | "Enroll" | "Renew" => None,
            other => panic!("{other}"),
        };
        assert_eq!(request.action(), action, "{name}");
    }
}

/// A handshake without a fresh key is none.
#[test]
fn a_device_without_random_numbers_makes_no_link() {
    let mut bench = field_of(&field_record());
    bench.device().board_mut().random_left = 0;
    assert_eq!(bench.link(&host(), &delegation(&claims())), Err(Refusal::NoRandom));
    bench.device().board_mut().random_left = usize::MAX;
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
}

/// Each action is needed for what it names, and for nothing else.
#[test]
fn a_session_does_what_its_delegation_names() {
    for allowed in Action::ALL {
        let mut bench = field_of(&field_record());
        let actions = Actions::NONE.with(allowed);
        bench.host = Some((host(), delegation(&Delegation { actions, ..claims() })));
        let opened =
            bench.open_session().ask(Request::OpenSession { take_over: true, trial_id: 0 });
        let Ok(Reply::Session { session, actions: told, .. }) = opened else {
            panic!("{opened:?}")
        };
        assert_eq!(told, actions);
        bench.session = session;
        for request in requests() {
            let reply = bench.ask(request);
            match request.action() {
                Some(action) if action != allowed => {
                    assert_eq!(reply, Err(Refusal::NotDelegated { action }), "{request:?}");
                }
                Some(_) | None => {
                    let is_not_named = matches!(reply, Err(Refusal::NotDelegated { .. }));
                    assert!(!is_not_named, "{request:?}: {reply:?}");
                }
            }
        }
    }
}

/// What was heard on the wire is worth nothing: neither in the same link, nor in the next one, nor behind a reset.
#[test]
fn recorded_frames_are_not_taken_again() {
    let mut bench = field_of(&field_record());
    let shown = delegation(&claims());
    assert_eq!(bench.link(&host(), &shown), LINKED);
    let mut recorded = Vec::new();
    let mut say = |bench: &mut Bench, id, session, request| {
        let payload = encode(&ToDevice { id, session, request });
        let mut frame = bench.framed(0, Kind::Message, &payload);
        recorded.push(frame.clone());
        let mut said = bench.poll(Input::Frame { link: 0, frame: &mut frame });
        while said.is_none() {
            said = bench.step();
        }
        said
    };
    let opened = say(&mut bench, 70, 0, Request::OpenSession { take_over: true, trial_id: 0 });
    let Some(FromDevice::Reply { reply: Ok(Reply::Session { session, .. }), .. }) = opened else {
        panic!("{opened:?}")
    };
    say(&mut bench, 71, session, Request::Renew);
    say(&mut bench, 72, session, Request::Rollback { trial_id: 0 });
    let nonce = bench.boot_nonce;
    say(&mut bench, 73, session, Request::Reset { boot_nonce: nonce ^ 1 });
    let replay = |bench: &mut Bench, when: &str| {
        let before = image(bench);
        for frame in &recorded {
            let mut frame = frame.clone();
            assert_eq!(bench.poll(Input::Frame { link: 0, frame: &mut frame }), None, "{when}");
        }
        assert_eq!(image(bench), before, "{when}");
    };
    replay(&mut bench, "in the same link");
    assert_eq!(bench.link(&host(), &shown), LINKED);
    replay(&mut bench, "in the next link of the same host");
    bench.restart(ResetCause::PowerOn);
    replay(&mut bench, "behind a reset");
    assert_eq!(bench.link(&host(), &shown), LINKED);
    replay(&mut bench, "in a link behind a reset");
}

/// A changed frame does nothing, and the one as it was sent still counts.
#[test]
fn every_bit_of_a_sealed_frame_counts() {
    let mut bench = delegated();
    let payload = encode(&ToDevice { id: 500, session: bench.session, request: Request::Renew });
    let frame = bench.framed(0, Kind::Message, &payload);
    for byte in 0..frame.len() {
        for bit in 0..8 {
            let mut changed = frame.clone();
            changed[byte] ^= 1 << bit;
            let said = bench.poll(Input::Frame { link: 0, frame: &mut changed });
            assert_eq!(said, None, "bit {bit} of byte {byte}");
        }
    }
    let mut frame = frame;
    let said = bench.poll(Input::Frame { link: 0, frame: &mut frame });
    assert!(matches!(said, Some(FromDevice::Reply { id: 500, reply: Ok(_) })), "{said:?}");
}

/// The number of a session is worth nothing without the key of the host that opened it.
#[test]
fn a_session_belongs_to_its_host() {
    let mut bench = delegated();
    let session = bench.session;
    let plain = |bench: &mut Bench, wire| {
        let sealed = bench.sealed.take();
        let reply = bench.send(wire, 900, session, Request::Rollback { trial_id: 0 });
        bench.sealed = sealed;
        reply
    };
    assert_eq!(plain(&mut bench, 0), Err(Refusal::StaleSession), "on the same wire");
    assert_eq!(plain(&mut bench, 1), Err(Refusal::StaleSession), "on another wire");
    // Another host of the office, with a delegation as good.
    let other = LinkSecret::new([52; 32]);
    let shown = delegation(&Delegation { host: other.public(), ..claims() });
    let honest = bench.sealed.take();
    bench.wire = 1;
    assert_eq!(bench.link(&other, &shown), LINKED);
    assert_eq!(bench.ask(Request::Rollback { trial_id: 0 }), Err(Refusal::StaleSession));
    (bench.wire, bench.sealed) = (0, honest);
    assert!(bench.ask(Request::Renew).is_ok(), "its host goes on");
    // Its host on another wire is still its host.
    bench.wire = 1;
    let (host, shown) = bench.host.clone().unwrap();
    assert_eq!(bench.link(&host, &shown), LINKED);
    assert!(bench.ask(Request::Renew).is_ok());
}

/// Somebody without a delegation, on the same wire or another one, neither ends a session nor keeps one out.
#[test]
fn strangers_take_nothing_from_a_delegated_host() {
    let mut bench = delegated();
    let (session, honest) = (bench.session, bench.sealed.take());
    let stranger = LinkSecret::new([66; 32]);
    for wire in [0, 1, 2, 1, 2] {
        bench.wire = wire;
        let linked = bench.link(&stranger, &[]);
        if wire == 0 {
            assert_eq!(linked, Err(Refusal::NotAuthenticated), "the wire is taken");
            continue;
        }
        assert_eq!(linked, Ok(Reply::Linked { actions: Actions::NONE }));
        for take_over in [false, true] {
            let reply = bench.ask(Request::OpenSession { take_over, trial_id: 0 });
            assert!(matches!(reply, Err(Refusal::SessionHeld { .. })), "{reply:?}");
        }
    }
    (bench.wire, bench.session, bench.sealed) = (0, session, honest);
    assert!(bench.ask(Request::Renew).is_ok(), "the session goes on");

    // A stranger who comes first is put aside without a question.
    let mut bench = field_of(&field_record());
    bench.wire = 1;
    assert_eq!(bench.link(&stranger, &[]), Ok(Reply::Linked { actions: Actions::NONE }));
    let opened = bench.ask(Request::OpenSession { take_over: true, trial_id: 0 });
    assert!(matches!(opened, Ok(Reply::Session { actions: Actions::NONE, .. })), "{opened:?}");
    bench.wire = 0;
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
    let opened = bench.ask(Request::OpenSession { take_over: false, trial_id: 0 });
    assert!(matches!(opened, Ok(Reply::Session { taken_over: true, .. })), "{opened:?}");
}

/// A trial's lease is kept by who may drive trials, and its boot for who drives it.
#[test]
fn strangers_keep_no_trial_going_and_no_host_out() {
    let mut bench = delegated();
    let bundle = Bundle::new(1, 9000);
    let trial_id = bench.staged(&bundle).armed(&bundle, TERMS);
    let boot_nonce = bench.boot_nonce;
    assert_eq!(bench.ask(Request::Reset { boot_nonce }), DONE);
    bench.until_reset();
    bench.restart(ResetCause::Requested);
    // Plain, as anybody could: the trial's id is no secret.
    bench.session = 0;
    let opened = bench.ask(Request::OpenSession { take_over: true, trial_id });
    let Ok(Reply::Session { session, .. }) = opened else { panic!("{opened:?}") };
    bench.session = session;
    let mut is_over = false;
    for _ in 0..40 {
        bench.now_ms += u64::from(TERMS.lease_ms) / 20;
        is_over |= bench.ask(Request::Renew).is_err();
        bench.rest();
        if bench.last.effect == Effect::Reset {
            is_over = true;
            break;
        }
    }
    assert!(is_over, "the lease has ended in spite of a stranger's signs of life");
    bench.restart(ResetCause::Requested);
    assert_eq!(bench.status().trial, None);
}

/// A new root record ends what delegations allow, at once; a host shows its own anew.
#[test]
fn a_new_root_record_ends_delegations() {
    let mut bench = delegated();
    let epochs = Epochs { operate: 1, ..Epochs::default() };
    let next = RootRecord { version: 2, epochs, ..field_record() };
    bench.offer(&signed_root(&next));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    assert_eq!(bench.ask(Request::Rollback { trial_id: 0 }), Err(Refusal::NotAuthenticated));
    let (host, shown) = bench.host.clone().unwrap();
    let below = Refusal::BelowEpoch { offered: 0, lowest: 1 };
    assert_eq!(bench.link(&host, &shown), Err(below));
    let newer = delegation(&Delegation { epoch: 1, ..claims() });
    assert_eq!(bench.link(&host, &newer), LINKED);
}

/// The root's word is proven by its signatures, so it comes through whoever brings it: no lost operate key locks a device.
#[test]
fn the_next_root_record_needs_no_delegation() {
    let mut bench = field_of(&field_record());
    let next = RootRecord { version: 2, operate: role(&[OTHER_OPERATE], 1), ..field_record() };
    bench.open_session().offer(&signed_root(&next));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let stranger = root_signed_by(&RootRecord { version: 3, ..next }, &[OPERATE]);
    bench.offer(&stranger);
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::AlreadyEnrolled));
    let shown = delegation(&claims());
    let refused = Err(Refusal::UntrustedSignature { valid: 0, needed: 1 });
    assert_eq!(bench.link(&host(), &shown), refused, "by the operate key before");
}

/// A board without a key of its own cannot be talked to in secret, so it does not become a field device.
#[test]
fn a_board_without_an_identity_stays_out_of_the_field() {
    let mut bench = Bench::new();
    bench.device().board_mut().identity = None;
    bench.open_session().offer(&signed_root(&field_record()));
    assert_eq!(bench.ask(Request::Enroll), Err(Refusal::NoIdentity));
    bench.offer(&signed_root(&root_record()));
    assert_eq!(bench.ask(Request::Enroll), DONE);
    let said = first(&mut bench, 0, 1);
    assert_eq!(said, Some(FromDevice::Reply { id: 0, reply: Err(Refusal::NoIdentity) }));
}

/// Sends a first message, made of `seed`, on `wire`.
fn first(bench: &mut Bench, wire: u8, seed: u64) -> Option<FromDevice<'static>> {
    let mut payload = vec![1];
    payload.extend(Rng(seed).bytes(FIRST_BYTES));
    bench.sealed = None;
    bench.frame(wire, Kind::Handshake, &payload)
}

/// P8: a handshake costs what is bounded, whoever begins it, and no flood on one wire keeps another one out.
#[test]
fn handshakes_are_bounded() {
    let mut bench = Bench::enrolled();
    let seconds = |bench: &mut Bench, wire, seed| {
        bench.handshakes.clear();
        assert_eq!(first(bench, wire, seed), None);
        bench.handshakes.pop()
    };
    bench.now_ms = 1_000;
    let second = seconds(&mut bench, 1, 1);
    assert!(second.is_some());
    assert_eq!(seconds(&mut bench, 1, 1), second, "the same question again");
    assert_eq!(seconds(&mut bench, 1, 2), None, "another one too soon");
    bench.now_ms = 1_100;
    assert_eq!(seconds(&mut bench, 0, 3), None, "another wire waits");
    // The wire that floods begins again and again, and gains no time by it.
    let mut answered = 0;
    for seed in 100..118 {
        bench.now_ms += 100;
        answered += u32::from(seconds(&mut bench, 1, seed).is_some());
    }
    assert!((10..=18).contains(&answered), "{answered}");
    bench.now_ms = 3_000;
    assert_eq!(seconds(&mut bench, 1, 4), None, "its time is over, and it comes behind others");
    assert!(seconds(&mut bench, 0, 3).is_some(), "now another wire has its turn");
    // One whose turn came to nothing waits no longer than another wire takes to ask again.
    bench.now_ms = 5_000;
    assert_eq!(seconds(&mut bench, 0, 6), None);
    bench.now_ms = 5_400;
    assert!(seconds(&mut bench, 0, 6).is_some());
}

/// Also a wire whose handshakes do end, with nothing, keeps no other one out.
#[test]
fn a_stranger_who_shakes_hands_again_and_again_lets_others_in() {
    let mut bench = field_of(&field_record());
    let stranger = LinkSecret::new([66; 32]);
    let (mut honest, mut strange) = (0, 0);
    for step in 0..600 {
        bench.now_ms += 10;
        // The stranger asks all the time, the host every 300 ms.
        bench.handshakes.clear();
        let (mut first, fresh) = ([1; 33], LinkSecret::new([step as u8; 32]));
        let (initiator, _) = Initiator::begin(&stranger, &fresh, &mut first[1..]).unwrap();
        bench.sealed = None;
        bench.frame(1, Kind::Handshake, &first);
        if let Some(second) = bench.handshakes.pop() {
            strange += 1;
            let mut third = [3; 65];
            initiator.join(&second[1..], &[], &mut third[1..]).unwrap();
            // Its third message comes as late as it may.
            bench.now_ms += 1_890;
            bench.wire = 1;
            let header = Header { kind: Kind::Handshake, sequence: 0 };
            let mut frame = [header.to_bytes().as_slice(), &third].concat();
            bench.sealed = None;
            let _ = bench.poll_raw(Input::Frame { link: 1, frame: &mut frame });
        }
        if step % 30 == 0 {
            bench.handshakes.clear();
            first_of(&mut bench, 0, step);
            honest += u32::from(bench.handshakes.pop().is_some());
        }
    }
    assert!(honest >= 3 && strange >= 3, "{honest} of the host, {strange} of the stranger");
}

/// Sends a first message on `wire`, each time another one.
fn first_of(bench: &mut Bench, wire: u8, step: u64) {
    bench.wire = wire;
    assert_eq!(first(bench, wire, 10_000 + step), None);
}

/// Whatever arrives as a handshake: no panic, no answer but to a first message, nothing on flash.
#[test]
fn nonsense_in_a_handshake_changes_nothing() {
    let mut bench = field_of(&field_record());
    let before = image(&mut bench);
    let mut rng = Rng(4711);
    let mut answered = 0;
    for _ in 0..3_000 {
        bench.now_ms += 40;
        let len = [0, 1, 2, 32, 33, 34, 65, 97, 300, 1025][rng.below(10)];
        let mut payload = rng.bytes(len);
        if let Some(number) = payload.first_mut() {
            *number = rng.below(5) as u8;
        }
        // Also public keys of small order, which would make the secret known.
        if payload.len() == 33 && rng.below(2) == 0 {
            payload[1..].fill(0);
        }
        bench.handshakes.clear();
        bench.frame(rng.below(3) as u8, Kind::Handshake, &payload);
        if bench.handshakes.pop().is_some() {
            assert_eq!((payload.len(), payload[0]), (33, 1));
            assert_ne!(payload[1..], [0; 32], "a key of small order was answered");
            answered += 1;
        }
    }
    assert!(answered > 10, "{answered}");
    assert_eq!(image(&mut bench), before);
    let header = Header { kind: Kind::SealedChunk, sequence: 0 };
    let mut frame = [header.to_bytes().as_slice(), &[0; 40]].concat();
    assert_eq!(bench.poll(Input::Frame { link: 0, frame: &mut frame }), None);
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
}
