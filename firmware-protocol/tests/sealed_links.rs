//! Sealed links and who may do what on them: nothing that is not authenticated changes anything (promise P8), and what a
//! `field` device takes comes from a host with a delegation that counts (promise P4).

use firmware_protocol::boot::ResetCause;
use firmware_protocol::delegation::{Action, Actions, Delegation};
use firmware_protocol::device::{Effect, Input};
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{FromDevice, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::{
    Bundle, RELEASE, ROOT, encode, envelope, role, root_signed_by, signed_root,
};
use crate::support::field::{
    DONE, LINKED, OPERATE, OTHER_OPERATE, claims, delegated, delegation, field_of, field_record,
    host, other_host,
};
use crate::support::requests::{Named, in_session};

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

/// Chunks carry no word of what they want: they ask for the action of the stage that they belong to.
#[test]
fn a_chunk_takes_the_action_of_a_stage() {
    let mut bench = delegated();
    let bundle = Bundle::new(1, 9000);
    assert!(bench.stage(&bundle, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let (other, shown) = other_host(Actions::NONE.with(Action::Trial).with(Action::Confirm));
    let staging = bench.sealed.take();
    bench.wire = 1;
    assert!(bench.link(&other, &shown).is_ok());
    bench.take_session();
    for (piece, bytes) in bundle.payloads[0][..1024].chunks(512).enumerate() {
        bench.chunk(0, piece as u64 * 512, bytes);
    }
    (bench.wire, bench.sealed) = (0, staging);
    let asked = bench.take_session().ask(Request::Missing { first_block: 0 });
    assert!(matches!(asked, Ok(Reply::Missing { missing: 9, .. })), "{asked:?}");
}

/// Without its root record a device believes nobody, whatever they show: only the root itself can still be believed.
#[test]
fn a_device_that_has_lost_its_root_record_lets_nobody_do_anything() {
    let mut bench = field_of(&field_record());
    let place = bench.layout.trust()[1];
    bench.flash().lose(place);
    let nothing = Ok(Reply::Linked { actions: Actions::NONE });
    for shown in [b"anything".to_vec(), delegation(&claims())] {
        assert_eq!(bench.link(&host(), &shown), nothing);
        bench.take_session();
        assert_eq!(bench.ask(Request::Rollback { trial_id: 0 }), Err(Refusal::NotAuthenticated));
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
    let (other, shown) = other_host(Actions::ALL);
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
