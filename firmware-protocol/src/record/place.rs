//! One place of the record: its entry, its seal, and whether the next place was begun (BOOT.md, "Record").

use crate::flash::{Flash, FlashError, MAX_WORD_BYTES, Range, is_blank};

use super::entry::ENTRY_BYTES;

/// Bytes from one place to the next.
pub const PLACE_BYTES: usize = 512;

/// Where a place's seal lies in it.
const SEAL_AT: u32 = 448;
/// Where a place says that the next one was begun.
const BEGUN_AT: u32 = 480;
/// Room for a mark: the longest word.
const MARK_BYTES: usize = MAX_WORD_BYTES;

const STRIDE: u32 = 512;
/// How often flash is read before it counts as unreadable: an entry that is missed for a single failed read
/// would bring back the state that it replaced.
const READ_TRIES: u32 = 3;

/// A place as it reads.
pub(super) struct Place {
    /// The entry's bytes; `None` when they cannot be read.
    pub(super) entry: Option<[u8; ENTRY_BYTES]>,
    is_blank: bool,
    /// Set: the entry was read back before this was begun.
    pub(super) seal: Mark,
    /// Set: the next place may have been written to.
    pub(super) begun: Mark,
}

impl Place {
    pub(super) fn look<F: Flash>(flash: &mut F, address: u32) -> Self {
        let erased = flash.geometry().erased;
        let entry = read::<F, ENTRY_BYTES>(flash, address);
        Self {
            is_blank: entry.as_ref().is_some_and(|bytes| is_blank(bytes, erased)),
            seal: Mark::read(flash, address.saturating_add(SEAL_AT)),
            begun: Mark::read(flash, address.saturating_add(BEGUN_AT)),
            entry,
        }
    }

    /// Whether the place may have been written to; `was_begun`: the one before says so.
    pub(super) const fn is_touched(&self, was_begun: bool) -> bool {
        was_begun || !self.is_blank || self.seal.is_set() || self.begun.may_be_set()
    }
}

/// Whether nothing of a place is written.
pub(super) fn is_untouched<F: Flash>(flash: &mut F, address: u32) -> bool {
    let erased = flash.geometry().erased;
    let mut bytes = [0; PLACE_BYTES];
    flash.read(address, &mut bytes).is_ok() && is_blank(&bytes, erased)
}

/// A word that is programmed to say something by being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Blank,
    Set,
    /// On the safe side: what it would prove is not proven, and what it would warn of is so.
    Unreadable,
}

impl Mark {
    const fn is_set(self) -> bool {
        matches!(self, Self::Set)
    }

    pub(super) const fn may_be_set(self) -> bool {
        !matches!(self, Self::Blank)
    }

    fn read<F: Flash>(flash: &mut F, address: u32) -> Self {
        let erased = flash.geometry().erased;
        match read::<F, MARK_BYTES>(flash, address) {
            None => Self::Unreadable,
            Some(bytes) if is_blank(&bytes, erased) => Self::Blank,
            Some(_) => Self::Set,
        }
    }

    fn program<F: Flash>(flash: &mut F, address: u32) -> Result<(), FlashError> {
        let geometry = flash.geometry();
        let mark = [!geometry.erased; MARK_BYTES];
        let word = usize::try_from(geometry.word_bytes).ok().and_then(|length| mark.get(..length));
        flash.program(address, word.ok_or(FlashError::OutOfBounds)?)
    }
}

/// Says that the entry of the place at `address` was read back.
pub(super) fn seal<F: Flash>(flash: &mut F, address: u32) -> Result<(), FlashError> {
    let seal = address.saturating_add(SEAL_AT);
    Mark::program(flash, seal)?;
    if Mark::read(flash, seal) == Mark::Set { Ok(()) } else { Err(FlashError::Failed) }
}

/// Says in the place at `address` that the next one was begun, unless it says so already.
pub(super) fn mark_begun<F: Flash>(flash: &mut F, address: u32) -> Result<(), FlashError> {
    let begun = address.saturating_add(BEGUN_AT);
    // One that cannot be read now may be blank, and one that reads as set may read as blank next.
    let is_set = Mark::read(flash, begun) == Mark::Set && Mark::read(flash, begun) == Mark::Set;
    if !is_set {
        Mark::program(flash, begun)?;
    }
    if Mark::read(flash, begun) == Mark::Blank { Err(FlashError::Failed) } else { Ok(()) }
}

/// Whether the place at `address` says that what comes behind it was begun.
pub(super) fn is_begun<F: Flash>(flash: &mut F, address: u32) -> bool {
    Mark::read(flash, address.saturating_add(BEGUN_AT)) == Mark::Set
}

fn read<F: Flash, const N: usize>(flash: &mut F, address: u32) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    (0..READ_TRIES).any(|_| flash.read(address, &mut bytes).is_ok()).then_some(bytes)
}

pub(super) const fn places_in(range: Range) -> u32 {
    range.len_bytes / STRIDE
}

pub(super) const fn address_of(range: Range, index: u32) -> u32 {
    range.start.saturating_add(index.saturating_mul(STRIDE))
}
