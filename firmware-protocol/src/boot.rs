//! Which image to start: one total, pure decision (BOOT.md, "Decision").
//!
//! The boot stage reads the record, asks [`decide`], stores the state it gives *before* the jump,
//! and jumps. An image that dies on its first instruction has then already spent its attempt.
//! Every combination of record, damage and reset cause maps to an action; the table in BOOT.md is
//! printed from this code.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::manifest::LifeCycle;
use crate::slot::{PerSlot, RejectReason, SlotId, SlotState};

/// Crashes that a confirmed image may have before its fallback gets the device.
pub const CONFIRMED_CRASH_BUDGET: u8 = 3;
/// Most boots that one arm request may allow.
pub const MAX_ARMED: u8 = 4;

/// What the device remembers between boots; one entry of [`crate::record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootState {
    /// The confirmed slot.
    pub active: Option<SlotId>,
    /// Crashes that the confirmed image has left.
    pub crash_left: u8,
    /// What each slot holds.
    pub slots: PerSlot<SlotState>,
    /// The open trial.
    pub trial: Option<Trial>,
    /// Lowest security version that is admitted; rises at confirm only.
    pub accept_floor: u64,
    /// Id of the next trial.
    pub next_trial_id: u32,
    /// The trial confirmed last; zero before the first.
    pub confirmed_trial_id: u32,
    /// Life cycle.
    pub life_cycle: LifeCycle,
    /// Version of the root record in force; zero in factory state.
    pub root_version: u32,
    /// SHA-256 of the body of the root record in force.
    pub root_digest: Digest,
    /// What a newer writer appended; carried through untouched.
    pub unknown: heapless::Vec<u8, UNKNOWN_BYTES>,
}

/// Most bytes of a newer writer that are carried through.
pub const UNKNOWN_BYTES: usize = 32;

impl Default for BootState {
    fn default() -> Self {
        Self {
            active: None,
            crash_left: CONFIRMED_CRASH_BUDGET,
            slots: PerSlot::default(),
            trial: None,
            accept_floor: 0,
            next_trial_id: 1,
            confirmed_trial_id: 0,
            life_cycle: LifeCycle::Factory,
            root_version: 0,
            root_digest: Digest::default(),
            unknown: heapless::Vec::new(),
        }
    }
}

/// A staged bundle's unproven runs; its slot's state names the bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// The slot on trial; the other one stays confirmed.
    pub slot: SlotId,
    /// Names this trial; never used again on this device.
    pub trial_id: u32,
    /// Digest of the plan that judges it.
    pub plan: Digest,
    /// Boots into the trial slot that are allowed right now.
    pub armed: u8,
    /// Crashes, hangs and unexpected resets left.
    pub crash_left: u8,
    /// Power failures left.
    pub power_left: u8,
    /// Boots left in all.
    pub boots_left: u16,
    /// Silence after which the device gives the trial up, in milliseconds.
    pub lease_ms: u32,
    /// Longest single boot, in milliseconds.
    pub boot_max_ms: u32,
    /// The last jump went into the trial slot and has not been accounted for.
    pub entered: bool,
    /// Floor to set at confirm.
    pub security_version: u64,
    /// Mark the old slot unfit at confirm.
    pub retires_fallback: bool,
}

/// Why the device started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResetCause {
    /// Power came on.
    PowerOn,
    /// Supply voltage dipped.
    BrownOut,
    /// The reset pin or button.
    Pin,
    /// The device reset itself on request, as its engine asked.
    Requested,
    /// The watchdog was not fed.
    Watchdog,
    /// The trial's hardware deadline passed.
    Deadline,
    /// A fault or lock-up.
    Crash,
    /// The hardware does not tell.
    Unknown,
}

impl ResetCause {
    /// Every cause.
    pub const ALL: [Self; 8] = [
        Self::PowerOn,
        Self::BrownOut,
        Self::Pin,
        Self::Requested,
        Self::Watchdog,
        Self::Deadline,
        Self::Crash,
        Self::Unknown,
    ];

    /// What a boot that ended so counts as.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::PowerOn | Self::BrownOut | Self::Pin => Blame::Power,
            Self::Requested => Blame::Nobody,
            Self::Watchdog | Self::Deadline | Self::Crash | Self::Unknown => Blame::Image,
        }
    }

    /// The cause in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOn => "power_on",
            Self::BrownOut => "brown_out",
            Self::Pin => "pin",
            Self::Requested => "requested",
            Self::Watchdog => "watchdog",
            Self::Deadline => "deadline",
            Self::Crash => "crash",
            Self::Unknown => "unknown",
        }
    }
}

/// Which budget a reset is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Somebody asked for it.
    Nobody,
    /// The supply, or a person.
    Power,
    /// The image that ran.
    Image,
}

/// Slots whose bytes were found not to match; a slot that was not looked at is not in it.
pub type Damage = PerSlot<bool>;

/// What to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Start {
    /// The image in this slot.
    Slot(SlotId),
    /// The recovery image.
    Recovery,
}

/// The row of the decision table that applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BootRow {
    /// B1: no record can be read.
    NoRecord,
    /// B2: an armed trial boot.
    TrialArmed,
    /// B3: a trial is open and not armed; the confirmed image runs meanwhile.
    TrialPaused,
    /// B4: the trial ended here, for the reason that its slot now carries.
    TrialEnded,
    /// B5: the confirmed image.
    Confirmed,
    /// B6: the confirmed slot is damaged; its fallback takes over for good.
    FallbackDamaged,
    /// B7: the confirmed image spent its crash budget; its fallback takes over for good.
    FallbackCrashed,
    /// B8: nothing that verifies is left.
    NothingBoots,
    /// B9: the confirmed image spent its crash budget and there is no fallback.
    CrashedAlone,
}

impl BootRow {
    /// Every row, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::NoRecord,
        Self::TrialArmed,
        Self::TrialPaused,
        Self::TrialEnded,
        Self::Confirmed,
        Self::FallbackDamaged,
        Self::FallbackCrashed,
        Self::NothingBoots,
        Self::CrashedAlone,
    ];

    /// The row's id in BOOT.md.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::NoRecord => "B1",
            Self::TrialArmed => "B2",
            Self::TrialPaused => "B3",
            Self::TrialEnded => "B4",
            Self::Confirmed => "B5",
            Self::FallbackDamaged => "B6",
            Self::FallbackCrashed => "B7",
            Self::NothingBoots => "B8",
            Self::CrashedAlone => "B9",
        }
    }

    /// Why the device started what it started, in words.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::NoRecord => "no boot record can be read, so the recovery image runs",
            Self::TrialArmed => "a trial boot was armed, so the trial image runs, unproven",
            Self::TrialPaused => {
                "a trial is open but no boot is armed, so the confirmed image runs meanwhile"
            }
            Self::TrialEnded => "the trial ended at this start, so the confirmed image runs",
            Self::Confirmed => "the confirmed image runs",
            Self::FallbackDamaged => {
                "the confirmed slot no longer matches its digest, so its fallback took over"
            }
            Self::FallbackCrashed => {
                "the confirmed image crashed too often, so its fallback took over"
            }
            Self::NothingBoots => {
                "no slot holds an image that verifies, so the recovery image runs"
            }
            Self::CrashedAlone => {
                "the confirmed image crashed too often and there is no fallback, so the recovery \
                 image runs"
            }
        }
    }
}

/// What [`decide`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to start.
    pub start: Start,
    /// Why.
    pub row: BootRow,
    /// The state to store before the start; equal to the old one when nothing is to be written.
    pub state: BootState,
}

/// Decides what to start.
///
/// `state` is the newest record entry that can be read. `damage` tells of slots already found not to
/// match; the caller asks again with more of it when the slot that was picked does not verify.
#[must_use]
pub fn decide(state: Option<&BootState>, damage: Damage, cause: ResetCause) -> Decision {
    let Some(state) = state else {
        let state = BootState::default();
        return Decision { start: Start::Recovery, row: BootRow::NoRecord, state };
    };
    let mut state = state.clone();
    account(&mut state, cause);
    let mut confirmed_row = BootRow::Confirmed;
    if let Some(trial) = state.trial {
        match trial_end(&state, trial, damage) {
            Some(reason) => {
                end_trial(&mut state, reason);
                confirmed_row = BootRow::TrialEnded;
            }
            None if trial.armed > 0 => return enter_trial(state, trial),
            None => confirmed_row = BootRow::TrialPaused,
        }
    }
    start_confirmed(state, damage, cause, confirmed_row)
}

/// Charges the boot that has just ended to the budget that its end belongs to.
fn account(state: &mut BootState, cause: ResetCause) {
    let blame = cause.blame();
    match &mut state.trial {
        Some(trial) if trial.entered => {
            trial.entered = false;
            match blame {
                Blame::Nobody => {}
                Blame::Power => trial.power_left = trial.power_left.saturating_sub(1),
                Blame::Image => trial.crash_left = trial.crash_left.saturating_sub(1),
            }
        }
        Some(_) | None if blame == Blame::Image => {
            state.crash_left = state.crash_left.saturating_sub(1);
        }
        Some(_) | None => {}
    }
}

/// Why the trial is over, if it is.
fn trial_end(state: &BootState, trial: Trial, damage: Damage) -> Option<RejectReason> {
    let staged = matches!(state.slots.get(trial.slot), SlotState::Staged { .. });
    if *damage.get(trial.slot) || !staged {
        Some(RejectReason::Corrupt)
    } else if trial.crash_left == 0 {
        Some(RejectReason::Crashed)
    } else if trial.power_left == 0 {
        Some(RejectReason::PowerLost)
    } else if trial.boots_left == 0 {
        Some(RejectReason::BootsSpent)
    } else {
        None
    }
}

/// Ends the open trial, if there is one: its slot keeps the bytes, and the reason why they may not
/// run.
pub fn end_trial(state: &mut BootState, reason: RejectReason) {
    let Some(trial) = state.trial.take() else {
        return;
    };
    let slot = state.slots.get_mut(trial.slot);
    // A record that names another slot than a staged one makes no sense; it must not cost a
    // confirmed image its slot.
    if let SlotState::Staged { bundle } = *slot {
        *slot = SlotState::Rejected { bundle, reason, trial_id: trial.trial_id };
    }
}

/// Makes the open trial's bundle the confirmed one: the one change that one record entry commits.
pub fn confirm_trial(state: &mut BootState) {
    let Some(trial) = state.trial.take() else {
        return;
    };
    let SlotState::Staged { bundle } = *state.slots.get(trial.slot) else {
        return;
    };
    *state.slots.get_mut(trial.slot) = SlotState::Admitted { bundle };
    let old = state.slots.get_mut(trial.slot.other());
    if let (true, Some(bundle)) = (trial.retires_fallback, old.bundle()) {
        *old = SlotState::Rejected { bundle, reason: RejectReason::Retired, trial_id: 0 };
    }
    state.active = Some(trial.slot);
    state.confirmed_trial_id = trial.trial_id;
    state.crash_left = CONFIRMED_CRASH_BUDGET;
    state.accept_floor = state.accept_floor.max(trial.security_version);
}

fn enter_trial(mut state: BootState, trial: Trial) -> Decision {
    state.trial = Some(Trial {
        armed: trial.armed.saturating_sub(1),
        boots_left: trial.boots_left.saturating_sub(1),
        entered: true,
        ..trial
    });
    Decision { start: Start::Slot(trial.slot), row: BootRow::TrialArmed, state }
}

fn start_confirmed(
    mut state: BootState,
    damage: Damage,
    cause: ResetCause,
    row: BootRow,
) -> Decision {
    let runs = |state: &BootState, slot: SlotId| {
        matches!(state.slots.get(slot), SlotState::Admitted { .. }) && !*damage.get(slot)
    };
    let Some(active) = state.active else {
        return Decision { start: Start::Recovery, row: BootRow::NothingBoots, state };
    };
    // A spent budget counts only right behind a crash: a power-on or a requested reset gives the
    // last image another try, so that one bad day does not leave a device in recovery for good.
    let crashed = state.crash_left == 0 && cause.blame() == Blame::Image;
    if runs(&state, active) && !crashed {
        return Decision { start: Start::Slot(active), row, state };
    }
    let fallback = active.other();
    if runs(&state, fallback) {
        let reason = if crashed { RejectReason::ConfirmedCrashed } else { RejectReason::Corrupt };
        let row = if crashed { BootRow::FallbackCrashed } else { BootRow::FallbackDamaged };
        if let Some(bundle) = state.slots.get(active).bundle() {
            *state.slots.get_mut(active) = SlotState::Rejected { bundle, reason, trial_id: 0 };
        }
        state.active = Some(fallback);
        state.crash_left = CONFIRMED_CRASH_BUDGET;
        return Decision { start: Start::Slot(fallback), row, state };
    }
    let row = if runs(&state, active) { BootRow::CrashedAlone } else { BootRow::NothingBoots };
    Decision { start: Start::Recovery, row, state }
}
