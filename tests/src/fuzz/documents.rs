//! Signed documents, and what they say.

use std::fmt::Debug;

use firmware_protocol::bench_reset::decode_bench_reset;
use firmware_protocol::certificate::decode_certificate;
use firmware_protocol::delegation::{Actions, decode_delegation};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::decode_manifest;
use firmware_protocol::root::{
    CertificateNeed, Epochs, LifeCycle, Policy, RoleKeys, RootRecord, decode_root,
};
use firmware_protocol::trust::{
    self, BodyType, Envelope, MAX_ENVELOPE_BYTES, MAX_SIGNATURES, TrustError,
};
use noflake::trust::Signer as _;
use serde::Serialize;

use crate::site::ROOT_KEY;

/// An envelope is what its bytes say, and nothing that these keys have not signed is believed.
pub(super) fn envelope(bytes: &[u8]) -> bool {
    let types = [
        BodyType::Root,
        BodyType::Manifest,
        BodyType::Certificate,
        BodyType::Delegation,
        BodyType::BenchReset,
    ];
    let mut parsed = 0;
    for body_type in types {
        let Ok((envelope, rest)) = Envelope::parse_front(bytes, body_type) else { continue };
        parsed += 1;
        assert!(bytes.starts_with(envelope.signed()) && bytes.ends_with(rest));
        assert!(envelope.body().len() <= MAX_ENVELOPE_BYTES);
        assert!(envelope.hints().count() <= MAX_SIGNATURES);
        assert_eq!(envelope.body_digest(), Digest::of(envelope.body()));
    }
    assert!(parsed <= 1, "of one type only");
    let keys = [ROOT_KEY.public_key()].into_iter().collect();
    let role = RoleKeys { keys, threshold: 1 };
    let root = RootRecord {
        version: 1,
        root: role.clone(),
        release: role.clone(),
        qualify: role.clone(),
        operate: role,
        life_cycle: LifeCycle::Field,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: 0,
        resets_time: false,
    };
    not_believed(&trust::verify_manifest(bytes, &root));
    not_believed(&trust::verify_certificate(bytes, &root));
    not_believed(&trust::verify_delegation(bytes, &root));
    not_believed(&trust::verify_bench_reset(bytes, &root));
    assert!(trust::verify_next_root(bytes, &root).is_err());
    parsed == 1
}

/// The corpus holds no document of the key that these trust.
fn not_believed<T: Debug>(verified: &Result<T, TrustError>) {
    assert!(verified.is_err(), "{verified:?}");
}

/// What decodes says the same when it is encoded again, and keeps the rules of its kind.
fn same_again<T: Serialize + PartialEq + Debug>(
    said: &T,
    again: impl FnOnce(&[u8]) -> bool,
) -> bool {
    let bytes = postcard::to_stdvec(said).expect("what was decoded encodes");
    assert!(again(&bytes), "{said:?}");
    true
}

pub(super) fn manifest(bytes: &[u8]) -> bool {
    let Ok(manifest) = decode_manifest(bytes) else { return false };
    assert!(!manifest.product.is_empty() && !manifest.components.is_empty());
    same_again(&manifest, |bytes| decode_manifest(bytes).as_ref() == Ok(&manifest))
}

pub(super) fn root_record(bytes: &[u8]) -> bool {
    let Ok(root) = decode_root(bytes) else { return false };
    assert!(root.version >= 1 && root.root.is_sound() && root.release.is_sound());
    assert!(root.life_cycle != LifeCycle::Field || root.operate.is_sound());
    assert!(root.policy.certificate == CertificateNeed::Never || root.qualify.is_sound());
    same_again(&root, |bytes| decode_root(bytes).as_ref() == Ok(&root))
}

pub(super) fn certificate(bytes: &[u8]) -> bool {
    let Ok(certificate) = decode_certificate(bytes) else { return false };
    assert!(!certificate.product.is_empty());
    same_again(&certificate, |bytes| decode_certificate(bytes).as_ref() == Ok(&certificate))
}

pub(super) fn delegation(bytes: &[u8]) -> bool {
    let Ok(delegation) = decode_delegation(bytes) else { return false };
    assert!(delegation.actions != Actions::NONE);
    assert_eq!(delegation.actions.iter().fold(Actions::NONE, Actions::with), delegation.actions);
    let _ = delegation.covers_serial("SN-1");
    same_again(&delegation, |bytes| decode_delegation(bytes).as_ref() == Ok(&delegation))
}

pub(super) fn bench_reset(bytes: &[u8]) -> bool {
    let Ok(reset) = decode_bench_reset(bytes) else { return false };
    assert!(!reset.serial.is_empty() && reset.boot_nonce != 0);
    same_again(&reset, |bytes| decode_bench_reset(bytes).as_ref() == Ok(&reset))
}
