//! What is still to be sent of a component, cut into pieces as they are needed.

use std::collections::VecDeque;

use super::Part;

/// A run of a component's bytes within one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) block: u32,
}

/// Blocks to be sent, in order, the first one possibly begun.
#[derive(Debug)]
pub(super) struct BlockQueue {
    part: Part,
    blocks: VecDeque<u32>,
    /// Bytes of the first block that were handed out.
    begun_bytes: u64,
}

impl BlockQueue {
    pub(super) const fn new(part: Part) -> Self {
        Self { part, blocks: VecDeque::new(), begun_bytes: 0 }
    }

    /// Bit `n` of byte `n / 8`: block `first + n` is to be sent.
    pub(super) fn take_bits(&mut self, first: u32, bits: &[u8]) {
        for (index, byte) in bits.iter().enumerate() {
            for bit in 0..8_u32 {
                let place = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(8);
                let block = first.saturating_add(place).saturating_add(bit);
                if byte >> bit & 1 == 1 && self.block_bytes(block) > 0 {
                    self.blocks.push_back(block);
                }
            }
        }
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.blocks.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn bytes(&self) -> u64 {
        let all: u64 = self.blocks.iter().map(|block| self.block_bytes(*block)).sum();
        all.saturating_sub(self.begun_bytes)
    }

    /// The block of the next piece.
    pub(super) fn next_block(&self) -> Option<u32> {
        self.blocks.front().copied()
    }

    /// The next piece, of at most `limit_bytes`.
    pub(super) fn next(&mut self, limit_bytes: usize) -> Option<Piece> {
        let block = *self.blocks.front()?;
        let block_bytes = self.block_bytes(block);
        let left = block_bytes.saturating_sub(self.begun_bytes);
        let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
        let len = left.min(limit).max(1);
        let start = u64::from(block).saturating_mul(u64::from(self.part.block_size));
        let offset = start.saturating_add(self.begun_bytes);
        self.begun_bytes = self.begun_bytes.saturating_add(len);
        if self.begun_bytes >= block_bytes {
            self.blocks.pop_front();
            self.begun_bytes = 0;
        }
        Some(Piece { offset, len: usize::try_from(len).unwrap_or(usize::MAX), block })
    }

    fn block_bytes(&self, block: u32) -> u64 {
        let size = u64::from(self.part.block_size);
        let start = u64::from(block).saturating_mul(size);
        self.part.length.saturating_sub(start).min(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_exactly_the_blocks_that_are_missing() {
        let mut queue = BlockQueue::new(Part { length: 2_560, block_size: 1_024 });
        queue.take_bits(0, &[0b101]);
        assert_eq!(queue.bytes(), 1_024 + 512);
        let mut pieces = Vec::new();
        while let Some(piece) = queue.next(600) {
            pieces.push((piece.block, piece.offset, piece.len));
        }
        assert_eq!(pieces, [(0, 0, 600), (0, 600, 424), (2, 2_048, 512)]);
        assert_eq!(queue.bytes(), 0);
    }
}
