//! Faults of every class, several at once, by chance.

use firmware_protocol::boot::ResetCause;
use hw_sim::{DeviceFault, Fault, FlashFault, Reads, SimFlash, Tear};

use super::disorder::{blocks, tender};
use super::judge::Violation;
use super::path::copy;
use super::sweep::Sweep;
use crate::random::Random;

/// Most faults in one history.
const MOST_FAULTS: u64 = 8;
/// Longest operation that is torn at any of its bytes, in bytes.
const LONGEST_BYTES: u64 = 1024;

/// What faults are drawn from: a deed on a part.
#[derive(Debug)]
pub struct Mixture {
    /// Flash operations of the deed.
    operations: u64,
    /// Calls of the engine in it.
    polls: u64,
    word_bytes: u32,
    size_bytes: u64,
    /// Addresses where a damaged byte hurts.
    tender: Vec<u32>,
    /// An address in each block.
    blocks: Vec<u32>,
}

impl Mixture {
    /// Looks at what a deed does.
    ///
    /// # Errors
    /// What goes wrong in it without a fault.
    pub fn of(sweep: &Sweep<'_>) -> Result<Self, Violation> {
        let origin = sweep.origin()?;
        let path = sweep.walk(&origin)?;
        let before: SimFlash = copy(&path.flashes[0]);
        Ok(Self {
            operations: path.operations.len() as u64,
            polls: path.polls,
            word_bytes: sweep.part.spec.geometry.word_bytes,
            size_bytes: u64::from(sweep.part.spec.size_bytes()),
            tender: tender(&before, sweep.part),
            blocks: blocks(sweep.part),
        })
    }

    /// A list of faults. Some come later than the deed lasts: what follows from the ones before takes longer.
    pub fn draw(&self, random: &mut Random) -> Vec<Fault> {
        let count = random.between(1, MOST_FAULTS + 1);
        (0..count).map(|_| self.one(random)).collect()
    }

    fn one(&self, random: &mut Random) -> Fault {
        if random.between(0, 3) == 0 {
            let at_poll = random.between(1, 2 * self.polls + 2);
            return Fault::Device { at_poll, what: of_device(random) };
        }
        let at_operation = random.between(1, 2 * self.operations + 2);
        Fault::Flash { at_operation, what: self.of_flash(random) }
    }

    fn of_flash(&self, random: &mut Random) -> FlashFault {
        // As many short tears as long ones: what decides is often written in a few bytes.
        let longest = LONGEST_BYTES >> random.between(0, 10);
        let bytes = small(random, 0, longest + 1);
        let bit = u8::try_from(random.between(0, 8)).unwrap_or(0);
        match random.between(0, 16) {
            0..=5 => FlashFault::Cut(self.tear(random, bytes)),
            6 => FlashFault::BrownOut { bytes, access: small(random, 1, 300) },
            7 | 8 => FlashFault::Fail { bytes },
            9 => FlashFault::Silent,
            10 => FlashFault::Misdirect { address: self.address(random) },
            11 => FlashFault::Flip { address: self.address(random), bit },
            12 => FlashFault::Ecc { address: self.address(random) },
            13 => FlashFault::Unread { address: self.address(random), times: small(random, 1, 4) },
            14 => FlashFault::Worn { address: pick(random, &self.blocks) },
            _ => FlashFault::Stuck { address: self.address(random), bit },
        }
    }

    fn tear(&self, random: &mut Random, bytes: u32) -> Tear {
        let seed = random.between(0, 1 << 32);
        let from = bytes / self.word_bytes * self.word_bytes;
        let until = from + self.word_bytes * small(random, 1, 5);
        let weak = |reads| Tear::Weak { from, until, reads };
        match random.between(0, 6) {
            0 => Tear::Behind { bytes },
            1 => Tear::InWord { bytes, seed },
            2 => Tear::Scattered { seed },
            3 => weak(Reads::NewFirst),
            4 => weak(Reads::OldFirst),
            _ => weak(Reads::Each { seed }),
        }
    }

    /// Mostly where it hurts.
    fn address(&self, random: &mut Random) -> u32 {
        if random.between(0, 4) == 0 {
            return u32::try_from(random.between(0, self.size_bytes)).unwrap_or(0);
        }
        pick(random, &self.tender)
    }
}

fn of_device(random: &mut Random) -> DeviceFault {
    match random.between(0, 6) {
        0..=2 => DeviceFault::Reset { cause: pick(random, &ResetCause::ALL) },
        3 => DeviceFault::Hang,
        4 => DeviceFault::ClockJump { by_ms: pick(random, &[2_000, 12_000, 61_000, -5_000]) },
        _ if random.between(0, 2) == 0 => DeviceFault::ClockStop,
        _ => DeviceFault::Random { times: small(random, 1, 5) },
    }
}

fn small(random: &mut Random, least: u64, end: u64) -> u32 {
    u32::try_from(random.between(least, end)).unwrap_or(u32::MAX)
}

fn pick<T: Copy>(random: &mut Random, all: &[T]) -> T {
    let place = random.between(0, all.len() as u64);
    all[usize::try_from(place).unwrap_or(0)]
}
