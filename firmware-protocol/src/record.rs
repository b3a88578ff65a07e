//! The boot record on flash (BOOT.md, "Record").
//!
//! Two ranges of erase blocks hold entries of 256 bytes, appended one behind the other; each is
//! checked by its own CRC, and the valid entry with the highest sequence number is in force. So one
//! program of one entry is the commit point of every change, and a torn entry is as if it had never
//! been begun. When a range is full, the other one is erased and written from its start; the entry
//! in force is never in the range that is erased.
//!
//! A number belongs to a place: the next place has the next number, whatever became of the place before.
//! So an entry that only seemed to fail, or that cannot be read at one start and can at the next, never
//! has the number of a later one.

mod entry;

use thiserror::Error;

use crate::boot::BootState;
use crate::flash::{Flash, FlashError, Range, is_blank};
use crate::planted::Mistake;
use crate::scan::BlankScan;

use self::entry::{decode, encode};

/// Bytes from one entry to the next.
pub const ENTRY_BYTES: usize = 256;
/// Newest entry layout that this code writes and fully understands.
pub const RECORD_VERSION: u8 = 1;

const STRIDE: u32 = 256;
/// How often an entry is read before it counts as unreadable: one that is missed for a single failed read
/// would bring back the state that it replaced.
const READ_TRIES: u32 = 3;
/// Places that one step looks at: 4 KiB.
const PLACES_A_STEP: u32 = 16;

/// Where the next entry goes, and what the last one said.
#[derive(Debug, Clone)]
pub struct RecordStore {
    ranges: [Range; 2],
    state: Option<BootState>,
    sequence: u32,
    /// Range of the entry in force; never erased while there is one.
    home: usize,
    /// Number of the first place in `home`.
    first: u32,
    /// Range of the next entry, and its place there. It differs from `home` while no write into a range
    /// that was moved over to has succeeded.
    current: usize,
    next_index: u32,
    /// Ranges in which an entry may hide that is newer than all that can be read: they are erased before
    /// anything is written.
    doubtful: [bool; 2],
    /// Bytes of the entry at `next_index` that are programmed.
    programmed: usize,
    /// Erases since the last entry or move: bounds what a block that never reads blank can cost.
    erases: u32,
    /// The range to move to, as far as it was looked at.
    clearing: Option<Clearing>,
}

/// The block of a range that is looked at before the record moves there; those behind it are blank.
#[derive(Debug, Clone)]
struct Clearing {
    block: Range,
    scan: BlankScan,
}

/// What [`RecordStore::step`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteStep {
    /// Erased one block; more steps follow.
    Erased,
    /// Programmed one page of the entry, or looked for its place; more steps follow.
    Moved,
    /// The entry is written and in force.
    Written,
}

/// Why an entry was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Flash refused.
    #[error("flash refused a record write")]
    Flash(#[from] FlashError),
    /// The ranges of the layout hold no entry.
    #[error("the record's ranges are too small for one entry")]
    Layout,
}

impl RecordStore {
    /// Finds the entry in force. Unreadable or torn entries are as good as absent.
    pub fn load<F: Flash>(flash: &mut F, ranges: [Range; 2]) -> Self {
        let mut store = Self {
            ranges,
            state: None,
            sequence: 0,
            home: 0,
            first: 1,
            current: 0,
            next_index: 0,
            doubtful: [false; 2],
            programmed: 0,
            erases: 0,
            clearing: None,
        };
        let found = [0, 1].map(|number| store.look_through(flash, number));
        for (number, (doubtful, found)) in store.doubtful.iter_mut().zip(found).enumerate() {
            // A range is blank when the record moves there, so one with an old entry holds no newer one.
            *doubtful = found.used > 0 && !found.entries;
            if number == store.home {
                store.next_index = found.used;
            }
        }
        store
    }

    /// Takes over the newest entry of a range, if none is newer so far.
    fn look_through<F: Flash>(&mut self, flash: &mut F, number: usize) -> Found {
        let range = self.ranges.get(number).copied().unwrap_or_default();
        let erased = flash.geometry().erased;
        let mut found = Found { used: 0, entries: false };
        for index in 0..entries_in(range) {
            let mut bytes = [0; ENTRY_BYTES];
            let address = entry_address(range, index);
            let read = (0..READ_TRIES).any(|_| flash.read(address, &mut bytes).is_ok());
            if read && is_blank(&bytes, erased) {
                continue;
            }
            let entry = if read { decode(&bytes) } else { None };
            if entry.is_none() && Mistake::TornPlaceReused.is_planted() {
                continue;
            }
            found.used = index.saturating_add(1);
            let Some((sequence, state)) = entry else { continue };
            found.entries = true;
            // Equal numbers are those of a writer that counted entries, not places: what it wrote later lies
            // further on, or at the start of the range it moved to.
            let later = number == self.home || index <= self.sequence.wrapping_sub(self.first);
            let equal = sequence == self.sequence;
            let revived = Mistake::OldEntryRevived.is_planted();
            if self.state.is_none() || sequence > self.sequence || (equal && later) || revived {
                self.state = Some(state);
                self.sequence = sequence;
                self.first = sequence.wrapping_sub(index);
                self.home = number;
                self.current = number;
            }
        }
        found
    }

    /// The state in force; `None` when no entry can be read.
    #[must_use]
    pub const fn state(&self) -> Option<&BootState> {
        self.state.as_ref()
    }

    /// How many places were ever written to, as far as the record tells: a measure of wear.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Takes one step towards writing `state`: at most one erase or one program, and
    /// 4 KiB read to find the entry's place, 256 bytes to compare it.
    ///
    /// Call it with the same state until it gives [`WriteStep::Written`].
    ///
    /// # Errors
    /// When flash refuses, or the layout has no room for an entry. The entry in force stays.
    pub fn step<F: Flash>(
        &mut self,
        flash: &mut F,
        state: &BootState,
    ) -> Result<WriteStep, RecordError> {
        if self.programmed == 0 {
            if self.doubtful.contains(&true) {
                return self.clear_step(flash);
            }
            match self.find_place(flash) {
                Place::Here => {}
                Place::FurtherOn => return Ok(WriteStep::Moved),
                Place::Full => return self.clear_step(flash),
            }
        }
        let range = self.ranges.get(self.current).copied().ok_or(RecordError::Layout)?;
        let sequence = self.number_of(self.next_index);
        let bytes = encode(state, sequence, flash.geometry().erased);
        let address = entry_address(range, self.next_index);
        // A program that fails may still have left bytes, or all of them: that place is never used again, nor
        // is its number.
        let from = core::mem::take(&mut self.programmed);
        self.next_index = self.next_index.saturating_add(1);
        let page = page_of(&bytes, from, flash.geometry().page_bytes);
        flash.program(address.saturating_add(u32::try_from(from).unwrap_or(u32::MAX)), page)?;
        let until = from.saturating_add(page.len());
        if until < ENTRY_BYTES {
            self.programmed = until;
            self.next_index = self.next_index.saturating_sub(1);
            return Ok(WriteStep::Moved);
        }
        let mut back = [0; ENTRY_BYTES];
        flash.read(address, &mut back)?;
        if back != bytes {
            return Err(RecordError::Flash(FlashError::Failed));
        }
        self.first = self.number_of(0);
        self.home = self.current;
        self.sequence = sequence;
        self.state = Some(state.clone());
        Ok(WriteStep::Written)
    }

    /// Writes `state` at once, for callers that may take their time.
    ///
    /// # Errors
    /// As [`RecordStore::step`].
    pub fn write<F: Flash>(&mut self, flash: &mut F, state: &BootState) -> Result<(), RecordError> {
        // No block is shorter than an entry, no page shorter than a byte; each place is looked at
        // once as the next one, and before and behind an erase of its range.
        let steps = self.ranges.iter().map(|range| entries_in(*range)).max().unwrap_or(0);
        for _ in 0..=steps.saturating_mul(8).saturating_add(STRIDE) {
            if self.step(flash, state)? == WriteStep::Written {
                return Ok(());
            }
        }
        Err(RecordError::Layout)
    }

    /// The number of a place in the current range. The range that is moved to counts on behind the last
    /// place of the one before, used or not.
    fn number_of(&self, index: u32) -> u32 {
        let home = self.ranges.get(self.home).copied().unwrap_or_default();
        let before = if self.current == self.home { 0 } else { entries_in(home) };
        self.first.wrapping_add(before).wrapping_add(index)
    }

    /// Looks for the next blank place in the current range, a few places a step.
    fn find_place<F: Flash>(&mut self, flash: &mut F) -> Place {
        let range = self.ranges.get(self.current).copied().unwrap_or_default();
        let erased = flash.geometry().erased;
        for _ in 0..PLACES_A_STEP {
            if self.next_index >= entries_in(range) {
                return Place::Full;
            }
            let mut bytes = [0; ENTRY_BYTES];
            let read = flash.read(entry_address(range, self.next_index), &mut bytes);
            let is_free = read.is_ok() && is_blank(&bytes, erased);
            if is_free || Mistake::TornPlaceReused.is_planted() {
                return Place::Here;
            }
            self.next_index = self.next_index.saturating_add(1);
        }
        Place::FurtherOn
    }

    /// Looks on through a range without the entry in force, erases what is not blank, and moves
    /// over to it when all of it is.
    ///
    /// From the end to the start: the first place is blank only when the whole range is.
    fn clear_step<F: Flash>(&mut self, flash: &mut F) -> Result<WriteStep, RecordError> {
        let other = usize::from(self.home == 0) ^ usize::from(Mistake::SingleCopy.is_planted());
        let target = self.doubtful.iter().position(|doubtful| *doubtful).unwrap_or(other);
        let range = self.ranges.get(target).copied().ok_or(RecordError::Layout)?;
        if entries_in(range) == 0 {
            return Err(RecordError::Layout);
        }
        // Taken out, so that a step that fails begins anew at the end.
        let mut clearing = match self.clearing.take() {
            Some(clearing) => clearing,
            None => Clearing::of(flash, range.end().saturating_sub(1))?,
        };
        match clearing.scan.step(flash) {
            Ok(None) => self.clearing = Some(clearing),
            Ok(Some(true)) if clearing.block.start <= range.start => {
                self.erases = 0;
                self.move_to(target);
            }
            Ok(Some(true)) => {
                let below = clearing.block.start.saturating_sub(1);
                self.clearing = Some(Clearing::of(flash, below)?);
            }
            Ok(Some(false)) if Mistake::EraseForgotten.is_planted() => {
                self.current = other;
                self.next_index = 0;
            }
            Ok(Some(false)) | Err(_) => {
                if self.erases >= entries_in(range) {
                    self.erases = 0;
                    return Err(RecordError::Flash(FlashError::Failed));
                }
                self.erases = self.erases.saturating_add(1);
                flash.erase(clearing.block)?;
                self.clearing = Some(Clearing::of(flash, clearing.block.start)?);
                return Ok(WriteStep::Erased);
            }
        }
        Ok(WriteStep::Moved)
    }

    /// Goes on in a range that is blank.
    fn move_to(&mut self, target: usize) {
        if let Some(doubtful) = self.doubtful.get_mut(target) {
            *doubtful = false;
        }
        self.current = target;
        self.next_index = 0;
        if self.state.is_none() {
            self.first = self.number_of(0);
            self.home = target;
        }
    }
}

/// What a range holds.
struct Found {
    /// Places up to the last one that is not blank.
    used: u32,
    /// Some can be read.
    entries: bool,
}

/// Where the next entry goes.
enum Place {
    /// At the next index.
    Here,
    /// Not in the places that one step looks at.
    FurtherOn,
    /// Nowhere in the current range.
    Full,
}

impl Clearing {
    fn of<F: Flash>(flash: &F, address: u32) -> Result<Self, FlashError> {
        let block = flash.block_at(address).ok_or(FlashError::OutOfBounds)?;
        Ok(Self { block, scan: BlankScan::new(block) })
    }
}

/// The next page of an entry. Entries lie at multiples of their length, so no page is crossed.
fn page_of(entry: &[u8; ENTRY_BYTES], from: usize, page_bytes: u32) -> &[u8] {
    let page = usize::try_from(page_bytes).unwrap_or(ENTRY_BYTES).max(1);
    entry.get(from..ENTRY_BYTES.min(from.saturating_add(page))).unwrap_or_default()
}

const fn entries_in(range: Range) -> u32 {
    range.len_bytes / STRIDE
}

const fn entry_address(range: Range, index: u32) -> u32 {
    range.start.saturating_add(index.saturating_mul(STRIDE))
}
