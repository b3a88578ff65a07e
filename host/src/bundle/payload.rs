//! The bytes of one payload, read by offset.

use std::fs::File;
use std::io::{self, Read};

use crate::platform;

/// Reads one payload from its start, through the bundle's own handle.
#[derive(Debug)]
pub struct PayloadReader<'a> {
    file: &'a File,
    start: u64,
    length: u64,
    position: u64,
}

impl<'a> PayloadReader<'a> {
    pub(super) const fn new(file: &'a File, start: u64, length: u64) -> Self {
        Self { file, start, length, position: 0 }
    }

    /// Goes to `position` within the payload, in bytes from its start; behind its end there is
    /// nothing to read.
    pub const fn seek_to(&mut self, position: u64) {
        self.position = position;
    }

    /// Length of the payload, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }
}

impl Read for PayloadReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(room) = buffer.get_mut(..wanted).filter(|room| !room.is_empty()) else {
            return Ok(0);
        };
        let count = platform::read_at(self.file, room, self.start.saturating_add(self.position))?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position = self.position.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}
