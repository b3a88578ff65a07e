//! Every cut of one deed on one part.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use firmware_protocol::flash::Flash as _;
use hw_sim::{Operation, PowerCut, SimFlash, Tear};

use super::cut::Cut;
use super::deed::Deed;
use super::judge::{Court, Expected, Violation};
use super::part::Part;
use super::release::Releases;
use super::truth::Truth;

/// A cut that a promise did not survive.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Part, deed and age of the record.
    pub place: String,
    /// The cut; `None` when it goes wrong without one.
    pub cut: Option<Cut>,
    /// What was violated.
    pub violation: Violation,
}

/// What a sweep came to.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Flash operations of the deed, by the trace.
    pub operations: usize,
    /// Cuts, by the lengths of those operations.
    pub cases: usize,
    /// Different contents of the flash behind them.
    pub distinct: usize,
    /// Cuts that struck.
    pub fired: u64,
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

/// The flash before and behind each operation, and what is true there.
struct Path {
    operations: Vec<Operation>,
    /// One more than operations.
    images: Vec<Vec<u8>>,
    truths: Vec<Truth>,
    target: Truth,
}

impl Sweep<'_> {
    /// Cuts everywhere, or only at `only`.
    pub fn run(&self, only: Option<Cut>) -> Figures {
        let begun = Instant::now();
        let court = Court { part: self.part, releases: self.releases, deed: self.deed };
        let path = match self.walk(&court) {
            Ok(path) => path,
            Err(violation) => {
                let failures = vec![self.failure(None, violation)];
                return Figures { failures, took: begun.elapsed(), ..Figures::default() };
            }
        };
        let mut figures = Figures { operations: path.operations.len(), ..Figures::default() };
        let mut all = HashSet::new();
        for (index, operation) in path.operations.iter().enumerate() {
            let mut seen = HashSet::new();
            let mut failed = false;
            for cut in Cut::all(index, operation, self.part.spec.geometry.word_bytes) {
                if only.is_some_and(|only| only != cut) {
                    continue;
                }
                let (left, fired) = self.tear(&path.images[index], operation, cut.tear);
                figures.cases += 1;
                figures.fired += fired;
                let mark = mark(&left);
                all.insert(mark);
                if failed || !seen.insert(mark) {
                    continue;
                }
                let expected = Expected {
                    origin: &path.truths[0],
                    either: [&path.truths[index], &path.truths[index + 1]],
                    target: &path.target,
                    deed_operations: path.operations.len() as u64,
                };
                if let Err(violation) = court.judge(&left, &expected) {
                    failed = true;
                    figures.failures.push(self.failure(Some(cut), violation));
                }
            }
        }
        figures.distinct = all.len();
        figures.took = begun.elapsed();
        figures
    }

    /// Names this sweep.
    pub fn place(&self) -> String {
        format!("{}/{}/{}", self.part.name, self.deed.name, self.age)
    }

    fn failure(&self, cut: Option<Cut>, violation: Violation) -> Failure {
        Failure { place: self.place(), cut, violation }
    }

    /// Does the deed without a cut.
    fn walk(&self, court: &Court<'_>) -> Result<Path, Violation> {
        let unreached = |seen| Violation { invariant: "I10", seen };
        let prepared = self.deed.prepare(self.part, self.releases, self.age);
        let mut unit = prepared
            .map_err(|(goal, stop)| unreached(format!("{goal:?} is not reached: {stop:?}")))?;
        let before = unit.flash().contents().to_vec();
        unit.flash().start_trace();
        let done = self.deed.act(&mut unit, self.part, self.releases);
        done.map_err(|stop| unreached(format!("{:?} is not reached: {stop:?}", self.deed.goal)))?;
        let operations = unit.flash().take_trace();
        let behind = unit.into_flash().contents().to_vec();
        let mut images = vec![before];
        for operation in &operations {
            let mut flash = self.flash(images.last().unwrap());
            perform(&mut flash, operation).expect("it worked the first time");
            images.push(flash.contents().to_vec());
        }
        assert_eq!(images.last(), Some(&behind), "{}: not what the trace says", self.place());
        let truths: Result<_, _> = images.iter().map(|image| court.truth(image)).collect();
        Ok(Path { operations, images, truths: truths?, target: court.target(&behind)? })
    }

    fn flash(&self, bytes: &[u8]) -> SimFlash {
        SimFlash::holding(self.part.spec.clone(), bytes.to_vec())
    }

    /// What is left of the flash when power fails so far into an operation, and how often it failed.
    fn tear(&self, image: &[u8], operation: &Operation, tear: Tear) -> (Vec<u8>, u64) {
        let mut flash = self.flash(image);
        flash.set_power_cut(Some(PowerCut { at_operation: 1, tear }));
        let torn = perform(&mut flash, operation);
        assert!(torn.is_err() && !flash.is_powered(), "the cut did not strike");
        (flash.contents().to_vec(), flash.counters().power_cuts)
    }
}

fn perform(
    flash: &mut SimFlash,
    operation: &Operation,
) -> Result<(), firmware_protocol::flash::FlashError> {
    match operation {
        Operation::Program { address, bytes } => flash.program(*address, bytes),
        Operation::Erase { block } => flash.erase(*block),
    }
}

/// Tells contents apart, eight bytes at a time.
fn mark(bytes: &[u8]) -> u64 {
    bytes.chunks(8).fold(0xCBF2_9CE4_8422_2325, |mark: u64, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (mark.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517C_C1B7_2722_0A95)
    })
}
