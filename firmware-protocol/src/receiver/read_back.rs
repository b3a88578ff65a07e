//! The last look at a slot: every component hashed from flash, and erased behind its end.

use crate::flash::{Flash, FlashError, Range};
use crate::planted::Mistake;
use crate::scan::{BlankScan, HashScan};

use super::{Part, tail};

/// A slot that is being read back.
#[derive(Debug)]
pub struct ReadBack {
    pub(super) index: usize,
    phase: BackPhase,
}

#[derive(Debug)]
enum BackPhase {
    Begin,
    Hash(HashScan),
    Tail {
        at: u32,
        scan: BlankScan,
        /// The erase block at `at` was erased, so it has to be blank now.
        again: bool,
    },
}

pub(super) enum PartStep {
    Working,
    Matches,
    Differs,
}

/// What a step of reading back found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackStep {
    /// More is to be read.
    Working,
    /// Every component is what the manifest says, and erased behind its end.
    AllMatch,
    /// A component is not; it has to be sent again.
    Differs {
        /// Which.
        component: usize,
    },
}

impl ReadBack {
    /// Begins with component `index`.
    pub(super) const fn of(index: usize) -> Self {
        Self { index, phase: BackPhase::Begin }
    }

    pub(super) fn step<F: Flash>(
        &mut self,
        flash: &mut F,
        part: &Part,
        erases: &mut u32,
    ) -> Result<PartStep, FlashError> {
        match &mut self.phase {
            BackPhase::Begin => {
                let body =
                    part.range.split_at(part.variant.length).ok_or(FlashError::OutOfBounds)?.0;
                self.phase = BackPhase::Hash(HashScan::new(body));
                Ok(PartStep::Working)
            }
            BackPhase::Hash(_) if Mistake::NoReadBack.is_planted() => Ok(PartStep::Matches),
            BackPhase::Hash(scan) => match scan.step(flash)? {
                None => Ok(PartStep::Working),
                Some(digest) if digest != part.variant.digest => Ok(PartStep::Differs),
                Some(_) => self.go_on(flash, part, tail(part).start, false),
            },
            BackPhase::Tail { at, scan, again } => {
                let (at, again) = (*at, *again);
                match scan.step(flash)? {
                    None => Ok(PartStep::Working),
                    Some(true) => {
                        let end = flash.block_at(at).ok_or(FlashError::OutOfBounds)?.end();
                        self.go_on(flash, part, end, false)
                    }
                    Some(false) => {
                        let block = flash.block_at(at).ok_or(FlashError::OutOfBounds)?;
                        if block.start < at {
                            return Ok(PartStep::Differs);
                        }
                        if again {
                            return Err(FlashError::Failed);
                        }
                        flash.erase(block)?;
                        *erases = erases.saturating_add(1);
                        self.go_on(flash, part, at, true)
                    }
                }
            }
        }
    }

    /// Looks at the erase block at `at`, unless the area ends there.
    fn go_on<F: Flash>(
        &mut self,
        flash: &mut F,
        part: &Part,
        at: u32,
        again: bool,
    ) -> Result<PartStep, FlashError> {
        if at >= part.range.end() {
            return Ok(PartStep::Matches);
        }
        let block = flash.block_at(at).ok_or(FlashError::OutOfBounds)?;
        let rest = Range { start: at, len_bytes: block.end().saturating_sub(at) };
        self.phase = BackPhase::Tail { at, scan: BlankScan::new(rest), again };
        Ok(PartStep::Working)
    }
}
