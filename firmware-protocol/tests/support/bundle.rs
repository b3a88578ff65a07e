//! Keys, root records and bundles, made on the spot.

use ed25519_dalek::{Signer, SigningKey};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{
    Component, ComponentKind, Encoding, HardwareRange, Manifest, Payload, Provenance, Variant,
    VariantSlot,
};
use firmware_protocol::root::{Epochs, LifeCycle, Policy, RoleKeys, RootRecord};
use firmware_protocol::trust::{BodyType, DOMAIN, key_hint};
use firmware_protocol::version::Version;

use super::Rng;

/// The signing key number `n`.
pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

/// The root key of these tests.
pub const ROOT: u8 = 1;
/// The release key of these tests.
pub const RELEASE: u8 = 2;

/// The public keys of `numbers`, of which `threshold` must sign.
pub fn role(numbers: &[u8], threshold: u8) -> RoleKeys {
    let keys = numbers.iter().map(|n| key(*n).verifying_key().to_bytes()).collect();
    RoleKeys { keys, threshold }
}

pub fn root_record() -> RootRecord {
    RootRecord {
        version: 1,
        root: role(&[ROOT], 1),
        release: role(&[RELEASE], 1),
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: 1_700_000_000,
        resets_time: false,
    }
}

/// An envelope of `body`, signed by the keys of `signers`.
pub fn envelope(kind: BodyType, body: &[u8], signers: &[u8]) -> Vec<u8> {
    envelope_in(DOMAIN, kind, body, signers)
}

/// As [`envelope`], of this domain.
pub fn envelope_in(domain: [u8; 16], kind: BodyType, body: &[u8], signers: &[u8]) -> Vec<u8> {
    let mut signed = domain.to_vec();
    signed.push(kind as u8);
    signed.extend((body.len() as u32).to_le_bytes());
    signed.extend(body);
    let mut out = signed.clone();
    out.push(signers.len() as u8);
    for n in signers {
        let key = key(*n);
        out.extend(key_hint(&key.verifying_key().to_bytes()));
        out.extend(key.sign(&signed).to_bytes());
    }
    out
}

pub fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; 8192];
    let len = postcard::to_slice(value, &mut bytes).unwrap().len();
    bytes.truncate(len);
    bytes
}

pub fn signed_root(root: &RootRecord) -> Vec<u8> {
    root_signed_by(root, &[ROOT])
}

pub fn root_signed_by(root: &RootRecord, signers: &[u8]) -> Vec<u8> {
    envelope(BodyType::Root, &encode(root), signers)
}

/// A bundle: its signed manifest, and the bytes of its components.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub envelope: Vec<u8>,
    pub digest: Digest,
    pub payloads: Vec<Vec<u8>>,
    pub block_size: u32,
}

impl Bundle {
    /// `app` of `app_bytes` and `config` of 700 bytes, in blocks of 1024, all from `seed`.
    pub fn new(seed: u64, app_bytes: usize) -> Self {
        Self::changed(seed, app_bytes, 1024, |_| {})
    }

    /// As [`Bundle::new`], with `change` made to the manifest before it is signed.
    pub fn changed(
        seed: u64,
        app_bytes: usize,
        block_size: u32,
        change: impl FnOnce(&mut Manifest<'_>),
    ) -> Self {
        let mut rng = Rng(seed);
        let payloads = vec![rng.bytes(app_bytes), rng.bytes(700)];
        let mut manifest = manifest(&payloads, block_size);
        change(&mut manifest);
        let body = encode(&manifest);
        let envelope = envelope(BodyType::Manifest, &body, &[RELEASE]);
        Self { envelope, digest: Digest::of(&body), payloads, block_size }
    }

    /// The block list of component `index`.
    pub fn block_list(&self, index: usize) -> Vec<[u8; 32]> {
        block_list(&self.payloads[index], self.block_size)
    }
}

pub fn block_list(payload: &[u8], block_size: u32) -> Vec<[u8; 32]> {
    payload.chunks(block_size as usize).map(|block| Digest::of(block).0).collect()
}

pub fn variant(payload: &[u8], block_size: u32) -> Variant {
    let length = payload.len() as u64;
    Variant {
        slot: VariantSlot::Any,
        load: 0,
        length,
        digest: Digest::of(payload),
        block_size,
        block_list_digest: Digest::of(&block_list(payload, block_size).concat()),
        payload: Payload {
            encoding: Encoding::Raw,
            stored_length: length,
            stored_digest: Digest::of(payload),
        },
    }
}

pub fn component<'a>(name: &'a str, payload: &[u8], block_size: u32) -> Component<'a> {
    Component {
        name,
        kind: ComponentKind::Image,
        variants: [variant(payload, block_size)].into_iter().collect(),
    }
}

pub fn manifest(payloads: &[Vec<u8>], block_size: u32) -> Manifest<'static> {
    Manifest {
        product: "demo",
        hardware: [HardwareRange { id: "board", first_revision: 1, last_revision: 5 }]
            .into_iter()
            .collect(),
        version: Version::new(1, 2, 3),
        security_version: 7,
        epoch: 0,
        from_version: None,
        retires_fallback: false,
        data_schema: 1,
        data_readable_by: 1,
        provenance: Provenance { commit: "c0ffee", dirty: false, builder: "ci", built_at_s: 0 },
        notes: "",
        plan: None,
        components: ["app", "config"]
            .iter()
            .zip(payloads)
            .map(|(name, payload)| component(name, payload, block_size))
            .collect(),
    }
}
