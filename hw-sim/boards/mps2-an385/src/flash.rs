//! The board's flash: a file of the host that behaves as a NOR part does.
//!
//! Words of four bytes, each programmed by a write of its own, which clears bits and sets none. Erase blocks of 4 KiB, in pieces. So what a
//! power cut leaves behind is what it leaves on a part: some words new, some old, and one that was on its way.

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use firmware_protocol::flash::OnNorFlash;

use crate::file::{File, FileError};
use crate::map::{FLASH_BLOCK_BYTES, FLASH_BYTES};
use crate::power_cut::{Kind, PowerCut};
use crate::retained;

/// Length of the part, in bytes.
pub const SIZE_BYTES: u32 = FLASH_BYTES;
/// Length of an erase block, in bytes.
pub const BLOCK_BYTES: u32 = FLASH_BLOCK_BYTES;
/// Length of a word, in bytes.
pub const WORD_BYTES: u32 = 4;
/// Longest program, in bytes.
pub const PAGE_BYTES: u32 = 256;
/// What erased bytes read as.
pub const ERASED: u8 = 0xff;

/// The part.
#[derive(Debug)]
pub struct FileFlash {
    file: Option<File>,
    cut: PowerCut,
}

/// The part as the engine sees it.
pub type BoardFlash = OnNorFlash<FileFlash>;

impl FileFlash {
    /// Connects it. Without its file every access fails, as that of a part which is not there.
    #[must_use]
    pub fn connect() -> Self {
        let file = File::open_to_write("flash.bin\0").ok();
        retained::leave_open(file.as_ref().map_or(0, File::number));
        Self { file, cut: PowerCut::chosen() }
    }

    /// Connects it, as the engine sees it.
    #[must_use]
    pub fn for_engine() -> BoardFlash {
        OnNorFlash::new(Self::connect(), PAGE_BYTES, ERASED)
    }
}

/// Why the part has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashFault(NorFlashErrorKind);

impl NorFlashError for FlashFault {
    fn kind(&self) -> NorFlashErrorKind {
        self.0
    }
}

impl From<FileError> for FlashFault {
    fn from(_: FileError) -> Self {
        Self(NorFlashErrorKind::Other)
    }
}

/// Whether `length` bytes at `offset` are whole units of `unit` within the part.
fn check(offset: u32, length: usize, unit: u32) -> Result<u32, FlashFault> {
    let out = FlashFault(NorFlashErrorKind::OutOfBounds);
    let length = u32::try_from(length).map_err(|_| out)?;
    let end = offset.checked_add(length).ok_or(out)?;
    if end > SIZE_BYTES {
        Err(out)
    } else if offset % unit != 0 || length % unit != 0 {
        Err(FlashFault(NorFlashErrorKind::NotAligned))
    } else {
        Ok(length)
    }
}

impl ErrorType for FileFlash {
    type Error = FlashFault;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashFault> {
        check(offset, bytes.len(), 1)?;
        let file = self.file.as_mut().ok_or(FileError)?;
        file.seek(offset)?;
        Ok(file.read(bytes)?)
    }

    fn capacity(&self) -> usize {
        SIZE_BYTES as usize
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = WORD_BYTES as usize;
    const ERASE_SIZE: usize = BLOCK_BYTES as usize;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashFault> {
        let length = to.checked_sub(from).ok_or(FlashFault(NorFlashErrorKind::OutOfBounds))?;
        check(from, length as usize, BLOCK_BYTES)?;
        let file = self.file.as_mut().ok_or(FileError)?;
        let mut operation = self.cut.begin(Kind::Erase, from, length);
        for address in (from..to).step_by(PAGE_BYTES as usize) {
            self.cut.pass(&mut operation, address, PAGE_BYTES);
            file.seek(address)?;
            file.write(&[ERASED; PAGE_BYTES as usize])?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        let length = check(offset, bytes.len(), WORD_BYTES)?;
        let file = self.file.as_mut().ok_or(FileError)?;
        let mut operation = self.cut.begin(Kind::Program, offset, length);
        let mut old = [0; PAGE_BYTES as usize];
        let old = old.get_mut(..bytes.len()).ok_or(FlashFault(NorFlashErrorKind::OutOfBounds))?;
        file.seek(offset)?;
        file.read(old)?;
        file.seek(offset)?;
        // From word to word the file goes on by itself.
        let words = old.as_chunks().0.iter().zip(bytes.as_chunks().0);
        for (address, (old, new)) in (offset..).step_by(WORD_BYTES as usize).zip(words) {
            self.cut.pass(&mut operation, address, WORD_BYTES);
            let cleared = u32::from_le_bytes(*old) & u32::from_le_bytes(*new);
            file.write(&cleared.to_le_bytes())?;
        }
        Ok(())
    }
}
