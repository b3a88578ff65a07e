//! Reading flash through: in bounded steps to hash it or to see whether it is erased, at once to compare it.

use crate::digest::{Digest, Hasher};
use crate::flash::{self, Flash, FlashError, Range};

/// Most bytes that one step reads.
pub const STEP_BYTES: u32 = 4096;

const PIECE_BYTES: usize = 256;

/// A range that is being read through.
#[derive(Debug, Clone)]
struct Cursor {
    address: u32,
    left_bytes: u32,
}

impl Cursor {
    const fn new(range: Range) -> Self {
        Self { address: range.start, left_bytes: range.len_bytes }
    }

    /// Gives `take` up to a step's bytes; true when none are left. `take` says no to stop early.
    fn step<F: Flash>(
        &mut self,
        flash: &mut F,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, FlashError> {
        let mut budget = STEP_BYTES.min(self.left_bytes);
        let mut bytes = [0; PIECE_BYTES];
        while budget > 0 {
            let wanted = usize::try_from(budget).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let piece = bytes.get_mut(..wanted).ok_or(FlashError::OutOfBounds)?;
            flash.read(self.address, piece)?;
            let read = u32::try_from(wanted).unwrap_or(0);
            budget = budget.saturating_sub(read);
            self.left_bytes = self.left_bytes.saturating_sub(read);
            self.address = self.address.saturating_add(read);
            if !take(piece) {
                self.left_bytes = 0;
                break;
            }
        }
        Ok(self.left_bytes == 0)
    }
}

/// Hashes a range, a step a call.
#[derive(Debug, Clone)]
pub struct HashScan {
    cursor: Cursor,
    hasher: Hasher,
}

impl HashScan {
    /// Begins.
    #[must_use]
    pub fn new(range: Range) -> Self {
        Self { cursor: Cursor::new(range), hasher: Hasher::new() }
    }

    /// Bytes that are still to be read.
    #[must_use]
    pub const fn left_bytes(&self) -> u32 {
        self.cursor.left_bytes
    }

    /// Reads on; the digest once everything is read.
    ///
    /// # Errors
    /// When flash cannot be read.
    pub fn step<F: Flash>(&mut self, flash: &mut F) -> Result<Option<Digest>, FlashError> {
        let hasher = &mut self.hasher;
        let ended = self.cursor.step(flash, |piece| {
            hasher.update(piece);
            true
        })?;
        Ok(ended.then(|| self.hasher.clone().finish()))
    }
}

/// Looks whether a range is erased, a step a call.
#[derive(Debug, Clone)]
pub struct BlankScan {
    cursor: Cursor,
    blank: bool,
}

impl BlankScan {
    /// Begins.
    #[must_use]
    pub const fn new(range: Range) -> Self {
        Self { cursor: Cursor::new(range), blank: true }
    }

    /// Reads on; the answer once it is known.
    ///
    /// # Errors
    /// When flash cannot be read.
    pub fn step<F: Flash>(&mut self, flash: &mut F) -> Result<Option<bool>, FlashError> {
        let erased = flash.geometry().erased;
        let blank = &mut self.blank;
        let ended = self.cursor.step(flash, |piece| {
            *blank = flash::is_blank(piece, erased);
            *blank
        })?;
        Ok(ended.then_some(self.blank))
    }
}

/// SHA-256 of a range, all at once.
///
/// # Errors
/// When flash cannot be read.
pub fn digest<F: Flash>(flash: &mut F, range: Range) -> Result<Digest, FlashError> {
    let mut scan = HashScan::new(range);
    loop {
        if let Some(digest) = scan.step(flash)? {
            return Ok(digest);
        }
    }
}

/// Whether a range is erased, all at once.
///
/// # Errors
/// When flash cannot be read.
pub fn is_blank<F: Flash>(flash: &mut F, range: Range) -> Result<bool, FlashError> {
    let mut scan = BlankScan::new(range);
    loop {
        if let Some(blank) = scan.step(flash)? {
            return Ok(blank);
        }
    }
}

/// Whether flash gives `bytes` at `address`; bytes that cannot be read are none. It reads as many as are
/// compared, so the caller bounds its step.
pub fn holds<F: Flash>(flash: &mut F, address: u32, bytes: &[u8]) -> bool {
    let mut found = [0; PIECE_BYTES];
    let mut address = address;
    bytes.chunks(PIECE_BYTES).all(|piece| {
        let Some(found) = found.get_mut(..piece.len()) else { return false };
        let same = flash.read(address, found).is_ok() && found == piece;
        address = address.saturating_add(u32::try_from(piece.len()).unwrap_or(u32::MAX));
        same
    })
}
