//! Takes a bundle's components into the spare slot (PROTOCOL.md, "Transfer").
//!
//! Chunks arrive in any order and are put together into blocks in the window; a whole block is then
//! written to its place, one erase or one page a step. What is written is never written again, and
//! what is lost with the window is at most the window. Nothing about the transfer is kept on flash:
//! after a reset the map of blocks comes back by hashing the slot against the signed block list.

mod blocks;
mod listing;
mod read_back;
mod writing;

use heapless::Vec;

use crate::digest::Digest;
use crate::flash::{Flash, FlashError, MAX_COMPONENTS, Range};
use crate::manifest::Variant;
use crate::slot::SlotId;

pub use self::listing::ListStep;
pub use self::read_back::{BackStep, ReadBack};

use self::blocks::BlockMap;
use self::listing::{DIGEST_BYTES, Listing};
use self::read_back::PartStep;
use self::writing::{Assembly, Writing};

/// Where one component goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its area in the slot.
    pub range: Range,
    /// What goes there.
    pub variant: Variant,
}

/// What is being received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The spare slot.
    pub slot: SlotId,
    /// The bundle.
    pub bundle: Digest,
    /// Its components, in manifest order.
    pub parts: Vec<Part, MAX_COMPONENTS>,
    /// The slot held something before, so its blocks may be worth keeping.
    pub worth_listing: bool,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkFate {
    /// Kept; `new_bytes` of it had not arrived before.
    Taken {
        /// Bytes that were new.
        new_bytes: u32,
    },
    /// No room now: it has to be sent again.
    NoRoom,
    /// It does not belong anywhere.
    Misplaced,
}

/// What a step of writing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is to be done.
    Idle,
    /// Something was done, more may follow.
    Worked,
    /// A block has left the window, so there is room for another one.
    BlockWritten,
}

/// The receiving side of a transfer.
#[derive(Debug)]
pub struct Receiver {
    target: Target,
    complete: [bool; MAX_COMPONENTS],
    open: Option<OpenPart>,
    wear: Wear,
}

/// What a transfer has cost flash, over all its components.
#[derive(Debug)]
struct Wear {
    erases: u32,
    /// Blocks that did not hold what was written to them.
    failures: u8,
}

impl Wear {
    const NONE: Self = Self { erases: 0, failures: 0 };
}

/// The component that chunks are taken for.
#[derive(Debug)]
struct OpenPart {
    index: usize,
    part: Part,
    map: BlockMap,
    assemblies: Vec<Assembly, { writing::MAX_ASSEMBLIES }>,
    writing: Option<Writing>,
    listing: Option<Listing>,
}

impl Receiver {
    /// Begins to receive.
    #[must_use]
    pub const fn new(target: Target) -> Self {
        Self { target, complete: [false; MAX_COMPONENTS], open: None, wear: Wear::NONE }
    }

    /// Holds everything already: a slot that is marked staged takes no more bytes.
    #[must_use]
    pub const fn complete(target: Target) -> Self {
        Self { target, complete: [true; MAX_COMPONENTS], open: None, wear: Wear::NONE }
    }

    /// What is being received.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Blocks erased since the transfer began.
    #[must_use]
    pub const fn erases(&self) -> u32 {
        self.wear.erases
    }

    /// Goes on to component `index`; gives its number of blocks. Going on to the open one changes
    /// nothing but that a block list left half-sent begins anew.
    pub fn open(&mut self, index: usize) -> Option<u32> {
        let part = *self.target.parts.get(index)?;
        let blocks = part.variant.block_count()?;
        let already = self.open.as_ref().is_some_and(|open| open.index == index);
        if let (true, Some(open)) = (already, &mut self.open) {
            open.restart_listing();
        } else {
            let complete = self.complete.get(index).copied().unwrap_or(false);
            self.open = Some(OpenPart {
                index,
                part,
                map: BlockMap::new(blocks, complete),
                assemblies: Vec::new(),
                writing: None,
                listing: None,
            });
        }
        Some(blocks)
    }

    /// True while a component is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Blocks of the open component that are not written, and the bits of those from `first` on.
    #[must_use]
    pub fn missing(&self, first: u32) -> Option<(u32, Vec<u8, 64>)> {
        let open = self.open.as_ref()?;
        Some((open.map.missing(), open.map.missing_bits(first)))
    }

    /// Blocks that can be begun now.
    #[must_use]
    pub fn credit_blocks(&self, window_bytes: usize) -> u16 {
        self.open.as_ref().map_or(0, |open| {
            let free = open.capacity(window_bytes).saturating_sub(open.assemblies.len());
            if open.listing.is_some() { 0 } else { u16::try_from(free).unwrap_or(u16::MAX) }
        })
    }

    /// Takes a chunk into the window.
    pub fn chunk(
        &mut self,
        window: &mut [u8],
        component: u8,
        offset: u64,
        bytes: &[u8],
        erased: u8,
    ) -> ChunkFate {
        let component = usize::from(component);
        if self.complete.get(component) == Some(&true) {
            return ChunkFate::Taken { new_bytes: 0 };
        }
        match &mut self.open {
            Some(open) if open.index == component && open.listing.is_none() => {
                open.chunk(window, offset, bytes, erased)
            }
            Some(_) | None => ChunkFate::NoRoom,
        }
    }

    /// Does one step of writing.
    ///
    /// # Errors
    /// When a block does not hold what was written to it, several times over.
    pub fn step<F: Flash>(&mut self, flash: &mut F, window: &[u8]) -> Result<Step, FlashError> {
        let Some(open) = &mut self.open else {
            return Ok(Step::Idle);
        };
        let step = open.write_step(flash, window, &mut self.wear)?;
        if open.map.missing() == 0
            && let Some(complete) = self.complete.get_mut(open.index)
        {
            *complete = true;
        }
        Ok(step)
    }

    /// Takes digests of the block list into the window's start; gives the blocks told of so far when
    /// there is nothing to hash (a repeated piece), `None` when the piece does not join.
    pub fn list(
        &mut self,
        window: &mut [u8],
        first_block: u32,
        digests: &[u8],
    ) -> Option<Option<u32>> {
        let open = self.open.as_mut()?;
        let untouched = open.assemblies.is_empty() && open.writing.is_none();
        let blocks = open.map.blocks();
        let listing = match &mut open.listing {
            Some(listing) => listing,
            None if open.map.listed() || open.map.missing() == 0 => return Some(Some(blocks)),
            None if untouched && first_block == 0 => open.listing.insert(Listing::new()),
            None => return None,
        };
        let told = u32::try_from(digests.len().checked_div(DIGEST_BYTES)?).ok()?;
        if first_block < listing.blocks {
            return Some(Some(listing.blocks));
        }
        let joins = first_block == listing.blocks && told > 0 && listing.queued == listing.taken;
        if !joins || first_block.saturating_add(told) > blocks {
            return None;
        }
        window.get_mut(..digests.len())?.copy_from_slice(digests);
        listing.queued = told;
        listing.taken = 0;
        Some(None)
    }

    /// Hashes on against the digests that were queued, or looks on behind the component's end.
    pub fn list_step<F: Flash>(&mut self, flash: &mut F, window: &[u8]) -> ListStep {
        match &mut self.open {
            Some(open) => open.list_step(flash, window),
            None => ListStep::Forged,
        }
    }

    /// Begins to read the slot back.
    #[must_use]
    pub const fn read_back(&self) -> ReadBack {
        ReadBack::of(0)
    }

    /// Reads on.
    ///
    /// # Errors
    /// When flash cannot be read or erased.
    pub fn read_back_step<F: Flash>(
        &mut self,
        flash: &mut F,
        back: &mut ReadBack,
    ) -> Result<BackStep, FlashError> {
        let Some(part) = self.target.parts.get(back.index).copied() else {
            // What was read back is what stays: no chunk finds a place any more.
            self.complete = [true; MAX_COMPONENTS];
            self.open = None;
            return Ok(BackStep::AllMatch);
        };
        match back.step(flash, &part, &mut self.wear.erases)? {
            PartStep::Working => Ok(BackStep::Working),
            PartStep::Matches => {
                *back = ReadBack::of(back.index.saturating_add(1));
                Ok(BackStep::Working)
            }
            PartStep::Differs => {
                // Whatever was thought written is not: the component starts over.
                if let Some(complete) = self.complete.get_mut(back.index) {
                    *complete = false;
                }
                self.open = None;
                Ok(BackStep::Differs { component: back.index })
            }
        }
    }
}

impl OpenPart {
    /// Counts every block as missing that shares an erase block with `block`.
    fn spoil<F: Flash>(&mut self, flash: &F, block: u32) {
        let Some(range) = block_range(&self.part, block) else { return };
        let Some(erase) = flash.block_at(range.start) else { return };
        let size = self.part.variant.block_size.max(1);
        let from = erase.start.saturating_sub(self.part.range.start).checked_div(size).unwrap_or(0);
        let to = erase.end().saturating_sub(self.part.range.start).div_ceil(size);
        for neighbour in from..to.min(self.map.blocks()) {
            self.map.set_missing(neighbour);
        }
    }
}

/// Where a block lies on flash, as far as the component reaches.
fn block_range(part: &Part, block: u32) -> Option<Range> {
    let size = part.variant.block_size;
    let offset = block.checked_mul(size)?;
    let length = u32::try_from(part.variant.length).ok()?;
    let len_bytes = size.min(length.checked_sub(offset)?);
    Some(Range { start: part.range.start.checked_add(offset)?, len_bytes })
}

/// The area behind the component's end.
fn tail(part: &Part) -> Range {
    part.range.split_at(part.variant.length).map_or(Range::default(), |(_, tail)| tail)
}
