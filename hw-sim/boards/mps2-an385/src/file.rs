//! Files of the host, by semihosting: they stand in for parts that QEMU does not emulate.

use cortex_m_semihosting::nr::open;
use cortex_m_semihosting::syscall;

/// An open file.
#[derive(Debug)]
pub struct File {
    handle: usize,
}

/// The host has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileError;

impl File {
    /// Opens a file to read it. `name` ends with a zero.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(name: &str) -> Result<Self, FileError> {
        Self::open_as(name, open::R_BINARY)
    }

    /// Opens a file that is there, to read and to write it. `name` ends with a zero.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_to_write(name: &str) -> Result<Self, FileError> {
        Self::open_as(name, open::RW_BINARY)
    }

    /// Makes a file, or empties it. `name` ends with a zero.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn create(name: &str) -> Result<Self, FileError> {
        Self::open_as(name, open::RW_TRUNC_BINARY)
    }

    /// Opens a file that is there, to write behind its end. `name` ends with a zero.
    ///
    /// # Errors
    /// When there is none.
    pub fn open_to_append(name: &str) -> Result<Self, FileError> {
        Self::open(name)?;
        Self::open_as(name, open::RW_APPEND_BINARY)
    }

    /// Its number with the host, one higher: for [`File::close_left`] behind a reset, over which the host keeps it open.
    #[must_use]
    pub fn number(&self) -> u32 {
        u32::try_from(self.handle).ok().and_then(|handle| handle.checked_add(1)).unwrap_or(0)
    }

    /// Closes the file of this number, which a program that is gone has left open; 0 for none.
    pub fn close_left(number: u32) {
        if let Some(handle) = number.checked_sub(1) {
            drop(Self { handle: handle as usize });
        }
    }

    fn open_as(name: &str, mode: usize) -> Result<Self, FileError> {
        let (Some((_, 0)), Some(length)) = (split_end(name), name.len().checked_sub(1)) else {
            return Err(FileError);
        };
        // SAFETY: a name that ends with a zero, and its length without it.
        let handle = unsafe { syscall!(OPEN, name.as_ptr(), mode, length) };
        if handle == usize::MAX { Err(FileError) } else { Ok(Self { handle }) }
    }

    /// Goes to `at`, counted from its start.
    ///
    /// # Errors
    /// When the host refuses.
    pub fn seek(&mut self, at: u32) -> Result<(), FileError> {
        // SAFETY: an open handle.
        let failed = unsafe { syscall!(SEEK, self.handle, at) };
        if failed == 0 { Ok(()) } else { Err(FileError) }
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    /// When the file ends before.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(), FileError> {
        // SAFETY: an open handle, and memory that is ours for that length.
        let missing = unsafe { syscall!(READ, self.handle, buffer.as_mut_ptr(), buffer.len()) };
        if missing == 0 { Ok(()) } else { Err(FileError) }
    }

    /// Writes `bytes`.
    ///
    /// # Errors
    /// When the host does not take them all.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        // SAFETY: an open handle, and memory of that length.
        let missing = unsafe { syscall!(WRITE, self.handle, bytes.as_ptr(), bytes.len()) };
        if missing == 0 { Ok(()) } else { Err(FileError) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // SAFETY: an open handle, which nobody has any more.
        unsafe { syscall!(CLOSE, self.handle) };
    }
}

fn split_end(name: &str) -> Option<(&[u8], u8)> {
    name.as_bytes().split_last().map(|(last, front)| (front, *last))
}
