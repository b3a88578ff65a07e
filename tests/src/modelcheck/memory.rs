//! Flash and window that are cheap to fork: forks share what neither has written.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use firmware_protocol::flash::{Flash, FlashError, Geometry, Range};

use crate::powercut::part::Part;

/// NOR flash in memory, shared block by block. It neither tears nor wears; its power can fail between two operations.
#[derive(Clone)]
pub struct Memory {
    geometry: Geometry,
    blocks: Vec<Block>,
    /// Programs and erases so far.
    operations: u32,
    /// Power fails behind so many operations; from then on nothing is written any more.
    dies_behind: Option<u32>,
}

#[derive(Clone)]
struct Block {
    range: Range,
    held: Arc<Held>,
}

#[derive(Clone)]
struct Held {
    bytes: Vec<u8>,
    digest: u64,
}

impl Memory {
    /// The part with these bytes on it.
    pub fn new(part: &Part, bytes: &[u8]) -> Self {
        let mut blocks = Vec::new();
        let mut start = 0;
        while let Some((_, range)) = part.spec.block_at(start) {
            let bytes = bytes[start as usize..range.end() as usize].to_vec();
            blocks.push(Block { range, held: Arc::new(Held::of(bytes)) });
            start = range.end();
        }
        Self { geometry: part.spec.geometry, blocks, operations: 0, dies_behind: None }
    }

    /// Programs and erases so far.
    pub const fn operations(&self) -> u32 {
        self.operations
    }

    /// Lets power fail behind so many more operations; `None` for never.
    pub fn set_dying(&mut self, more: Option<u32>) {
        self.dies_behind = more.map(|more| self.operations + more);
    }

    /// Whether power has failed.
    pub fn is_dead(&self) -> bool {
        self.dies_behind.is_some_and(|dies| self.operations >= dies)
    }

    /// Whether these bytes lie at an address, and only erased ones behind them to the end of the range.
    pub fn holds(&self, range: Range, bytes: &[u8]) -> bool {
        let held = self.bytes(range);
        held.starts_with(bytes) && held[bytes.len()..].iter().all(|b| *b == self.geometry.erased)
    }

    /// One number for what lies in a range of whole blocks.
    pub fn digest(&self, range: Range) -> u64 {
        let within = self.blocks.iter().filter(|block| range.covers(block.range));
        let mut hasher = DefaultHasher::new();
        within.for_each(|block| block.held.digest.hash(&mut hasher));
        hasher.finish()
    }

    fn bytes(&self, range: Range) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(range.len_bytes as usize);
        for block in &self.blocks {
            let common = block.range.common(range);
            if common.is_empty() {
                continue;
            }
            let from = common.start.saturating_sub(block.range.start) as usize;
            bytes.extend_from_slice(&block.held.bytes[from..from + common.len_bytes as usize]);
        }
        bytes
    }

    fn change(&mut self, at: Range, change: impl FnOnce(&mut [u8])) -> Result<(), FlashError> {
        if self.dies_behind == Some(self.operations) {
            return Err(FlashError::Failed);
        }
        let block = self.blocks.iter_mut().find(|block| block.range.covers(at));
        let block = block.ok_or(FlashError::OutOfBounds)?;
        let from = (at.start - block.range.start) as usize;
        let held = Arc::make_mut(&mut block.held);
        change(&mut held.bytes[from..from + at.len_bytes as usize]);
        *held = Held::of(std::mem::take(&mut held.bytes));
        self.operations += 1;
        Ok(())
    }
}

impl Held {
    fn of(bytes: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&bytes);
        Self { digest: hasher.finish(), bytes }
    }
}

impl Flash for Memory {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn block_at(&self, address: u32) -> Option<Range> {
        let place = Range { start: address, len_bytes: 1 };
        self.blocks.iter().map(|block| block.range).find(|range| range.covers(place))
    }

    fn read(&mut self, address: u32, buffer: &mut [u8]) -> Result<(), FlashError> {
        let mut rest = buffer;
        let mut at = address;
        while !rest.is_empty() {
            let place = Range { start: at, len_bytes: 1 };
            let block = self.blocks.iter().find(|block| block.range.covers(place));
            let block = block.ok_or(FlashError::OutOfBounds)?;
            let held = &block.held.bytes[(at - block.range.start) as usize..];
            let (now, later) = rest.split_at_mut(held.len().min(rest.len()));
            now.copy_from_slice(&held[..now.len()]);
            at = block.range.end();
            rest = later;
        }
        Ok(())
    }

    fn program(&mut self, address: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let len_bytes = u32::try_from(bytes.len()).map_err(|_| FlashError::OutOfBounds)?;
        let erased = self.geometry.erased;
        self.change(Range { start: address, len_bytes }, |held| {
            for (held, wanted) in held.iter_mut().zip(bytes) {
                *held = ((*held ^ erased) | (wanted ^ erased)) ^ erased;
            }
        })
    }

    fn erase(&mut self, block: Range) -> Result<(), FlashError> {
        let erased = self.geometry.erased;
        self.change(block, |held| held.fill(erased))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

/// The engine's memory for what is in flight.
#[derive(Clone)]
pub struct Window(Arc<Vec<u8>>);

impl Window {
    /// So many bytes.
    pub fn new(len_bytes: usize) -> Self {
        Self(Arc::new(vec![0; len_bytes]))
    }
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Window {
    fn as_mut(&mut self) -> &mut [u8] {
        Arc::<Vec<u8>>::make_mut(&mut self.0)
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Window")
    }
}
