//! Every cut of one deed on one part.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use hw_sim::{Fault, FaultClass};

use super::cut;
use super::deed::{Deed, Origin};
use super::judge::{Court, Violation};
use super::model::Model;
use super::part::Part;
use super::path::{Path, copy, mark, world};
use super::release::Releases;

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
}

impl<'a> Sweep<'a> {
    /// Cuts everywhere; the first failure ends it if so desired.
    pub fn run(&self, until_failure: bool) -> Figures {
        let begun = Instant::now();
        let mut figures = Figures::default();
        if let Err(violation) = self.try_cuts(until_failure, &mut figures) {
            figures.failures.push(self.failure(Vec::new(), violation));
        }
        figures.took = begun.elapsed();
        figures
    }

    fn try_cuts(&self, until_failure: bool, figures: &mut Figures) -> Result<(), Violation> {
        let path = self.walk(&self.origin()?)?;
        let models = path.settled(&self.court())?;
        figures.operations = path.operations.len();
        let (mut all, mut judged) = (HashSet::new(), HashSet::new());
        for index in 0..path.operations.len() {
            let mut may_be = models[index..index + 2].to_vec();
            may_be.dedup();
            self.cut_operation(&path, index, &may_be, (&mut all, &mut judged), figures);
            if until_failure && !figures.failures.is_empty() {
                break;
            }
        }
        figures.distinct = all.len();
        Ok(())
    }

    fn cut_operation(
        &self,
        path: &Path,
        index: usize,
        may_be: &[Model],
        (all, judged): (&mut HashSet<u64>, &mut HashSet<u64>),
        figures: &mut Figures,
    ) {
        let world = world(may_be);
        let deed_operations = path.operations.len() as u64;
        for tear in path.change(index).cuts(self.part.spec.geometry.word_bytes, self.deed.grain) {
            let left = path.torn(index, tear, &mut figures.fired);
            figures.cases += 1;
            let mark = mark(&left);
            all.insert(mark);
            if !judged.insert(mark ^ world) {
                continue;
            }
            if let Err(violation) = self.court().judge(left, may_be, deed_operations) {
                let fault = cut::fault(index as u64 + 1, tear);
                figures.failures.push(self.failure(vec![fault], violation));
                // One of each operation says enough.
                break;
            }
        }
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
        let origin = self.deed.origin(self.part, self.releases, self.age);
        origin.map_err(|(goal, stop)| {
            let seen = format!("{goal:?} is not reached: {stop:?}");
            Violation { invariant: "I10", seen }
        })
    }

    /// Does the deed without a cut.
    ///
    /// # Errors
    /// What goes wrong without one.
    pub fn walk(&self, origin: &Origin) -> Result<Path, Violation> {
        let mut unit = self.court().unit(origin)?;
        let before = copy(unit.flash());
        let path = Path::of(&mut unit, before, |unit| self.court().act(unit))?;
        if !self.deed.goal.is_reached(&unit.belief.model) {
            let seen = format!("{:?} is not reached: {:?}", self.deed.goal, unit.belief.model);
            return Err(Violation { invariant: "I10", seen });
        }
        Ok(path)
    }
}
