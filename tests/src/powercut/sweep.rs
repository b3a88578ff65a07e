//! Every cut of one deed on one part.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use hw_sim::{Fault, FaultClass};

use super::cut::{self, Grain};
use super::deed::{Deed, Origin};
use super::judge::{Court, Violation};
use super::model::Model;
use super::part::Part;
use super::path::{Path, copy, mark, world};
use super::release::Releases;
use super::shrink::shortest;

/// What a promise did not survive.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Part, deed and age of the record.
    pub place: String,
    /// What struck; nothing when it goes wrong without a fault.
    pub faults: Vec<Fault>,
    /// What was violated.
    pub violation: Violation,
}

/// What a sweep came to.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Flash operations of the deed, by the trace.
    pub operations: usize,
    /// Cases, by the lengths of those operations.
    pub cases: usize,
    /// Different contents of the flash behind them.
    pub distinct: usize,
    /// How often each class of fault has struck.
    pub fired: BTreeMap<FaultClass, u64>,
    /// How long it took.
    pub took: Duration,
    /// What went wrong; the first of each operation.
    pub failures: Vec<Failure>,
}

/// What a sweep lets happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Power fails once, anywhere.
    Cuts,
    /// Power fails once, and again anywhere on the way on.
    Doubles,
    /// One fault strikes that is no power cut.
    Faults,
}

/// When a sweep is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// When everything was tried.
    End,
    /// When this invariant is violated.
    Violated(&'static str),
}

impl Until {
    /// Whether these failures are enough.
    pub fn is_over(self, failures: &[Failure]) -> bool {
        match self {
            Self::End => false,
            Self::Violated(invariant) => {
                failures.iter().any(|failure| failure.violation.invariant == invariant)
            }
        }
    }
}

/// A deed on a part, its record so many entries old.
#[derive(Debug, Clone, Copy)]
pub struct Sweep<'a> {
    /// The part.
    pub part: &'a Part,
    /// What is staged.
    pub releases: &'a Releases,
    /// The deed.
    pub deed: &'a Deed,
    /// Entries that the record is aged by.
    pub age: u32,
    /// How finely operations are cut.
    pub grain: Grain,
}

impl<'a> Sweep<'a> {
    /// Tries everything of a kind.
    pub fn run(&self, kind: Kind, until: Until) -> Figures {
        let begun = Instant::now();
        let mut figures = Figures::default();
        let tried = match kind {
            Kind::Cuts => self.try_cuts(until, &mut figures),
            Kind::Doubles => self.try_doubles(until, &mut figures),
            Kind::Faults => self.try_faults(until, &mut figures),
        };
        if let Err(violation) = tried {
            figures.failures.push(self.failure(Vec::new(), violation));
        }
        figures.took = begun.elapsed();
        figures
    }

    /// Looks for the shortest list of faults that violates the same invariant as these do, when the deed is done
    /// under them. `None` when they violate it only as the failure was found.
    pub fn shortest(&self, faults: &[Fault], invariant: &str) -> Option<(Vec<Fault>, Violation)> {
        let judge = |faults: &[Fault]| -> Result<(), Violation> {
            self.court().try_history(&self.origin()?, faults)?.judged
        };
        shortest(faults, |faults| {
            judge(faults).err().filter(|violation| violation.invariant == invariant)
        })
    }

    fn try_cuts(&self, until: Until, figures: &mut Figures) -> Result<(), Violation> {
        let path = self.walk(&self.origin()?)?;
        let models = match path.settled(&self.court()) {
            Ok(models) => models,
            Err((fault, violation)) => {
                figures.failures.push(self.failure(vec![fault], violation));
                return Ok(());
            }
        };
        figures.operations = path.operations.len();
        let (mut all, mut judged) = (HashSet::new(), HashSet::new());
        for index in 0..path.operations.len() {
            let mut may_be = models[index..index + 2].to_vec();
            may_be.dedup();
            let operations = (None, path.operations.len() as u64);
            let seen = (&mut all, &mut judged);
            self.cut_operation((&path, index), &may_be, operations, seen, figures);
            if until.is_over(&figures.failures) {
                break;
            }
        }
        figures.distinct = all.len();
        Ok(())
    }

    /// Cuts one operation of a path everywhere; `behind` is what struck before. False when a promise is broken: one
    /// failure of each operation says enough.
    pub(super) fn cut_operation(
        &self,
        (path, index): (&Path, usize),
        may_be: &[Model],
        (behind, deed_operations): (Option<(u64, Fault)>, u64),
        (all, judged): (&mut HashSet<u64>, &mut HashSet<(u64, u64)>),
        figures: &mut Figures,
    ) -> bool {
        let world = world(may_be);
        for tear in path.change(index).cuts(self.part.spec.geometry.word_bytes, self.grain) {
            let left = path.torn(index, tear, &mut figures.fired);
            figures.cases += 1;
            let mark = mark(&left);
            all.insert(mark);
            if !judged.insert((mark, world)) {
                continue;
            }
            if let Err(violation) = self.court().judge(left, may_be, deed_operations) {
                let before = behind.map_or(0, |(operation, _)| operation);
                let fault = cut::fault(before + index as u64 + 1, tear);
                let faults = behind.into_iter().map(|(_, first)| first).chain([fault]).collect();
                figures.failures.push(self.failure(faults, violation));
                return false;
            }
        }
        true
    }

    /// Names this sweep.
    pub fn place(&self) -> String {
        format!("{}/{}/{}", self.part.name, self.deed.name, self.age)
    }

    /// What judges it.
    pub const fn court(&self) -> Court<'a> {
        Court { part: self.part, releases: self.releases, deed: self.deed }
    }

    /// A failure here.
    pub fn failure(&self, faults: Vec<Fault>, violation: Violation) -> Failure {
        Failure { place: self.place(), faults, violation }
    }

    /// The device before the deed, without power.
    ///
    /// # Errors
    /// What was not reached without a fault.
    pub fn origin(&self) -> Result<Origin, Violation> {
        self.deed.origin(self.part, self.releases, self.age)
    }

    /// Does the deed without a cut.
    ///
    /// # Errors
    /// What goes wrong without one.
    pub fn walk(&self, origin: &Origin) -> Result<Path, Violation> {
        let mut unit = self.court().unit(origin)?;
        let before = copy(unit.flash());
        let path = Path::of(&mut unit, before, |unit| self.deed.goal.reach(unit))?;
        if !self.deed.goal.is_reached(&unit.belief.model) {
            let seen = format!("{:?} is not reached: {:?}", self.deed.goal, unit.belief.model);
            return Err(Violation { invariant: "I10", seen });
        }
        Ok(path)
    }
}
