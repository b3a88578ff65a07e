//! A stage: checks that run in order against one slot.

use core::fmt;

use serde::Serialize;

use super::Check;

/// What a stage is for. Stages of a plan stand in this order; `iq`, `oq` and `pq` may mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKind {
    /// Before the trial: is this the right device, and in order?
    Preflight,
    /// Installation: is what was sent what is there?
    Iq,
    /// Operation: does it do what it should? (default)
    Oq,
    /// Performance: does it do so under load and over time?
    Pq,
    /// The last look before confirm, still on trial.
    Commit,
    /// After confirm. A failure here rejects the run but can no longer roll back.
    Post,
}

impl StageKind {
    /// The slot that a stage of this kind runs on unless it says otherwise.
    #[must_use]
    pub const fn default_slot(self) -> SlotRole {
        match self {
            Self::Preflight => SlotRole::Incumbent,
            Self::Iq | Self::Oq | Self::Pq | Self::Commit => SlotRole::Trial,
            Self::Post => SlotRole::Committed,
        }
    }

    /// Whether a stage of this kind can run on `slot`.
    #[must_use]
    pub const fn allows(self, slot: SlotRole) -> bool {
        match self {
            Self::Preflight => matches!(slot, SlotRole::Incumbent | SlotRole::Inactive),
            Self::Iq | Self::Oq | Self::Pq | Self::Commit => matches!(slot, SlotRole::Trial),
            Self::Post => matches!(slot, SlotRole::Committed),
        }
    }

    /// Place in a run; a plan's stages never step back.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Preflight => 0,
            Self::Iq | Self::Oq | Self::Pq => 1,
            Self::Commit => 2,
            Self::Post => 3,
        }
    }
}

/// The state of the device that a stage expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotRole {
    /// The old version runs, as before the deployment.
    Incumbent,
    /// The old version runs, the new one lies verified in the spare slot.
    Inactive,
    /// The new version runs on trial.
    Trial,
    /// The new version runs and is confirmed.
    Committed,
}

impl SlotRole {
    /// The word of plans and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Incumbent => "incumbent",
            Self::Inactive => "inactive",
            Self::Trial => "trial",
            Self::Committed => "committed",
        }
    }

    /// Whether the new version is the one that runs.
    #[must_use]
    pub const fn runs_new(self) -> bool {
        matches!(self, Self::Trial | Self::Committed)
    }
}

impl fmt::Display for SlotRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Checks that run in order against one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Unique in the plan.
    pub id: String,
    /// What the stage is for.
    pub kind: StageKind,
    /// What must be running.
    pub slot: SlotRole,
    /// Line in the plan, from 1.
    pub line: u32,
    /// The checks; never empty.
    pub checks: Vec<Check>,
}
