//! A part that several hold, and the line that it pulls when a read traps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range, TrapFlag};

use super::SimFlash;

/// The interrupt of a read that traps.
#[derive(Debug, Clone, Default)]
pub struct TrapLine(Arc<AtomicBool>);

impl TrapLine {
    pub(super) fn pull(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TrapFlag for TrapLine {
    fn take(&mut self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// A flash part that its device and its tester hold at the same time.
#[derive(Debug, Clone)]
pub struct FlashHandle(Arc<Mutex<SimFlash>>);

impl FlashHandle {
    pub(crate) fn new(flash: SimFlash) -> Self {
        Self(Arc::new(Mutex::new(flash)))
    }

    /// The part itself, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, SimFlash> {
        // A part is only bytes and counters: whatever a panicking holder left is still a part.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flash for FlashHandle {
    fn geometry(&self) -> Geometry {
        self.lock().geometry()
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        self.lock().block_at(address)
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        self.lock().read(address, buffer)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.lock().program(address, bytes)
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        self.lock().erase(block)
    }
}
