//! Which image to start: one total, pure decision (BOOT.md, "Decision").
//!
//! The boot stage reads the record, asks [`decide`], stores the state it gives *before* the jump,
//! and jumps. An image that dies on its first instruction has then already spent its attempt.
//! Every combination of record, damage and reset cause maps to an action; the table in BOOT.md is
//! printed from this code.

mod cause;
mod row;
mod state;

use crate::planted::Mistake;
use crate::slot::{PerSlot, RejectReason, SlotId, SlotState};

pub use self::cause::{Blame, ResetCause};
pub use self::row::{BootRow, Start};
pub use self::state::{BootState, CARRIED_BYTES, Carried, Trial, confirm_trial, end_trial};

/// Crashes that a confirmed image may have before its fallback gets the device.
pub const CONFIRMED_CRASH_BUDGET: u8 = 3;
/// Newest layout of the boot record that this code writes and fully understands.
pub const RECORD_VERSION: u8 = 2;
/// Most boots that one arm request may allow.
pub const MAX_ARMED: u8 = 4;

/// What speaks against starting a slot, as far as this boot knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finding {
    /// Nothing, or nobody has looked.
    #[default]
    Nothing,
    /// It cannot be read, or its start cannot be recorded. The next boot may see it otherwise, so
    /// nothing about the slot is stored.
    PassOver,
    /// It was read through and does not match its digest.
    Damaged,
}

/// What was found about both slots.
pub type Findings = PerSlot<Finding>;

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
/// `state` is the newest record entry that can be read. The caller asks again with one finding more when
/// the slot that was picked cannot be started.
#[must_use]
pub fn decide(state: Option<&BootState>, findings: Findings, cause: ResetCause) -> Decision {
    let Some(state) = state else {
        let state = BootState::default();
        return Decision { start: Start::Recovery, row: BootRow::NoRecord, state };
    };
    let mut state = state.clone();
    account(&mut state, cause);
    let mut confirmed_row = BootRow::Confirmed;
    if let Some(trial) = state.trial {
        let found = *findings.get(trial.slot);
        match trial_end(&state, trial, found, cause) {
            Some(reason) => {
                end_trial(&mut state, reason);
                confirmed_row = BootRow::TrialEnded;
            }
            None if trial.armed == 0 => confirmed_row = BootRow::TrialPaused,
            None if found == Finding::Nothing => return enter_trial(state, trial),
            None => confirmed_row = BootRow::PassedOver,
        }
    }
    start_confirmed(state, findings, cause, confirmed_row)
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
fn trial_end(
    state: &BootState,
    trial: Trial,
    found: Finding,
    cause: ResetCause,
) -> Option<RejectReason> {
    let staged = matches!(state.slots.get(trial.slot), SlotState::Staged { .. });
    if found == Finding::Damaged || !staged {
        Some(RejectReason::Corrupt)
    } else if trial.crash_left == 0 && cause == ResetCause::Deadline && trial.lease_is_shorter() {
        Some(RejectReason::LeaseExpired)
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

fn enter_trial(mut state: BootState, trial: Trial) -> Decision {
    state.trial = Some(Trial {
        armed: trial.armed.saturating_sub(u8::from(!Mistake::ArmNotSpent.is_planted())),
        boots_left: trial
            .boots_left
            .saturating_sub(u16::from(!Mistake::BootsUncounted.is_planted())),
        entered: true,
        ..trial
    });
    Decision { start: Start::Slot(trial.slot), row: BootRow::TrialArmed, state }
}

fn start_confirmed(
    mut state: BootState,
    findings: Findings,
    cause: ResetCause,
    row: BootRow,
) -> Decision {
    let finds = |state: &BootState, slot: SlotId, finding: Finding| {
        let admitted = matches!(state.slots.get(slot), SlotState::Admitted { .. });
        admitted && *findings.get(slot) == finding
    };
    let runs = |state: &BootState, slot: SlotId| finds(state, slot, Finding::Nothing);
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
    let passed_over = finds(&state, active, Finding::PassOver) && !crashed;
    if passed_over && runs(&state, fallback) {
        return Decision { start: Start::Slot(fallback), row: BootRow::PassedOver, state };
    }
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
