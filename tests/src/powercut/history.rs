//! A deed done under faults, by a host that does not give up; and what holds of the device all along.

use std::collections::BTreeMap;

use firmware_protocol::boot::ResetCause;
use hw_sim::{Fault, FaultClass, Mishaps, Operation};

use super::damage::{Harm, harm};
use super::deed::Origin;
use super::host::reach;
use super::judge::{Court, Violation, violation};
use super::path::{add_fired, mark};
use super::unit::{Stop, Unit};

/// What came of a history.
#[derive(Debug)]
pub struct Outcome {
    /// How often each class of fault has struck.
    pub fired: BTreeMap<FaultClass, u64>,
    /// What did not hold.
    pub judged: Result<(), Violation>,
    /// Tells histories apart: the same faults lead to the same one (I11).
    pub mark: u64,
    /// What happened, line by line.
    pub story: Vec<String>,
}

/// More tries than a host needs, beside those that faults may cost it.
const MORE_TRIES: usize = 12;

impl<'a> Court<'a> {
    /// Does the deed while these faults strike. Those of flash count its operations from the deed's beginning,
    /// those of the device the calls of its engine.
    ///
    /// # Errors
    /// When the device does not even start before anything strikes.
    pub fn try_history(&self, origin: &Origin, faults: &[Fault]) -> Result<Outcome, Violation> {
        self.history(origin, faults, None)
    }

    /// As [`Court::try_history`], told line by line.
    ///
    /// # Errors
    /// As there.
    pub fn tell_history(&self, origin: &Origin, faults: &[Fault]) -> Result<Outcome, Violation> {
        self.history(origin, faults, Some(Vec::new()))
    }

    fn history(
        &self,
        origin: &Origin,
        faults: &[Fault],
        story: Option<Vec<String>>,
    ) -> Result<Outcome, Violation> {
        let mut unit = self.unit(origin)?;
        if story.is_some() {
            unit.flash().start_trace();
        }
        unit.story = story;
        for fault in faults {
            unit.flash().set_fault(*fault);
        }
        unit.faults = faults.to_vec();
        unit.set_mishaps(Mishaps::of(faults));
        let judged = self.live_through(&mut unit, faults.len());
        let mut fired = unit.mishaps().fired();
        add_fired(&mut fired, unit.flash());
        let mark = mark(unit.flash()) ^ unit.flash().counters().operations;
        let mut story = unit.story.take().unwrap_or_default();
        story.extend((1..).zip(unit.flash().take_trace()).map(|(number, operation): (u64, _)| {
            match operation {
                Operation::Program { address, bytes } => {
                    format!("operation {number:>4}  program {address}+{}", bytes.len())
                }
                Operation::Erase { block } => {
                    format!("operation {number:>4}  erase {}+{}", block.start, block.len_bytes)
                }
            }
        }));
        Ok(Outcome { fired, judged, mark, story })
    }

    fn live_through(&self, unit: &mut Unit<'a>, faults: usize) -> Result<(), Violation> {
        let deed_operations = self.insist(unit, faults)?;
        unit.flash().clear_faults();
        unit.clear_mishaps();
        if unit.mishaps().fired().contains_key(&FaultClass::Clock) {
            // What a wrong clock has begun goes on in the same boot.
            self.start_harmed(unit, ResetCause::PowerOn)?;
        }
        self.look_harmed(unit)?;
        match harm(unit) {
            Harm::None => {
                self.stays(unit)?;
                self.goes_on(unit, deed_operations)
            }
            Harm::Damage | Harm::Lasting => self.comes_back(unit),
        }
    }

    /// Tries until the deed is done, whatever comes between. Gives the operations that this took.
    fn insist(&self, unit: &mut Unit<'a>, faults: usize) -> Result<u64, Violation> {
        let mut last = None;
        for _ in 0..2 * faults + MORE_TRIES {
            let Err(stop) = reach(unit, self.deed.goal) else {
                return Ok(unit.flash().counters().operations);
            };
            match &stop {
                Stop::PowerLost => {
                    unit.flash().power_on();
                    self.start_harmed(unit, ResetCause::PowerOn)?;
                }
                Stop::Reset(cause) => self.start_harmed(unit, *cause)?,
                Stop::Refused(_) | Stop::Strange(_) if last.as_ref() == Some(&stop) => {
                    // The same once more: a technician cycles the power.
                    self.start_harmed(unit, ResetCause::PowerOn)?;
                }
                Stop::Refused(_) | Stop::Strange(_) => self.look_harmed(unit)?,
            }
            last = Some(stop);
        }
        match harm(unit) {
            Harm::None => {
                violation(self.deed.goal.invariant(), format!("the deed is never done: {last:?}"))
            }
            // What a damaged device has to be brought to is another goal.
            Harm::Damage | Harm::Lasting => Ok(unit.flash().counters().operations),
        }
    }
}
