//! Hosts and strangers on the sealed links of one device: who keeps what, who gives way to whom, and whose answers are whose
//! (promise P8; PROTOCOL.md, "Sealed links").

use firmware_protocol::boot::ResetCause;
use firmware_protocol::delegation::Actions;
use firmware_protocol::device::Input;
use firmware_protocol::frame::Kind;
use firmware_protocol::message::{FromDevice, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::slot::SlotId;

use crate::support::bench::{Bench, TERMS};
use crate::support::bundle::{Bundle, encode, role, signed_root};
use crate::support::field::{
    DONE, LINKED, OTHER_OPERATE, claims, delegated, delegation, field_of, field_record, host,
    other_host,
};
use crate::support::handshake::{begun, ended};

const NOTHING: Result<Reply<'static>, Refusal> = Ok(Reply::Linked { actions: Actions::NONE });

fn stranger() -> LinkSecret {
    LinkSecret::new([66; 32])
}

/// The third message arrives while the root record that takes the delegation back is being written: what was judged under
/// the old one allows nothing under the new one.
#[test]
fn a_delegation_judged_while_a_root_record_is_written_ends_with_it() {
    let mut bench = field_of(&field_record());
    let epochs = Epochs { operate: 1, ..Epochs::default() };
    let operate = role(&[OTHER_OPERATE], 1);
    let next = RootRecord { version: 2, epochs, operate, ..field_record() };
    bench.open_session().offer(&signed_root(&next));
    let thief = begun(&mut bench, 1, &host());
    let enroll = encode(&ToDevice { id: 9000, session: bench.session, request: Request::Enroll });
    assert_eq!(bench.frame(0, Kind::Message, &enroll), None, "it is being written");
    let linked = ended(&mut bench, 1, &thief, &delegation(&claims()));
    assert!(matches!(linked, Some(FromDevice::Reply { id: 0, reply: LINKED })), "{linked:?}");
    bench.wire = 9;
    for _ in 0..200 {
        let _ = bench.poll_raw(Input::Nothing);
    }
    bench.wire = 1;
    let opened = bench.ask(Request::OpenSession { take_over: true, trial_id: 0 });
    let Ok(Reply::Session { session, actions, .. }) = opened else { panic!("{opened:?}") };
    assert_eq!(actions, Actions::NONE);
    bench.session = session;
    assert_eq!(bench.ask(Request::Rollback { trial_id: 0 }), Err(Refusal::NotAuthenticated));
}

/// A delegated host's link stays, also before it has opened its session.
#[test]
fn strangers_take_no_link_from_a_delegated_host() {
    let mut bench = field_of(&field_record());
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
    let honest = bench.sealed.take();
    bench.wire = 1;
    assert_eq!(bench.link(&stranger(), &[]), NOTHING);
    bench.wire = 2;
    assert_eq!(bench.link(&stranger(), &[]), NOTHING, "in the place of the other stranger");
    (bench.wire, bench.sealed) = (0, honest);
    let opened = bench.ask(Request::OpenSession { take_over: false, trial_id: 0 });
    assert!(matches!(opened, Ok(Reply::Session { actions: Actions::ALL, .. })), "{opened:?}");
}

/// Nobody who has gone keeps a wire for ever, whoever it was.
#[test]
fn a_session_that_nobody_works_in_keeps_no_wire() {
    let office = LinkSecret::new([77; 32]);
    let mut bench = field_of(&field_record());
    assert_eq!(bench.link(&stranger(), &[]), NOTHING);
    assert!(bench.ask(Request::OpenSession { take_over: false, trial_id: 0 }).is_ok());
    bench.now_ms += 3_600_000;
    assert_eq!(bench.link(&office, &[]), NOTHING);
    let mut bench = delegated();
    assert_eq!(bench.link(&office, &[]), Err(Refusal::NotAuthenticated), "it is at work");
    bench.now_ms += 3_600_000;
    assert_eq!(bench.link(&office, &[]), NOTHING, "it was, an hour ago");
}

/// A delegated host does not wait for a stranger, on its own wire neither.
#[test]
fn a_strangers_session_gives_way_on_the_same_wire() {
    let mut bench = field_of(&field_record());
    assert_eq!(bench.link(&stranger(), &[]), NOTHING);
    assert!(bench.ask(Request::OpenSession { take_over: false, trial_id: 0 }).is_ok());
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
    let opened = bench.ask(Request::OpenSession { take_over: false, trial_id: 0 });
    assert!(matches!(opened, Ok(Reply::Session { taken_over: true, .. })), "{opened:?}");
}

/// What one host has asked for is not said to the next one on its wire, whatever ids they use.
#[test]
fn an_answer_belongs_to_the_link_that_asked() {
    let mut bench = delegated();
    bench.confirmed(&Bundle::new(1, 9000));
    let (session, honest) = (bench.session, bench.sealed.take());
    let (other, shown) = other_host(Actions::ALL);
    let next = begun(&mut bench, 0, &other);
    bench.sealed = honest;
    let hash = Request::HashComponent { slot: SlotId::A, area: 0 };
    let hash = encode(&ToDevice { id: 7777, session, request: hash });
    assert_eq!(bench.frame(0, Kind::Message, &hash), None, "it is worked on");
    assert!(ended(&mut bench, 0, &next, &shown).is_some());
    let ask = encode(&ToDevice { id: 7777, session: 0, request: Request::Status });
    let mut said = vec![bench.frame(0, Kind::Message, &ask)];
    said.extend((0..300).map(|_| bench.step()));
    let replies: Vec<_> = said.into_iter().flatten().collect();
    let is_status = |it: &FromDevice<'_>| {
        matches!(it, FromDevice::Reply { id: 7777, reply: Ok(Reply::Status(_)) })
    };
    assert!(replies.len() == 1 && replies.iter().all(is_status), "{replies:?}");
}

/// The console of a field device is heard by who may change something on it.
#[test]
fn a_stranger_hears_no_console() {
    let mut bench = field_of(&field_record());
    bench.open_session();
    bench.device().console(b"secret");
    assert!((0..5).all(|_| bench.step().is_none()));
    let mut bench = delegated();
    bench.device().console(b"secret");
    let heard = (0..5).find_map(|_| bench.step());
    assert!(matches!(heard, Some(FromDevice::Console(b"secret"))), "{heard:?}");
}

/// The same request id on the same wire is another question, and its answer another one, where another host has come.
#[test]
fn an_answer_that_is_kept_is_not_said_on_the_next_link() {
    let mut bench = delegated();
    bench.confirmed(&Bundle::new(1, 9000));
    let (id, session) = (7777, bench.session);
    let hash = Request::HashComponent { slot: SlotId::A, area: 0 };
    assert!(matches!(bench.send(0, id, session, hash), Ok(Reply::Hash { .. })));
    let (other, shown) = other_host(Actions::ALL);
    assert_eq!(bench.link(&other, &shown), LINKED);
    let said = bench.send(0, id, 0, Request::Status);
    assert!(matches!(said, Ok(Reply::Status(_))), "{said:?}");
}

/// There is room for two links: a third one of a host that may do as much takes the place of the one that is not at work.
#[test]
fn a_third_link_leaves_the_one_that_is_at_work() {
    for at_work in [0, 1] {
        let mut bench = field_of(&field_record());
        let mut links = [0, 1].map(|wire| {
            bench.wire = wire;
            assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
            bench.sealed.take()
        });
        (bench.wire, bench.sealed) = (at_work, links[usize::from(at_work)].take());
        let working = bench.take_session().sealed.take();
        bench.wire = 2;
        assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
        (bench.wire, bench.sealed) = (at_work, working);
        assert!(bench.ask(Request::Renew).is_ok(), "the one on wire {at_work}");
    }
}

/// A caller with few connections keeps the one that this names: no stranger's, and none on which anybody can listen.
#[test]
fn the_link_that_is_named_is_a_sealed_one_of_a_host_that_may_change_something() {
    assert_eq!(Bench::enrolled().device().session_link(), None, "plain");
    let mut bench = field_of(&field_record());
    bench.wire = 1;
    assert_eq!(bench.link(&host(), &[]), NOTHING);
    assert_eq!(bench.take_session().device().session_link(), None, "without a delegation");
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
    assert_eq!(bench.take_session().device().session_link(), Some(1));
}

/// The boot behind a reset into a trial is kept for the host of the trial. Somebody who can drive none is let in meanwhile,
/// for the next root record, and that is not the first session which ends it.
#[test]
fn a_stranger_is_let_into_a_reserved_boot_and_does_not_use_it_up() {
    let mut bench = delegated();
    let bundle = Bundle::new(1, 9000);
    bench.staged(&bundle).armed(&bundle, TERMS);
    let boot_nonce = bench.boot_nonce;
    assert_eq!(bench.ask(Request::Reset { boot_nonce }), DONE);
    bench.until_reset();
    bench.restart(ResetCause::Requested);
    let open = Request::OpenSession { take_over: false, trial_id: 0 };
    let stranger = bench.ask(open);
    let is_limited = matches!(stranger, Ok(Reply::Session { actions: Actions::NONE, .. }));
    assert!(is_limited, "{stranger:?}");
    let (other, shown) = other_host(Actions::ALL);
    assert_eq!(bench.link(&other, &shown), LINKED);
    let kept = bench.ask(open);
    assert!(matches!(kept, Err(Refusal::SessionHeld { .. })), "{kept:?}");
}
