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
use crate::planted::Defence;
use crate::slot::SlotId;

pub use self::listing::ListStep;
pub use self::read_back::{BackStep, ReadBack};

use self::blocks::BlockMap;
use self::listing::{DIGEST_BYTES, Listing};
use self::read_back::{Flashed, PartStep};
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
    /// What an earlier start had begun to write: it may read well once and otherwise later, so nothing of it
    /// is kept.
    pub suspect: Range,
    /// Shortest run that is named before it is written, in bytes.
    pub run_bytes: u32,
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
#[derive(Debug, Clone)]
pub struct Receiver {
    target: Target,
    complete: [bool; MAX_COMPONENTS],
    open: Option<OpenPart>,
    wear: Wear,
}

/// Longest run, as a share of its component.
const RUNS_A_COMPONENT: u64 = 64;

/// What a transfer has cost flash, over all its components.
#[derive(Debug, Clone)]
struct Wear {
    /// Since they were last taken.
    erases: u32,
    /// Blocks that did not hold what was written to them.
    failures: u8,
}

impl Wear {
    const NONE: Self = Self { erases: 0, failures: 0 };
}

/// The component that chunks are taken for.
#[derive(Debug, Clone)]
struct OpenPart {
    index: usize,
    part: Part,
    suspect: Range,
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

    /// Blocks erased since the last call.
    pub const fn take_erases(&mut self) -> u32 {
        core::mem::replace(&mut self.wear.erases, 0)
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
                suspect: self.target.suspect,
                map: BlockMap::new(blocks, complete),
                assemblies: Vec::new(),
                writing: None,
                listing: None,
            });
        }
        Some(blocks)
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

    /// The run of whole erase blocks that the next step would go on in, from the block it writes; `None`
    /// when nothing is to be written.
    pub fn next_run<F: Flash>(&self, flash: &F) -> Option<Run> {
        let open = self.open.as_ref()?;
        let block = open.writing.or_else(|| open.next_writing())?.block;
        let place = whole_blocks(flash, block_range(&open.part, block)?)?;
        let wanted = wanted_bytes(self.target.run_bytes, &open.part);
        Some(Run::from(flash, place, body(flash, &open.part)?, wanted))
    }

    /// Whether everything in `range` was written and read back, or never touched, since the device started. What
    /// lies behind a component's end is proven by the read-back alone.
    pub fn is_proven<F: Flash>(&self, flash: &F, range: Range) -> bool {
        self.target.parts.iter().enumerate().all(|(index, part)| {
            let common = range.common(part.range);
            let is_body = body(flash, part).is_some_and(|body| body.covers(common));
            let complete = self.complete.get(index) == Some(&true);
            let open = self.open.as_ref().filter(|open| open.index == index);
            common.is_empty()
                || is_body && (complete || open.is_some_and(|open| open.holds(common)))
        })
    }

    /// Does one step of writing. What it writes in has been named before, see [`Receiver::next_run`].
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
        // A block that is being written is in the window until it is done.
        let untouched = open.assemblies.is_empty();
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

    /// Reads on. Blocks behind a component are erased in `named` only, which the record names.
    ///
    /// # Errors
    /// When flash cannot be read or erased.
    pub fn read_back_step<F: Flash>(
        &mut self,
        flash: &mut F,
        back: &mut ReadBack,
        named: Range,
    ) -> Result<BackStep, FlashError> {
        let Some(part) = self.target.parts.get(back.index).copied() else {
            // What was read back is what stays: no chunk finds a place any more.
            self.complete = [true; MAX_COMPONENTS];
            self.open = None;
            return Ok(BackStep::AllMatch);
        };
        let Target { suspect, run_bytes, .. } = self.target;
        let flashed = Flashed { named, suspect, run_bytes: wanted_bytes(run_bytes, &part) };
        match back.step(flash, &part, flashed, &mut self.wear.erases)? {
            PartStep::Working => Ok(BackStep::Working),
            PartStep::Names(run) => Ok(BackStep::Names(run)),
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

/// Flash that is written next, and has to be named in the record before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// What the next step needs.
    pub place: Range,
    /// What is worth naming at once: it begins with `place`.
    pub all: Range,
}

impl Run {
    /// From `place` on, as long as is wanted, but not beyond `within`.
    fn from<F: Flash>(flash: &F, place: Range, within: Range, wanted_bytes: u32) -> Self {
        let mut all = place;
        while all.len_bytes < wanted_bytes
            && all.end() < within.end()
            && let Some(block) = flash.block_at(all.end())
        {
            all = all.hull(block);
        }
        Self { place, all }
    }
}

impl OpenPart {
    /// Whether every block in `range` is there.
    fn holds(&self, range: Range) -> bool {
        let size = self.part.variant.block_size.max(1);
        let from = range.start.saturating_sub(self.part.range.start).checked_div(size);
        let to = range.end().saturating_sub(self.part.range.start).div_ceil(size);
        (from.unwrap_or(0)..to.min(self.map.blocks())).all(|block| self.map.is_done(block))
    }

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

/// Where a block lies on flash, as far as the component reaches; nowhere outside its place, whatever was admitted: behind
/// that lies what the device falls back to.
fn block_range(part: &Part, block: u32) -> Option<Range> {
    let size = part.variant.block_size;
    let offset = block.checked_mul(size)?;
    let length = u32::try_from(part.variant.length).ok()?;
    let len_bytes = size.min(length.checked_sub(offset)?);
    let place = Range { start: part.range.start.checked_add(offset)?, len_bytes };
    (place.end() <= part.range.end() || Defence::ComponentSize.is_off()).then_some(place)
}

/// How long a run is in a component: longer in a long one.
fn wanted_bytes(run_bytes: u32, part: &Part) -> u32 {
    let share = part.variant.length.checked_div(RUNS_A_COMPONENT).unwrap_or(0);
    u32::try_from(share).unwrap_or(u32::MAX).max(run_bytes)
}

/// The whole erase blocks that a range lies in.
fn whole_blocks<F: Flash>(flash: &F, range: Range) -> Option<Range> {
    let first = flash.block_at(range.start)?;
    Some(first.hull(flash.block_at(range.end().checked_sub(1)?)?))
}

/// The whole erase blocks that a component lies in.
fn body<F: Flash>(flash: &F, part: &Part) -> Option<Range> {
    whole_blocks(flash, part.range.split_at(part.variant.length)?.0)
}

/// The area behind the component's end.
fn tail(part: &Part) -> Range {
    part.range.split_at(part.variant.length).map_or(Range::default(), |(_, tail)| tail)
}
