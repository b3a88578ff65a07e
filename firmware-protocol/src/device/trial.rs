//! The open trial's clock, and what may be done to it.

use crate::boot::{BootRow, BootState, MAX_ARMED, Start, Trial};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::message::TrialTerms;
use crate::planted::Mistake;
use crate::refusal::Refusal;
use crate::root::Policy;
use crate::slot::{RejectReason, SlotId, SlotState};
use crate::start::Handover;
use crate::trust::Verified;

/// When the open trial ends by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct TrialClock {
    started_ms: u64,
    renewed_ms: u64,
}

impl TrialClock {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self { started_ms: now_ms, renewed_ms: now_ms }
    }

    pub(super) const fn renew(&mut self, now_ms: u64) {
        self.renewed_ms = now_ms;
    }

    pub(super) fn lease_left_ms(&self, trial: &Trial, now_ms: u64) -> u32 {
        left(self.renewed_ms, trial.lease_ms, now_ms)
    }

    pub(super) fn boot_left_ms(&self, trial: &Trial, now_ms: u64) -> u32 {
        left(self.started_ms, trial.boot_max_ms, now_ms)
    }

    /// Why the trial is over at `now_ms`, if it is. The boot limit holds for the trial image only;
    /// the lease also while the confirmed image runs, so that no trial outlives its host.
    pub(super) fn ended(&self, trial: &Trial, in_trial: bool, now_ms: u64) -> Option<RejectReason> {
        if Mistake::LeaseIgnored.is_planted() {
            None
        } else if self.lease_left_ms(trial, now_ms) == 0 {
            Some(RejectReason::LeaseExpired)
        } else if in_trial && self.boot_left_ms(trial, now_ms) == 0 {
            Some(RejectReason::BootLimit)
        } else {
            None
        }
    }
}

fn left(from_ms: u64, length_ms: u32, now_ms: u64) -> u32 {
    let end_ms = from_ms.saturating_add(u64::from(length_ms));
    u32::try_from(end_ms.saturating_sub(now_ms)).unwrap_or(u32::MAX)
}

/// True when the image that runs is the open trial's. A boot that confirmed an earlier trial is still
/// a `TrialArmed` one; it has no say in a trial of the other slot that was opened since.
pub(super) fn in_trial(state: &BootState, handover: &Handover) -> bool {
    handover.row == BootRow::TrialArmed
        && state.trial.is_some_and(|open| open.entered && handover.start == Start::Slot(open.slot))
}

/// The state with a trial of the staged bundle; `None` when that very trial is open already.
pub(super) fn open(
    state: &BootState,
    slot: SlotId,
    manifest: &Verified<Manifest<'_>>,
    plan: Digest,
    terms: TrialTerms,
    policy: &Policy,
) -> Result<Option<BootState>, Refusal> {
    if let Some(open) = state.trial {
        let same = open.slot == slot && open.plan == plan && !open.entered && keeps(&open, terms);
        let refusal = Refusal::TrialOpen { trial_id: open.trial_id };
        return if same { Ok(None) } else { Err(refusal) };
    }
    let staged = *state.slots.get(slot) == SlotState::Staged { bundle: manifest.digest() };
    if !staged {
        return Err(Refusal::NotStaged);
    }
    within(u32::from(terms.boots), u32::from(policy.max_boots))?;
    within(terms.lease_ms, policy.max_lease_ms)?;
    within(terms.boot_max_ms, policy.max_boot_ms)?;
    if state.next_trial_id == u32::MAX {
        // Ids are never used again, and the one behind the last would be the last.
        return Err(Refusal::Limit { got: u32::MAX, limit: u32::MAX - 1 });
    }
    let terms = at_least_one(terms);
    let trial = Trial {
        slot,
        trial_id: state.next_trial_id,
        plan,
        armed: 0,
        crash_left: terms.crashes,
        power_left: terms.power_failures,
        boots_left: terms.boots,
        lease_ms: terms.lease_ms,
        boot_max_ms: terms.boot_max_ms,
        entered: false,
        security_version: manifest.claims().security_version,
        retires_fallback: manifest.claims().retires_fallback,
    };
    let next_trial_id = state.next_trial_id.saturating_add(1);
    let early = if Mistake::FloorBeforeConfirm.is_planted() { trial.security_version } else { 0 };
    let accept_floor = state.accept_floor.max(early);
    Ok(Some(BootState { trial: Some(trial), next_trial_id, accept_floor, ..state.clone() }))
}

/// Whether an open trial was opened on these terms. What they allow in number may have sunk since.
fn keeps(open: &Trial, terms: TrialTerms) -> bool {
    let TrialTerms { boots, crashes, power_failures, lease_ms, boot_max_ms } = at_least_one(terms);
    open.lease_ms == lease_ms
        && open.boot_max_ms == boot_max_ms
        && open.boots_left <= boots
        && open.crash_left <= crashes
        && open.power_left <= power_failures
}

/// A trial of no boots, or of no time, would be over before it begins.
fn at_least_one(terms: TrialTerms) -> TrialTerms {
    TrialTerms {
        boots: terms.boots.max(1),
        crashes: terms.crashes.max(1),
        power_failures: terms.power_failures.max(1),
        lease_ms: terms.lease_ms.max(1),
        boot_max_ms: terms.boot_max_ms.max(1),
    }
}

/// The state with `boots` armed; `None` when they are armed already.
pub(super) fn arm(
    state: &BootState,
    trial_id: u32,
    boots: u8,
) -> Result<Option<BootState>, Refusal> {
    let trial = named(state, trial_id)?;
    within(u32::from(boots), u32::from(MAX_ARMED))?;
    within(u32::from(boots), u32::from(trial.boots_left))?;
    let armed = BootState { trial: Some(Trial { armed: boots, ..trial }), ..state.clone() };
    Ok((trial.armed != boots).then_some(armed))
}

/// The open trial, if it is the one named.
pub(super) fn named(state: &BootState, trial_id: u32) -> Result<Trial, Refusal> {
    let trial = state.trial.ok_or(Refusal::NoTrial)?;
    let open = trial.trial_id;
    if open == trial_id { Ok(trial) } else { Err(Refusal::WrongTrial { named: trial_id, open }) }
}

/// True when the trial named has been rolled back before.
pub(super) fn was_rolled_back(state: &BootState, trial_id: u32) -> bool {
    SlotId::ALL.iter().any(|slot| {
        matches!(state.slots.get(*slot), SlotState::Rejected { trial_id: ended, .. } if *ended == trial_id)
    })
}

fn within(got: u32, limit: u32) -> Result<(), Refusal> {
    if got <= limit { Ok(()) } else { Err(Refusal::Limit { got, limit }) }
}
