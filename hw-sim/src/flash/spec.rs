//! The flash part that is simulated: word, page, erased value and erase blocks of any sizes.

use firmware_protocol::flash::{Geometry, Range};
use serde::Deserialize;

/// What a part does about words whose error-correcting code does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ecc {
    /// It has none.
    #[default]
    None,
    /// The read fails.
    Error,
    /// The read traps and gives anything: a handler has to say so.
    Trap,
}

/// A flash part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlashSpec {
    /// Word, page and erased value.
    pub geometry: Geometry,
    /// How long one erase keeps the device from doing anything else, in microseconds.
    pub erase_us: u64,
    /// How long one program does, in microseconds.
    pub program_us: u64,
    /// What an error-correcting code makes of words that are torn, or programmed twice.
    pub ecc: Ecc,
    /// Start of each erase block, then the end of the part.
    edges: Vec<u32>,
}

impl FlashSpec {
    /// A part with erase blocks of these lengths, in bytes, in order of their addresses.
    ///
    /// Blocks behind the end of 32-bit addresses are left out.
    #[must_use]
    pub fn new(geometry: Geometry, block_lengths: impl IntoIterator<Item = u32>) -> Self {
        let mut edges = vec![0];
        let mut end: u32 = 0;
        for length in block_lengths {
            let Some(next) = end.checked_add(length) else { break };
            end = next;
            edges.push(end);
        }
        Self { geometry, erase_us: 0, program_us: 0, ecc: Ecc::None, edges }
    }

    /// Length of the whole part, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u32 {
        self.edges.last().copied().unwrap_or(0)
    }

    /// Number of erase blocks.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.edges.len().saturating_sub(1)
    }

    /// Index and place of the erase block that holds `address`.
    #[must_use]
    pub fn block_at(&self, address: u32) -> Option<(usize, Range)> {
        let behind = self.edges.partition_point(|edge| *edge <= address);
        let index = behind.checked_sub(1)?;
        let (start, end) = (*self.edges.get(index)?, *self.edges.get(behind)?);
        Some((index, Range { start, len_bytes: end.checked_sub(start)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry { word_bytes: 4, page_bytes: 256, erased: 0xFF };

    #[test]
    fn every_address_belongs_to_the_block_around_it_and_none_behind_the_end() {
        let spec = FlashSpec::new(GEOMETRY, [0x1000, 0x1000, 0x4000]);
        let block = |address| spec.block_at(address).map(|(index, range)| (index, range.start));
        assert_eq!(block(0), Some((0, 0)));
        assert_eq!(block(0x0FFF), Some((0, 0)));
        assert_eq!(block(0x1000), Some((1, 0x1000)));
        assert_eq!(block(0x5FFF), Some((2, 0x2000)));
        assert_eq!(block(0x6000), None);
        assert_eq!((spec.size_bytes(), spec.block_count()), (0x6000, 3));
    }
}
