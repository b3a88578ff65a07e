//! Hosts and strangers on the sealed links of one device: who keeps what, who gives way to whom, and whose answers are whose
//! (promise P8; PROTOCOL.md, "Sealed links").
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

mod support;

use firmware_protocol::delegation::{Actions, Delegation};
use firmware_protocol::device::Input;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{FromDevice, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};
use firmware_protocol::sealed::{Initiator, LinkSecret, THIRD_OVERHEAD_BYTES};
use firmware_protocol::slot::SlotId;

use support::bench::Bench;
use support::bundle::{Bundle, encode, role, signed_root};
use support::field::{
    LINKED, OTHER_OPERATE, claims, delegated, delegation, field_of, field_record, host,
};

const NOTHING: Result<Reply<'static>, Refusal> = Ok(Reply::Linked { actions: Actions::NONE });

fn stranger() -> LinkSecret {
    LinkSecret::new([66; 32])
}

/// A handshake on `wire` up to its second message.
fn begun(bench: &mut Bench, wire: u8, who: &LinkSecret) -> (Initiator, Vec<u8>) {
    let fresh = LinkSecret::new(bench.fresh.bytes(32).try_into().unwrap());
    let mut first = [1; 33];
    let (initiator, _) = Initiator::begin(who, &fresh, &mut first[1..]).unwrap();
    bench.now_ms += 400;
    bench.handshakes.clear();
    let mut frame = [&head()[..], &first].concat();
    assert_eq!(bench.poll(Input::Frame { link: wire, frame: &mut frame }), None);
    (initiator, bench.handshakes.pop().unwrap())
}

/// Its end; the bench is on that link from then on.
fn ended(
    bench: &mut Bench,
    wire: u8,
    (initiator, second): &(Initiator, Vec<u8>),
    shown: &[u8],
) -> Option<FromDevice<'static>> {
    let mut third = vec![3; 1 + THIRD_OVERHEAD_BYTES + shown.len()];
    let joined = initiator.join(&second[1..], shown, &mut third[1..]).unwrap();
    (bench.wire, bench.sealed) = (wire, Some(joined.channel));
    let mut frame = [&head()[..], &third].concat();
    bench.poll(Input::Frame { link: wire, frame: &mut frame })
}

fn head() -> [u8; 5] {
    Header { kind: Kind::Handshake, sequence: 0 }.to_bytes()
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
    let other = LinkSecret::new([52; 32]);
    let shown = delegation(&Delegation { host: other.public(), ..claims() });
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
