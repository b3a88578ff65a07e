//! Every single fault that is no power cut, at every operation and every call of a deed.

use std::collections::HashSet;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::slot::SlotId;
use hw_sim::{DeviceFault, Fault, FlashFault, Operation, SimFlash};

use super::judge::Violation;
use super::part::Part;
use super::sweep::{Figures, Sweep, Until};
use super::truth::entry_in_force;

/// Accesses of flash behind which a supply fails for the second time.
const BROWNED_OUT_AFTER: [u32; 6] = [1, 2, 5, 17, 60, 200];
/// How far clocks jump, in milliseconds: within a lease, beyond it, beyond the longest boot, and back.
const JUMPS_MS: [i64; 5] = [2_000, 12_000, 61_000, 100_000_000, -5_000];
/// Reads that fail: as often as a read is tried, and for longer.
const UNREAD: [u32; 2] = [2, 12];
/// How often a random source fails.
const RANDOM: [u32; 2] = [1, 4];

impl Sweep<'_> {
    /// Lets every single fault strike that is no power cut.
    ///
    /// # Errors
    /// What goes wrong without one.
    pub(super) fn try_faults(&self, until: Until, figures: &mut Figures) -> Result<(), Violation> {
        let origin = self.origin()?;
        let path = self.walk(&origin)?;
        figures.operations = path.operations.len();
        let mut faults = of_flash(&path.operations, &path.flashes[0], self.part);
        faults.extend(of_device(path.polls));
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
                if until.is_over(&figures.failures) {
                    break;
                }
            }
        }
        figures.distinct = all.len();
        Ok(())
    }
}

/// Faults of flash and supply in each of these operations.
fn of_flash(operations: &[Operation], before: &SimFlash, part: &Part) -> Vec<Fault> {
    let places = tender(before, part);
    let mut faults = Vec::new();
    for (at_operation, operation) in (1..).zip(operations) {
        let length = match operation {
            Operation::Program { bytes, .. } => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            Operation::Erase { block } => block.len_bytes,
        };
        let mut add = |what| faults.push(Fault::Flash { at_operation, what });
        for bytes in [0, length / 2, length] {
            add(FlashFault::Fail { bytes });
        }
        add(FlashFault::Silent);
        let bytes = length / 2;
        for access in BROWNED_OUT_AFTER {
            add(FlashFault::BrownOut { bytes, access });
        }
        for (number, address) in (0..).zip(places.iter().copied()) {
            add(FlashFault::Misdirect { address });
            add(FlashFault::Flip { address, bit: number % 8 });
            add(FlashFault::Ecc { address });
            for times in UNREAD {
                add(FlashFault::Unread { address, times });
            }
        }
    }
    for (number, address) in (0..).zip(blocks(part)) {
        for at_operation in [1, 1 + operations.len() as u64 / 2] {
            let mut add = |what| faults.push(Fault::Flash { at_operation, what });
            add(FlashFault::Worn { address });
            add(FlashFault::Stuck { address, bit: number % 8 });
        }
    }
    faults
}

/// Faults of the device at each call of its engine.
fn of_device(polls: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for at_poll in 1..=polls {
        let mut add = |what| faults.push(Fault::Device { at_poll, what });
        for cause in ResetCause::ALL {
            add(DeviceFault::Reset { cause });
        }
        add(DeviceFault::Hang);
        for by_ms in JUMPS_MS {
            add(DeviceFault::ClockJump { by_ms });
        }
        add(DeviceFault::ClockStop);
        for times in RANDOM {
            add(DeviceFault::Random { times });
        }
    }
    faults
}

/// Addresses where a damaged byte hurts, one of each kind: in the entry in force, its seal and its mark, the
/// place behind it, the root record, and each slot's manifest, image and blank tail.
pub(super) fn tender(flash: &SimFlash, part: &Part) -> Vec<u32> {
    let [even, odd] = part.layout.trust();
    let mut places = vec![even.start + 40, odd.start + 40];
    if let Some((entry, _)) = entry_in_force(flash, part) {
        places.extend([entry + 60, entry + 448, entry + 480, entry + 512 + 60]);
    }
    for slot in SlotId::ALL {
        let layout = part.layout.slots().get(slot);
        let app = layout.areas[0].range;
        places.extend([layout.manifest.start + 70, app.start + 700, app.end() - 1]);
    }
    places.retain(|address| *address < part.spec.size_bytes());
    places
}

/// An address in each block.
pub(super) fn blocks(part: &Part) -> Vec<u32> {
    let mut starts = Vec::new();
    while let Some((_, block)) = part.spec.block_at(starts.last().map_or(0, |(_, end)| *end)) {
        starts.push((block.start, block.end()));
    }
    starts.into_iter().map(|(start, _)| start + 5).collect()
}
