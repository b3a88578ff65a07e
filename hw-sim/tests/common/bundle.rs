//! Signed documents for tests, and the shortest host that deploys them.

use ed25519_dalek::{Signer, SigningKey};
use firmware_protocol::digest::{Digest, Hasher};
use firmware_protocol::frame::Kind;
use firmware_protocol::manifest::{
    Component, ComponentKind, Encoding, HardwareRange, Manifest, Payload, Provenance, Variant,
    VariantSlot,
};
use firmware_protocol::message::{Chunk, FromDevice, Reply, Request, TrialTerms};
use firmware_protocol::root::{Epochs, LifeCycle, Policy, RoleKeys, RootRecord};
use firmware_protocol::trust::{BodyType, DOMAIN, key_hint};
use firmware_protocol::version::Version;

use super::Host;

const BLOCK_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 2048;
pub const CONFIG_BYTES: usize = 300;

pub struct Bundle {
    pub envelope: Vec<u8>,
    pub digest: Digest,
    pub components: [Vec<u8>; 2],
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn signed(body: &[u8], body_type: BodyType) -> Vec<u8> {
    let mut envelope = DOMAIN.to_vec();
    envelope.push(body_type as u8);
    envelope.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    envelope.extend(body);
    let signature = key().sign(&envelope).to_bytes();
    envelope.push(1);
    envelope.extend(key_hint(key().verifying_key().as_bytes()));
    envelope.extend(signature);
    envelope
}

/// A root record under which one key signs everything.
pub fn root() -> Vec<u8> {
    let role = RoleKeys {
        keys: heapless::Vec::from_iter([*key().verifying_key().as_bytes()]),
        threshold: 1,
    };
    let root = RootRecord {
        version: 1,
        root: role.clone(),
        release: role,
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: 0,
        resets_time: false,
    };
    signed(&postcard::to_stdvec(&root).unwrap(), BodyType::Root)
}

/// A release of the default device: one image of `len_bytes`, its bytes told by the version.
pub fn bundle(version: &str, len_bytes: usize) -> Bundle {
    let version: Version = version.parse().unwrap();
    let stride = version.minor.to_le_bytes()[0] | 1;
    let mut byte = 0_u8;
    let next = || {
        byte = byte.wrapping_mul(5).wrapping_add(stride);
        byte
    };
    let app: Vec<u8> = std::iter::repeat_with(next).take(len_bytes).collect();
    let config = app[..CONFIG_BYTES].to_vec();
    let hardware = HardwareRange { id: "nav-1", first_revision: 1, last_revision: 9 };
    let manifest = Manifest {
        product: "rover-nav",
        hardware: heapless::Vec::from_iter([hardware]),
        version,
        security_version: 1,
        epoch: 0,
        from_version: None,
        retires_fallback: false,
        data_schema: 1,
        data_readable_by: 1,
        provenance: Provenance { commit: "", dirty: false, builder: "test", built_at_s: 0 },
        notes: "",
        plan: None,
        components: heapless::Vec::from_iter([
            component("app", ComponentKind::Image, &app),
            component("config", ComponentKind::Config, &config),
        ]),
    };
    let body = postcard::to_stdvec(&manifest).unwrap();
    Bundle {
        envelope: signed(&body, BodyType::Manifest),
        digest: Digest::of(&body),
        components: [app, config],
    }
}

fn component<'a>(name: &'a str, kind: ComponentKind, bytes: &[u8]) -> Component<'a> {
    let mut list = Hasher::new();
    bytes.chunks(BLOCK_BYTES).for_each(|block| list.update(&Digest::of(block).0));
    let (length, digest) = (bytes.len() as u64, Digest::of(bytes));
    let variant = Variant {
        slot: VariantSlot::Any,
        load: 0,
        length,
        digest,
        block_size: 4096,
        block_list_digest: list.finish(),
        payload: Payload { encoding: Encoding::Raw, stored_length: length, stored_digest: digest },
    };
    Component { name, kind, variants: heapless::Vec::from_iter([variant]) }
}

fn missing(reply: Reply<'_>) -> Option<u32> {
    match reply {
        Reply::Missing { missing, .. } => Some(missing),
        _ => None,
    }
}

impl Host {
    pub fn open_session(&mut self) {
        self.session = 0;
        self.session = self.demand(
            Request::OpenSession { take_over: true, trial_id: 0 },
            |reply| match reply {
                Reply::Session { session, .. } => Some(session),
                _ => None,
            },
        );
    }

    pub fn stage(&mut self, bundle: &Bundle) {
        self.try_stage(bundle).unwrap();
    }

    /// Sends a bundle into the spare slot, without a window: each chunk waits for its acknowledgement.
    pub fn try_stage(&mut self, bundle: &Bundle) -> Result<(), String> {
        for (index, piece) in bundle.envelope.chunks(512).enumerate() {
            let total_bytes = u32::try_from(bundle.envelope.len()).unwrap();
            let offset = u32::try_from(index * 512).unwrap();
            self.attempt(Request::Offer { total_bytes, offset, bytes: piece }, |reply| {
                matches!(reply, Reply::Offered { .. }).then_some(())
            })?;
        }
        self.attempt(Request::Stage { again: false }, |reply| {
            matches!(reply, Reply::Stage { .. }).then_some(())
        })?;
        for (component, bytes) in bundle.components.iter().enumerate() {
            let index = u8::try_from(component).unwrap();
            self.attempt(Request::OpenComponent { index }, |reply| {
                matches!(reply, Reply::Component { .. }).then_some(())
            })?;
            for (chunk, bytes) in bytes.chunks(CHUNK_BYTES).enumerate() {
                let offset = (chunk * CHUNK_BYTES) as u64;
                let session = self.session;
                self.send_chunk(Chunk { session, component: index, offset, bytes })?;
            }
            // A request that is answered leaves the engine no time for its own work.
            while self.attempt(Request::Missing { first_block: 0 }, missing)? > 0 {
                self.pass(1);
            }
        }
        let staged = self.attempt(Request::Finish, |reply| match reply {
            Reply::Staged { bundle, .. } => Some(bundle),
            _ => None,
        })?;
        assert_eq!(staged, bundle.digest);
        Ok(())
    }

    fn send_chunk(&mut self, chunk: Chunk<'_>) -> Result<(), String> {
        let payload = [&chunk.head(), chunk.bytes].concat();
        for _ in 0..20 {
            let sequence = self.send_frame(Kind::Chunk, &payload);
            let taken = self.wait(100, |message| match message {
                FromDevice::Ack(ack) if ack.highest == sequence => Some(ack.taken),
                _ => None,
            });
            if taken == Some(true) {
                return Ok(());
            }
            self.pass(1);
        }
        Err(format!("the chunk at {} was never taken", chunk.offset))
    }

    /// Opens a trial of a staged bundle, and resets the device into it.
    pub fn begin_trial(&mut self, bundle: &Bundle) -> u32 {
        let terms = TrialTerms {
            boots: 3,
            crashes: 1,
            power_failures: 3,
            lease_ms: 20_000,
            boot_max_ms: 60_000,
        };
        let plan = Digest::default();
        let open = Request::OpenTrial { bundle: bundle.digest, plan, terms };
        let trial_id = |reply: Reply<'_>| match reply {
            Reply::Trial { trial_id, .. } => Some(trial_id),
            _ => None,
        };
        let trial = self.demand(open, trial_id);
        self.demand(Request::Arm { trial_id: trial, boots: 1 }, trial_id);
        let boot_nonce = self.identify(|identity| identity.boot_nonce).unwrap();
        self.demand(Request::Reset { boot_nonce }, |reply| {
            matches!(reply, Reply::Done(_)).then_some(())
        });
        self.pass(300);
        trial
    }

    pub fn confirm(&mut self, trial_id: u32) {
        let boot_nonce = self.identify(|identity| identity.boot_nonce).unwrap();
        self.open_session();
        self.demand(Request::Confirm { trial_id, boot_nonce }, |reply| {
            matches!(reply, Reply::Done(_)).then_some(())
        });
    }
}
