//! What still holds of a device whose flash was damaged: it loses what cannot be read, and nothing is made up.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::slot::{SlotId, SlotState};
use hw_sim::{Fault, FlashFault};

use super::deed::Goal;
use super::host::recover;
use super::judge::{Court, Violation, start_only, violation};
use super::truth::Truth;
use super::unit::{Stop, Unit};

/// What faults may cost a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Nothing: everything that was acknowledged is there.
    None,
    /// What flash held.
    Damage,
    /// As well as that, a place of flash for good.
    Lasting,
}

impl Harm {
    const fn of(what: FlashFault) -> Self {
        match what {
            FlashFault::Cut(_)
            | FlashFault::BrownOut { .. }
            | FlashFault::Fail { .. }
            | FlashFault::Silent => Self::None,
            FlashFault::Unread { .. }
            | FlashFault::Misdirect { .. }
            | FlashFault::Flip { .. }
            | FlashFault::Ecc { .. } => Self::Damage,
            FlashFault::Stuck { .. } | FlashFault::Worn { .. } => Self::Lasting,
        }
    }
}

/// Where a host brings a damaged device: a release above every floor here.
const WAY_BACK: u8 = 4;
/// Tries of a host, each behind a power cycle: more than the reads that fail here.
const MOST_TRIES: u32 = 16;
/// Starts without a host until one writes nothing.
const MOST_STARTS: u32 = 10;

impl<'a> Court<'a> {
    /// One more start, held to what the harm leaves.
    pub(super) fn start_harmed(
        &self,
        unit: &mut Unit<'a>,
        cause: ResetCause,
    ) -> Result<(), Violation> {
        let is_calm = !unit.flash().awaits_fault() && !unit.mishaps().are_waiting();
        start_only(unit, cause)?;
        self.look_harmed(unit)?;
        if is_calm && harm(unit) == Harm::None { self.stays(unit) } else { Ok(()) }
    }

    /// What runs is what it may be; faults may strike while one looks.
    pub(super) fn look_harmed(&self, unit: &mut Unit<'a>) -> Result<(), Violation> {
        for _ in 0..MOST_TRIES {
            match unit.open_session().and_then(|()| unit.look()) {
                Ok(truth) if harm(unit) == Harm::None => return self.hold(unit, truth).map(|_| ()),
                Ok(truth) => {
                    makes_nothing_up(unit, &truth)?;
                    unit.belief.adopt(&truth, unit.releases);
                    return Ok(());
                }
                Err(Stop::PowerLost) => {
                    unit.flash().power_on();
                    start_only(unit, ResetCause::PowerOn)?;
                }
                Err(Stop::Reset(cause)) => start_only(unit, cause)?,
                Err(stop) => {
                    return violation("I1", format!("what was started does not answer: {stop:?}"));
                }
            }
        }
        violation("I1", "what is started never answers".to_owned())
    }

    /// Without a host the device settles; with one it comes back.
    pub(super) fn comes_back(&self, unit: &mut Unit<'a>) -> Result<(), Violation> {
        let mut wrote = true;
        // Each may find one more cell that reads one way today and the other way tomorrow.
        for _ in 0..MOST_STARTS {
            let (bytes, model) = (unit.flash().contents().to_vec(), unit.belief.model.clone());
            self.start_harmed(unit, ResetCause::PowerOn)?;
            wrote = unit.belief.model == model && unit.flash().contents() != bytes;
            if !wrote {
                break;
            }
        }
        if wrote && harm(unit) == Harm::Damage {
            return violation("I9", "a start without news writes, again and again".to_owned());
        }
        let mut last = None;
        for _ in 0..MOST_TRIES {
            match recover(unit, WAY_BACK) {
                Ok(()) => {
                    self.look_harmed(unit)?;
                    let model = &unit.belief.model;
                    return if Goal::Confirmed(WAY_BACK).is_reached(model) {
                        Ok(())
                    } else {
                        violation("I10", format!("release {WAY_BACK} is not confirmed: {model:?}"))
                    };
                }
                // There is a place of flash that it cannot do without.
                Err(Stop::Refused(_) | Stop::Strange(_)) if harm(unit) == Harm::Lasting => {
                    return Ok(());
                }
                Err(Stop::Reset(cause)) => self.start_harmed(unit, cause)?,
                Err(stop) => {
                    last = Some(stop);
                    self.start_harmed(unit, ResetCause::PowerOn)?;
                }
            }
        }
        violation("I10", format!("release {WAY_BACK} cannot be deployed: {last:?}"))
    }
}

/// What the faults that have come due so far may have cost this device. Those that are still to come cost nothing.
pub(super) fn harm(unit: &mut Unit<'_>) -> Harm {
    let operations = unit.operations();
    let due = unit.faults.iter().filter_map(|fault| match *fault {
        Fault::Flash { at_operation, what } if at_operation <= operations => Some(Harm::of(what)),
        Fault::Flash { .. } | Fault::Device { .. } => None,
    });
    due.max().unwrap_or(Harm::None)
}

/// I2, I3, I4 and I6, as far as they do not depend on what was lost.
fn makes_nothing_up(unit: &mut Unit<'_>, truth: &Truth) -> Result<(), Violation> {
    let status = &truth.status;
    if let Some(slot) = truth.runs {
        let state = status.slots.get(slot);
        let on_trial = status.trial.is_some_and(|trial| trial.running && trial.slot == slot);
        // An entry that is destroyed while an image runs takes nothing from what started it.
        let was_admitted = unit.belief.was_admitted(slot);
        let number = state.bundle().and_then(|bundle| unit.releases.of(bundle));
        let held = unit.held[slot as usize];
        let is_said = was_admitted || held.release() == number.map(|release| release.number);
        if (held.release().is_none() || !is_said) && !has_weak_cells(unit, slot) {
            return violation("I2", format!("slot {slot:?} runs with {held:?}, as {state:?}"));
        }
        if !matches!(state, SlotState::Admitted { .. }) && !on_trial && !was_admitted {
            return violation("I3", format!("slot {slot:?} runs, {state:?}, outside a trial"));
        }
    }
    let (floor, highest) = (status.accept_floor, unit.belief.highest_floor());
    if floor > highest {
        return violation("I4", format!("floor {floor}, never confirmed above {highest}"));
    }
    let (root, highest) = (truth.root, unit.belief.highest_root());
    if root > highest {
        return violation("I6", format!("root record {root}, never enrolled above {highest}"));
    }
    Ok(())
}

fn has_weak_cells(unit: &mut Unit<'_>, slot: SlotId) -> bool {
    let layout = unit.part.layout.slots().get(slot).clone();
    let weak = unit.flash().weak_cells();
    let ranges = layout.areas.iter().map(|area| area.range).chain([layout.manifest]);
    ranges.into_iter().any(|range| weak.range(range.start..range.end()).next().is_some())
}
