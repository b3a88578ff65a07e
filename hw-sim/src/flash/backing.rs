//! Where the bytes of a simulated flash are kept: memory, or straight in a file.
//!
//! A file is read and written on every access, with no cache in between. So a killed process loses
//! nothing that was acknowledged, and a test may flip a byte under a running device.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use crate::files;

#[derive(Debug)]
pub(crate) enum Backing {
    Memory(Vec<u8>),
    File(File),
}

impl Backing {
    /// `size_bytes` bytes of memory, all `erased`.
    pub(crate) fn memory(size_bytes: usize, erased: u8) -> Self {
        Self::Memory(vec![erased; size_bytes])
    }

    /// A new file at `path` with `size_bytes` bytes, all `erased`; what was there is gone.
    pub(crate) fn create(path: &Path, size_bytes: usize, erased: u8) -> io::Result<Self> {
        let mut file = files::make_own(path)?;
        file.write_all(&vec![erased; size_bytes])?;
        Ok(Self::File(file))
    }

    /// The file at `path`, with its length in bytes.
    pub(crate) fn open(path: &Path) -> io::Result<(Self, u64)> {
        let file = files::open_own(path)?;
        let len_bytes = file.metadata()?.len();
        Ok((Self::File(file), len_bytes))
    }

    /// The memory; empty for a file.
    pub(crate) fn in_memory(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File(_) => &[],
        }
    }

    pub(crate) fn read(&self, address: usize, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Memory(bytes) => {
                let from = bytes.get(address..address.saturating_add(buffer.len()));
                buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            Self::File(file) => read_at(file, buffer, address as u64),
        }
    }

    pub(crate) fn write(&mut self, address: usize, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(memory) => {
                let to = memory.get_mut(address..address.saturating_add(bytes.len()));
                to.ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(bytes);
                Ok(())
            }
            Self::File(file) => write_at(file, bytes, address as u64),
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)
}
