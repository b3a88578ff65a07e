//! The way from signed bytes to claims: what must not get through.

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{
    DecodeError, Encoding, Manifest, Variant, VariantSlot, decode_manifest,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{LifeCycle, RoleKeys, RootRecord, decode_root};
use firmware_protocol::trust::{
    BodyType, DOMAIN, TrustError, admitted_manifest, key_hint, verify_first_root, verify_manifest,
};

use crate::support::bundle::{
    Bundle, RELEASE, ROOT, encode, envelope, envelope_in, manifest, role, root_record,
};

const NOBODY: TrustError = TrustError::Signatures { valid: 0, needed: 1 };

#[test]
fn what_a_release_key_signed_is_verified_and_nothing_else_is() {
    let bundle = Bundle::new(1, 3000);
    let root = root_record();
    let verified = verify_manifest(&bundle.envelope, &root).unwrap();
    assert_eq!((verified.digest(), verified.claims().product), (bundle.digest, "demo"));
    let body = body();
    for signers in [&[][..], &[ROOT], &[3], &[3, 4, 5, 6, 7, 8, 9, 10]] {
        let bytes = envelope(BodyType::Manifest, &body, signers);
        assert_eq!(verify_manifest(&bytes, &root), Err(NOBODY), "signed by {signers:?}");
    }
    let bytes = envelope(BodyType::Manifest, &body, &[3, ROOT, RELEASE]);
    assert!(verify_manifest(&bytes, &root).is_ok(), "strangers beside a release key do not harm");
}

/// Two of two: one key twice, one signature twice, one key listed by two hints are still one.
#[test]
fn a_threshold_counts_keys_not_signatures() {
    let root = RootRecord { release: role(&[2, 3], 2), ..root_record() };
    let one = TrustError::Signatures { valid: 1, needed: 2 };
    let body = body();
    for signers in [&[2][..], &[2, 2], &[3, 3, 3], &[2, 4]] {
        let bytes = envelope(BodyType::Manifest, &body, signers);
        assert_eq!(verify_manifest(&bytes, &root), Err(one), "signed by {signers:?}");
    }
    let mut other_hint = envelope(BodyType::Manifest, &body, &[2, 2]);
    let second = other_hint.len() - 72;
    other_hint[second] ^= 0xff;
    assert_eq!(verify_manifest(&other_hint, &root), Err(one));
    for signers in [&[2, 3][..], &[3, 2], &[4, 2, 3]] {
        let bytes = envelope(BodyType::Manifest, &body, signers);
        assert!(verify_manifest(&bytes, &root).is_ok(), "signed by {signers:?}");
    }
}

/// A key that makes any signature valid for some messages must count for nothing, even when a root
/// record lists it: the eight points of small order, and an all-zero signature (CVE-2020-10759).
#[test]
fn weak_keys_and_empty_signatures_never_count() {
    let body = body();
    for weak in WEAK_KEYS {
        let mut point = [0; 32];
        for (place, pair) in point.iter_mut().zip(weak.as_bytes().chunks(2)) {
            *place = u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap();
        }
        let release = RoleKeys { keys: [point].into_iter().collect(), threshold: 1 };
        let root = RootRecord { release, ..root_record() };
        let with_key: [u8; 64] = [point, [0; 32]].concat().try_into().unwrap();
        for signature in [[0; 64], with_key] {
            let mut bytes = envelope(BodyType::Manifest, &body, &[2]);
            let at = bytes.len() - 64;
            bytes[at..].copy_from_slice(&signature);
            bytes[at - 8..at].copy_from_slice(&key_hint(&point));
            assert_eq!(verify_manifest(&bytes, &root), Err(NOBODY), "key {weak}");
            assert_eq!(verify_manifest(&bytes, &root_record()), Err(NOBODY));
        }
    }
}

#[test]
fn a_signature_counts_only_for_the_type_it_was_made_for() {
    let root = root_record();
    let bytes = envelope(BodyType::Root, &body(), &[RELEASE]);
    let error = verify_manifest(&bytes, &root).unwrap_err();
    assert_eq!(Refusal::from(error), Refusal::Malformed);
    let mut relabelled = bytes;
    relabelled[16] = BodyType::Manifest as u8;
    assert_eq!(verify_manifest(&relabelled, &root), Err(NOBODY));
}

/// The same keys sign other things too, such as what `key adopt` has a program sign: none of that is a document, whatever
/// else it looks like.
#[test]
fn a_signature_over_anything_but_a_document_of_noflake_counts_for_nothing() {
    let (own, signed) = (*b"noflake-signed-1", body());
    assert_eq!(own, DOMAIN);
    for (domain, expected) in [
        (own, None),
        (*b"noflake-adopts-1", Some(Refusal::Malformed)),
        (*b"noflake-signed-2", Some(Refusal::Malformed)),
    ] {
        let bytes = envelope_in(domain, BodyType::Manifest, &signed, &[RELEASE]);
        let refused = verify_manifest(&bytes, &root_record()).err().map(Refusal::from);
        assert_eq!(refused, expected);
    }
}

#[test]
fn every_flipped_bit_of_an_envelope_is_refused() {
    let bundle = Bundle::new(1, 3000);
    let root = root_record();
    for bit in 0..bundle.envelope.len() * 8 {
        let mut bytes = bundle.envelope.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verify_manifest(&bytes, &root).is_err(), "bit {bit} does not matter");
    }
}

#[test]
fn an_envelope_cut_short_or_with_a_tail_is_refused() {
    let bundle = Bundle::new(1, 3000);
    let root = root_record();
    for len in 0..bundle.envelope.len() {
        assert!(verify_manifest(&bundle.envelope[..len], &root).is_err(), "cut to {len} bytes");
    }
    let long = [&bundle.envelope[..], &[0]].concat();
    assert!(verify_manifest(&long, &root).is_err());
    // On flash it stands before erased bytes; there the recorded digest decides.
    assert!(admitted_manifest(&long, bundle.digest).is_ok());
    assert!(admitted_manifest(&long, Digest([0; 32])).is_err());
}

/// A length that says 4 GiB, and more signatures than are allowed.
#[test]
fn lengths_beyond_their_bounds_are_refused_before_they_are_used() {
    let bundle = Bundle::new(1, 3000);
    for length in [u32::MAX, 1 << 31, 4097] {
        let mut bytes = bundle.envelope.clone();
        bytes[17..21].copy_from_slice(&length.to_le_bytes());
        assert!(verify_manifest(&bytes, &root_record()).is_err());
    }
    let nine = envelope(BodyType::Manifest, &body(), &[2; 9]);
    assert!(verify_manifest(&nine, &root_record()).is_err());
}

#[test]
fn bytes_behind_a_signed_body_are_refused_even_when_signed() {
    let mut body = body();
    body.push(0);
    assert_eq!(decode_manifest(&body), Err(DecodeError::Trailing));
    let bytes = envelope(BodyType::Manifest, &body, &[RELEASE]);
    let error = verify_manifest(&bytes, &root_record()).unwrap_err();
    assert_eq!(error, TrustError::Body(DecodeError::Trailing));
}

#[test]
fn a_manifest_that_breaks_a_rule_is_refused_by_that_rule() {
    type Change = fn(&mut Manifest<'_>);
    let cases: [(Change, &str); 15] = [
        (|manifest| manifest.product = "", "a product is named"),
        (|manifest| manifest.hardware.clear(), "at least one hardware id is named"),
        (|manifest| manifest.components.clear(), "at least one component"),
        (|manifest| manifest.components[1].name = "app", "component names are unique"),
        (|manifest| manifest.components[0].name = "", NAMES),
        (|manifest| manifest.components[0].name = "seventeen-letters", NAMES),
        (|manifest| manifest.components[0].name = "../boot", NAMES),
        (|manifest| manifest.components[0].variants.clear(), "a component has a variant"),
        (|manifest| variant(manifest).block_size = 0, SIZE),
        (|manifest| variant(manifest).block_size = 256, SIZE),
        (|manifest| variant(manifest).block_size = 1000, SIZE),
        (|manifest| variant(manifest).block_size = 1 << 21, SIZE),
        (|manifest| variant(manifest).length = 512 * 4097 * 2, SIZE),
        (|manifest| variant(manifest).length = 0, "a variant has bytes"),
        (|manifest| variant(manifest).length += 1, "a raw payload has its variant's length"),
    ];
    for (change, rule) in cases {
        let bundle = Bundle::changed(1, 3000, 1024, change);
        let error = verify_manifest(&bundle.envelope, &root_record()).unwrap_err();
        assert_eq!(error, TrustError::Body(DecodeError::Rule(rule)));
    }
    let twice = Bundle::changed(1, 3000, 1024, |manifest| {
        let again = *variant(manifest);
        manifest.components[0].variants.push(again).unwrap();
    });
    let error = verify_manifest(&twice.envelope, &root_record()).unwrap_err();
    assert_eq!(error, TrustError::Body(DecodeError::Rule("one variant a slot")));
}

#[test]
fn a_variant_of_its_own_goes_before_any() {
    let bundle = Bundle::changed(1, 3000, 1024, |manifest| {
        let own = Variant { slot: VariantSlot::B, load: 5, ..*variant(manifest) };
        manifest.components[0].variants.push(own).unwrap();
    });
    let verified = verify_manifest(&bundle.envelope, &root_record()).unwrap();
    let component = &verified.claims().components[0];
    let load = |slot| component.variant_for(slot).unwrap().load;
    assert_eq!(firmware_protocol::slot::SlotId::ALL.map(load), [0, 5]);
}

#[test]
fn a_first_root_is_signed_under_its_own_keys_and_makes_sense() {
    let sound = root_record();
    let signed = |root: &RootRecord, signers| envelope(BodyType::Root, &encode(root), signers);
    assert!(verify_first_root(&signed(&sound, &[ROOT])).is_ok());
    assert_eq!(verify_first_root(&signed(&sound, &[RELEASE])), Err(NOBODY));
    let two = RootRecord { root: role(&[1, 2, 3], 2), ..sound.clone() };
    assert!(verify_first_root(&signed(&two, &[1])).is_err());
    assert!(verify_first_root(&signed(&two, &[1, 1])).is_err());
    assert!(verify_first_root(&signed(&two, &[1, 3])).is_ok());
    let senseless = [
        RootRecord { version: 0, ..sound.clone() },
        RootRecord { root: role(&[1], 0), ..sound.clone() },
        RootRecord { root: role(&[1], 2), ..sound.clone() },
        RootRecord { root: role(&[1, 1], 2), ..sound.clone() },
        RootRecord { release: role(&[], 0), ..sound.clone() },
        RootRecord { release: role(&[2, 2], 1), ..sound.clone() },
        RootRecord { life_cycle: LifeCycle::Factory, ..sound },
    ];
    for root in senseless {
        assert!(matches!(decode_root(&encode(&root)), Err(DecodeError::Rule(_))), "{root:?}");
        assert!(verify_first_root(&signed(&root, &[1])).is_err());
    }
}

const NAMES: &str = "component names are 1 to 16 letters, digits or hyphens";
const SIZE: &str = "a block size within bounds";

/// Points of small order, canonical and not (RFC 8032 encodings).
const WEAK_KEYS: [&str; 8] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn body() -> Vec<u8> {
    let bundle = Bundle::new(1, 3000);
    encode(&manifest(&bundle.payloads, 1024))
}

fn variant<'m>(manifest: &'m mut Manifest<'_>) -> &'m mut Variant {
    &mut manifest.components[0].variants[0]
}

/// A bundle of a newer tool is refused for what it is, not as noise.
#[test]
fn an_encoding_of_a_newer_format_decodes_as_unknown() {
    for number in 1_u8..=127 {
        assert_eq!(postcard::from_bytes(&[number]), Ok(Encoding::Unknown), "{number}");
    }
    assert_eq!(postcard::from_bytes(&[0]), Ok(Encoding::Raw));
}
