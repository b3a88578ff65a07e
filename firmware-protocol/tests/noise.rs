//! Sealed links by themselves: the handshake against one that shares no code with it, and frames that are lost, repeated,
//! reordered and forged (PROTOCOL.md, "Sealed links").
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::collections::BTreeSet;

use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::sealed::{
    Channel, FIRST_BYTES, Initiator, LinkSecret, Responder, SECOND_BYTES, TAG_BYTES,
    THIRD_OVERHEAD_BYTES,
};
use snow::params::CipherChoice;
use snow::resolvers::{CryptoResolver as _, DefaultResolver};

use crate::support::Rng;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
const PROLOGUE: &[u8] = b"noflake-link-1";

fn secret(n: u8) -> LinkSecret {
    LinkSecret::new([n; 32])
}

/// A handshake of snow with this key.
fn snow(own: &LinkSecret, begins: bool) -> snow::HandshakeState {
    let builder = snow::Builder::new(PATTERN.parse().unwrap());
    let builder = builder.prologue(PROLOGUE).unwrap().local_private_key(own.bytes()).unwrap();
    if begins { builder.build_initiator().unwrap() } else { builder.build_responder().unwrap() }
}

/// Both ends of a sealed link.
fn joined() -> (Channel, Channel) {
    let (mut first, mut second) = ([0; FIRST_BYTES], [0; SECOND_BYTES]);
    let (initiator, _) = Initiator::begin(&secret(1), &secret(2), &mut first).unwrap();
    let (responder, _) = Responder::answer(&secret(3), &secret(4), &first, &mut second).unwrap();
    let mut third = [0; THIRD_OVERHEAD_BYTES];
    let host = initiator.join(&second, &[], &mut third).unwrap();
    let device = responder.join(&third, &mut []).unwrap();
    assert_eq!((host.peer, device.peer), (secret(3).public(), secret(1).public()));
    (host.channel, device.channel)
}

fn seal(channel: &mut Channel, kind: Kind, payload: &[u8]) -> (Header, Vec<u8>) {
    let mut buffer = [payload, &[0; TAG_BYTES]].concat();
    let (header, len) = channel.seal(kind, &mut buffer, payload.len()).unwrap();
    assert_eq!(len, buffer.len());
    (header, buffer)
}

/// Opens with snow's cipher what a channel has sealed under `key`.
fn opened_by_snow(key: &[u8; 32], header: Header, sealed: &[u8]) -> Vec<u8> {
    let mut cipher = DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly).unwrap();
    cipher.set(key);
    let mut text = vec![0; sealed.len()];
    let nonce = u64::from(header.sequence);
    let len = cipher.decrypt(nonce, &header.to_bytes(), sealed, &mut text).unwrap();
    text.truncate(len);
    text
}

#[test]
fn a_host_shakes_hands_with_another_implementation() {
    let mut device = snow(&secret(3), false);
    let mut first = [0; FIRST_BYTES];
    let (initiator, _) = Initiator::begin(&secret(1), &secret(2), &mut first).unwrap();
    let (mut said, mut second) = ([0; 200], [0; SECOND_BYTES]);
    assert_eq!(device.read_message(&first, &mut said).unwrap(), 0);
    assert_eq!(device.write_message(&[], &mut second).unwrap(), SECOND_BYTES);
    let mut third = [0; THIRD_OVERHEAD_BYTES + 10];
    let host = initiator.join(&second, b"delegation", &mut third).unwrap();
    assert_eq!((host.peer, host.written), (secret(3).public(), third.len()));
    let len = device.read_message(&third, &mut said).unwrap();
    assert_eq!(&said[..len], b"delegation");
    assert_eq!(device.get_remote_static().unwrap(), secret(1).public());
    let (to_device, _) = device.dangerously_get_raw_split();
    let mut channel = host.channel;
    for text in [&b"one"[..], b"", b"two"] {
        let (header, sealed) = seal(&mut channel, Kind::Message, text);
        assert_eq!(opened_by_snow(&to_device, header, &sealed), text);
    }
}

#[test]
fn a_device_shakes_hands_with_another_implementation() {
    let mut host = snow(&secret(1), true);
    let (mut first, mut second) = ([0; FIRST_BYTES], [0; SECOND_BYTES]);
    let mut room = [0; 200];
    assert_eq!(host.write_message(&[], &mut room).unwrap(), FIRST_BYTES);
    first.copy_from_slice(&room[..FIRST_BYTES]);
    let (responder, _) = Responder::answer(&secret(3), &secret(4), &first, &mut second).unwrap();
    assert_eq!(host.read_message(&second, &mut [0; 10]).unwrap(), 0);
    assert_eq!(host.get_remote_static().unwrap(), secret(3).public());
    let len = host.write_message(b"delegation", &mut room).unwrap();
    assert_eq!(len, THIRD_OVERHEAD_BYTES + 10);
    let mut said = [0; 10];
    let device = responder.join(&room[..len], &mut said).unwrap();
    assert_eq!((device.peer, device.written, &said), (secret(1).public(), 10, b"delegation"));
    let (_, from_device) = host.dangerously_get_raw_split();
    let mut channel = device.channel;
    // Far enough for a number that is cut short anywhere to come again.
    for number in 0..=70_000 {
        let (header, sealed) = seal(&mut channel, Kind::Chunk, b"three");
        assert_eq!(header.sequence, number);
        assert_eq!(opened_by_snow(&from_device, header, &sealed), b"three");
    }
}

/// Every bit of every message counts, and a changed one leaves the handshake as it was.
#[test]
fn a_changed_handshake_comes_to_nothing() {
    let (mut first, mut second) = ([0; FIRST_BYTES], [0; SECOND_BYTES]);
    let (initiator, _) = Initiator::begin(&secret(1), &secret(2), &mut first).unwrap();
    let (responder, _) = Responder::answer(&secret(3), &secret(4), &first, &mut second).unwrap();
    let mut third = [0; THIRD_OVERHEAD_BYTES + 4];
    for at in 0..second.len() * 8 {
        let mut changed = second;
        changed[at / 8] ^= 1 << (at % 8);
        let joined = initiator.join(&changed, b"text", &mut third);
        // The top bit of an X25519 key is not part of it (RFC 7748), but part of what is hashed.
        assert!(joined.is_none(), "bit {at} of the second message");
    }
    initiator.join(&second, b"text", &mut third).unwrap();
    let mut said = [0; 4];
    for at in 0..third.len() * 8 {
        let mut changed = third;
        changed[at / 8] ^= 1 << (at % 8);
        assert!(responder.join(&changed, &mut said).is_none(), "bit {at} of the third message");
    }
    for len in 0..third.len() {
        assert!(responder.join(&third[..len], &mut said).is_none(), "cut to {len} bytes");
    }
    assert!(responder.join(&third, &mut said[..3]).is_none(), "no room for what is said");
    assert!(responder.join(&third, &mut said).is_some());
}

/// Public keys of small order (RFC 7748, section 6.1), with which the shared secret is zero whatever the other's key.
#[test]
fn keys_of_small_order_are_refused() {
    let mut one = [0; 32];
    one[0] = 1;
    let mut p_minus_1 = [0xff; 32];
    (p_minus_1[0], p_minus_1[31]) = (0xec, 0x7f);
    for key in [[0; 32], one, p_minus_1] {
        let mut second = [0; SECOND_BYTES];
        assert!(Responder::answer(&secret(3), &secret(4), &key, &mut second).is_none());
    }
}

/// A million frames both ways, lost, repeated, late, forged: what is opened is what was sent, each once, and all that is late by
/// no more than the window.
#[test]
fn frames_are_opened_once_however_they_arrive() {
    let seed = std::env::var("SEED").map_or(20_261_129, |seed| seed.parse().unwrap());
    println!("SEED={seed} cargo test -p firmware-protocol noise");
    let mut rng = Rng(seed);
    let (mut host, mut device) = joined();
    let mut air: Vec<(Header, Vec<u8>)> = Vec::new();
    let mut opened = BTreeSet::new();
    let mut highest = None;
    let (mut lost, mut repeated, mut late, mut forged) = (0_u32, 0_u32, 0_u32, 0_u32);
    for number in 0..1_000_000_u32 {
        let payload = number.to_le_bytes();
        air.push(seal(&mut host, Kind::Message, &payload));
        if rng.below(50) == 0 {
            lost += 1;
            air.pop();
        }
        while air.len() > rng.below(90) {
            let at = if rng.below(4) == 0 { rng.below(air.len()) } else { 0 };
            let (header, sealed) = air[at].clone();
            let again = rng.below(30) == 0;
            let (mut sent, is_forged) = (sealed, rng.below(40) == 0);
            if is_forged {
                let bit = rng.below(sent.len() * 8);
                sent[bit / 8] ^= 1 << (bit % 8);
            }
            let is_new = !opened.contains(&header.sequence)
                && highest.is_none_or(|highest| header.sequence + 64 >= highest);
            let got = device.open(header, &mut sent);
            if is_forged {
                forged += 1;
                assert!(got.is_none(), "seed {seed}: frame {} was changed", header.sequence);
            } else if is_new {
                let (kind, text) = got.expect("a frame that is new opens");
                assert_eq!((kind, &*text), (Kind::Message, &header.sequence.to_le_bytes()[..]));
                opened.insert(header.sequence);
                highest = highest.max(Some(header.sequence));
            } else {
                assert!(got.is_none(), "seed {seed}: frame {} is old", header.sequence);
                if opened.contains(&header.sequence) { repeated += 1 } else { late += 1 }
            }
            if !again {
                air.remove(at);
            }
        }
        while opened.len() > 1000 {
            opened.pop_first();
        }
    }
    println!("{lost} lost, {repeated} repeated, {late} too late, {forged} forged");
    assert!(lost > 10_000 && repeated > 10_000 && late > 10 && forged > 10_000);
}

/// One direction does not open the other's frames, and a frame of one kind is not one of another.
#[test]
fn directions_and_kinds_are_apart() {
    let (mut host, mut device) = joined();
    let (header, sealed) = seal(&mut host, Kind::Message, b"text");
    assert!(host.open(header, &mut sealed.clone()).is_none());
    let bent = Header { kind: Kind::SealedChunk, ..header };
    assert!(device.open(bent, &mut sealed.clone()).is_none());
    let bent = Header { sequence: 1, ..header };
    assert!(device.open(bent, &mut sealed.clone()).is_none());
    assert!(device.open(header, &mut sealed.clone()).is_some());
    for kind in [Kind::Handshake, Kind::SealedMessage, Kind::SealedChunk] {
        assert!(host.seal(kind, &mut [0; 40], 4).is_none(), "{kind:?}");
    }
    assert!(host.seal(Kind::Message, &mut [0; 19], 4).is_none(), "no room for the tag");
}
