//! Handshakes: how many there are, whose turn it is, and that each is of its own (PROTOCOL.md, "Sealed links").
#![expect(clippy::cast_possible_truncation, reason = "numbers here are small")]

use firmware_protocol::delegation::Delegation;
use firmware_protocol::device::Input;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{FromDevice, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{FIRST_BYTES, LinkSecret};

use crate::support::Rng;
use crate::support::bench::Bench;
use crate::support::bundle::{root_record, signed_root};
use crate::support::field::{DONE, LINKED, claims, delegation, field_of, field_record, host};
use crate::support::handshake::{begun, ended, third, try_begin};

/// A handshake without a fresh key is none.
#[test]
fn a_device_without_random_numbers_makes_no_link() {
    let mut bench = field_of(&field_record());
    bench.device().board_mut().random_left = 0;
    assert_eq!(bench.link(&host(), &delegation(&claims())), Err(Refusal::NoRandom));
    bench.device().board_mut().random_left = usize::MAX;
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
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

/// The device's half of a handshake is a new one each time: with one key for all, a link's key would follow from the host's
/// half, which a host may repeat.
#[test]
fn every_handshake_has_a_key_of_its_own() {
    let mut bench = field_of(&field_record());
    let [(_, one), (_, two)] = [(); 2].map(|()| begun(&mut bench, 0, &host()));
    assert_ne!(one[1..33], two[1..33]);
}

/// Who may do nothing, and who shows what does not count, has had the turn of that wire: whoever waits on another one comes first,
/// for as long as a host takes to ask again.
#[test]
fn a_wire_whose_host_may_do_nothing_lets_those_go_first_who_wait() {
    let elsewhere = Delegation { serials: ["SN-2"].into_iter().collect(), ..claims() };
    for shown in [Vec::new(), delegation(&elsewhere)] {
        let had_its_turn = || {
            let mut bench = field_of(&field_record());
            let begun = begun(&mut bench, 0, &host());
            bench.now_ms += 150;
            assert!(try_begin(&mut bench, 1, &host()).is_none(), "held by the other wire");
            let said = ended(&mut bench, 0, &begun, &shown);
            let linked = FromDevice::Reply { id: 0, reply: LINKED };
            assert!(said.is_some_and(|it| it != linked));
            bench.sealed = None;
            assert!(try_begin(&mut bench, 0, &host()).is_none());
            bench
        };
        assert!(try_begin(&mut had_its_turn(), 1, &host()).is_some());
        let mut bench = had_its_turn();
        bench.now_ms += 399;
        assert!(try_begin(&mut bench, 0, &host()).is_none());
        bench.now_ms += 1;
        assert!(try_begin(&mut bench, 0, &host()).is_some(), "nobody waits any more");
    }
}

/// Why a delegation does not count is said to the host that has shown it, and to nobody who listens.
#[test]
fn a_delegation_is_refused_in_secret() {
    let mut bench = field_of(&field_record());
    let begun = begun(&mut bench, 0, &host());
    let elsewhere = Delegation { serials: ["SN-2"].into_iter().collect(), ..claims() };
    let (_, mut frame) = third(&begun, &delegation(&elsewhere));
    let said = bench.poll_raw(Input::Frame { link: 0, frame: &mut frame });
    assert_eq!(said, Some(Kind::SealedMessage));
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
    assert_eq!(seconds(&mut bench, 0, 3), None, "it still waits");
    bench.now_ms = 3_000;
    assert_eq!(seconds(&mut bench, 1, 4), None, "its time is over, and it comes behind others");
    assert!(seconds(&mut bench, 0, 3).is_some(), "now another wire has its turn");
    // One whose turn came to nothing waits no longer than another wire takes to ask again.
    bench.now_ms = 4_900;
    assert_eq!(seconds(&mut bench, 1, 5), None);
    bench.now_ms = 5_299;
    assert_eq!(seconds(&mut bench, 0, 6), None);
    bench.now_ms = 5_300;
    assert!(seconds(&mut bench, 0, 6).is_some());
}

/// A handshake that nobody ends is over 2 s behind its begin, whoever notices when. Its wire comes behind one that has asked within the
/// last 400 ms, and not behind the stranger of ten minutes ago.
#[test]
fn a_handshake_that_nobody_ends_is_over_in_2_s() {
    for (asked_ms, at_ms, is_answered) in [
        (1_900, 1_999, true),
        (1_900, 2_000, false),
        (1_900, 2_299, false),
        (1_900, 2_300, true),
        (1_600, 2_000, true),
        (1_999, 600_000, true),
    ] {
        let mut bench = field_of(&field_record());
        begun(&mut bench, 0, &LinkSecret::new([66; 32]));
        bench.now_ms += asked_ms;
        assert!(try_begin(&mut bench, 1, &host()).is_none(), "held by the other wire");
        bench.now_ms += at_ms - asked_ms;
        let begun = try_begin(&mut bench, 0, &host());
        assert_eq!(begun.is_some(), is_answered, "{asked_ms} ms, {at_ms} ms behind its begin");
    }
}

/// Of a clock that stands still, calls take the place: a first message that anybody has said keeps no host out for good, and
/// that wire comes behind another one.
#[test]
fn a_clock_that_stands_still_keeps_no_host_out() {
    const STILL_CALLS: u32 = 100_000;
    let pass = |bench: &mut Bench, calls: u32| {
        for _ in 0..calls {
            bench.poll(Input::Nothing);
        }
    };
    for (others, wire, rounds) in [(0, 1, 1), (0, 0, 1), (1, 0, 2)] {
        let mut bench = field_of(&field_record());
        begun(&mut bench, 0, &LinkSecret::new([66; 32]));
        for round in 1..=rounds {
            // A first message is a call, too.
            let asks = if round == 1 { others } else { 0 };
            for _ in 0..asks {
                assert!(
                    try_begin(&mut bench, 1, &host()).is_none(),
                    "waits, and is never heard of again"
                );
            }
            pass(&mut bench, STILL_CALLS - 2 - asks);
            assert!(try_begin(&mut bench, wire, &host()).is_none(), "too soon");
            let begun = try_begin(&mut bench, wire, &host());
            assert_eq!(begun.is_some(), round == rounds, "wire {wire}");
            let said = begun.and_then(|it| ended(&mut bench, wire, &it, &delegation(&claims())));
            let linked = FromDevice::Reply { id: 0, reply: LINKED };
            assert_eq!(said, (round == rounds).then_some(linked), "wire {wire}");
        }
    }
    // Where it goes on in between, nothing is over before its time.
    let mut bench = field_of(&field_record());
    let begun = begun(&mut bench, 0, &host());
    for _ in 0..3 {
        pass(&mut bench, STILL_CALLS - 1);
        bench.now_ms += 1;
    }
    assert!(ended(&mut bench, 0, &begun, &delegation(&claims())).is_some());
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
        bench.sealed = None;
        if let Some(begun) = try_begin(&mut bench, 1, &stranger) {
            strange += 1;
            let (_, mut frame) = third(&begun, &[]);
            // Its third message comes as late as it may.
            bench.now_ms += 1_890;
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

/// A connection that ends takes its handshake with it; who waits on the other one comes next, and who has gone waits no more.
#[test]
fn the_handshake_of_a_connection_that_ends_keeps_nobody_waiting() {
    let stranger = LinkSecret::new([66; 32]);
    let mut bench = field_of(&field_record());
    begun(&mut bench, 0, &stranger);
    bench.now_ms += 150;
    assert!(try_begin(&mut bench, 1, &host()).is_none(), "held by the other wire");
    gone(&mut bench, 1);
    assert!(try_begin(&mut bench, 1, &host()).is_none(), "not that connection's handshake");
    gone(&mut bench, 0);
    assert!(try_begin(&mut bench, 0, &stranger).is_none(), "behind the one that waits");
    let began = try_begin(&mut bench, 1, &host()).expect("free at once for the other wire");
    let linked = FromDevice::Reply { id: 0, reply: LINKED };
    assert_eq!(ended(&mut bench, 1, &began, &delegation(&claims())), Some(linked));

    let mut bench = field_of(&field_record());
    begun(&mut bench, 0, &stranger);
    bench.now_ms += 150;
    assert!(try_begin(&mut bench, 1, &host()).is_none(), "held by the other wire");
    gone(&mut bench, 1);
    gone(&mut bench, 0);
    assert!(try_begin(&mut bench, 0, &stranger).is_some(), "nobody waits");
}

/// Two strangers who connect anew for each handshake keep no third wire out, however long each is held, and whenever the host asks.
#[test]
fn strangers_who_connect_again_and_again_let_others_in() {
    let stranger = LinkSecret::new([66; 32]);
    for held_ms in [5, 90, 100, 150, 250, 290, 300, 310, 450, 1_990, 5_000] {
        for asks_ms in [0, 5, 50, 150, 295] {
            let mut bench = field_of(&field_record());
            let began_ms = bench.now_ms;
            let (mut asks_ms, mut until_ms, mut strange) = (began_ms + asks_ms, [None; 2], 0);
            let came = loop {
                let now_ms = bench.now_ms;
                assert!(now_ms < began_ms + 5_000, "held {held_ms} ms each: shut out for 5 s");
                for (wire, until_ms) in (1..).zip(&mut until_ms) {
                    if until_ms.is_some_and(|until| now_ms >= until) {
                        gone(&mut bench, wire);
                        *until_ms = None;
                    }
                    if until_ms.is_none() && try_begin(&mut bench, wire, &stranger).is_some() {
                        strange += 1;
                        *until_ms = Some(now_ms + held_ms);
                    }
                }
                if now_ms >= asks_ms {
                    asks_ms += 300;
                    if let Some(begun) = try_begin(&mut bench, 0, &host()) {
                        break ended(&mut bench, 0, &begun, &delegation(&claims()));
                    }
                }
                bench.now_ms += 5;
            };
            let linked = FromDevice::Reply { id: 0, reply: LINKED };
            assert_eq!(came, Some(linked), "held {held_ms} ms each");
            assert!(strange > 0, "held {held_ms} ms each");
        }
    }
}

/// P8: to come by all connections in turn, each of which ends at once, makes a device do no more than ten handshakes a second on
/// each; and what one has had, no other goes without.
#[test]
fn connections_that_end_at_once_cost_no_more_handshakes() {
    let mut bench = field_of(&field_record());
    bench.now_ms += 1_000;
    let mut answered = [0; 4];
    for _ in 0..1_000 {
        bench.now_ms += 1;
        for (wire, answered) in (0..).zip(&mut answered) {
            *answered +=
                u32::from(try_begin(&mut bench, wire, &LinkSecret::new([66; 32])).is_some());
            gone(&mut bench, wire);
        }
    }
    assert!(answered.iter().all(|count| (8..=10).contains(count)), "{answered:?}");
}

fn gone(bench: &mut Bench, wire: u8) {
    assert_eq!(bench.poll(Input::Gone { link: wire }), None);
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
    let before = bench.flash().bytes.clone();
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
    assert_eq!(bench.flash().bytes, before);
    let header = Header { kind: Kind::SealedChunk, sequence: 0 };
    let mut frame = [header.to_bytes().as_slice(), &[0; 40]].concat();
    assert_eq!(bench.poll(Input::Frame { link: 0, frame: &mut frame }), None);
    assert_eq!(bench.link(&host(), &delegation(&claims())), LINKED);
}
