//! What the device remembers between boots, and how a trial changes it.

use crate::digest::Digest;
use crate::flash::Range;
use crate::planted::Mistake;
use crate::root::LifeCycle;
use crate::slot::{PerSlot, RejectReason, SlotId, SlotState};

use super::{CONFIRMED_CRASH_BUDGET, RECORD_VERSION};

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
    /// Blocks erased in each slot, ever: a measure of wear, as far as it came on record.
    pub erases: PerSlot<u32>,
    /// The newest time that the device has seen signed, in seconds since 1970-01-01 UTC: what it has in place of a clock
    /// (TRUST.md, "Time").
    pub time_floor_s: u64,
    /// Flash that the stage under way has begun to write since this state was stored; empty for none. Behind a
    /// start, what it reads as is not believed (BOOT.md, "Slot states").
    pub touched: Range,
    /// What a newer writer appended; carried through untouched.
    pub carried: Carried,
}

/// Fields that this code does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Version of the newest writer whose fields are in the record.
    pub version: u8,
    /// What it appended.
    pub bytes: heapless::Vec<u8, CARRIED_BYTES>,
}

/// Most bytes of a newer writer that are carried through: of the 64 behind what version 1 knew, those that are left.
pub const CARRIED_BYTES: usize = 56;

impl Default for Carried {
    fn default() -> Self {
        Self { version: RECORD_VERSION, bytes: heapless::Vec::new() }
    }
}

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
            erases: PerSlot::default(),
            time_floor_s: 0,
            touched: Range::default(),
            carried: Carried::default(),
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

impl Trial {
    /// True when the hardware deadline is the lease's. An image that it ends may have hung, or have been
    /// starting still, so that no host could speak to it: it is not said to have crashed.
    pub(super) const fn lease_is_shorter(&self) -> bool {
        self.lease_ms < self.boot_max_ms
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
    state.trial = Some(trial).filter(|_| Mistake::ConfirmKeepsTrial.is_planted());
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
