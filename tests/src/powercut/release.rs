//! The root record and the bundles that everything here is done with.

use ed25519_dalek::{Signer as _, SigningKey};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{
    Component, ComponentKind, Encoding, HardwareRange, LifeCycle, Manifest, Payload, Policy,
    Provenance, RoleKeys, RootRecord, Variant, VariantSlot,
};
use firmware_protocol::trust::{BodyType, DOMAIN, key_hint};
use firmware_protocol::version::Version;

use crate::random::Random;

/// A signed bundle in memory.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its number: version, security version and seed follow from it.
    pub number: u8,
    /// Signed manifest.
    pub envelope: Vec<u8>,
    /// Its bundle digest.
    pub digest: Digest,
    /// What its components hold.
    pub payloads: [Vec<u8>; 2],
    /// Floor that its confirm sets.
    pub security_version: u64,
}

/// Everything signed that one sweep needs: made once, as signing costs more than a cut.
#[derive(Debug, Clone)]
pub struct Releases {
    /// Envelope of the root record.
    pub root: Vec<u8>,
    all: Vec<Release>,
}

/// Blocks of components, in bytes.
pub const BLOCK_BYTES: u32 = 512;

impl Releases {
    /// Releases 1 to 4; each raises the floor by one.
    pub fn new() -> Self {
        Self { root: root(), all: (1..=4).map(release).collect() }
    }

    /// Release `number`, from 1.
    pub fn get(&self, number: u8) -> &Release {
        &self.all[usize::from(number) - 1]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Release> {
        self.all.iter()
    }

    /// The release of this bundle digest.
    pub fn of(&self, bundle: Digest) -> Option<&Release> {
        self.all.iter().find(|release| release.digest == bundle)
    }
}

impl Default for Releases {
    fn default() -> Self {
        Self::new()
    }
}

fn release(number: u8) -> Release {
    let mut random = Random::new(u64::from(number));
    // Not whole blocks, and not all of an area: what lies behind has to stay blank.
    let payloads = [random.bytes(1210 + usize::from(number)), random.bytes(301)];
    let security_version = u64::from(number);
    let components = ["app", "config"].into_iter().zip(&payloads);
    let manifest = Manifest {
        product: "demo",
        hardware: [HardwareRange { id: "board", first_revision: 1, last_revision: 1 }]
            .into_iter()
            .collect(),
        version: Version::new(1, u32::from(number), 0),
        security_version,
        from_version: None,
        retires_fallback: false,
        data_schema: 1,
        data_readable_by: 1,
        provenance: Provenance { commit: "c0ffee", dirty: false, builder: "here", built_at_s: 0 },
        notes: "",
        plan: None,
        components: components.map(|(name, payload)| component(name, payload)).collect(),
    };
    let body = encode(&manifest);
    let envelope = envelope(BodyType::Manifest, &body, RELEASE_KEY);
    Release { number, envelope, digest: Digest::of(&body), payloads, security_version }
}

fn component<'a>(name: &'a str, payload: &[u8]) -> Component<'a> {
    let length = payload.len() as u64;
    let blocks: Vec<u8> =
        payload.chunks(BLOCK_BYTES as usize).flat_map(|block| Digest::of(block).0).collect();
    let variant = Variant {
        slot: VariantSlot::Any,
        load: 0,
        length,
        digest: Digest::of(payload),
        block_size: BLOCK_BYTES,
        block_list_digest: Digest::of(&blocks),
        payload: Payload {
            encoding: Encoding::Raw,
            stored_length: length,
            stored_digest: Digest::of(payload),
        },
    };
    Component { name, kind: ComponentKind::Image, variants: [variant].into_iter().collect() }
}

fn root() -> Vec<u8> {
    let role = |key: [u8; 32]| {
        let key = SigningKey::from_bytes(&key).verifying_key().to_bytes();
        RoleKeys { keys: [key].into_iter().collect(), threshold: 1 }
    };
    let record = RootRecord {
        version: 1,
        root: role(ROOT_KEY),
        release: role(RELEASE_KEY),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        made_at_s: 1_700_000_000,
    };
    envelope(BodyType::Root, &encode(&record), ROOT_KEY)
}

fn envelope(kind: BodyType, body: &[u8], key: [u8; 32]) -> Vec<u8> {
    let key = SigningKey::from_bytes(&key);
    let mut bytes = DOMAIN.to_vec();
    bytes.push(kind as u8);
    bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    bytes.extend(body);
    let signature = key.sign(&bytes);
    bytes.push(1);
    bytes.extend(key_hint(&key.verifying_key().to_bytes()));
    bytes.extend(signature.to_bytes());
    bytes
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}

const ROOT_KEY: [u8; 32] = [1; 32];
const RELEASE_KEY: [u8; 32] = [2; 32];
