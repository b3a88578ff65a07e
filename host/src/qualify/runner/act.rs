//! What a deployment may do to a device, and what it may see.

use crate::evidence::Entry;
use crate::qualify::observation::{Ask, DeviceFacts, Seen, StatusFacts, Where};

use super::Ended;

/// Something to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Find the device, open a session, identify it and read its record. With `not_boot`, wait until
    /// it runs another boot than that. Shows [`Saw::Connected`] or [`Saw::Lost`].
    Connect {
        /// Give up then.
        until_ms: u64,
        /// Nonce of the boot that must be over.
        not_boot: Option<u64>,
    },
    /// Identify the device and read its record without a session: another host has that. Shows
    /// [`Saw::Connected`] or [`Saw::Lost`].
    Look {
        /// Give up then.
        until_ms: u64,
    },
    /// Hash every component of a slot. Shows [`Saw::Hashes`].
    HashSlot {
        /// The slot.
        slot: Where,
    },
    /// Bring the bundle into the spare slot and read it back. Shows [`Saw::Staged`].
    Stage {
        /// The spare slot, for which the bundle's variants are picked.
        slot: Where,
        /// Also what the device rejected before.
        again: bool,
        /// Give up then: what is in the slot stays there for the next run.
        until_ms: u64,
    },
    /// Open a trial of the staged bundle. Shows [`Saw::Trial`].
    OpenTrial {
        /// Digest of the plan that judges it.
        plan: [u8; 32],
        /// Its bounds.
        terms: Terms,
    },
    /// Allow boots into the trial slot. Shows [`Saw::Done`].
    Arm {
        /// The trial.
        trial_id: u64,
        /// How many.
        boots: u8,
    },
    /// Reset the device. Shows [`Saw::Done`].
    Reset {
        /// Nonce of the boot that is meant.
        boot_nonce: u64,
    },
    /// Ask something for a check. Shows [`Saw::Seen`].
    Ask(Ask),
    /// Do nothing for a while, but keep the lease. Shows [`Saw::Done`] or [`Saw::Lost`].
    WaitUntil {
        /// Until then.
        at_ms: u64,
    },
    /// Make the trial the confirmed version. Shows [`Saw::Done`].
    Confirm {
        /// The trial.
        trial_id: u64,
        /// The boot that was judged.
        boot_nonce: u64,
    },
    /// Give the trial up. Shows [`Saw::Done`].
    Rollback {
        /// The trial.
        trial_id: u64,
        /// The checks have rejected the bundle; else the same bundle may simply be tried again.
        blames_bundle: bool,
    },
    /// Put this on record; shows nothing.
    Record {
        /// When it happened.
        at_ms: u64,
        /// What.
        entry: Box<Entry>,
    },
    /// The run is over; shows nothing.
    End(Box<Ended>),
}

/// Bounds of a trial, as the plan asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Boots in all.
    pub boots: u16,
    /// Crashes of its image before the device gives up.
    pub crashes: u8,
    /// Silence after which the device gives up, in milliseconds.
    pub lease_ms: u32,
    /// Longest single boot, in milliseconds.
    pub boot_max_ms: u32,
}

/// What an act has shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Saw {
    /// The device answered.
    Connected {
        /// Who it is and what it runs.
        facts: Box<DeviceFacts>,
        /// Its record.
        status: Box<StatusFacts>,
        /// When its first answer came.
        at_ms: u64,
    },
    /// Digests of a slot's components.
    Hashes(Vec<ComponentHash>),
    /// The bundle is in the slot.
    Staged(StagedFacts),
    /// A trial is open.
    Trial {
        /// Its id.
        trial_id: u64,
    },
    /// Done.
    Done,
    /// An answer for a check.
    Seen(Seen),
    /// The device said no.
    Refused {
        /// Its reason.
        reason: String,
        /// Only because the session is over.
        is_stale: bool,
        /// What to do about it.
        next: &'static str,
    },
    /// What answered is not the device that is meant, or takes no word from this host: nothing was asked of it.
    NotMet {
        /// Why, as a sentence.
        reason: String,
        /// What to do about it.
        next: &'static str,
    },
    /// The link or the tool failed, or nobody answered.
    Lost {
        /// What was missing.
        missing: Missing,
        /// What happened.
        reason: String,
        /// What to do about it.
        next: &'static str,
    },
}

/// What was missing when something did not come through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The way to the device: a port that is not there, a connection that was refused or has ended.
    /// Says nothing about the device.
    Link,
    /// An answer that makes sense, over a link that opens.
    Answer,
    /// The session: another host has it.
    Session,
}

/// One component of a slot as its bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentHash {
    /// The component.
    pub name: String,
    /// It is what the bundle says, and erased behind its end.
    pub matches: bool,
}

/// How a bundle came into its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StagedFacts {
    /// The slot.
    pub slot: Where,
    /// It was there already.
    pub is_found_done: bool,
    /// An earlier attempt had begun it.
    pub is_resumed: bool,
    /// Bytes of all components.
    pub total_bytes: u64,
    /// Bytes that were there already.
    pub kept_bytes: u64,
    /// Component bytes that the host sent, repeated ones included.
    pub sent_bytes: u64,
    /// Component bytes that the device's side of the link has counted.
    pub device_bytes: u64,
    /// How long it took.
    pub took_ms: u64,
}

impl Saw {
    /// What it means, for messages.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Refused { reason, .. }
            | Self::NotMet { reason, .. }
            | Self::Lost { reason, .. } => reason.clone(),
            Self::Seen(seen) => seen.word().to_owned(),
            Self::Connected { .. }
            | Self::Hashes(_)
            | Self::Staged(_)
            | Self::Trial { .. }
            | Self::Done => "the device answered out of turn".to_owned(),
        }
    }
}
