//! Which blocks of a component are written, and which places are erased and waiting.

use heapless::Vec;

use crate::manifest::MAX_BLOCKS;

const WORDS: usize = (MAX_BLOCKS / 32) as usize;

/// One bit a block.
#[derive(Debug, Clone)]
struct Bits([u32; WORDS]);

impl Bits {
    fn get(&self, block: u32) -> bool {
        let (word, bit) = place(block);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn set(&mut self, block: u32, value: bool) {
        let (word, bit) = place(block);
        if let Some(word) = self.0.get_mut(word) {
            *word = if value { *word | bit } else { *word & !bit };
        }
    }
}

fn place(block: u32) -> (usize, u32) {
    (usize::try_from(block / 32).unwrap_or(usize::MAX), 1 << (block % 32))
}

/// The state of every block of one component.
#[derive(Debug, Clone)]
pub(super) struct BlockMap {
    blocks: u32,
    missing: u32,
    done: Bits,
    erased: Bits,
    listed: bool,
}

impl BlockMap {
    pub(super) fn new(blocks: u32, complete: bool) -> Self {
        let fill = if complete { u32::MAX } else { 0 };
        Self {
            blocks: blocks.min(MAX_BLOCKS),
            missing: if complete { 0 } else { blocks.min(MAX_BLOCKS) },
            done: Bits([fill; WORDS]),
            erased: Bits([0; WORDS]),
            listed: complete,
        }
    }

    pub(super) const fn blocks(&self) -> u32 {
        self.blocks
    }

    pub(super) const fn missing(&self) -> u32 {
        self.missing
    }

    /// The block list has streamed through once.
    pub(super) const fn listed(&self) -> bool {
        self.listed
    }

    pub(super) fn end_listing(&mut self) {
        self.listed = true;
    }

    pub(super) fn is_done(&self, block: u32) -> bool {
        self.done.get(block)
    }

    pub(super) fn set_done(&mut self, block: u32) {
        if block < self.blocks && !self.done.get(block) {
            self.done.set(block, true);
            self.missing = self.missing.saturating_sub(1);
        }
    }

    /// The block is not written, and its place is not erased either.
    pub(super) fn set_missing(&mut self, block: u32) {
        if self.done.get(block) {
            self.missing = self.missing.saturating_add(1);
        }
        self.done.set(block, false);
        self.erased.set(block, false);
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.blocks, false);
    }

    pub(super) fn is_erased(&self, block: u32) -> bool {
        self.erased.get(block)
    }

    pub(super) fn set_erased(&mut self, block: u32, erased: bool) {
        self.erased.set(block, erased);
    }

    /// Bit `n` of byte `n / 8`: block `first + n` is missing.
    pub(super) fn missing_bits(&self, first: u32) -> Vec<u8, 64> {
        let mut bits: Vec<u8, 64> = Vec::new();
        let end = self.blocks.min(first.saturating_add(crate::message::MISSING_BLOCKS));
        for (index, block) in (first..end).enumerate() {
            if index % 8 == 0 && bits.push(0).is_err() {
                break;
            }
            if let Some(byte) = bits.last_mut() {
                *byte |= u8::from(!self.done.get(block)) << (index % 8);
            }
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_tell_exactly_the_blocks_that_are_missing() {
        let mut map = BlockMap::new(20, false);
        for block in [0, 3, 17, 19] {
            map.set_done(block);
        }
        map.set_done(3);
        assert_eq!(map.missing(), 16);
        assert_eq!(map.missing_bits(0).as_slice(), [0b1111_0110, 0b1111_1111, 0b0000_0101]);
        assert_eq!(map.missing_bits(16).as_slice(), [0b0000_0101]);
        map.set_missing(17);
        assert_eq!(map.missing_bits(16).as_slice(), [0b0000_0111]);
        assert_eq!(map.missing(), 17);
    }

    #[test]
    fn a_block_behind_the_end_changes_nothing() {
        let mut map = BlockMap::new(2, false);
        map.set_done(2);
        map.set_done(u32::MAX);
        assert_eq!(map.missing(), 2);
        assert_eq!(map.missing_bits(2).as_slice(), []);
    }
}
