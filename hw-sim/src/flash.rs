//! NOR flash that behaves like the part, and can fail in every way that parts are known to fail in.
//!
//! A program only turns bits away from the erased value, as NOR cells do; asking for the other
//! direction leaves the bit as it was and counts as a violation, which no correct driver causes.
//! When power is cut every access fails until [`SimFlash::power_on`].

mod backing;
mod cells;
mod handle;
mod spec;
mod strikes;
mod striking;
mod tear;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range};
use serde::{Deserialize, Serialize};

use crate::fault::{Counts, FaultClass, Reads, count};

use self::backing::Backing;
use self::cells::{CellError, Cells, Effect};
pub use self::handle::{FlashHandle, TrapLine};
pub use self::spec::{Ecc, FlashSpec};
use self::strikes::{Strikes, Struck};

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
    cells: Cells,
    counters: FlashCounters,
    erases_by_block: Vec<u64>,
    strikes: Strikes,
    fired: Counts,
    powered: bool,
    /// Accesses until power fails again.
    accesses_left: Option<u32>,
    /// The last failure of the supply was a brown-out.
    browned_out: bool,
    /// Starts until weak cells read the other way.
    turns_in: Option<u32>,
    trap: TrapLine,
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

    /// The same part as it is now, in memory, with its weak cells and unreadable words; its counters begin anew
    /// and no fault waits for it.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub fn fork(&self) -> io::Result<Self> {
        let cells = self.cells.fork(self.spec.size_bytes() as usize)?;
        let fork = Self::made_of(self.spec.clone(), cells);
        Ok(Self { powered: self.powered, turns_in: self.turns_in, ..fork })
    }

    /// Everything that a part in memory holds; nothing of one in a file.
    #[must_use]
    pub fn contents(&self) -> &[u8] {
        self.cells.in_memory()
    }

    /// Addresses of weak cells, with what they read as when they do not read as [`SimFlash::contents`].
    #[must_use]
    pub const fn weak_cells(&self) -> &BTreeMap<u32, u8> {
        self.cells.weak()
    }

    /// What a read of `range` would give now; `None` when it cannot be read.
    #[must_use]
    pub fn view(&self, range: Range) -> Option<Cow<'_, [u8]>> {
        if self.has_unreadable(range) {
            return None;
        }
        self.cells.view(range.start, range.len_bytes as usize).ok()
    }

    /// Whether a word in `range` cannot be read.
    #[must_use]
    pub fn has_unreadable(&self, range: Range) -> bool {
        let word = self.spec.geometry.word_bytes.max(1);
        let words = range.start / word..range.end().div_ceil(word);
        self.cells.bad_words().range(words).next().is_some()
    }

    /// Numbers of the words that cannot be read.
    pub fn unreadable_words(&self) -> impl Iterator<Item = u32> {
        self.cells.bad_words().iter().copied()
    }

    /// How weak cells read from now on.
    pub fn set_reads(&mut self, reads: Reads) {
        self.turns_in = None;
        self.cells.set_face(reads);
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
        let cells = Cells::new(backing, &spec);
        Self::made_of(spec, cells)
    }

    fn made_of(spec: FlashSpec, cells: Cells) -> Self {
        Self {
            erases_by_block: vec![0; spec.block_count()],
            spec,
            cells,
            counters: FlashCounters::default(),
            strikes: Strikes::default(),
            fired: Counts::new(),
            powered: true,
            accesses_left: None,
            browned_out: false,
            turns_in: None,
            trap: TrapLine::default(),
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

    /// False from a power cut until [`SimFlash::power_on`].
    #[must_use]
    pub const fn is_powered(&self) -> bool {
        self.powered
    }

    /// Power is back.
    pub fn power_on(&mut self) {
        self.powered = true;
        self.turns_in = match self.turns_in {
            Some(0) => {
                self.cells.turn_face();
                None
            }
            left => left.map(|left| left.saturating_sub(1)),
        };
    }

    /// What a part with [`Ecc::Trap`] pulls when a read traps. One that nobody has let go is a fault to the
    /// device, and ends its boot.
    #[must_use]
    pub fn trap_line(&self) -> TrapLine {
        self.trap.clone()
    }

    /// Flips one bit, as wear or radiation would; no operation and no power is needed.
    ///
    /// # Errors
    /// When `address` is outside the part, or its file fails.
    pub fn flip(&mut self, address: u32, bit: u8) -> Result<(), FlashError> {
        self.check(address, 1, FlashError::OutOfBounds)?;
        self.cells.flip(address, bit).map_err(|_| FlashError::Failed)?;
        count(&mut self.fired, FaultClass::Flip);
        Ok(())
    }

    /// Puts bytes in place as a programmer on the bench does, whatever was there: uncounted.
    ///
    /// # Errors
    /// When they reach beyond the part, or its file fails.
    pub fn overwrite(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.check(address, bytes.len(), FlashError::OutOfBounds)?;
        self.cells.write_raw(address, bytes).map_err(|_| FlashError::Failed)
    }

    /// Counts everything from zero again.
    pub fn forget_history(&mut self) {
        self.counters = FlashCounters::default();
        self.erases_by_block.fill(0);
        self.fired.clear();
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

    /// False when power is gone, or goes with this access.
    const fn is_accessible(&mut self) -> bool {
        match self.accesses_left {
            Some(0 | 1) if self.powered => {
                self.accesses_left = None;
                self.powered = false;
                self.counters.power_cuts = self.counters.power_cuts.saturating_add(1);
            }
            Some(left) if self.powered => self.accesses_left = Some(left.saturating_sub(1)),
            Some(_) | None => {}
        }
        self.powered
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
        if !self.is_accessible() {
            return Err(FlashError::Unreadable);
        }
        let end = address.saturating_add(u32::try_from(buffer.len()).unwrap_or(u32::MAX));
        if self.strikes.fails_read(address, end) {
            count(&mut self.fired, FaultClass::Unread);
            return Err(FlashError::Unreadable);
        }
        match self.cells.read(address, buffer) {
            Ok(()) => Ok(()),
            Err(CellError::Unreadable) if self.spec.ecc == Ecc::Trap => {
                count(&mut self.fired, FaultClass::Trap);
                self.trap.pull();
                buffer.fill(TRAP_BYTE);
                Ok(())
            }
            Err(CellError::Unreadable | CellError::Io) => Err(FlashError::Unreadable),
        }
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let Geometry { word_bytes, page_bytes, .. } = self.spec.geometry;
        let len = u32::try_from(bytes.len()).map_err(|_| FlashError::OutOfBounds)?;
        let aligned = address.is_multiple_of(word_bytes) && len.is_multiple_of(word_bytes);
        if !aligned || len > page_bytes {
            return Err(FlashError::OutOfBounds);
        }
        self.check(address, bytes.len(), FlashError::OutOfBounds)?;
        if !self.is_accessible() {
            return Err(FlashError::Failed);
        }
        if let Some(trace) = &mut self.trace {
            trace.push(Operation::Program { address, bytes: bytes.to_vec() });
        }
        let struck = self.begin(self.spec.program_us);
        let address = match struck {
            Some(Struck::Misdirect(other)) => other.saturating_sub(other % word_bytes.max(1)),
            Some(_) | None => address,
        };
        if self.check(address, bytes.len(), FlashError::OutOfBounds).is_err() {
            return Ok(());
        }
        self.perform(struck, bytes.len(), |cells, torn| cells.program(address, bytes, torn))
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        let found = self.spec.block_at(block.start).filter(|(_, range)| *range == block);
        let (index, _) = found.ok_or(FlashError::OutOfBounds)?;
        if !self.is_accessible() {
            return Err(FlashError::Failed);
        }
        if let Some(trace) = &mut self.trace {
            trace.push(Operation::Erase { block });
        }
        let struck = self.begin(self.spec.erase_us);
        let block = match struck {
            Some(Struck::Misdirect(other)) => match self.spec.block_at(other) {
                Some((_, other)) => other,
                None => return Ok(()),
            },
            Some(_) | None => block,
        };
        self.counters.erases = self.counters.erases.saturating_add(1);
        if let Some(erases) = self.erases_by_block.get_mut(index) {
            *erases = erases.saturating_add(1);
            self.counters.most_erased = self.counters.most_erased.max(*erases);
        }
        if struck.is_none() && self.strikes.is_worn(block.start, block.end()) {
            count(&mut self.fired, FaultClass::Worn);
            return Err(FlashError::Failed);
        }
        let len = block.len_bytes as usize;
        self.perform(struck, len, |cells, torn| {
            cells.erase(block.start, len, torn).map(|()| Effect::default())
        })
    }
}

/// What a read gives that has trapped.
const TRAP_BYTE: u8 = 0xA5;

#[cfg(test)]
mod tests;
