//! Somebody with a wire client and whatever they have stolen: installs what a device lets in, and asks for no check of it.

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::decode_manifest;
use firmware_protocol::message::{MAX_PIECE_BYTES, Reply, Request, TrialTerms};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::slot::SlotId;
use firmware_protocol::trust::{BodyType, Envelope};
use noflake::bundle::Bundle;

use crate::raw::Raw;
use crate::simulator::Simulator;
use crate::site::{Release, Site};

/// Terms that any root record lets pass.
pub const TERMS: TrialTerms =
    TrialTerms { boots: 3, crashes: 3, power_failures: 3, lease_ms: 20_000, boot_max_ms: 60_000 };
/// The plan that an intruder says to judge by.
pub const PLAN: Digest = Digest([7; 32]);
/// Blocks sent between two questions for what is missing.
const BLOCKS_AT_ONCE: usize = 4;

/// What is sent to a device.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// The signed manifest.
    pub envelope: Vec<u8>,
    /// What is sent for each component, for slot A and for slot B.
    pub payloads: [Vec<Vec<u8>>; 2],
}

impl Shipment {
    /// A release as its bundle has it.
    #[track_caller]
    pub fn of(site: &Site, release: &Release) -> Self {
        let bundle = site.bundle(release);
        let envelope = Bundle::open(bundle.as_ref()).unwrap().envelope().to_vec();
        Self { envelope, payloads: SlotId::ALL.map(|slot| release.payloads(slot)) }
    }

    /// Its digest.
    pub fn bundle(&self) -> Digest {
        Envelope::parse(&self.envelope, BodyType::Manifest).unwrap().body_digest()
    }

    /// The manifest's block size of a component.
    fn block_size(&self, component: usize, slot: SlotId) -> usize {
        let envelope = Envelope::parse(&self.envelope, BodyType::Manifest).unwrap();
        let manifest = decode_manifest(envelope.body()).unwrap();
        let variant = manifest.components[component].variant_for(slot).unwrap();
        usize::try_from(variant.block_size).unwrap()
    }
}

/// Who that is.
#[derive(Debug, Clone)]
pub struct Intruder {
    socket: String,
    host: Option<(LinkSecret, Vec<u8>)>,
    certificate: Vec<u8>,
}

impl Intruder {
    /// Somebody who reaches the device's port.
    pub fn at(device: &Simulator) -> Self {
        Self { socket: device.socket(), host: None, certificate: Vec::new() }
    }

    /// With the key of a host, and a delegation to show.
    #[must_use]
    pub fn with_host(self, host: &LinkSecret, delegation: &[u8]) -> Self {
        Self { host: Some((host.clone(), delegation.to_vec())), ..self }
    }

    /// With a certificate to show.
    #[must_use]
    pub fn with_certificate(self, certificate: &[u8]) -> Self {
        Self { certificate: certificate.to_vec(), ..self }
    }

    /// A link with a session.
    #[track_caller]
    pub fn enter(&self) -> Result<Raw, Refusal> {
        self.enter_by(Raw::tcp(&self.socket))
    }

    fn enter_by(&self, mut raw: Raw) -> Result<Raw, Refusal> {
        if let Some((host, delegation)) = &self.host {
            raw.seal(host, delegation)?;
        }
        raw.open_session();
        Ok(raw)
    }

    /// Gives the device a root record.
    #[track_caller]
    pub fn enroll(&self, root: &[u8]) -> Result<(), Refusal> {
        let mut raw = self.enter()?;
        raw.offer(root)?;
        raw.ask(Request::Enroll, |_| ())?;
        raw.ask(Request::CloseSession, |_| ())
    }

    /// Installs for good.
    #[track_caller]
    pub fn install(&self, shipment: &Shipment) -> Result<(), Refusal> {
        let mut raw = self.stage(shipment)?;
        let trial_id = raw.open_trial(shipment.bundle(), PLAN, TERMS)?;
        let mut raw = self.boot_into(raw, trial_id)?;
        // What was shown in the boot before counts no longer.
        self.certify(&mut raw)?;
        let boot_nonce = raw.boot_nonce();
        raw.ask(Request::Confirm { trial_id, boot_nonce }, |_| ())
    }

    /// Fills the spare slot until the device says that it is staged.
    #[track_caller]
    pub fn stage(&self, shipment: &Shipment) -> Result<Raw, Refusal> {
        let mut raw = self.enter()?;
        self.certify(&mut raw)?;
        raw.offer(&shipment.envelope)?;
        let slot = raw.ask(Request::Stage { again: true }, |reply| match reply {
            Reply::Stage { slot, .. } => Some(slot),
            _ => None,
        });
        let slot = slot?.expect("a slot");
        for (index, payload) in shipment.payloads[slot as usize].iter().enumerate() {
            send(&mut raw, index, payload, shipment.block_size(index, slot))?;
        }
        raw.ask(Request::Finish, |_| ())?;
        Ok(raw)
    }

    /// Shows the certificate, if there is one.
    fn certify(&self, raw: &mut Raw) -> Result<(), Refusal> {
        if self.certificate.is_empty() {
            return Ok(());
        }
        raw.offer(&self.certificate)?;
        raw.ask(Request::Certify, |_| ())
    }

    /// Arms one boot of a trial and restarts the device; gives a session in what runs then.
    #[track_caller]
    pub fn boot_into(&self, mut raw: Raw, trial_id: u32) -> Result<Raw, Refusal> {
        raw.ask(Request::Arm { trial_id, boots: 1 }, |_| ())?;
        self.restart(raw)
    }

    /// Restarts the device; gives a session in what runs then.
    #[track_caller]
    pub fn restart(&self, mut raw: Raw) -> Result<Raw, Refusal> {
        let boot_nonce = raw.boot_nonce();
        raw.ask(Request::Reset { boot_nonce }, |_| ())?;
        drop(raw);
        self.enter_by(Raw::tcp_behind_reset(&self.socket, boot_nonce))
    }
}

/// Sends one component until nothing of it is missing.
fn send(raw: &mut Raw, index: usize, payload: &[u8], block_size: usize) -> Result<(), Refusal> {
    let component = u8::try_from(index).unwrap();
    raw.ask(Request::OpenComponent { index: component }, |_| ())?;
    loop {
        let bits = raw.ask(Request::Missing { first_block: 0 }, |reply| match reply {
            Reply::Missing { missing, bits, .. } if missing > 0 => bits.to_vec(),
            _ => Vec::new(),
        })?;
        let is_missing =
            |block: &usize| bits.get(block / 8).is_some_and(|byte| byte >> (block % 8) & 1 == 1);
        if bits.is_empty() {
            return Ok(());
        }
        for block in (0..bits.len() * 8).filter(is_missing).take(BLOCKS_AT_ONCE) {
            let start = block * block_size;
            let bytes = &payload[start..payload.len().min(start + block_size)];
            for (piece, bytes) in bytes.chunks(MAX_PIECE_BYTES).enumerate() {
                let offset = u64::try_from(start + piece * MAX_PIECE_BYTES).unwrap();
                raw.send_chunk(component, offset, bytes);
            }
        }
    }
}
