//! What a host asks (PROTOCOL.md, "Messages").

use serde::{Deserialize, Serialize};

use crate::delegation::Action;
use crate::digest::Digest;
use crate::slot::SlotId;

/// A request with its id and session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToDevice<'a> {
    /// Names the request; the reply repeats it.
    pub id: u32,
    /// The session it is made in; zero where none is needed.
    pub session: u32,
    /// What is asked.
    #[serde(borrow)]
    pub request: Request<'a>,
}

/// What a host asks. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// First word of a connection: the protocol versions the host speaks.
    Hello {
        /// Oldest.
        min: u8,
        /// Newest.
        current: u8,
    },
    /// Who and what are you?
    Identify,
    /// What does the record say, and why do you run what you run?
    Status,
    /// Describe one component area.
    Area {
        /// Which.
        index: u8,
    },
    /// Describe one on-device check.
    Check {
        /// Which.
        index: u8,
    },
    /// Open the one session in which anything can be changed.
    OpenSession {
        /// Take it from its holder, alive or not.
        take_over: bool,
        /// The trial that the host has armed and is driving; zero for none.
        trial_id: u32,
    },
    /// Give the session back.
    CloseSession,
    /// A piece of a signed document, in order.
    Offer {
        /// Length of the whole document, in bytes.
        total_bytes: u32,
        /// Where the piece belongs.
        offset: u32,
        /// The piece.
        bytes: &'a [u8],
    },
    /// Take the offered document as the root record.
    Enroll,
    /// Take the offered document as the manifest of what is to be staged.
    Stage {
        /// Also a bundle that this device rejected before.
        again: bool,
    },
    /// Go on to one component.
    OpenComponent {
        /// Which, by its place in the manifest.
        index: u8,
    },
    /// Digests of the component's blocks, in order: what the slot holds already is kept.
    BlockList {
        /// First block told of.
        first_block: u32,
        /// SHA-256 after SHA-256.
        digests: &'a [u8],
    },
    /// Which blocks are not there yet?
    Missing {
        /// First block asked for.
        first_block: u32,
    },
    /// Everything is sent: read it all back.
    Finish,
    /// Open a trial of the staged bundle.
    OpenTrial {
        /// The staged bundle.
        bundle: Digest,
        /// The plan that will judge it.
        plan: Digest,
        /// Its bounds.
        terms: TrialTerms,
    },
    /// Allow this many boots into the trial slot, in all.
    Arm {
        /// The open trial.
        trial_id: u32,
        /// Boots, at most [`crate::boot::MAX_ARMED`].
        boots: u8,
    },
    /// Reset, if this is still the boot meant.
    Reset {
        /// The boot meant.
        boot_nonce: u64,
    },
    /// Nothing but a sign of life: renews lease and session.
    Renew,
    /// The trial is proven: make it the confirmed version.
    Confirm {
        /// The open trial.
        trial_id: u32,
        /// The boot that was judged.
        boot_nonce: u64,
    },
    /// The trial has failed: give it up and reset into the confirmed version.
    Rollback {
        /// The open trial.
        trial_id: u32,
    },
    /// Run an on-device check and tell what it found.
    RunCheck {
        /// Which.
        index: u8,
    },
    /// Hash what a slot holds of a component.
    HashComponent {
        /// The slot.
        slot: SlotId,
        /// Which component, by its area.
        area: u8,
    },
    /// The trial cannot be judged, by no fault of the bundle: give it up as `Rollback` does, and say
    /// so in its slot.
    Withdraw {
        /// The open trial.
        trial_id: u32,
    },
    /// How worn is the flash?
    Wear,
    /// Bytes of the boot record as flash holds them: both its ranges, one behind the other.
    RecordBytes {
        /// First byte asked for.
        offset: u32,
        /// How many, at most [`super::MAX_RECORD_PIECE_BYTES`].
        length: u16,
    },
    /// Which root record is in force, and does flash still hold it?
    RootStatus,
    /// Take the offered document as the certificate of a bundle, until the next boot.
    Certify,
    /// Take the offered document as a bench reset: go back below the floor, on a device of a bench.
    BenchReset,
}

impl Request<'_> {
    /// What a session has to be allowed for this. What needs no session, gives one back or is proven by its own signatures needs
    /// nothing.
    #[must_use]
    pub const fn action(&self) -> Option<Action> {
        match self {
            Self::Hello { .. }
            | Self::Identify
            | Self::Status
            | Self::Area { .. }
            | Self::Check { .. }
            | Self::OpenSession { .. }
            | Self::CloseSession
            | Self::Offer { .. }
            | Self::Enroll
            | Self::Renew
            | Self::Wear
            | Self::RecordBytes { .. }
            | Self::RootStatus => None,
            Self::Stage { .. }
            | Self::OpenComponent { .. }
            | Self::BlockList { .. }
            | Self::Missing { .. }
            | Self::Finish
            | Self::Certify => Some(Action::Stage),
            Self::OpenTrial { .. }
            | Self::Arm { .. }
            | Self::Reset { .. }
            | Self::Rollback { .. }
            | Self::Withdraw { .. }
            | Self::RunCheck { .. }
            | Self::HashComponent { .. } => Some(Action::Trial),
            Self::Confirm { .. } | Self::BenchReset => Some(Action::Confirm),
        }
    }

    /// Whether a device may say that it works on this: what only asks is answered at once.
    #[must_use]
    pub const fn may_take_long(&self) -> bool {
        !matches!(
            self,
            Self::Hello { .. }
                | Self::Identify
                | Self::Status
                | Self::Area { .. }
                | Self::Check { .. }
                | Self::OpenSession { .. }
                | Self::CloseSession
                | Self::Offer { .. }
                | Self::Missing { .. }
                | Self::Renew
                | Self::Wear
                | Self::RecordBytes { .. }
                | Self::RootStatus
        )
    }
}

/// Bounds of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialTerms {
    /// Boots in all.
    pub boots: u16,
    /// Crashes, hangs and unexpected resets before the device gives up.
    pub crashes: u8,
    /// Power failures before the device gives up.
    pub power_failures: u8,
    /// Silence after which the device gives up, in milliseconds.
    pub lease_ms: u32,
    /// Longest single boot, in milliseconds.
    pub boot_max_ms: u32,
}
