//! The boot stage's work: read the record, check the chosen slot, store what was decided.
//!
//! It never speaks, and what it gives back is all that the image it starts learns of it. The caller
//! starts the watchdog first, then calls [`boot()`], then jumps.

mod handover;

use crate::boot::{self, BootRow, Decision, Finding, Findings, RECORD_VERSION, ResetCause, Start};
use crate::digest::Digest;
use crate::flash::{Flash, FlashError};
use crate::layout::{Layout, SlotLayout};
use crate::planted::{Defence, Mistake};
use crate::record::RecordStore;
use crate::scan;
use crate::slot::SlotId;
use crate::stored;
use crate::trust::{self, BodyType, MAX_ENVELOPE_BYTES};
use crate::twice::twice;

pub use self::handover::Handover;

/// How thoroughly a confirmed slot is checked at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BootCheck {
    /// Hash everything, always.
    #[default]
    Full,
    /// Hash everything unless the confirmed image starts again after an orderly reset.
    OnChange,
}

/// Decides what to start, and stores the decision before it returns.
///
/// A record that cannot be written does not stop a confirmed image from starting; a trial whose
/// spent attempt cannot be stored is not started. A slot that cannot be read is passed over for this
/// boot, and nothing about it is stored.
pub fn boot<F: Flash>(
    flash: &mut F,
    layout: &Layout,
    cause: ResetCause,
    check: BootCheck,
) -> Handover {
    let mut store = RecordStore::load(flash, layout.record());
    let mut findings = Findings::default();
    let mut decision = decide_verified(flash, layout, &store, &mut findings, cause, check);
    let stands = store.is_settled();
    let changed = store.state().is_some_and(|before| !stands || *before != decision.state);
    let stored = !changed
        || Mistake::RecordBehindTheJump.is_planted()
        || store.write(flash, &decision.state).is_ok();
    if let (BootRow::TrialArmed, Start::Slot(slot), false) = (decision.row, decision.start, stored)
    {
        *findings.get_mut(slot) = Finding::PassOver;
        decision = decide_verified(flash, layout, &store, &mut findings, cause, check);
    }
    let Decision { start, row, .. } = decision;
    let deadline_ms = match (row, decision.state.trial) {
        (BootRow::TrialArmed, Some(trial)) => {
            Some(hardware_deadline_ms(trial.lease_ms.min(trial.boot_max_ms)))
        }
        _ => None,
    };
    Handover { start, row, cause, record_version: RECORD_VERSION, deadline_ms }
}

/// How far the hardware deadline lies behind the engine's own: the engine first gets the time to
/// store why the trial ended.
pub const DEADLINE_SLACK_MS: u32 = 2_000;

/// The hardware deadline that goes with `left_ms` of lease or boot limit.
#[must_use]
pub const fn hardware_deadline_ms(left_ms: u32) -> u32 {
    left_ms.saturating_add(DEADLINE_SLACK_MS)
}

/// Asks [`boot::decide`] until the slot it picks verifies, at most once for each slot. Only bytes that
/// were read and differ count as damage: a read that fails once may succeed at the next boot.
fn decide_verified<F: Flash>(
    flash: &mut F,
    layout: &Layout,
    store: &RecordStore,
    findings: &mut Findings,
    cause: ResetCause,
    check: BootCheck,
) -> Decision {
    loop {
        let decision = boot::decide(store.state(), *findings, cause);
        let Start::Slot(slot) = decision.start else {
            return decision;
        };
        let orderly = check == BootCheck::OnChange
            && decision.row == BootRow::Confirmed
            && cause == ResetCause::Requested;
        let bundle = decision.state.slots.get(slot).bundle();
        let verified = match bundle {
            Some(_) if orderly || Mistake::NoRehash.is_planted() => Ok(()),
            Some(bundle) => verify_slot(flash, layout.slot(slot), slot, bundle),
            None => Err(SlotFault::Manifest),
        };
        *findings.get_mut(slot) = match verified {
            Ok(()) => return decision,
            Err(SlotFault::Flash(_)) => Finding::PassOver,
            Err(SlotFault::Manifest | SlotFault::Component { .. }) => Finding::Damaged,
        };
    }
}

/// Why a slot does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SlotFault {
    /// Its manifest is not the recorded one.
    #[error("the slot's manifest is not the recorded one")]
    Manifest,
    /// A component is not what the manifest says.
    #[error("component {area} does not match its manifest")]
    Component {
        /// Area of the component.
        area: u8,
    },
    /// Flash cannot be read.
    #[error("the slot cannot be read")]
    Flash(#[from] FlashError),
}

/// Holds everything in a slot against the bundle digest that was recorded for it.
///
/// # Errors
/// The first thing that does not match.
pub fn verify_slot<F: Flash>(
    flash: &mut F,
    slot: &SlotLayout,
    id: SlotId,
    bundle: Digest,
) -> Result<(), SlotFault> {
    let mut bytes = [0; MAX_ENVELOPE_BYTES];
    let envelope = read_manifest(flash, slot, &mut bytes)?;
    let manifest = trust::admitted_manifest(envelope, bundle).map_err(|_| SlotFault::Manifest)?;
    for component in &manifest.claims().components {
        let (index, area) = slot.area(component.name).ok_or(SlotFault::Manifest)?;
        let index = u8::try_from(index).unwrap_or(u8::MAX);
        let variant = component.variant_for(id).ok_or(SlotFault::Manifest)?;
        let (body, tail) = area.range.split_at(variant.length).ok_or(SlotFault::Manifest)?;
        let found = scan::digest(flash, body)?;
        let is_signed = || found == variant.digest || Defence::BlockDigests.is_off();
        let is_blank = scan::is_blank(flash, tail)? || Mistake::TailIgnored.is_planted();
        if !twice(is_signed) || !twice(|| is_blank) {
            return Err(SlotFault::Component { area: index });
        }
    }
    Ok(())
}

/// Reads the envelope at the front of a slot's manifest area; what cannot be read behind it does not matter.
///
/// # Errors
/// When flash cannot be read before the envelope's end, or `bytes` has no room.
pub fn read_manifest<'b, F: Flash>(
    flash: &mut F,
    slot: &SlotLayout,
    bytes: &'b mut [u8],
) -> Result<&'b [u8], FlashError> {
    stored::read_envelope(flash, slot.manifest, BodyType::Manifest, bytes)
}
