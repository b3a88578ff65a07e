//! Whether a device that lost its power is still what it promises to be.

use std::fmt;

use firmware_protocol::boot::ResetCause;
use hw_sim::SimFlash;

use super::deed::{Deed, Goal, TERMS};
use super::part::Part;
use super::release::Releases;
use super::truth::{Held, Truth};
use super::unit::Unit;

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its id.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.seen)
    }
}

/// What a device may be behind a cut.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// At the deed's begin.
    pub origin: &'a Truth,
    /// As before the operation that was cut, or as behind it.
    pub either: [&'a Truth; 2],
    /// At the deed's end.
    pub target: &'a Truth,
    /// Operations that the whole deed takes.
    pub deed_operations: u64,
}

/// More operations than one start takes: an entry in pages, behind the erase of its range.
const MOST_START_OPERATIONS: u64 = 16;

/// What holds the judge's world together.
#[derive(Debug, Clone, Copy)]
pub struct Court<'a> {
    /// The part.
    pub part: &'a Part,
    /// What is staged on it.
    pub releases: &'a Releases,
    /// What was cut.
    pub deed: &'a Deed,
}

impl Court<'_> {
    /// Starts a device on what a cut has left, and holds it to everything.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn judge(&self, left: &[u8], expected: &Expected<'_>) -> Result<(), Violation> {
        let (truth, flash) = self.start(left.to_vec(), ResetCause::PowerOn)?;
        if !expected.either.contains(&&truth) {
            let [before, behind] = expected.either;
            let seen = format!("{truth:?}, neither {before:?} nor {behind:?}");
            return Err(Violation { invariant: "atomic", seen });
        }
        floor_keeps(&truth, expected)?;
        self.stays(&flash, &truth)?;
        self.goes_on(flash, expected)
    }

    /// What is true of a device that starts on `image`, on the path without a cut.
    ///
    /// # Errors
    /// The invariant that does not hold there.
    pub fn truth(&self, image: &[u8]) -> Result<Truth, Violation> {
        self.start(image.to_vec(), ResetCause::PowerOn).map(|(truth, _)| truth)
    }

    /// What is true at the deed's end.
    ///
    /// # Errors
    /// The invariant that does not hold there.
    pub fn target(&self, image: &[u8]) -> Result<Truth, Violation> {
        self.start(image.to_vec(), ResetCause::Requested).map(|(truth, _)| truth)
    }

    /// One start, and what is true behind it.
    fn start(&self, bytes: Vec<u8>, cause: ResetCause) -> Result<(Truth, Vec<u8>), Violation> {
        let flash = SimFlash::holding(self.part.spec.clone(), bytes);
        let mut unit = Unit::start(self.part, flash, cause, 100);
        let operations = unit.flash().counters().operations;
        if operations > MOST_START_OPERATIONS {
            let seen = format!("{operations} flash operations in one start");
            return Err(Violation { invariant: "I9", seen });
        }
        let looked = Truth::of(&mut unit, self.part, self.releases);
        let (truth, held) = looked.map_err(|stop| Violation {
            invariant: "I1",
            seen: format!("what was started does not answer: {stop:?}"),
        })?;
        self.holds_together(&truth, held)?;
        let bytes = unit.flash().contents().to_vec();
        Ok((truth, bytes))
    }

    /// I1 and I2 of one look at the device.
    fn holds_together(&self, truth: &Truth, held: [u8; 2]) -> Result<(), Violation> {
        let violation = |invariant, seen: String| Err(Violation { invariant, seen });
        match (truth.runs, truth.confirmed) {
            (Some(0), _) => return violation("I2", format!("a blend runs: {truth:?}")),
            (Some(runs), confirmed) if Some(runs) != confirmed && Some(runs) != truth.trial => {
                return violation(
                    "I1",
                    format!("runs what is neither confirmed nor on trial: {truth:?}"),
                );
            }
            _ => {}
        }
        // Flash that was damaged from outside is not what the record remembers of it.
        let damaged =
            [Goal::Ruined, Goal::Soiled].iter().any(|goal| self.deed.before.contains(goal));
        let differs = truth.slots.iter().zip(held).any(|(said, held)| match *said {
            Held::Staged(said) | Held::Admitted(said) => said != held,
            Held::Empty | Held::Writing(_) | Held::Rejected(_) => false,
        });
        if differs && !damaged {
            return violation(
                "I2",
                format!("slots hold releases {held:?}, the record says {truth:?}"),
            );
        }
        Ok(())
    }

    /// I3: without a host, what is unproven runs at most its boots, and the device settles.
    fn stays(&self, flash: &[u8], first: &Truth) -> Result<(), Violation> {
        let mut bytes = flash.to_vec();
        let mut seen = vec![first.clone()];
        for _ in 0..3 {
            let (truth, behind) = self.start(bytes.clone(), ResetCause::PowerOn)?;
            let settled = seen.last() == Some(&truth) && behind == bytes;
            seen.push(truth);
            bytes = behind;
            if settled {
                break;
            }
        }
        let unproven =
            seen.iter().filter(|truth| truth.trial.is_some() && truth.runs == truth.trial);
        let boots = unproven.count();
        let settled = seen.len() < 2 || seen[seen.len() - 1] == seen[seen.len() - 2];
        if boots > usize::from(TERMS.boots) || !settled {
            let seen = format!("the device does not settle: {seen:?}");
            return Err(Violation { invariant: "I3", seen });
        }
        Ok(())
    }

    /// I10: a host that goes on gets where it was going.
    fn goes_on(&self, flash: Vec<u8>, expected: &Expected<'_>) -> Result<(), Violation> {
        let flash = SimFlash::holding(self.part.spec.clone(), flash);
        let mut unit = Unit::start(self.part, flash, ResetCause::Requested, 200);
        let ended = self.deed.act(&mut unit, self.part, self.releases);
        ended.map_err(|stop| Violation { invariant: "I10", seen: format!("{stop:?}") })?;
        // Twice the deed and a start are enough for whatever has to be done anew.
        let operations = unit.flash().counters().operations;
        if operations > 2 * expected.deed_operations + 2 * MOST_START_OPERATIONS {
            let seen =
                format!("{operations} operations to go on, {} in all", expected.deed_operations);
            return Err(Violation { invariant: "I9", seen });
        }
        let violations = unit.flash().counters().violations;
        if violations > 0 {
            let seen = format!("{violations} programs over what was programmed");
            return Err(Violation { invariant: "write-once", seen });
        }
        let (truth, _) =
            self.start(unit.into_flash().contents().to_vec(), ResetCause::Requested)?;
        if truth == *expected.target {
            Ok(())
        } else {
            let seen = format!("{truth:?} instead of {:?}", expected.target);
            Err(Violation { invariant: "I10", seen })
        }
    }
}

/// I4: the floor never falls, and rises with the confirm that raises it.
fn floor_keeps(truth: &Truth, expected: &Expected<'_>) -> Result<(), Violation> {
    let (origin, target) = (expected.origin, expected.target);
    let raised = truth.floor > origin.floor;
    let keeps = truth.floor >= origin.floor
        && truth.floor <= target.floor
        && (!raised || truth.confirmed == target.confirmed);
    let seen = || format!("{truth:?} on the way from {origin:?} to {target:?}");
    if keeps { Ok(()) } else { Err(Violation { invariant: "I4", seen: seen() }) }
}
