//! The root record and the bundles that everything here is done with.

use ed25519_dalek::{Signer as _, SigningKey};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::{
    Component, ComponentKind, Encoding, HardwareRange, Manifest, Payload, Provenance, Variant,
    VariantSlot,
};
use firmware_protocol::root::{Epochs, LifeCycle, Policy, RoleKeys, RootRecord};
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
    /// Its confirm takes the fallback away.
    pub retires: bool,
}

impl Release {
    /// Digests of a component's blocks, one behind the other.
    pub fn block_list(&self, component: usize) -> Vec<u8> {
        let blocks = self.payloads[component].chunks(BLOCK_BYTES as usize);
        blocks.flat_map(|block| Digest::of(block).0).collect()
    }
}

/// Everything signed that one sweep needs: made once, as signing costs more than a cut.
#[derive(Debug, Clone)]
pub struct Releases {
    /// Envelopes of root record 1 and of those that follow, one behind the other.
    roots: Vec<Vec<u8>>,
    all: Vec<Release>,
}

/// Bytes of the first component, security version, and whether it retires its fallback, of releases 1 and up.
///
/// The first one is longer than all others: what they leave of it has to go. The last two raise no floor.
const RELEASES: [(usize, u64, bool); 6] = [
    (1901, 1, false),
    (1212, 2, false),
    (1213, 3, false),
    (1214, 4, false),
    (1215, 2, true),
    (1216, 2, false),
];
/// Root records there are.
pub const ROOTS: u32 = 3;

/// Blocks of components, in bytes.
pub const BLOCK_BYTES: u32 = 512;

impl Releases {
    /// All releases and root records.
    pub fn new() -> Self {
        let all = (1..).zip(RELEASES).map(|(number, what)| release(number, what)).collect();
        Self { roots: (1..=ROOTS).map(root).collect(), all }
    }

    /// Release `number`, from 1.
    pub fn get(&self, number: u8) -> &Release {
        &self.all[usize::from(number) - 1]
    }

    /// Root record `version`, from 1.
    pub fn root(&self, version: u32) -> &[u8] {
        &self.roots[version as usize - 1]
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

fn release(number: u8, (app_bytes, security_version, retires): (usize, u64, bool)) -> Release {
    let mut random = Random::new(u64::from(number));
    // Not whole blocks, and not all of an area: what lies behind has to stay blank.
    let payloads = [random.bytes(app_bytes), random.bytes(301)];
    let components = ["app", "config"].into_iter().zip(&payloads);
    let manifest = Manifest {
        product: "demo",
        hardware: [HardwareRange { id: "board", first_revision: 1, last_revision: 1 }]
            .into_iter()
            .collect(),
        version: Version::new(1, u32::from(number), 0),
        security_version,
        epoch: 0,
        from_version: None,
        retires_fallback: retires,
        data_schema: 1,
        data_readable_by: 1,
        provenance: Provenance { commit: "c0ffee", dirty: false, builder: "here", built_at_s: 0 },
        notes: "",
        plan: None,
        components: components.map(|(name, payload)| component(name, payload)).collect(),
    };
    let body = encode(&manifest);
    let envelope = envelope(BodyType::Manifest, &body, &[RELEASE_KEY]);
    let digest = Digest::of(&body);
    Release { number, envelope, digest, payloads, security_version, retires }
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

/// Root record `version`: its keys are its own, and it is signed by those before as well.
fn root(version: u32) -> Vec<u8> {
    let role = |key: [u8; 32]| {
        let key = SigningKey::from_bytes(&key).verifying_key().to_bytes();
        RoleKeys { keys: [key].into_iter().collect(), threshold: 1 }
    };
    let key = |version: u32| [u8::try_from(100 + version).unwrap(); 32];
    let record = RootRecord {
        version,
        root: role(key(version)),
        release: role(RELEASE_KEY),
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: 1_700_000_000,
        resets_time: false,
    };
    envelope(BodyType::Root, &encode(&record), &[key(version), key(version.max(2) - 1)])
}

fn envelope(kind: BodyType, body: &[u8], keys: &[[u8; 32]]) -> Vec<u8> {
    let mut bytes = DOMAIN.to_vec();
    bytes.push(kind as u8);
    bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    bytes.extend(body);
    let signed = bytes.clone();
    bytes.push(u8::try_from(keys.len()).unwrap());
    for key in keys.iter().map(SigningKey::from_bytes) {
        bytes.extend(key_hint(&key.verifying_key().to_bytes()));
        bytes.extend(key.sign(&signed).to_bytes());
    }
    bytes
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).unwrap()
}

const RELEASE_KEY: [u8; 32] = [2; 32];
