//! Every cut of one deed on one part.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use firmware_protocol::boot::ResetCause;
use firmware_protocol::flash::{Flash as _, FlashError, Range};
use hw_sim::{Fault, FaultClass, Operation, SimFlash, Tear};

use super::cut::{self, Change};
use super::belief::Step;
use super::deed::{Deed, Origin};
use super::disorder;
use super::judge::{Court, Violation};
use super::model::Model;
use super::part::Part;
use super::release::Releases;
use super::unit::Unit;

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

/// The flash before each operation of something that is done, and what it has to be there.
pub struct Path {
    /// The operations.
    pub operations: Vec<Operation>,
    /// The flash before each, and behind the last.
    pub flashes: Vec<SimFlash>,
    /// What the device is there, if power fails: one for each flash.
    pub models: Vec<Model>,
    /// Calls of the engine.
    pub polls: u64,
}

/// Contents that were judged, whatever they come from.
pub type Seen = HashSet<u64>;

impl<'a> Sweep<'a> {
    /// Cuts everywhere; the first failure ends it if so desired.
    pub fn run(&self, until_failure: bool) -> Figures {
        let begun = Instant::now();
        let mut figures = Figures::default();
        match self.origin().and_then(|origin| self.walk(&origin)) {
            Err(violation) => figures.failures.push(self.failure(Vec::new(), violation)),
            Ok(path) => {
                figures.operations = path.operations.len();
                let (mut all, mut seen) = (HashSet::new(), Seen::new());
                for (index, what) in path.operations.iter().enumerate() {
                    self.cut_operation(&path, index, what, (&mut all, &mut seen), &mut figures);
                    if until_failure && !figures.failures.is_empty() {
                        break;
                    }
                }
                figures.distinct = all.len();
            }
        }
        figures.took = begun.elapsed();
        figures
    }

    /// Lets every single fault strike that is no power cut.
    pub fn run_disorder(&self, until_failure: bool) -> Figures {
        let begun = Instant::now();
        let mut figures = Figures::default();
        if let Err(violation) = self.try_disorder(until_failure, &mut figures) {
            figures.failures.push(self.failure(Vec::new(), violation));
        }
        figures.took = begun.elapsed();
        figures
    }

    fn try_disorder(&self, until_failure: bool, figures: &mut Figures) -> Result<(), Violation> {
        let origin = self.origin()?;
        let path = self.walk(&origin)?;
        figures.operations = path.operations.len();
        let mut faults = disorder::of_flash(&path.operations, &path.flashes[0], self.part);
        faults.extend(disorder::of_device(path.polls));
        let mut all = HashSet::new();
        for fault in faults {
            let outcome = self.court().try_history(&origin, &[fault])?;
            figures.cases += 1;
            all.insert(outcome.mark);
            for (class, count) in outcome.fired {
                *figures.fired.entry(class).or_default() += count;
            }
            if let Err(violation) = outcome.judged {
                figures.failures.push(self.failure(vec![fault], violation));
                if until_failure {
                    break;
                }
            }
        }
        figures.distinct = all.len();
        Ok(())
    }

    fn cut_operation(
        &self,
        path: &Path,
        index: usize,
        what: &Operation,
        (all, seen): (&mut HashSet<u64>, &mut Seen),
        figures: &mut Figures,
    ) {
        let court = self.court();
        let mut failed = false;
        let may_be = path.may_be(index);
        let world = world(&may_be);
        for tear in path.change(index).cuts(self.part.spec.geometry.word_bytes, self.deed.grain) {
            let left = tear_operation(&path.flashes[index], what, tear, &mut figures.fired);
            figures.cases += 1;
            let mark = mark(&left);
            all.insert(mark);
            let fresh = seen.insert(mark ^ world);
            if failed || !fresh {
                continue;
            }
            if let Err(violation) = court.judge(left, &may_be, path.operations.len() as u64) {
                failed = true;
                let fault = cut::fault(index as u64 + 1, tear);
                figures.failures.push(self.failure(vec![fault], violation));
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
        let before = unit.flash().fork().expect("memory can be read");
        let path = self.court().trace(&mut unit, before, |unit| {
            self.deed.act(unit).map_err(|stop| Violation {
                invariant: "I10",
                seen: format!("{:?} is not reached: {stop:?}", self.deed.goal),
            })
        })?;
        if !self.deed.goal.is_reached(&unit.belief.model) {
            let seen = format!("{:?} is not reached: {:?}", self.deed.goal, unit.belief.model);
            return Err(Violation { invariant: "I10", seen });
        }
        Ok(path)
    }
}

impl<'a> Court<'a> {
    /// The device before the deed, started.
    ///
    /// # Errors
    /// When it does not start.
    pub fn unit(&self, origin: &Origin) -> Result<Unit<'a>, Violation> {
        origin.unit(self.part, self.releases).map_err(|stop| {
            let seen = format!("the start before the deed ends: {stop:?}");
            Violation { invariant: "I1", seen }
        })
    }

    /// Does something and keeps the flash before each operation of it, from `origin` on, and what the device is
    /// there: started on it, it has to be what it was before that step of the work, or behind it.
    ///
    /// # Errors
    /// What goes wrong, or what is not as it may be between two operations.
    pub fn trace(
        &self,
        unit: &mut Unit<'_>,
        origin: SimFlash,
        work: impl FnOnce(&mut Unit<'_>) -> Result<(), Violation>,
    ) -> Result<Path, Violation> {
        let begun = unit.flash().counters().operations;
        unit.flash().start_trace();
        unit.belief.log = Some(Vec::new());
        let first = unit.belief.model.clone();
        work(unit)?;
        let polls = unit.mishaps().polls();
        let operations = unit.flash().take_trace();
        let log = unit.belief.log.take().unwrap_or_default();
        let mut flashes = vec![origin];
        for operation in &operations {
            let last = &flashes[flashes.len() - 1];
            let mut flash = last.fork().expect("memory can be read");
            perform(&mut flash, operation).expect("it worked the first time");
            flashes.push(flash);
        }
        assert_eq!(
            flashes[flashes.len() - 1].contents(),
            unit.flash().contents(),
            "the trace leads elsewhere"
        );
        let mut models = Vec::new();
        for (index, flash) in flashes.iter().enumerate() {
            let (before, after) = around(&log, begun + index as u64, &first);
            let fork = flash.fork().expect("memory can be read");
            let may_be: Vec<&Model> =
                if before == after { vec![&before] } else { vec![&before, &after] };
            let (_, place) = self.start(fork, &may_be, ResetCause::PowerOn)?;
            models.push(may_be[place].clone());
        }
        Ok(Path { operations, flashes, models, polls })
    }
}

/// Tells apart what a device may be.
fn world(may_be: &[&Model]) -> u64 {
    let mut hasher = DefaultHasher::new();
    may_be.hash(&mut hasher);
    hasher.finish()
}

impl Path {
    /// What an operation changes.
    pub fn change(&self, index: usize) -> Change {
        let (before, after) = (&self.flashes[index], &self.flashes[index + 1]);
        let (start, length, is_erase) = match &self.operations[index] {
            Operation::Program { address, bytes } => (*address as usize, bytes.len(), false),
            Operation::Erase { block } => (block.start as usize, block.len_bytes as usize, true),
        };
        let mut bytes: Vec<bool> = before.contents()[start..start + length]
            .iter()
            .zip(&after.contents()[start..start + length])
            .map(|(before, after)| before != after)
            .collect();
        for weak in before.weak_cells().keys().chain(after.weak_cells().keys()) {
            let place = (*weak as usize).checked_sub(start).and_then(|at| bytes.get_mut(at));
            place.into_iter().for_each(|changes| *changes = true);
        }
        Change { bytes, is_erase }
    }

    /// What a device may be when power fails in an operation.
    pub fn may_be(&self, index: usize) -> Vec<&Model> {
        let (before, behind) = (&self.models[index], &self.models[index + 1]);
        if before == behind { vec![before] } else { vec![before, behind] }
    }
}

/// What a device had to be before and behind the step of its log in which operation number `operation` was.
fn around(log: &[Step], operation: u64, first: &Model) -> (Model, Model) {
    match log.iter().find(|step| step.until > operation) {
        Some(step) => (step.before.clone(), step.after.clone()),
        None => {
            let last = log.last().map_or(first, |step| &step.after);
            (last.clone(), last.clone())
        }
    }
}

/// What is left of the flash when power fails in an operation; weak cells read as at the next start.
pub fn tear_operation(
    before: &SimFlash,
    operation: &Operation,
    tear: Tear,
    fired: &mut BTreeMap<FaultClass, u64>,
) -> SimFlash {
    let mut flash = before.fork().expect("memory can be read");
    flash.set_fault(cut::fault(1, tear));
    let _ = perform(&mut flash, operation);
    flash.power_on();
    add_fired(fired, &flash);
    flash.forget_history();
    flash
}

/// Adds what has struck a part.
pub fn add_fired(fired: &mut BTreeMap<FaultClass, u64>, flash: &SimFlash) {
    for (class, count) in flash.fired() {
        *fired.entry(*class).or_default() += count;
    }
}

fn perform(flash: &mut SimFlash, operation: &Operation) -> Result<(), FlashError> {
    match operation {
        Operation::Program { address, bytes } => flash.program(*address, bytes),
        Operation::Erase { block } => flash.erase(*block),
    }
}

/// Tells flash apart: its contents, its weak cells and what cannot be read.
pub fn mark(flash: &SimFlash) -> u64 {
    let mix =
        |mark: u64, word: u64| (mark.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    let contents = flash.contents().chunks(8).fold(0xCBF2_9CE4_8422_2325, |mark, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mix(mark, u64::from_le_bytes(word))
    });
    let weak = flash.weak_cells().iter().fold(contents, |mark, (address, byte)| {
        mix(mark, u64::from(*address) << 8 | u64::from(*byte))
    });
    let first_weak = flash.weak_cells().keys().next();
    let reads = first_weak.and_then(|at| flash.view(Range { start: *at, len_bytes: 1 }));
    let reads = u64::from(reads.is_some_and(|byte| flash.contents()[*first_weak.unwrap() as usize] != byte[0]));
    flash
        .unreadable_words()
        .fold(mix(weak, reads), |mark, word| mix(mark, u64::from(word) << 1 | 1))
}
