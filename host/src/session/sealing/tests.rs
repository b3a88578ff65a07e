//! A handshake between a device that is meant, one that is not, and words in the open.

use firmware_protocol::message::encode;
use firmware_protocol::sealed::{Joined, Responder, SECOND_BYTES};

use super::*;

const MEANT: u8 = 3;
const ROGUE: u8 = 4;

fn secret(n: u8) -> LinkSecret {
    LinkSecret::new([n; 32])
}

/// A handshake with the device that is meant, up to its first message; and that message.
fn begun() -> (Sealing, Vec<u8>) {
    let shown = Credentials {
        secret: secret(1),
        delegation: b"delegation".to_vec(),
        devices: Some(vec![secret(MEANT).public()]),
        shown_to: None,
    };
    let mut sealing = Sealing::default();
    let first = sealing.begin(0, 2_000_000, &shown, &secret(2)).unwrap();
    (sealing, first)
}

/// The device with this key, and its second message.
fn answered(key: u8, first: &[u8]) -> (Responder, Vec<u8>) {
    let mut second = [0; SECOND_BYTES];
    let (responder, _) =
        Responder::answer(&secret(key), &secret(9), &first[1..], &mut second).unwrap();
    (responder, [&[SECOND][..], &second].concat())
}

fn hear(sealing: &mut Sealing, kind: Kind, payload: Vec<u8>) -> Outcome {
    sealing.hear(1_000, Header { kind, sequence: 0 }, payload)
}

fn word(reply: Result<Reply<'_>, Refusal>) -> Vec<u8> {
    encode(&FromDevice::Reply { id: 0, reply }, &mut [0; 64]).unwrap().to_vec()
}

/// A stranger who answers first is shown nothing, and the device that is meant is heard behind it.
#[test]
fn a_rogue_that_answers_first_learns_nothing_and_ends_nothing() {
    let (mut sealing, first) = begun();
    let (_, rogue) = answered(ROGUE, &first);
    assert!(matches!(hear(&mut sealing, Kind::Handshake, rogue), Outcome::Foreign));
    let (device, second) = answered(MEANT, &first);
    let Outcome::Say(third) = hear(&mut sealing, Kind::Handshake, second) else {
        panic!("the device that is meant is answered")
    };
    let mut said = [0; 10];
    let Joined { mut channel, .. } = device.join(&third[1..], &mut said).unwrap();
    assert_eq!(&said, b"delegation");
    let mut linked = word(Ok(Reply::Linked { actions: Actions::ALL }));
    let len = linked.len();
    linked.resize(len + TAG_BYTES, 0);
    let (header, _) = channel.seal(Kind::Message, &mut linked, len).unwrap();
    let ended = sealing.hear(2_000, header, linked);
    let device = secret(MEANT).public();
    assert!(matches!(ended, Outcome::Ended(Ok(it)) if it.device == device));
}

/// The host speaks with whoever answers, and keeps its delegation to itself.
#[test]
fn a_device_that_is_not_known_is_linked_with_and_shown_no_delegation() {
    for (known, expected) in [(MEANT, &b"delegation"[..]), (ROGUE, b"")] {
        let shown = Credentials {
            secret: secret(1),
            delegation: b"delegation".to_vec(),
            devices: None,
            shown_to: Some(vec![secret(known).public()]),
        };
        let mut sealing = Sealing::default();
        let first = sealing.begin(0, 2_000_000, &shown, &secret(2)).unwrap();
        let (device, second) = answered(MEANT, &first);
        let Outcome::Say(third) = hear(&mut sealing, Kind::Handshake, second) else {
            panic!("whoever answers is answered")
        };
        let mut said = [0; 10];
        let Joined { mut channel, written, .. } = device.join(&third[1..], &mut said).unwrap();
        assert_eq!(&said[..written], expected);
        let mut linked = word(Ok(Reply::Linked { actions: Actions::NONE }));
        let len = linked.len();
        linked.resize(len + TAG_BYTES, 0);
        let (header, _) = channel.seal(Kind::Message, &mut linked, len).unwrap();
        let ended = sealing.hear(2_000, header, linked);
        assert!(matches!(ended, Outcome::Ended(Ok(it)) if it.device == secret(MEANT).public()));
    }
}

/// Where nobody else answers, the stranger is told of by its key.
#[test]
fn a_rogue_alone_is_told_of_once_the_time_is_over() {
    let (mut sealing, first) = begun();
    let (_, rogue) = answered(ROGUE, &first);
    assert!(matches!(hear(&mut sealing, Kind::Handshake, rogue), Outcome::Foreign));
    assert!(matches!(sealing.handle_timeout(1_900_000), Outcome::Say(_)));
    let Outcome::Ended(Err(LinkRefused::Stranger(key))) = sealing.handle_timeout(2_000_000) else {
        panic!("it ends by the stranger's key")
    };
    assert_eq!(key, secret(ROGUE).public());
}

/// Words in the open end no handshake, but for what a device says that cannot shake hands; and nothing is sent in the
/// open afterwards.
#[test]
fn words_in_the_open_refuse_nothing() {
    for refusal in [Refusal::NotAuthenticated, Refusal::DelegationHost, Refusal::Busy] {
        let (mut sealing, _) = begun();
        let heard = hear(&mut sealing, Kind::Message, word(Err(refusal)));
        assert!(matches!(heard, Outcome::Foreign), "{refusal}");
    }
    let (mut sealing, _) = begun();
    let heard = hear(&mut sealing, Kind::Message, word(Err(Refusal::NoIdentity)));
    let said = LinkRefused::Device(Refusal::NoIdentity);
    assert!(matches!(heard, Outcome::Ended(Err(it)) if it == said));
    let header = Header { kind: Kind::Message, sequence: 0 };
    assert!(sealing.seal(header, b"secret").is_none());
    let heard = hear(&mut sealing, Kind::Message, word(Ok(Reply::Done(message::How::Done))));
    assert!(matches!(heard, Outcome::Foreign), "a plain answer counts for nothing");
}

/// Once the link is sealed, plain words are nobody's, however well they are formed; and the sealed ones behind them still open.
#[test]
fn a_sealed_link_hears_nothing_that_is_said_in_the_open() {
    let (mut sealing, mut channel) = sealed();
    let plain = word(Ok(Reply::Done(message::How::Done)));
    for kind in [Kind::Message, Kind::Chunk, Kind::Handshake, Kind::SealedMessage] {
        assert!(matches!(hear(&mut sealing, kind, plain.clone()), Outcome::Foreign), "{kind:?}");
    }
    let (header, payload) = seal(&mut channel, &plain);
    let heard = sealing.hear(3_000, header, payload);
    assert!(matches!(heard, Outcome::Message(text) if text == plain));
}

/// A handshake that came to its end, and the device's side of the link.
fn sealed() -> (Sealing, Channel) {
    let (mut sealing, first) = begun();
    let (device, second) = answered(MEANT, &first);
    let Outcome::Say(third) = hear(&mut sealing, Kind::Handshake, second) else {
        panic!("the device that is meant is answered")
    };
    let Joined { mut channel, .. } = device.join(&third[1..], &mut [0; 10]).unwrap();
    let (header, linked) = seal(&mut channel, &word(Ok(Reply::Linked { actions: Actions::ALL })));
    assert!(matches!(sealing.hear(2_000, header, linked), Outcome::Ended(Ok(_))));
    (sealing, channel)
}

fn seal(channel: &mut Channel, text: &[u8]) -> (Header, Vec<u8>) {
    let mut buffer = [text, &[0; TAG_BYTES]].concat();
    let (header, length) = channel.seal(Kind::Message, &mut buffer, text.len()).unwrap();
    buffer.truncate(length);
    (header, buffer)
}
