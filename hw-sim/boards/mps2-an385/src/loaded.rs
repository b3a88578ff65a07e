//! Flash whose programs are read where they run: what the boot stage hashes is the copy that it jumps to.
//!
//! A version that is copied behind its check would be read twice, and flash may give other bytes the second time.

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range};
use firmware_protocol::layout::Layout;
use firmware_protocol::slot::SlotId;

use crate::layout::{PROGRAM, area};
use crate::places;

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 4096;

/// Flash, with the program of one slot in memory: of the one that was read last.
#[derive(Debug)]
pub struct Loaded<F> {
    flash: F,
    programs: [Range; 2],
    loaded: Option<Range>,
}

impl<F: Flash> Loaded<F> {
    /// Nothing is loaded yet.
    #[must_use]
    pub fn new(flash: F, layout: &Layout) -> Self {
        let programs = SlotId::ALL.map(|slot| area(layout, slot, PROGRAM));
        Self { flash, programs, loaded: None }
    }

    /// Whether the program at `place` is the one in memory.
    #[must_use]
    pub fn holds(&self, place: Range) -> bool {
        self.loaded == Some(place)
    }

    /// Copies the whole place: what does not belong to the version is looked at there, too.
    fn load(&mut self, place: Range) -> Result<(), FlashError> {
        self.loaded = None;
        let room = places::application().get_mut(..place.len_bytes as usize);
        let room = room.ok_or(FlashError::OutOfBounds)?;
        for (address, piece) in
            (place.start..).step_by(PIECE_BYTES).zip(room.chunks_mut(PIECE_BYTES))
        {
            self.flash.read(address, piece)?;
        }
        self.loaded = Some(place);
        Ok(())
    }
}

impl<F: Flash> Flash for Loaded<F> {
    fn geometry(&self) -> Geometry {
        self.flash.geometry()
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        self.flash.block_at(address)
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        let length = u32::try_from(buffer.len()).map_err(|_| FlashError::OutOfBounds)?;
        let wanted = Range { start: address, len_bytes: length };
        let Some(place) = self.programs.into_iter().find(|it| it.covers(wanted)) else {
            return self.flash.read(address, buffer);
        };
        if !self.holds(place) {
            self.load(place)?;
        }
        let from = (address - place.start) as usize;
        let there = places::application().get(from..from + buffer.len());
        buffer.copy_from_slice(there.ok_or(FlashError::OutOfBounds)?);
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash.program(address, bytes)
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        self.flash.erase(block)
    }
}
