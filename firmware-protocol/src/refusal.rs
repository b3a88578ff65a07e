//! Why a device says no.

use core::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::delegation::Action;
use crate::slot::SlotId;

/// A device's refusal. Declaration order is the wire contract: append only, never reorder
/// (`tests/wire_golden.rs` pins each byte). A refusal changes nothing durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The request's encoding is not one this device knows.
    #[error("the device does not know this request: it speaks protocol {current}")]
    Unknown {
        /// Newest protocol version the device speaks.
        current: u8,
    },
    /// No protocol version is common to both sides.
    #[error("no common protocol version: the device speaks {min} to {current}")]
    ProtocolVersion {
        /// Oldest version the device speaks.
        min: u8,
        /// Newest version the device speaks.
        current: u8,
    },
    /// Another long step is running.
    #[error("the device is busy with an earlier request")]
    Busy,
    /// The request needs a session.
    #[error("the request needs a session and none is open")]
    NoSession,
    /// Another host holds the session.
    #[error("another host holds the session; its last request came {idle_ms} ms ago")]
    SessionHeld {
        /// Silence of the holder so far, in milliseconds.
        idle_ms: u32,
    },
    /// The session was taken over or the device has started anew.
    #[error("this session is over: another host took it, or the device restarted")]
    StaleSession,
    /// The random source failed; without it no session is safe.
    #[error("the device's random source failed, so it opens no session")]
    NoRandom,
    /// The device has no root record yet.
    #[error("the device is in factory state: it has no root record")]
    NotEnrolled,
    /// The device has taken another root record before.
    #[error("the device is enrolled under another root record")]
    AlreadyEnrolled,
    /// Pieces of a document do not join.
    #[error("document piece at byte {got}, expected byte {expected}")]
    DocumentPiece {
        /// Where the next piece belongs.
        expected: u32,
        /// Where the piece said it belongs.
        got: u32,
    },
    /// A document is longer than the device takes.
    #[error("document of {got} bytes, the device takes {limit}")]
    DocumentTooLong {
        /// Length offered.
        got: u32,
        /// Most the device takes.
        limit: u32,
    },
    /// A signed document does not parse.
    #[error("the signed document is malformed")]
    Malformed,
    /// Too few trusted keys signed.
    #[error("{valid} of {needed} needed signatures are by trusted keys and correct")]
    UntrustedSignature {
        /// Unique trusted keys whose signature is correct.
        valid: u8,
        /// Threshold of the role.
        needed: u8,
    },
    /// The bundle is for another product.
    #[error("the bundle is for another product")]
    WrongProduct,
    /// The bundle is not for this hardware or revision.
    #[error("the bundle is not for this hardware (revision {revision})")]
    WrongHardware {
        /// The device's revision.
        revision: u32,
    },
    /// The bundle's security version is below the floor.
    #[error("security version {offered} is below the device's floor {floor}")]
    BelowFloor {
        /// The bundle's.
        offered: u64,
        /// The device's.
        floor: u64,
    },
    /// The running version is too old to come from.
    #[error("the running version is older than the oldest the bundle can come from")]
    TooOldToComeFrom,
    /// The device has no place for the component, or the bundle lacks one.
    #[error("the bundle's components are not the device's (component {index})")]
    Components {
        /// Which component of the bundle, or their count if one is missing.
        index: u8,
    },
    /// No variant of a component fits the slot.
    #[error("component {index} has no variant for slot {slot}")]
    NoVariant {
        /// Which component.
        index: u8,
        /// The spare slot.
        slot: SlotId,
    },
    /// A component is larger than its area.
    #[error("component {index} has {got} bytes, its area {limit}")]
    TooLarge {
        /// Which component.
        index: u8,
        /// Bytes needed.
        got: u64,
        /// Bytes there are.
        limit: u64,
    },
    /// The block size does not suit the device.
    #[error("component {index} has a block size of {got} bytes, the device takes {limit} at most")]
    BlockSize {
        /// Which component.
        index: u8,
        /// The bundle's block size.
        got: u32,
        /// The largest the device takes for this length.
        limit: u32,
    },
    /// The device cannot decode this encoding.
    #[error("component {index} has an encoding the device does not take")]
    Encoding {
        /// Which component.
        index: u8,
    },
    /// A trial is open; finish it first.
    #[error("trial {trial_id} is open")]
    TrialOpen {
        /// The open trial.
        trial_id: u32,
    },
    /// No trial is open.
    #[error("no trial is open")]
    NoTrial,
    /// The request names another trial.
    #[error("the request names trial {named}, open is trial {open}")]
    WrongTrial {
        /// The request's.
        named: u32,
        /// The device's.
        open: u32,
    },
    /// The request names another boot.
    #[error("the request names another boot of the device")]
    WrongBoot,
    /// The running image is not the trial's.
    #[error("the trial image is not the one running")]
    NotInTrial,
    /// The spare slot does not hold this bundle, verified.
    #[error("the spare slot does not hold this bundle, staged")]
    NotStaged,
    /// Nothing is being staged.
    #[error("no stage is open")]
    NoStage,
    /// Blocks are missing or wrong.
    #[error("component {component} is not complete")]
    Incomplete {
        /// Which component.
        component: u8,
    },
    /// A number is outside what the device allows.
    #[error("{got} is more than the device's limit of {limit}")]
    Limit {
        /// Asked for.
        got: u32,
        /// Allowed.
        limit: u32,
    },
    /// No such component, check or area.
    #[error("there is no item {index}")]
    NoSuchItem {
        /// The index asked for.
        index: u32,
    },
    /// Flash failed.
    #[error("flash failed: a read, program or erase did not succeed")]
    Flash,
    /// A bundle that this device rejected before.
    #[error("the device rejected this bundle {}", RejectedWhen(*trial_id))]
    RejectedBefore {
        /// The trial that ended so.
        trial_id: u32,
    },
    /// The device has lost its boot record, and still holds another root record than the one offered.
    #[error(
        "the device lost its boot record and still holds another root record: enrol it under that one"
    )]
    InRecovery,
    /// A root record of this device's root, and not the next one.
    #[error("root record {got}, the device takes {expected} next: new ones are taken one by one")]
    RootVersion {
        /// The one behind the one in force.
        expected: u32,
        /// The one offered.
        got: u32,
    },
    /// Flash does not give back the root record that the boot record names, so nothing signed can be judged.
    #[error("flash has lost root record {version}, which the device is enrolled under")]
    RootLost {
        /// Its version.
        version: u32,
    },
    /// Everything of this epoch was taken back.
    #[error("signed in epoch {offered}, the device's root record lets {lowest} and later count")]
    BelowEpoch {
        /// The document's.
        offered: u32,
        /// The root record's.
        lowest: u32,
    },
    /// The security version rises by more than the root record lets it at once.
    #[error(
        "security version {offered} is too far above the device's floor: it takes {most} at most"
    )]
    SecurityStep {
        /// The bundle's.
        offered: u64,
        /// The highest that the device takes next.
        most: u64,
    },
    /// The root record wants a certificate for this bundle, and none was shown in this boot.
    #[error("the device wants a certificate of level {level} or higher for this bundle")]
    CertificateNeeded {
        /// Lowest level.
        level: u8,
    },
    /// The certificate is of a lower level than the root record wants.
    #[error("the certificate has level {got}, the device wants {lowest} or higher")]
    CertificateLevel {
        /// The certificate's.
        got: u8,
        /// The root record's.
        lowest: u8,
    },
    /// The trial's plan is not the one that the certificate was made for.
    #[error("the trial runs by another plan than the one the bundle is certified for")]
    CertificatePlan,
    /// The life cycle is `field`, and the link is not sealed or its host showed no delegation.
    #[error("the device takes changes from a host with a delegation only, on a sealed link")]
    NotAuthenticated,
    /// The delegation does not name what the request is about.
    #[error("the host's delegation does not allow it to {action}")]
    NotDelegated {
        /// What it would need.
        action: Action,
    },
    /// The delegation was made for the key of another host.
    #[error("the delegation is for another host's key")]
    DelegationHost,
    /// The delegation is about other devices.
    #[error("the delegation is not for this device's serial number")]
    DelegationDevice,
    /// The delegation is over: the device has seen a signed statement that is newer.
    #[error("the delegation ended {} s before the newest signed statement that the device has seen",
        seen_s.saturating_sub(*not_after_s))]
    DelegationOver {
        /// Last second in which it counts.
        not_after_s: u64,
        /// The newest time that the device knows.
        seen_s: u64,
    },
    /// The board has no key for sealed links.
    #[error(
        "the device has no identity key, so it has no sealed links and cannot be a field device"
    )]
    NoIdentity,
    /// A floor is lowered on devices of the life cycle `development` only.
    #[error("the device's floor is never lowered: its life cycle is not development")]
    NotOnABench,
    /// The bench reset was made for another device.
    #[error("the bench reset is for another device")]
    ResetDevice,
    /// A bench reset raises no floor.
    #[error(
        "the bench reset names floor {offered}, and the device's is {floor}: it only lowers one"
    )]
    FloorNotLower {
        /// The one it names.
        offered: u64,
        /// The device's.
        floor: u64,
    },
    /// The delegation is about other products.
    #[error("the delegation is not for this product")]
    DelegationProduct,
}

/// When a bundle was rejected, in words; outside a trial there is no number.
struct RejectedWhen(u32);

impl fmt::Display for RejectedWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("after its confirm"),
            trial_id => write!(f, "in trial {trial_id}"),
        }
    }
}

impl Refusal {
    /// The component that it is about, by its place in the bundle; their number where one is too many or
    /// too few.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is about no component")]
    pub const fn component(self) -> Option<u8> {
        match self {
            Self::Components { index }
            | Self::NoVariant { index, .. }
            | Self::TooLarge { index, .. }
            | Self::BlockSize { index, .. }
            | Self::Encoding { index }
            | Self::Incomplete { component: index } => Some(index),
            _ => None,
        }
    }
}
