//! From chunks to whole blocks in the window, and from there to flash, one operation a step.

use crate::flash::{Flash, FlashError, Range};
use crate::scan;

use super::{ChunkFate, OpenPart, Step, Wear, block_range};

/// Most blocks that are put together at the same time.
pub(super) const MAX_ASSEMBLIES: usize = 32;
/// A block has this many granules: where a chunk may begin and end.
const GRANULES: u32 = 32;
/// How often in one transfer a block may not hold what was written to it.
const MAX_FAILURES: u8 = 8;

/// A block that is being put together; its place in the window is `place` blocks from the start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Assembly {
    block: u32,
    place: u8,
    /// One bit a granule that has arrived.
    arrived: u32,
    whole: bool,
}

/// A whole block on its way to flash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) block: u32,
    place: u8,
    /// Erased up to here, then programmed up to here; offsets in the block.
    erased_bytes: u32,
    programmed_bytes: u32,
}

impl OpenPart {
    /// Blocks that the window has room for.
    pub(super) fn capacity(&self, window_bytes: usize) -> usize {
        let size = usize::try_from(self.part.variant.block_size).unwrap_or(usize::MAX);
        window_bytes.checked_div(size).unwrap_or(0).min(MAX_ASSEMBLIES)
    }

    pub(super) fn chunk(
        &mut self,
        window: &mut [u8],
        offset: u64,
        bytes: &[u8],
        erased: u8,
    ) -> ChunkFate {
        let Some(fit) = self.fit(offset, bytes.len()) else {
            return ChunkFate::Misplaced;
        };
        if self.map.is_done(fit.block) {
            return ChunkFate::Taken { new_bytes: 0 };
        }
        let Some((assembly, size)) = self.assembly(window, fit.block, erased) else {
            return ChunkFate::NoRoom;
        };
        let start = usize::from(assembly.place).saturating_mul(size).saturating_add(fit.at);
        let place = window.get_mut(start..start.saturating_add(bytes.len()));
        let Some(place) = place.filter(|_| !assembly.whole) else {
            return ChunkFate::Taken { new_bytes: 0 };
        };
        place.copy_from_slice(bytes);
        let new = fit.granules & !assembly.arrived;
        assembly.arrived |= fit.granules;
        assembly.whole = assembly.arrived == fit.whole_block;
        let granule = u32::try_from(size).unwrap_or(u32::MAX) / GRANULES;
        let new_bytes = new.count_ones().saturating_mul(granule);
        ChunkFate::Taken {
            new_bytes: new_bytes.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
        }
    }

    /// Where a chunk belongs; `None` unless it lies in one block and covers whole granules.
    fn fit(&self, offset: u64, len: usize) -> Option<Fit> {
        let size = self.part.variant.block_size;
        let granule = size / GRANULES;
        let offset = u32::try_from(offset).ok()?;
        let len = u32::try_from(len).ok().filter(|len| *len > 0)?;
        let block = offset.checked_div(size)?;
        let block_bytes = block_range(&self.part, block)?.len_bytes;
        let at = offset.checked_rem(size)?;
        let end = at.checked_add(len).filter(|end| *end <= block_bytes)?;
        let aligned =
            at.checked_rem(granule)? == 0 && (end.checked_rem(granule)? == 0 || end == block_bytes);
        if block_bytes == 0 || !aligned {
            return None;
        }
        let up_to = |bytes: u32| low_bits(bytes.div_ceil(granule));
        Some(Fit {
            block,
            at: usize::try_from(at).ok()?,
            granules: up_to(end) & !up_to(at),
            whole_block: up_to(block_bytes),
        })
    }

    /// The assembly of `block`, begun if there is room, and the block size.
    fn assembly(
        &mut self,
        window: &mut [u8],
        block: u32,
        erased: u8,
    ) -> Option<(&mut Assembly, usize)> {
        let size = usize::try_from(self.part.variant.block_size).ok()?;
        if !self.assemblies.iter().any(|assembly| assembly.block == block) {
            let capacity = self.capacity(window.len());
            let taken = |place: u8| self.assemblies.iter().any(|other| other.place == place);
            let place = (0..u8::try_from(capacity).ok()?).find(|place| !taken(*place))?;
            let start = usize::from(place).checked_mul(size)?;
            // A short last block is padded to whole words; the padding leaves flash erased.
            window.get_mut(start..start.checked_add(size)?)?.fill(erased);
            self.assemblies.push(Assembly { block, place, arrived: 0, whole: false }).ok()?;
        }
        let assembly = self.assemblies.iter_mut().find(|assembly| assembly.block == block)?;
        Some((assembly, size))
    }

    pub(super) fn write_step<F: Flash>(
        &mut self,
        flash: &mut F,
        window: &[u8],
        wear: &mut Wear,
    ) -> Result<Step, FlashError> {
        let Some(mut writing) = self.writing.or_else(|| self.next_writing()) else {
            return Ok(Step::Idle);
        };
        let range = block_range(&self.part, writing.block).ok_or(FlashError::OutOfBounds)?;
        if !self.map.is_erased(writing.block) {
            self.erase_step(flash, &mut writing, range)?;
            wear.erases = wear.erases.saturating_add(1);
            self.writing = Some(writing);
            return Ok(Step::Worked);
        }
        let size = usize::try_from(self.part.variant.block_size).unwrap_or(usize::MAX);
        let start = usize::from(writing.place).saturating_mul(size);
        let bytes = window.get(start..start.saturating_add(size)).ok_or(FlashError::OutOfBounds)?;
        if self.program_step(flash, &mut writing, range, bytes, wear)? {
            self.assemblies.retain(|assembly| assembly.block != writing.block);
            self.writing = None;
            return Ok(Step::BlockWritten);
        }
        self.writing = Some(writing);
        Ok(Step::Worked)
    }

    pub(super) fn next_writing(&self) -> Option<Writing> {
        let whole = self.assemblies.iter().find(|assembly| assembly.whole)?;
        let (block, place) = (whole.block, whole.place);
        Some(Writing { block, place, erased_bytes: 0, programmed_bytes: 0 })
    }

    /// Erases the erase block at the writing's cursor; notes every block whose place is now erased.
    fn erase_step<F: Flash>(
        &mut self,
        flash: &mut F,
        writing: &mut Writing,
        range: Range,
    ) -> Result<(), FlashError> {
        let at = range.start.saturating_add(writing.erased_bytes);
        let erase = flash.block_at(at).ok_or(FlashError::OutOfBounds)?;
        flash.erase(erase)?;
        writing.erased_bytes = erase.end().saturating_sub(range.start);
        if writing.erased_bytes < range.len_bytes {
            return Ok(());
        }
        self.map.set_erased(writing.block, true);
        let size = self.part.variant.block_size.max(1);
        let from = erase.start.saturating_sub(self.part.range.start).div_ceil(size);
        let to = erase.end().saturating_sub(self.part.range.start).checked_div(size).unwrap_or(0);
        for block in from..to.max(writing.block.saturating_add(1)).min(self.map.blocks()) {
            self.map.set_erased(block, true);
        }
        Ok(())
    }

    /// Programs one page and reads it back; true when the block has left the window.
    fn program_step<F: Flash>(
        &mut self,
        flash: &mut F,
        writing: &mut Writing,
        range: Range,
        bytes: &[u8],
        wear: &mut Wear,
    ) -> Result<bool, FlashError> {
        let geometry = flash.geometry();
        let padded = range.len_bytes.next_multiple_of(geometry.word_bytes.max(1));
        let page_left =
            page_left(range.start.saturating_add(writing.programmed_bytes), geometry.page_bytes);
        let len = page_left.min(padded.saturating_sub(writing.programmed_bytes));
        let from = usize::try_from(writing.programmed_bytes).unwrap_or(usize::MAX);
        let until = from.saturating_add(usize::try_from(len).unwrap_or(0));
        let page = bytes.get(from..until).ok_or(FlashError::OutOfBounds)?;
        let address = range.start.saturating_add(writing.programmed_bytes);
        let held = flash.program(address, page).is_ok() && scan::holds(flash, address, page);
        if !held {
            return self.give_up_block(flash, writing.block, wear).map(|()| true);
        }
        writing.programmed_bytes = writing.programmed_bytes.saturating_add(len);
        let ended = writing.programmed_bytes >= padded;
        if ended {
            self.map.set_erased(writing.block, false);
            self.map.set_done(writing.block);
        }
        Ok(ended)
    }

    /// Counts a block that did not hold its bytes as missing, with all that shares its erase block.
    fn give_up_block<F: Flash>(
        &mut self,
        flash: &F,
        block: u32,
        wear: &mut Wear,
    ) -> Result<(), FlashError> {
        wear.failures = wear.failures.saturating_add(1);
        self.spoil(flash, block);
        if wear.failures >= MAX_FAILURES { Err(FlashError::Failed) } else { Ok(()) }
    }
}

/// Where a chunk lies in its block.
struct Fit {
    block: u32,
    at: usize,
    granules: u32,
    whole_block: u32,
}

/// The lowest `count` bits.
fn low_bits(count: u32) -> u32 {
    1_u32.checked_shl(count).map_or(u32::MAX, |bit| bit.wrapping_sub(1))
}

/// Bytes from `address` to the end of its page.
fn page_left(address: u32, page_bytes: u32) -> u32 {
    page_bytes.saturating_sub(address.checked_rem(page_bytes).unwrap_or(0))
}
