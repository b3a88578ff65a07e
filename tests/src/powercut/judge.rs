//! Whether a device that something happened to is still what it promises to be.

use std::fmt;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::flash::Range;
use firmware_protocol::slot::SlotId;
use hw_sim::{FaultClass, Reads, SimFlash};

use super::bytes::Bytes;
use super::deed::{Deed, Origin};
use super::model::{Held, Model};
use super::part::Part;
use super::release::Releases;
use super::truth::{Differs, Truth};
use super::unit::{Stop, Unit, disturbed};

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its id (TESTING.md, "Power cuts, and everything else that happens to flash").
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.seen)
    }
}

/// As many operations as one start takes at most: a range that may hide something erased, a move, and another move where
/// a fault has spoilt what was left of the range moved to: four blocks each, every one twice (24); behind them two
/// copies and an entry, each in four pages with its seal and two marks (21).
pub const MOST_START_OPERATIONS: u64 = 45;
/// Starts that are cut short one behind the other before a device counts as one that does not boot; more than
/// the faults of any history.
const MOST_STARTS_IN_A_ROW: u32 = 12;
/// Starts without a host behind each cut.
const MORE_STARTS: u32 = 3;
/// What reads one way now and the other way later is written anew once for each cut that has left some.
const MOST_REWRITES: u32 = 2;

/// What holds the judge's world together.
#[derive(Debug, Clone, Copy)]
pub struct Court<'a> {
    /// The part.
    pub part: &'a Part,
    /// What is staged on it.
    pub releases: &'a Releases,
    /// What is done.
    pub deed: &'a Deed,
}

impl<'a> Court<'a> {
    /// The device before the deed, started.
    ///
    /// # Errors
    /// When it does not start.
    pub fn unit(&self, origin: &Origin) -> Result<Unit<'a>, Violation> {
        let unit = origin.unit(self.part, self.releases);
        unit.or_else(|stop| violation("I1", format!("the start before the deed ends: {stop:?}")))
    }

    /// Starts a device on what a cut has left, and holds it to everything. `deed_operations` is what the whole
    /// deed takes.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn judge(
        &self,
        left: SimFlash,
        may_be: &[Model],
        deed_operations: u64,
    ) -> Result<(), Violation> {
        let (mut unit, _) = self.start(left, may_be, ResetCause::PowerOn)?;
        self.stays(&mut unit)?;
        self.goes_on(&mut unit, deed_operations)
    }

    /// One start of a device that may be one of these; gives also which of them it was.
    ///
    /// # Errors
    /// What does not hold of what runs then.
    pub fn start(
        &self,
        left: SimFlash,
        may_be: &[Model],
        cause: ResetCause,
    ) -> Result<(Unit<'a>, usize), Violation> {
        let mut unit = Unit::off(self.part, self.releases, left, may_be[0].clone());
        unit.belief.maybe = may_be[1..].to_vec();
        let place = self.start_again(&mut unit, cause)?;
        Ok((unit, place))
    }

    /// One more start.
    ///
    /// # Errors
    /// What does not hold of what runs then.
    pub fn start_again(&self, unit: &mut Unit<'_>, cause: ResetCause) -> Result<usize, Violation> {
        start_only(unit, cause)?;
        self.look(unit)
    }

    /// What runs is what it may be.
    ///
    /// # Errors
    /// What it is instead.
    pub fn look(&self, unit: &mut Unit<'_>) -> Result<usize, Violation> {
        match unit.open_session().and_then(|()| unit.look()) {
            Ok(truth) => self.hold(unit, truth),
            Err(stop) => violation("I1", format!("what was started does not answer: {stop:?}")),
        }
    }

    /// What is seen is what may be.
    ///
    /// # Errors
    /// What it is instead.
    pub(super) fn hold(&self, unit: &mut Unit<'_>, truth: Truth) -> Result<usize, Violation> {
        let resolved = unit.belief.resolve(truth, self.releases);
        let (truth, model) = (&resolved.truth, &unit.belief.model);
        if let (Some(slot), Some(held @ (Bytes::Unsigned(_) | Bytes::Blend | Bytes::Unreadable))) =
            (truth.runs, truth.running())
        {
            return violation("I2", format!("slot {slot:?} runs and holds no release: {held:?}"));
        }
        if let Some(differs) = &resolved.differs {
            return violation(differs.invariant(), differs_in_words(differs, unit));
        }
        self.holds_together(truth, model)?;
        self.stands(unit)?;
        Ok(resolved.place)
    }

    /// I2: a slot that is said to hold a release holds it to the last byte.
    fn holds_together(&self, truth: &Truth, model: &Model) -> Result<(), Violation> {
        // Flash that was damaged from outside is not what the record remembers of it.
        let wrong = model.slots.iter().zip(truth.bytes).find(|(said, held)| match **said {
            Held::Staged(said) | Held::Admitted(said) => *held != Bytes::Release(said),
            Held::Empty | Held::Writing(_) | Held::Rejected(..) => false,
        });
        match wrong {
            Some((said, held)) if !self.deed.is_on_damage() => {
                violation("I2", format!("a slot holds {held:?}, the record says {said:?}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// I5: nothing that counts lies in cells that read one way today and the other way tomorrow.
    fn stands(&self, unit: &mut Unit<'_>) -> Result<(), Violation> {
        if unit.doubts_erases() {
            return Ok(());
        }
        let mut counts: Vec<Range> = Vec::new();
        for slot in SlotId::ALL {
            if matches!(unit.belief.model.slot(slot), Held::Staged(_) | Held::Admitted(_)) {
                let layout = self.part.layout.slots().get(slot);
                counts.push(layout.manifest);
                counts.extend(layout.areas.iter().map(|area| area.range));
            }
        }
        if unit.belief.model.root > 0 {
            counts.push(self.part.layout.trust()[unit.belief.model.root as usize % 2]);
        }
        let weak = unit.flash().weak_cells();
        let in_doubt =
            counts.into_iter().find(|range| weak.range(range.start..range.end()).next().is_some());
        match in_doubt {
            Some(range) => violation("I5", format!("{range:?} counts, and has weak cells")),
            None => Ok(()),
        }
    }

    /// I3: without a host the device does what its record says and settles, however its cells read.
    pub(super) fn stays(&self, unit: &mut Unit<'_>) -> Result<(), Violation> {
        let fork = unit.flash().fork().expect("memory can be read");
        let mut later = Unit::off(self.part, self.releases, fork, unit.belief.model.clone());
        later.belief = unit.belief.clone();
        later.belief.log = None;
        later.faults.clone_from(&unit.faults);
        let is_weak = !later.flash().weak_cells().is_empty();
        // A seal that is weak itself, or was not written, may have to be written once more.
        let may_write = is_weak || disturbed(unit.flash().fired()) > 0;
        // Cells that read one way or the other each time may be met once more by each start.
        let most_rewrites = match (may_write, unit.doubts_weak_cells()) {
            (_, true) => MORE_STARTS,
            (true, false) => MOST_REWRITES,
            (false, false) => 0,
        };
        let mut rewritten = 0;
        for number in 0..MORE_STARTS {
            // What read one way at the first start reads the other way now.
            let reads = if number % 2 == 0 { Reads::OldFirst } else { Reads::NewFirst };
            turn(later.flash(), reads);
            let (bytes, model) = (later.flash().contents().to_vec(), later.belief.model.clone());
            self.start_again(&mut later, ResetCause::PowerOn)?;
            let wrote = later.flash().contents() != bytes;
            rewritten += u32::from(later.belief.model == model && wrote);
            if rewritten > most_rewrites {
                return violation("I9", "a start without news writes, again and again".to_owned());
            }
            if later.belief.model == model && !wrote && !may_write {
                break;
            }
        }
        Ok(())
    }

    /// I10: a host that goes on gets where it was going, and what it got there stays.
    pub(super) fn goes_on(
        &self,
        unit: &mut Unit<'_>,
        deed_operations: u64,
    ) -> Result<(), Violation> {
        let before = unit.flash().counters();
        self.deed.goal.reach(unit)?;
        let after = unit.flash().counters();
        // Twice the deed and a few starts are enough for whatever has to be done anew.
        let (operations, most) =
            (after.operations - before.operations, 2 * deed_operations + 4 * MOST_START_OPERATIONS);
        if operations > most {
            return violation(
                "I9",
                format!("{operations} operations to go on, {deed_operations} in all"),
            );
        }
        // Without an erase that it was told to do, flash is programmed twice.
        let is_silent = unit.flash().fired().contains_key(&FaultClass::Silent);
        if after.violations > 0 && !is_silent {
            let seen = format!("{} programs over what was programmed", after.violations);
            return violation("I9", seen);
        }
        self.look(unit)?;
        if !self.deed.goal.is_reached(&unit.belief.model) {
            return violation(
                "I10",
                format!("{:?} is not reached: {:?}", self.deed.goal, unit.belief.model),
            );
        }
        if !unit.flash().weak_cells().is_empty() {
            for reads in [Reads::NewFirst, Reads::OldFirst] {
                turn(unit.flash(), reads);
                self.start_again(unit, ResetCause::PowerOn)?;
            }
        }
        Ok(())
    }
}

/// Lets weak cells read another way.
fn turn(flash: &mut SimFlash, reads: Reads) {
    if !flash.weak_cells().is_empty() {
        flash.set_reads(reads);
    }
}

/// Ends with what does not hold.
///
/// # Errors
/// Always.
pub fn violation<T>(invariant: &'static str, seen: String) -> Result<T, Violation> {
    Err(Violation { invariant, seen })
}

fn differs_in_words(differs: &Differs, unit: &Unit<'_>) -> String {
    let others = unit.belief.maybe.len();
    let also =
        if others > 0 { format!(" (nor what {others} other states have)") } else { String::new() };
    format!("{differs}{also}")
}

/// One more start, however often it is cut short.
///
/// # Errors
/// When it does not end, or takes too much.
pub(super) fn start_only(unit: &mut Unit<'_>, cause: ResetCause) -> Result<(), Violation> {
    let mut cause = cause;
    for _ in 0..MOST_STARTS_IN_A_ROW {
        let before = unit.flash().counters().operations;
        let started = unit.start(cause);
        let operations = unit.flash().counters().operations - before;
        if operations > MOST_START_OPERATIONS {
            return violation("I9", format!("{operations} flash operations in one start"));
        }
        cause = match started {
            Ok(()) => return Ok(()),
            Err(Stop::Reset(next)) => next,
            Err(Stop::PowerLost) => {
                unit.flash().power_on();
                ResetCause::PowerOn
            }
            Err(stop) => return violation("I1", format!("{stop:?}")),
        };
    }
    violation("I1", format!("{MOST_STARTS_IN_A_ROW} starts end in a trap, and so it goes on"))
}
