//! The boot record on flash (BOOT.md, "Record").
//!
//! Two ranges of erase blocks are cut into places of 512 bytes. Each takes one entry, which is checked by
//! its own CRC; the valid one with the highest number is in force. So the program of one entry is the commit
//! point of every change, and a torn entry is as if it had never been begun. When a range is full, the
//! other one is erased and written from its start, with a copy of the entry in force first. The newest entry
//! that is sealed is never in the range that is erased, so that there is one beside each entry that is not.
//!
//! A number belongs to a place: the next place has the next number, whatever became of the place before.
//! So an entry that only seemed to fail, or that cannot be read at one start and can at the next, never
//! has the number of a later one.
//!
//! Flash that lost its power in an operation may read differently each time. What was in flight is therefore
//! never believed: see [`RecordStore::is_settled`].

mod clearing;
mod entry;
mod load;
mod place;

use thiserror::Error;

use crate::boot::BootState;
use crate::flash::{Flash, FlashError, Range};
use crate::planted::Mistake;
use crate::scan;

use self::clearing::{Cleared, Clearing};
use self::entry::{Encoded, encode};
use self::place::{address_of, is_untouched, places_in};

pub use self::entry::{ENTRY_BYTES, EntryHead, read_entry};
pub use self::place::PLACE_BYTES;

/// Places of a range: one that may be passed over, one for a copy of the entry in force, and one for the next.
pub const MIN_PLACES: u32 = 3;

/// Places that one step looks at: 4 KiB.
const PLACES_A_STEP: u32 = 8;
/// More than the steps of one entry in pages of a byte, its marks, and the erase and look of a block.
const STEPS_A_PLACE: u32 = 1024;

/// Where the next entry goes, and what the last one said.
#[derive(Debug, Clone)]
pub struct RecordStore {
    ranges: [Range; 2],
    state: Option<BootState>,
    sequence: u32,
    settled: bool,
    /// Range of the newest sealed entry, or of the entry in force if none is sealed; never erased while there is one.
    home: usize,
    /// Number of the first place in `home`.
    first: u32,
    /// Range of the next entry, and its place there. It differs from `home` while no entry of a range
    /// that was moved over to is sealed: that one is a copy of the entry in force.
    current: usize,
    next_index: u32,
    /// `home` is left: its last mark says so, or cannot. Where the other range begins.
    begins_at: Option<u32>,
    /// Ranges in which an entry may hide that is newer than all that can be read: they are erased before
    /// anything is written.
    doubtful: [bool; 2],
    writes: Writes,
    /// The range to move to, as far as it is erased.
    clearing: Option<Clearing>,
}

/// What the next step of writing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// To find the next place, and mark it as begun.
    Place,
    /// To program the entry from this byte on.
    Entry { from: usize },
    /// To seal the entry.
    Seal,
}

/// What [`RecordStore::step`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteStep {
    /// Erased one block; more steps follow.
    Erased,
    /// Programmed a mark or a page of the entry, or looked for its place; more steps follow.
    Moved,
    /// The entry is written, sealed and in force.
    Written,
}

/// Why an entry was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Flash refused.
    #[error("flash refused a record write")]
    Flash(#[from] FlashError),
    /// A range of the layout holds fewer than [`MIN_PLACES`].
    #[error("the record's ranges are too small: each needs {MIN_PLACES} places")]
    Layout,
    /// Every number was used.
    #[error("the record has used up its numbers")]
    UsedUp,
}

impl RecordStore {
    /// The state in force; `None` when no entry can be read.
    #[must_use]
    pub const fn state(&self) -> Option<&BootState> {
        self.state.as_ref()
    }

    /// Whether the state in force stands whatever flash reads as from now on. If not, it is to be written
    /// anew before anything is done because of it: a cut may have left cells in it, or behind it, that
    /// read differently each time.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// How many places were ever written to, as far as the record tells: a measure of wear.
    #[must_use]
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Places that a range has.
    #[must_use]
    pub const fn places_in(range: Range) -> u32 {
        places_in(range)
    }

    /// Takes one step towards writing `state`: at most one erase or one program, and
    /// 4 KiB read to find the entry's place or to look through an erased block, 448 bytes to compare it.
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
        match self.writes {
            Writes::Place => self.place_step(flash),
            Writes::Entry { from } => self.entry_step(flash, state, from),
            Writes::Seal => self.seal_step(flash, state),
        }
    }

    /// Writes `state` at once, for callers that may take their time.
    ///
    /// # Errors
    /// As [`RecordStore::step`].
    pub fn write<F: Flash>(&mut self, flash: &mut F, state: &BootState) -> Result<(), RecordError> {
        let places = [0, 1].map(|number| self.places(number).saturating_add(1));
        let steps = places.into_iter().fold(0_u32, u32::saturating_add);
        for _ in 0..steps.saturating_mul(STEPS_A_PLACE) {
            if self.step(flash, state)? == WriteStep::Written {
                return Ok(());
            }
        }
        Err(RecordError::Layout)
    }

    fn place_step<F: Flash>(&mut self, flash: &mut F) -> Result<WriteStep, RecordError> {
        if self.doubtful.contains(&true) {
            return self.clear_step(flash);
        }
        match self.find_place(flash) {
            Search::FurtherOn => Ok(WriteStep::Moved),
            Search::Full => self.full_step(flash),
            Search::Here if self.number_of(self.next_index).is_none() => Err(RecordError::UsedUp),
            Search::Here => {
                if let Err(error) = self.mark_begun(flash) {
                    self.next_index = self.next_index.saturating_add(1);
                    return Err(error.into());
                }
                self.writes = Writes::Entry { from: 0 };
                Ok(WriteStep::Moved)
            }
        }
    }

    /// Says in the place before that the next one may have been written to.
    fn mark_begun<F: Flash>(&self, flash: &mut F) -> Result<(), FlashError> {
        match self.next_index.checked_sub(1) {
            Some(before) if !Mistake::BegunIgnored.is_planted() => {
                place::mark_begun(flash, self.address(self.current, before))
            }
            // A range is said to be begun before it is erased.
            Some(_) | None => Ok(()),
        }
    }

    /// Says in the last place of `home` that the other range may be erased and written to, then clears it.
    fn full_step<F: Flash>(&mut self, flash: &mut F) -> Result<WriteStep, RecordError> {
        if self.begins_at.is_some() {
            return self.clear_step(flash);
        }
        if self.state.is_none() {
            // Nothing that was tried counts: both are begun anew.
            self.doubtful = [true, true];
            self.next_index = 0;
            return self.clear_step(flash);
        }
        let places = self.places(self.home);
        self.first.checked_add(places).ok_or(RecordError::UsedUp)?;
        let last = self.address(self.home, places.saturating_sub(1));
        // Where that mark fails, or was there before and so may be one that a cut has left on its way, the one behind
        // the first place of the other range has to do.
        let was_begun = place::is_begun(flash, last);
        self.begins_at = Some(1);
        if !Mistake::BegunIgnored.is_planted() {
            place::mark_begun(flash, last)?;
        }
        self.begins_at = Some(u32::from(was_begun));
        Ok(WriteStep::Moved)
    }

    fn entry_step<F: Flash>(
        &mut self,
        flash: &mut F,
        state: &BootState,
        from: usize,
    ) -> Result<WriteStep, RecordError> {
        let sequence = self.number_of(self.next_index).ok_or(RecordError::UsedUp)?;
        let Encoded { bytes, padded } =
            encode(self.copied().unwrap_or(state), sequence, flash.geometry());
        let address = self.address(self.current, self.next_index);
        // A program that fails may still have left bytes, or all of them: that place is never used again, nor
        // is its number, and until another entry is written nobody knows which state a start would find.
        self.spend_place();
        self.settled = false;
        let page =
            page_of(bytes.get(..padded).unwrap_or(&bytes), from, flash.geometry().page_bytes);
        flash.program(address.saturating_add(u32::try_from(from).unwrap_or(u32::MAX)), page)?;
        let until = from.saturating_add(page.len());
        if until >= padded && !scan::holds(flash, address, &bytes) {
            return Err(RecordError::Flash(FlashError::Failed));
        }
        self.next_index = self.next_index.saturating_sub(1);
        self.writes = if until < padded { Writes::Entry { from: until } } else { Writes::Seal };
        Ok(WriteStep::Moved)
    }

    fn seal_step<F: Flash>(
        &mut self,
        flash: &mut F,
        state: &BootState,
    ) -> Result<WriteStep, RecordError> {
        let sequence = self.number_of(self.next_index).ok_or(RecordError::UsedUp)?;
        let address = self.address(self.current, self.next_index);
        self.spend_place();
        place::seal(flash, address)?;
        let is_meant = self.copied().is_none_or(|held| held == state);
        self.first = self.number_of(0).unwrap_or(self.first);
        self.home = self.current;
        self.begins_at = None;
        self.sequence = sequence;
        self.settled = true;
        if !is_meant {
            return Ok(WriteStep::Moved);
        }
        self.state = Some(state.clone());
        Ok(WriteStep::Written)
    }

    /// What comes first in a range that was moved over to: the state in force, so that there is a sealed entry
    /// beside each one that is not.
    fn copied(&self) -> Option<&BootState> {
        self.state.as_ref().filter(|_| self.current != self.home)
    }

    /// The place that is being written to is used, whatever becomes of it.
    const fn spend_place(&mut self) {
        self.writes = Writes::Place;
        self.next_index = self.next_index.saturating_add(1);
    }

    /// The number of a place in the current range, if there are numbers left. The range that is moved to
    /// counts on behind the last place of the one before, used or not.
    fn number_of(&self, index: u32) -> Option<u32> {
        let before = if self.current == self.home { 0 } else { self.places(self.home) };
        self.first.checked_add(before)?.checked_add(index)
    }

    /// Looks for the next untouched place in the current range, a few places a step.
    fn find_place<F: Flash>(&mut self, flash: &mut F) -> Search {
        for _ in 0..PLACES_A_STEP {
            if self.next_index >= self.places(self.current) {
                return Search::Full;
            }
            let is_free = is_untouched(flash, self.address(self.current, self.next_index));
            if is_free || Mistake::TornPlaceReused.is_planted() {
                return Search::Here;
            }
            self.next_index = self.next_index.saturating_add(1);
        }
        Search::FurtherOn
    }

    /// Erases a range without the newest sealed entry, and moves over to it when all of it is blank.
    fn clear_step<F: Flash>(&mut self, flash: &mut F) -> Result<WriteStep, RecordError> {
        let other = usize::from(self.home == 0) ^ usize::from(Mistake::SingleCopy.is_planted());
        let target = self.doubtful.iter().position(|doubtful| *doubtful).unwrap_or(other);
        let range = self.ranges.get(target).copied().ok_or(RecordError::Layout)?;
        if places_in(range) < MIN_PLACES {
            return Err(RecordError::Layout);
        }
        // Taken out, so that a step that fails begins anew at the end.
        let mut clearing = match self.clearing.take() {
            Some(clearing) => clearing,
            None => Clearing::new(flash, range)?,
        };
        match clearing.step(flash)? {
            Cleared::Erased => {
                self.clearing = Some(clearing);
                return Ok(WriteStep::Erased);
            }
            Cleared::Looked => self.clearing = Some(clearing),
            Cleared::All => self.move_to(target),
        }
        Ok(WriteStep::Moved)
    }

    /// Goes on in a range that was erased just now.
    fn move_to(&mut self, target: usize) {
        if let Some(doubtful) = self.doubtful.get_mut(target) {
            *doubtful = false;
        }
        // A range that was erased for what it might hide is there for later.
        let is_next = self.next_index >= self.places(self.current);
        if self.state.is_none() {
            self.next_index = 0;
        } else if let (true, Some(index)) = (is_next, self.begins_at) {
            self.next_index = index;
            self.current = target;
        }
    }

    fn address(&self, number: usize, index: u32) -> u32 {
        address_of(self.ranges.get(number).copied().unwrap_or_default(), index)
    }

    fn places(&self, number: usize) -> u32 {
        places_in(self.ranges.get(number).copied().unwrap_or_default())
    }
}

/// Where the next entry goes.
enum Search {
    /// At the next index.
    Here,
    /// Not in the places that one step looks at.
    FurtherOn,
    /// Nowhere in the current range.
    Full,
}

/// The next page of an entry. Places lie at multiples of their length, so no page is crossed.
fn page_of(entry: &[u8], from: usize, page_bytes: u32) -> &[u8] {
    let page = usize::try_from(page_bytes).unwrap_or(ENTRY_BYTES).max(1);
    entry.get(from..entry.len().min(from.saturating_add(page))).unwrap_or_default()
}
