//! A range of the record is erased before the record moves to it, from its last block to its first.

use crate::flash::{Flash, FlashError, Range};
use crate::planted::Mistake;
use crate::scan::BlankScan;

/// How often one block is erased before it counts as worn out.
const ERASE_TRIES: u8 = 2;

/// A range on its way to blank; the blocks behind the one in hand are.
#[derive(Debug, Clone)]
pub(super) struct Clearing {
    range: Range,
    block: Range,
    erases: u8,
    /// Begun when the block was erased.
    scan: Option<BlankScan>,
}

/// What a step has done.
pub(super) enum Cleared {
    Erased,
    Looked,
    /// The whole range is blank.
    All,
}

impl Clearing {
    pub(super) fn new<F: Flash>(flash: &F, range: Range) -> Result<Self, FlashError> {
        let block = block_below(flash, range.end())?;
        let scan = Mistake::BlankTrusted.is_planted().then(|| BlankScan::new(block));
        Ok(Self { range, block, erases: 0, scan })
    }

    /// One erase, or a look at 4 KiB.
    pub(super) fn step<F: Flash>(&mut self, flash: &mut F) -> Result<Cleared, FlashError> {
        let Some(scan) = &mut self.scan else {
            return self.erase(flash);
        };
        match scan.step(flash) {
            Ok(None) => Ok(Cleared::Looked),
            Ok(Some(true)) if self.block.start <= self.range.start => Ok(Cleared::All),
            Ok(Some(true)) => {
                self.block = block_below(flash, self.block.start)?;
                self.erases = 0;
                self.scan = None;
                Ok(Cleared::Looked)
            }
            Ok(Some(false)) if Mistake::EraseForgotten.is_planted() => Ok(Cleared::All),
            Ok(Some(false)) | Err(_) if self.erases >= ERASE_TRIES => Err(FlashError::Failed),
            Ok(Some(false)) | Err(_) => self.erase(flash),
        }
    }

    /// A block that looks blank is erased as well: whether its last erase came to its end is not known.
    fn erase<F: Flash>(&mut self, flash: &mut F) -> Result<Cleared, FlashError> {
        self.scan = Some(BlankScan::new(self.block));
        if Mistake::EraseForgotten.is_planted() {
            return Ok(Cleared::Looked);
        }
        self.erases = self.erases.saturating_add(1);
        flash.erase(self.block)?;
        Ok(Cleared::Erased)
    }
}

/// The block that ends where `end` is.
fn block_below<F: Flash>(flash: &F, end: u32) -> Result<Range, FlashError> {
    flash.block_at(end.saturating_sub(1)).ok_or(FlashError::OutOfBounds)
}
