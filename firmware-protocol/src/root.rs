//! What a root record says: whose signatures count, and what a device takes (TRUST.md).
//!
//! As in [`crate::manifest`] these types are only the meaning of bytes; [`crate::trust`] decides.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::manifest::{DecodeError, check, decode};

/// Most keys of one role.
pub const MAX_KEYS: usize = 5;

/// An Ed25519 public key.
pub type PublicKey = [u8; 32];

/// The signed word of the root: whose signatures count (TRUST.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootRecord {
    /// Counts rotations, from 1.
    pub version: u32,
    /// Keys of the root role.
    pub root: RoleKeys,
    /// Keys of the release role: they sign manifests.
    pub release: RoleKeys,
    /// Keys of the qualify role, if there is one: they sign certificates.
    pub qualify: RoleKeys,
    /// Keys of the operate role, if there is one: they sign delegations.
    pub operate: RoleKeys,
    /// The life cycle that enrolment puts a device into.
    pub life_cycle: LifeCycle,
    /// What the device allows a trial to ask for, and what it asks of a bundle.
    pub policy: Policy,
    /// The lowest epochs that count.
    pub epochs: Epochs,
    /// When it was made, in seconds since 1970-01-01 UTC.
    pub made_at_s: u64,
    /// Its time takes the place of the newest one that the device has seen signed, also where that is newer: the way
    /// back for devices that a statement with a time of the future has reached.
    pub resets_time: bool,
}

/// The lowest epoch of each kind of document that still counts. Raising one takes back everything that was signed
/// below it, without a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Epochs {
    /// Of manifests.
    pub release: u32,
    /// Of certificates.
    pub qualify: u32,
    /// Of delegations.
    pub operate: u32,
}

/// The keys of a role, and how many of them must sign. Without keys and with a threshold of zero the role is not used,
/// and nobody can sign for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// The keys, each once.
    pub keys: Vec<PublicKey, MAX_KEYS>,
    /// How many must sign, at least one.
    pub threshold: u8,
}

impl RoleKeys {
    /// True when nobody has this role.
    #[must_use]
    pub fn is_unused(&self) -> bool {
        self.keys.is_empty() && self.threshold == 0
    }

    /// True when the keys are unique, and enough for the threshold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let unique = self.keys.iter().enumerate().all(|(index, key)| {
            self.keys.iter().skip(index.saturating_add(1)).all(|other| other != key)
        });
        unique && self.threshold >= 1 && usize::from(self.threshold) <= self.keys.len()
    }
}

/// Life cycle of a device. The number is the on-flash contract: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum LifeCycle {
    /// Takes one root record, installs nothing.
    #[default]
    Factory,
    /// Takes bundles signed by release keys, on plain links.
    Development,
    /// Takes changes on sealed links only, from hosts with a delegation.
    Field,
}

/// What a trial may ask for, and what a bundle has to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Most boots of one trial.
    pub max_boots: u16,
    /// Longest boot of a trial, in milliseconds.
    pub max_boot_ms: u32,
    /// Longest lease, in milliseconds.
    pub max_lease_ms: u32,
    /// Lowest security version, whatever the device has confirmed so far: a device that lost its record has no floor of
    /// its own.
    pub lowest_security_version: u64,
    /// How far the security version of a bundle may lie above the device's floor: who has stolen a release key
    /// cannot use up all numbers at once.
    pub max_security_step: u64,
    /// Whether a certificate is needed.
    pub certificate: CertificateNeed,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_boots: 200,
            max_boot_ms: 4 * 3_600_000,
            max_lease_ms: 600_000,
            lowest_security_version: 0,
            max_security_step: 1000,
            certificate: CertificateNeed::Never,
        }
    }
}

/// When a device wants to see a certificate, and of which level at least. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CertificateNeed {
    /// Never.
    Never,
    /// Before it confirms a trial.
    BeforeConfirm {
        /// Lowest level.
        level: u8,
    },
    /// Before it takes a byte.
    BeforeStage {
        /// Lowest level.
        level: u8,
    },
}

impl CertificateNeed {
    /// The lowest level, where a certificate is needed at all.
    #[must_use]
    pub const fn level(self) -> Option<u8> {
        match self {
            Self::Never => None,
            Self::BeforeConfirm { level } | Self::BeforeStage { level } => Some(level),
        }
    }

    /// The lowest level that a bundle has to show before it is staged.
    #[must_use]
    pub const fn to_stage(self) -> Option<u8> {
        match self {
            Self::BeforeStage { level } => Some(level),
            Self::Never | Self::BeforeConfirm { .. } => None,
        }
    }
}

/// Decodes a root record and checks that it can be satisfied.
///
/// # Errors
/// When the body does not decode whole, or its keys and thresholds make no sense.
pub fn decode_root(body: &[u8]) -> Result<RootRecord, DecodeError> {
    let root: RootRecord = decode(body)?;
    check(root.version >= 1, "root versions start at 1")?;
    check(root.root.is_sound(), "root keys are unique and enough for their threshold")?;
    check(root.release.is_sound(), "release keys are unique and enough for their threshold")?;
    let qualify = &root.qualify;
    check(
        qualify.is_unused() || qualify.is_sound(),
        "qualify keys are unique and enough for their threshold",
    )?;
    let operate = &root.operate;
    check(
        operate.is_unused() || operate.is_sound(),
        "operate keys are unique and enough for their threshold",
    )?;
    let is_reachable = root.life_cycle != LifeCycle::Field || !operate.is_unused();
    check(is_reachable, "somebody can say who may work on a field device")?;
    let is_satisfiable = root.policy.certificate == CertificateNeed::Never || !qualify.is_unused();
    check(is_satisfiable, "a certificate that is needed can be signed by somebody")?;
    check(root.life_cycle != LifeCycle::Factory, "a root record ends the factory state")?;
    Ok(root)
}
