//! The two slots, and what the record knows of each.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// One of the two banks; each holds every component of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SlotId {
    /// The first bank.
    A,
    /// The second bank.
    B,
}

impl SlotId {
    /// Both slots, in order.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The slot that this one is not.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// One value for each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PerSlot<T> {
    /// Slot A's.
    pub a: T,
    /// Slot B's.
    pub b: T,
}

impl<T> PerSlot<T> {
    /// The value of `slot`.
    pub const fn get(&self, slot: SlotId) -> &T {
        match slot {
            SlotId::A => &self.a,
            SlotId::B => &self.b,
        }
    }

    /// The value of `slot`, to change it.
    pub const fn get_mut(&mut self, slot: SlotId) -> &mut T {
        match slot {
            SlotId::A => &mut self.a,
            SlotId::B => &mut self.b,
        }
    }
}

/// Why a slot's bundle may not run, kept in the record (BOOT.md, "Slot states").
///
/// The number is the on-flash contract: append only, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum RejectReason {
    /// The host judged the trial and asked for the rollback.
    HostDecided = 1,
    /// No request renewed the lease in time, or the image was not ready to take one.
    LeaseExpired = 2,
    /// One trial boot ran longer than the trial's terms allow.
    BootLimit = 3,
    /// The trial's image crashed, hung or reset unexpectedly once too often.
    Crashed = 4,
    /// Power failed during trial boots once too often.
    PowerLost = 5,
    /// All boots of the trial were used without a confirm.
    BootsSpent = 6,
    /// The slot's bytes no longer match the digest recorded for it.
    Corrupt = 7,
    /// A confirmed image crashed, hung or reset unexpectedly once too often.
    ConfirmedCrashed = 8,
    /// A later version declared this one unfit to fall back to.
    Retired = 9,
    /// The host gave the trial up without having judged it.
    Withdrawn = 10,
}

impl RejectReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::HostDecided,
        Self::LeaseExpired,
        Self::BootLimit,
        Self::Crashed,
        Self::PowerLost,
        Self::BootsSpent,
        Self::Corrupt,
        Self::ConfirmedCrashed,
        Self::Retired,
        Self::Withdrawn,
    ];

    /// The reason with this number, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }
}

impl RejectReason {
    /// The reason as a clause: "it was rejected because ...".
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::HostDecided => "the host rolled it back",
            Self::LeaseExpired => {
                "its lease expired: no host renewed it in time, or the image did not listen"
            }
            Self::BootLimit => "a trial boot ran longer than its limit",
            Self::Crashed => {
                "the trial image crashed, hung, reset by itself or was not ready in time"
            }
            Self::PowerLost => "power failed too often during the trial",
            Self::BootsSpent => "all trial boots were used without a confirm",
            Self::Corrupt => "its bytes no longer match the recorded digest",
            Self::ConfirmedCrashed => "the confirmed image crashed or hung too often",
            Self::Retired => "a later version retired it as a fallback",
            Self::Withdrawn => "the host gave the trial up without having judged it",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.explanation())
    }
}

/// What the record says a slot holds.
///
/// A slot is marked `Writing` before its first erase, so a half-written slot is never taken for
/// anything else (BOOT.md, "Slot states").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SlotState {
    /// Nothing that matters.
    #[default]
    Empty,
    /// Being written; contents are anything between the old and the new.
    Writing {
        /// The bundle on its way in.
        bundle: Digest,
    },
    /// Written, read back and equal to a verified manifest; never run, or not yet confirmed.
    Staged {
        /// The bundle it holds.
        bundle: Digest,
    },
    /// Ran on trial, or was found damaged, and may not run again by itself. The bytes stay.
    Rejected {
        /// The bundle it holds.
        bundle: Digest,
        /// Why.
        reason: RejectReason,
        /// The trial that ended so; zero when no trial was open.
        trial_id: u32,
    },
    /// Confirmed once: may run, and serves as fallback.
    Admitted {
        /// The bundle it holds.
        bundle: Digest,
    },
}

impl SlotState {
    /// The bundle that the slot holds or is receiving.
    #[must_use]
    pub const fn bundle(&self) -> Option<Digest> {
        match self {
            Self::Empty => None,
            Self::Writing { bundle }
            | Self::Staged { bundle }
            | Self::Rejected { bundle, .. }
            | Self::Admitted { bundle } => Some(*bundle),
        }
    }

    /// The state in one word, as design and reports use it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Writing { .. } => "writing",
            Self::Staged { .. } => "staged",
            Self::Rejected { .. } => "rejected",
            Self::Admitted { .. } => "admitted",
        }
    }
}
