//! NOR flash that behaves like the part, and can lose power in the middle of an operation.
//!
//! A program only turns bits away from the erased value, as NOR cells do; asking for the other
//! direction leaves the bit as it was and counts as a violation, which no correct driver causes.
//! When power is cut every access fails until [`SimFlash::power_on`].

mod backing;
mod spec;
mod tear;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range};
use serde::{Deserialize, Serialize};

use crate::fault::PowerCut;

use self::backing::Backing;
pub use self::spec::FlashSpec;

/// What a flash part has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FlashCounters {
    /// Programs and erases, torn ones included.
    pub operations: u64,
    /// Erases among them.
    pub erases: u64,
    /// Most erases of any one block.
    pub most_erased: u64,
    /// Programs that asked for a bit to return to its erased value.
    pub violations: u64,
    /// Power cuts that struck inside an operation.
    pub power_cuts: u64,
}

/// A simulated NOR flash part.
#[derive(Debug)]
pub struct SimFlash {
    spec: FlashSpec,
    backing: Backing,
    counters: FlashCounters,
    erases_by_block: Vec<u64>,
    cut: Option<PowerCut>,
    powered: bool,
    busy_us: u64,
    trace: Option<Vec<Operation>>,
}

/// A program or an erase, as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Bytes to be programmed.
    Program {
        /// Where.
        address: u32,
        /// Which.
        bytes: Vec<u8>,
    },
    /// A block to be erased.
    Erase {
        /// Which.
        block: Range,
    },
}

impl SimFlash {
    /// A blank part in memory.
    #[must_use]
    pub fn in_memory(spec: FlashSpec) -> Self {
        let backing = Backing::memory(spec.size_bytes() as usize, spec.geometry.erased);
        Self::new(spec, backing)
    }

    /// A blank part in a new file at `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(spec: FlashSpec, path: &Path) -> io::Result<Self> {
        let size_bytes = spec.size_bytes() as usize;
        let backing = Backing::create(path, size_bytes, spec.geometry.erased)?;
        Ok(Self::new(spec, backing))
    }

    /// The part in the file at `path`, and the file's length in bytes for the caller to judge.
    ///
    /// # Errors
    /// When the file cannot be opened for reading and writing.
    pub fn open(spec: FlashSpec, path: &Path) -> io::Result<(Self, u64)> {
        let (backing, len_bytes) = Backing::open(path)?;
        Ok((Self::new(spec, backing), len_bytes))
    }

    /// A part in memory that holds `bytes`; what is missing is erased, what is too much is cut off.
    #[must_use]
    pub fn holding(spec: FlashSpec, mut bytes: Vec<u8>) -> Self {
        bytes.resize(spec.size_bytes() as usize, spec.geometry.erased);
        Self::new(spec, Backing::Memory(bytes))
    }

    /// Everything that a part in memory holds; nothing of one in a file.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        self.backing.in_memory()
    }

    /// Writes down every operation from now on.
    pub fn start_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// The operations since [`SimFlash::start_trace`].
    pub fn take_trace(&mut self) -> Vec<Operation> {
        self.trace.take().unwrap_or_default()
    }

    fn new(spec: FlashSpec, backing: Backing) -> Self {
        let erases_by_block = vec![0; spec.block_count()];
        Self {
            spec,
            backing,
            counters: FlashCounters::default(),
            erases_by_block,
            cut: None,
            powered: true,
            busy_us: 0,
            trace: None,
        }
    }

    /// The part.
    #[must_use]
    pub const fn spec(&self) -> &FlashSpec {
        &self.spec
    }

    /// What it has been through since it was made.
    #[must_use]
    pub const fn counters(&self) -> FlashCounters {
        self.counters
    }

    /// How often block `index` was erased.
    #[must_use]
    pub fn erases_of(&self, index: usize) -> u64 {
        self.erases_by_block.get(index).copied().unwrap_or(0)
    }

    /// Lets power fail at a later operation; `None` takes that back.
    pub const fn set_power_cut(&mut self, cut: Option<PowerCut>) {
        self.cut = cut;
    }

    /// False from a power cut until [`SimFlash::power_on`].
    #[must_use]
    pub const fn is_powered(&self) -> bool {
        self.powered
    }

    /// Power is back.
    pub const fn power_on(&mut self) {
        self.powered = true;
    }

    /// Flips one bit, as wear or radiation would; no operation and no power is needed.
    ///
    /// # Errors
    /// When `address` is outside the part, or its file fails.
    pub fn flip(&mut self, address: u32, bit: u8) -> Result<(), FlashError> {
        self.check(address, 1, FlashError::OutOfBounds)?;
        let mut byte = [0];
        self.fetch(address, &mut byte)?;
        let [value] = byte;
        self.store(address, &[value ^ (1 << (bit & 7))])
    }

    /// Writes bytes as a factory's programmer does, before the device has ever run: uncounted.
    pub(crate) fn write_raw(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check(address, bytes.len(), FlashError::OutOfBounds)?;
        self.store(address, bytes)
    }

    /// Forgets what the factory did.
    pub(crate) fn forget_history(&mut self) {
        self.counters = FlashCounters::default();
        self.erases_by_block.fill(0);
        self.busy_us = 0;
    }

    /// How long the operations since the last call have taken, in microseconds.
    pub(crate) const fn take_busy_us(&mut self) -> u64 {
        std::mem::replace(&mut self.busy_us, 0)
    }

    fn check(&self, address: u32, len: usize, error: FlashError) -> Result<(), FlashError> {
        let end = u64::from(address).saturating_add(len as u64);
        if end <= u64::from(self.spec.size_bytes()) { Ok(()) } else { Err(error) }
    }

    fn fetch(&self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        self.backing.read(address as usize, buffer).map_err(|_| FlashError::Unreadable)
    }

    fn store(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.backing.write(address as usize, bytes).map_err(|_| FlashError::Failed)
    }

    /// Counts one operation; gives how it is torn when power fails in it.
    fn begin(&mut self, duration_us: u64) -> Option<PowerCut> {
        self.counters.operations = self.counters.operations.saturating_add(1);
        self.busy_us = self.busy_us.saturating_add(duration_us);
        let cut = self.cut.filter(|cut| cut.at_operation == self.counters.operations)?;
        self.cut = None;
        self.powered = false;
        self.counters.power_cuts = self.counters.power_cuts.saturating_add(1);
        Some(cut)
    }

    /// What the cells hold after `wanted` was programmed over `held`.
    fn programmed(&mut self, held: &[u8], wanted: &[u8]) -> Vec<u8> {
        let erased = self.spec.geometry.erased;
        let against = |(held, wanted): (&u8, &u8)| (held ^ erased) & !(wanted ^ erased) != 0;
        if held.iter().zip(wanted).any(against) {
            self.counters.violations = self.counters.violations.saturating_add(1);
        }
        let cell = |(held, wanted): (&u8, &u8)| ((held ^ erased) | (wanted ^ erased)) ^ erased;
        held.iter().zip(wanted).map(cell).collect()
    }
}

impl Flash for SimFlash {
    fn geometry(&self) -> Geometry {
        self.spec.geometry
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        self.spec.block_at(address).map(|(_, range)| range)
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        self.check(address, buffer.len(), FlashError::OutOfBounds)?;
        if !self.powered {
            return Err(FlashError::Unreadable);
        }
        self.fetch(address, buffer)
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let Geometry { word_bytes, page_bytes, .. } = self.spec.geometry;
        let len = u32::try_from(bytes.len()).map_err(|_| FlashError::OutOfBounds)?;
        let aligned = address.is_multiple_of(word_bytes) && len.is_multiple_of(word_bytes);
        if !aligned || len > page_bytes {
            return Err(FlashError::OutOfBounds);
        }
        self.check(address, bytes.len(), FlashError::OutOfBounds)?;
        if !self.powered {
            return Err(FlashError::Failed);
        }
        if let Some(trace) = &mut self.trace {
            trace.push(Operation::Program { address, bytes: bytes.to_vec() });
        }
        let cut = self.begin(self.spec.program_us);
        let mut held = vec![0; bytes.len()];
        self.fetch(address, &mut held)?;
        let cells = self.programmed(&held, bytes);
        let left = cut.map(|cut| tear::torn(&held, &cells, word_bytes, cut));
        self.store(address, left.as_ref().unwrap_or(&cells))?;
        if left.is_some() { Err(FlashError::Failed) } else { Ok(()) }
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        let found = self.spec.block_at(block.start).filter(|(_, range)| *range == block);
        let (index, _) = found.ok_or(FlashError::OutOfBounds)?;
        if !self.powered {
            return Err(FlashError::Failed);
        }
        let len = block.len_bytes as usize;
        if let Some(trace) = &mut self.trace {
            trace.push(Operation::Erase { block });
        }
        let cut = self.begin(self.spec.erase_us);
        self.counters.erases = self.counters.erases.saturating_add(1);
        if let Some(erases) = self.erases_by_block.get_mut(index) {
            *erases = erases.saturating_add(1);
            self.counters.most_erased = self.counters.most_erased.max(*erases);
        }
        let blank = vec![self.spec.geometry.erased; len];
        let left = match cut {
            None => None,
            Some(cut) => {
                let mut held = vec![0; len];
                self.fetch(block.start, &mut held)?;
                Some(tear::torn(&held, &blank, self.spec.geometry.word_bytes, cut))
            }
        };
        self.store(block.start, left.as_ref().unwrap_or(&blank))?;
        if left.is_some() { Err(FlashError::Failed) } else { Ok(()) }
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

#[cfg(test)]
mod tests;
