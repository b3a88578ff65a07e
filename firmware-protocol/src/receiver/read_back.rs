//! The last look at a slot: every component hashed from flash, and erased behind its end.

use crate::flash::{Flash, FlashError, Range};
use crate::planted::{Defence, Mistake};
use crate::scan::{BlankScan, HashScan};

use super::{Part, Run, tail};

/// A slot that is being read back.
#[derive(Debug, Clone)]
pub struct ReadBack {
    pub(super) index: usize,
    phase: BackPhase,
}

#[derive(Debug, Clone)]
enum BackPhase {
    Begin,
    Hash(HashScan),
    /// The erase block at `at` lies behind the component and is to be erased.
    Erase {
        at: u32,
    },
    Tail {
        at: u32,
        scan: BlankScan,
        /// The erase block at `at` was erased, so it has to be blank now.
        again: bool,
    },
}

/// What is known of a slot's flash besides what it reads as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flashed {
    /// The record names it, so it may be erased.
    pub(super) named: Range,
    /// An earlier start may have been at it: that it looks blank proves nothing.
    pub(super) suspect: Range,
    /// How much is named at once.
    pub(super) run_bytes: u32,
}

pub(super) enum PartStep {
    Working,
    /// This is to be named before it is erased.
    Names(Run),
    Matches,
    Differs,
}

/// What a step of reading back found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackStep {
    /// More is to be read.
    Working,
    /// Blocks behind a component have to be erased: they are to be named before.
    Names(Run),
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
        flashed: Flashed,
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
                Some(digest)
                    if digest != part.variant.digest && !Defence::BlockDigests.is_off() =>
                {
                    Ok(PartStep::Differs)
                }
                Some(_) => self.go_on(flash, part, flashed.suspect, tail(part).start),
            },
            BackPhase::Erase { at } => {
                let at = *at;
                let block = block_at(flash, at)?;
                if !flashed.named.covers(block) {
                    let run = Run::from(flash, block, part.range, flashed.run_bytes);
                    return Ok(PartStep::Names(run));
                }
                flash.erase(block)?;
                *erases = erases.saturating_add(1);
                self.phase = BackPhase::Tail { at, scan: BlankScan::new(block), again: true };
                Ok(PartStep::Working)
            }
            BackPhase::Tail { at, scan, again } => {
                let (at, again) = (*at, *again);
                match scan.step(flash) {
                    Ok(None) => Ok(PartStep::Working),
                    Ok(Some(true)) => {
                        let end = block_at(flash, at)?.end();
                        self.go_on(flash, part, flashed.suspect, end)
                    }
                    // What cannot be read is not blank: an erase makes it so.
                    Ok(Some(false)) | Err(_) if block_at(flash, at)?.start < at => {
                        Ok(PartStep::Differs)
                    }
                    Ok(Some(false)) | Err(_) if again => Err(FlashError::Failed),
                    Ok(Some(false)) | Err(_) => {
                        self.phase = BackPhase::Erase { at };
                        Ok(PartStep::Working)
                    }
                }
            }
        }
    }

    /// Goes on to the erase block at `at`, unless the area ends there.
    fn go_on<F: Flash>(
        &mut self,
        flash: &mut F,
        part: &Part,
        suspect: Range,
        at: u32,
    ) -> Result<PartStep, FlashError> {
        if at >= part.range.end() {
            return Ok(PartStep::Matches);
        }
        let block = block_at(flash, at)?;
        let is_suspect = block.start == at && !block.common(suspect).is_empty();
        self.phase = if is_suspect {
            BackPhase::Erase { at }
        } else {
            let rest = Range { start: at, len_bytes: block.end().saturating_sub(at) };
            BackPhase::Tail { at, scan: BlankScan::new(rest), again: false }
        };
        Ok(PartStep::Working)
    }
}

fn block_at<F: Flash>(flash: &F, address: u32) -> Result<Range, FlashError> {
    flash.block_at(address).ok_or(FlashError::OutOfBounds)
}
