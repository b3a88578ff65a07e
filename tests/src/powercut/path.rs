//! What flash goes through while something is done, operation by operation, and what the device may be there.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use firmware_protocol::boot::ResetCause;
use firmware_protocol::flash::{Flash as _, FlashError, Range};
use hw_sim::{Fault, FaultClass, Operation, SimFlash, Tear};

use super::belief::Step;
use super::cut::{self, Change};
use super::judge::{Court, Violation};
use super::model::Model;
use super::unit::Unit;

/// The flash before each operation of something that is done.
pub struct Path {
    /// The operations.
    pub operations: Vec<Operation>,
    /// The flash before each, and behind the last.
    pub flashes: Vec<SimFlash>,
    /// What the device may be when power fails before each operation or in it, or behind the last.
    pub may_be: Vec<Vec<Model>>,
    /// Calls of the engine.
    pub polls: u64,
}

impl Path {
    /// Follows some work on a device whose flash is as `origin` when it begins.
    ///
    /// # Errors
    /// What goes wrong in it.
    pub fn of(
        unit: &mut Unit<'_>,
        origin: SimFlash,
        work: impl FnOnce(&mut Unit<'_>) -> Result<(), Violation>,
    ) -> Result<Self, Violation> {
        let begun = unit.flash().counters().operations;
        unit.flash().start_trace();
        unit.belief.log = Some(Vec::new());
        let first: Vec<Model> = unit.belief.all().cloned().collect();
        work(unit)?;
        let polls = unit.mishaps().polls();
        let operations = unit.flash().take_trace();
        let log = unit.belief.log.take().unwrap_or_default();
        let mut flashes = vec![origin];
        for operation in &operations {
            let mut flash = copy(&flashes[flashes.len() - 1]);
            perform(&mut flash, operation).expect("it worked the first time");
            flashes.push(flash);
        }
        let last = &flashes[flashes.len() - 1];
        assert_eq!(last.contents(), unit.flash().contents(), "the trace leads elsewhere");
        let may_be = (0..).zip(&flashes).map(|(index, _)| around(&log, begun + index, &first));
        let may_be = may_be.collect();
        Ok(Self { operations, flashes, may_be, polls })
    }

    /// What the device is before each operation, and behind the last, by a start of it there: what it had to be
    /// before that step of the work, or behind it.
    ///
    /// # Errors
    /// What is not as it may be between two operations, and the cut that shows it.
    pub fn settled(&self, court: &Court<'_>) -> Result<Vec<Model>, (Fault, Violation)> {
        let places = (1..).zip(self.flashes.iter().zip(&self.may_be));
        let starts = places.map(|(number, (flash, may_be))| {
            match court.start(copy(flash), may_be, ResetCause::PowerOn) {
                Ok((_, place)) => Ok(may_be[place].clone()),
                Err(violation) => Err((cut::fault(number, Tear::Behind { bytes: 0 }), violation)),
            }
        });
        starts.collect()
    }

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
            if let Some(changes) = place {
                *changes = true;
            }
        }
        Change { bytes, is_erase }
    }

    /// What is left of the flash when power fails in an operation; weak cells read as at the next start.
    pub fn torn(
        &self,
        index: usize,
        tear: Tear,
        fired: &mut BTreeMap<FaultClass, u64>,
    ) -> SimFlash {
        let mut flash = copy(&self.flashes[index]);
        flash.set_fault(cut::fault(1, tear));
        let _ = perform(&mut flash, &self.operations[index]);
        flash.power_on();
        add_fired(fired, &flash);
        flash.forget_history();
        flash
    }
}

/// What a device may be when power fails in operation number `operation`: as before the step of its log in which
/// that was, or as behind it.
fn around(log: &[Step], operation: u64, first: &[Model]) -> Vec<Model> {
    match log.iter().find(|step| step.until > operation) {
        Some(step) => {
            let mut may_be = step.before.clone();
            for model in &step.after {
                if !may_be.contains(model) {
                    may_be.push(model.clone());
                }
            }
            may_be
        }
        None => log.last().map_or(first, |step| &step.after).to_vec(),
    }
}

fn perform(flash: &mut SimFlash, operation: &Operation) -> Result<(), FlashError> {
    match operation {
        Operation::Program { address, bytes } => flash.program(*address, bytes),
        Operation::Erase { block } => flash.erase(*block),
    }
}

/// The same flash, its history behind it.
pub fn copy(flash: &SimFlash) -> SimFlash {
    flash.fork().expect("memory can be read")
}

/// Adds what has struck a part.
pub fn add_fired(fired: &mut BTreeMap<FaultClass, u64>, flash: &SimFlash) {
    for (class, count) in flash.fired() {
        *fired.entry(*class).or_default() += count;
    }
}

/// Tells apart what a device may be.
pub fn world(may_be: &[Model]) -> u64 {
    let mut hasher = DefaultHasher::new();
    may_be.hash(&mut hasher);
    hasher.finish()
}

/// Tells flash apart: its contents, its weak cells and what cannot be read.
pub fn mark(flash: &SimFlash) -> u64 {
    let mix =
        |mark: u64, word: u64| (mark.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    let (words, rest) = flash.contents().as_chunks();
    let words =
        words.iter().fold(0xCBF2_9CE4_8422_2325, |mark, word| mix(mark, u64::from_le_bytes(*word)));
    let contents = rest.iter().fold(words, |mark, byte| mix(mark, u64::from(*byte)));
    let weak = flash.weak_cells().iter().fold(contents, |mark, (address, byte)| {
        mix(mark, u64::from(*address) << 8 | u64::from(*byte))
    });
    let first_weak = flash.weak_cells().keys().next();
    let reads = first_weak.and_then(|at| flash.view(Range { start: *at, len_bytes: 1 }));
    let reads = u64::from(
        reads.is_some_and(|byte| flash.contents()[*first_weak.unwrap() as usize] != byte[0]),
    );
    flash
        .unreadable_words()
        .fold(mix(weak, reads), |mark, word| mix(mark, u64::from(word) << 1 | 1))
}
