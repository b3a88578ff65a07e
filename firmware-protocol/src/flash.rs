//! NOR flash as the engine sees it.
//!
//! The engine asks four things of flash: its geometry, and to read, program and erase. A real
//! device gets them from any [`embedded_storage`] driver through [`OnNorFlash`]; the simulator
//! implements [`Flash`] itself because its geometry is chosen at run time and may be uneven.

mod fed;
mod guarded;

use embedded_storage::nor_flash::NorFlash;
use heapless::String;
use thiserror::Error;

pub use self::fed::Fed;
pub use self::guarded::{Guarded, TrapFlag};

/// Most components that one bundle, and so one slot, can have.
pub const MAX_COMPONENTS: usize = 4;
/// Longest component name, in bytes.
pub const NAME_BYTES: usize = 16;

/// A component's name.
pub type Name = String<NAME_BYTES>;

/// A run of flash bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// Address of the first byte.
    pub start: u32,
    /// Length in bytes.
    pub len_bytes: u32,
}

impl Range {
    /// Address of the first byte behind the range.
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.start.saturating_add(self.len_bytes)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len_bytes == 0
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub const fn covers(&self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// What lies in both; empty for nothing.
    #[must_use]
    pub fn common(&self, other: Self) -> Self {
        let start = self.start.max(other.start);
        Self { start, len_bytes: self.end().min(other.end()).saturating_sub(start) }
    }

    /// The shortest range with both in it; an empty one adds nothing.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other } else { self };
        }
        let start = self.start.min(other.start);
        Self { start, len_bytes: self.end().max(other.end()).saturating_sub(start) }
    }

    /// The first `length` bytes, and what is behind them; `None` when the range is shorter.
    #[must_use]
    pub fn split_at(&self, length: u64) -> Option<(Self, Self)> {
        let len_bytes = u32::try_from(length).ok().filter(|length| *length <= self.len_bytes)?;
        let front = Self { start: self.start, len_bytes };
        let back = Self { start: front.end(), len_bytes: self.len_bytes.saturating_sub(len_bytes) };
        Some((front, back))
    }
}

/// What does not change about a flash part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Smallest unit of a program, in bytes; addresses and lengths of programs are multiples of it. At most
    /// [`MAX_WORD_BYTES`].
    pub word_bytes: u32,
    /// Most that one program call writes, in bytes: a power of two, and a multiple of `word_bytes`.
    pub page_bytes: u32,
    /// What an erased byte reads as.
    pub erased: u8,
}

/// Why a flash operation did not happen, or cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FlashError {
    /// The address, length or alignment does not fit the part.
    #[error("flash access outside the part or not aligned")]
    OutOfBounds,
    /// The bytes cannot be read back, for example after an ECC double error.
    #[error("flash cannot be read at this address")]
    Unreadable,
    /// The part reported a failed program or erase.
    #[error("flash reported a failed program or erase")]
    Failed,
}

/// A NOR flash part.
pub trait Flash {
    /// The part's geometry.
    fn geometry(&self) -> Geometry;

    /// The erase block that holds `address`; `None` outside the part.
    fn block_at(&self, address: u32) -> Option<Range>;

    /// Fills `buffer` from `address` on.
    ///
    /// # Errors
    /// [`FlashError::Unreadable`] where the part cannot give the bytes; a driver whose part raises a
    /// bus fault instead must catch it and say so here.
    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError>;

    /// Programs `bytes` at `address`; both are multiples of the word, within one page's length.
    ///
    /// # Errors
    /// When the part refuses; the bytes are then anything.
    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError>;

    /// Erases one block as [`Flash::block_at`] gave it.
    ///
    /// # Errors
    /// When the part refuses; the block is then anything.
    fn erase(&mut self, block: Range) -> Result<(), FlashError>;
}

/// Longest word of a part, in bytes: a mark of the boot record fills one.
pub const MAX_WORD_BYTES: usize = 32;
/// Memory for reads of parts that read whole words only, in bytes.
const ALIGNED_BYTES: usize = 2 * MAX_WORD_BYTES;

/// Any `embedded-storage` NOR flash, with the two facts its trait does not tell.
#[derive(Debug)]
pub struct OnNorFlash<T> {
    inner: T,
    page_bytes: u32,
    erased: u8,
}

impl<T: NorFlash> OnNorFlash<T> {
    /// Evaluated for each driver that is wrapped.
    const WORDS_FIT: () = assert!(
        T::READ_SIZE <= MAX_WORD_BYTES && T::WRITE_SIZE <= MAX_WORD_BYTES,
        "words of more than 32 bytes are not supported"
    );

    /// Wraps a driver, whose words have at most [`MAX_WORD_BYTES`]; longer ones do not compile.
    ///
    /// `page_bytes` bounds one program call; `erased` is what the part's erased bytes read as.
    pub const fn new(inner: T, page_bytes: u32, erased: u8) -> Self {
        let () = Self::WORDS_FIT;
        Self { inner, page_bytes, erased }
    }
}

impl<T: NorFlash> Flash for OnNorFlash<T> {
    fn geometry(&self) -> Geometry {
        let word_bytes = u32::try_from(T::WRITE_SIZE.max(T::READ_SIZE)).unwrap_or(1).max(1);
        Geometry { word_bytes, page_bytes: self.page_bytes.max(word_bytes), erased: self.erased }
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        let len_bytes = u32::try_from(T::ERASE_SIZE).ok()?;
        let within = usize::try_from(address).ok()? < self.inner.capacity();
        let start = address.checked_sub(address.checked_rem(len_bytes)?)?;
        within.then_some(Range { start, len_bytes })
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        let unit = T::READ_SIZE.max(1);
        let mut aligned = [0; ALIGNED_BYTES];
        if unit == 1 {
            return self.inner.read(address, buffer).map_err(|_| FlashError::Unreadable);
        }
        // Parts that read whole words only are read around what is wanted.
        let mut at = usize::try_from(address).map_err(|_| FlashError::OutOfBounds)?;
        let mut rest = buffer;
        while !rest.is_empty() {
            let skipped = at.checked_rem(unit).ok_or(FlashError::OutOfBounds)?;
            let wanted = rest.len().min(ALIGNED_BYTES.saturating_sub(unit));
            let whole = skipped.saturating_add(wanted).next_multiple_of(unit);
            let words = aligned.get_mut(..whole).ok_or(FlashError::OutOfBounds)?;
            let from =
                u32::try_from(at.saturating_sub(skipped)).map_err(|_| FlashError::OutOfBounds)?;
            self.inner.read(from, words).map_err(|_| FlashError::Unreadable)?;
            let piece = words.get(skipped..skipped.saturating_add(wanted));
            let piece = piece.ok_or(FlashError::OutOfBounds)?;
            let (place, behind) =
                rest.split_at_mut_checked(wanted).ok_or(FlashError::OutOfBounds)?;
            place.copy_from_slice(piece);
            rest = behind;
            at = at.saturating_add(wanted);
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.inner.write(address, bytes).map_err(|_| FlashError::Failed)
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        self.inner.erase(block.start, block.end()).map_err(|_| FlashError::Failed)
    }
}

/// True when every byte of `bytes` reads as erased.
#[must_use]
pub fn is_blank(bytes: &[u8], erased: u8) -> bool {
    bytes.iter().all(|byte| *byte == erased)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use embedded_storage::nor_flash::{
        ErrorType, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_read,
    };

    use super::*;

    /// A part that reads four bytes at a time, at addresses that are multiples of four.
    struct WordFlash(Vec<u8>);

    #[derive(Debug)]
    struct Refused;

    impl NorFlashError for Refused {
        fn kind(&self) -> NorFlashErrorKind {
            NorFlashErrorKind::NotAligned
        }
    }

    impl ErrorType for WordFlash {
        type Error = Refused;
    }

    impl ReadNorFlash for WordFlash {
        const READ_SIZE: usize = 4;

        fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Refused> {
            check_read(self, offset, bytes.len()).map_err(|_| Refused)?;
            let start = offset as usize;
            bytes.copy_from_slice(&self.0[start..start + bytes.len()]);
            Ok(())
        }

        fn capacity(&self) -> usize {
            self.0.len()
        }
    }

    impl NorFlash for WordFlash {
        const WRITE_SIZE: usize = 4;
        const ERASE_SIZE: usize = 256;

        fn erase(&mut self, _from: u32, _to: u32) -> Result<(), Refused> {
            Err(Refused)
        }

        fn write(&mut self, _offset: u32, _bytes: &[u8]) -> Result<(), Refused> {
            Err(Refused)
        }
    }

    #[test]
    fn ranges_cover_share_and_span() {
        let range = |start, len_bytes| Range { start, len_bytes };
        let (front, back) = (range(10, 10), range(15, 10));
        assert!(front.covers(range(10, 10)) && front.covers(range(12, 3)));
        assert!(!front.covers(range(9, 2)) && !front.covers(range(19, 2)));
        assert_eq!(front.common(back), range(15, 5));
        assert_eq!(back.common(front), range(15, 5));
        assert!(front.common(range(20, 5)).is_empty() && !front.is_empty());
        assert_eq!(front.hull(back), range(10, 15));
        assert_eq!(front.hull(range(40, 2)), range(10, 32));
        assert_eq!(range(40, 2).hull(front), range(10, 32));
        assert_eq!(front.hull(Range::default()), front);
        assert_eq!(Range::default().hull(front), front);
    }

    #[test]
    fn a_part_that_reads_whole_words_gives_any_bytes() {
        let contents: Vec<u8> = (0..=255).collect();
        let mut flash = OnNorFlash::new(WordFlash(contents.clone()), 64, 0xff);
        for (start, address) in (0..9).zip(0_u32..) {
            for len in 0..150 {
                let mut bytes = std::vec![0; len];
                assert_eq!(flash.read(address, &mut bytes), Ok(()), "{start} {len}");
                assert_eq!(bytes, contents[start..start + len], "{start} {len}");
            }
        }
        assert_eq!(flash.read(255, &mut [0; 2]), Err(FlashError::Unreadable));
    }
}
