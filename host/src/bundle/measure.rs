//! Digests of a stream: of its whole, and of its blocks, in one pass and bounded memory.

use std::io::{self, Read};

use firmware_protocol::digest::{Digest, Hasher};
use firmware_protocol::manifest::{MAX_BLOCK_BYTES, MAX_BLOCKS, MIN_BLOCK_BYTES};

/// Bytes read at a time.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// Block size where nothing else is asked for and it keeps within [`MAX_BLOCKS`], in bytes.
pub(super) const DEFAULT_BLOCK_BYTES: u32 = 4096;

/// What a stream came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    /// Its length, in bytes.
    pub(super) length: u64,
    /// SHA-256 of all of it.
    pub(super) digest: Digest,
    /// SHA-256 of each block, the last one as short as it is.
    pub(super) blocks: Vec<Digest>,
}

impl Measured {
    /// SHA-256 over the digests of all blocks in order.
    pub(super) fn block_list_digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for block in &self.blocks {
            hasher.update(&block.0);
        }
        hasher.finish()
    }
}

/// Reads `source` to its end, in blocks of `block_bytes`.
///
/// The caller bounds length and block size beforehand; they bound the list of blocks.
pub(super) fn measure(source: &mut impl Read, block_bytes: u32) -> io::Result<Measured> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut whole = Hasher::new();
    let mut blocks = BlockHasher::new(block_bytes);
    let mut length = 0_u64;
    loop {
        let count = read_some(source, &mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        whole.update(bytes);
        blocks.update(bytes);
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    Ok(Measured { length, digest: whole.finish(), blocks: blocks.finish() })
}

/// The smallest power of two from [`DEFAULT_BLOCK_BYTES`] up that cuts `length` into at most
/// [`MAX_BLOCKS`] blocks; `None` when no allowed block size does.
pub(super) fn default_block_bytes(length: u64) -> Option<u32> {
    let sizes = std::iter::successors(Some(DEFAULT_BLOCK_BYTES), |size| size.checked_mul(2));
    sizes.take_while(|size| *size <= MAX_BLOCK_BYTES).find(|size| fits(length, *size))
}

/// Whether `block_bytes` is a size that the format takes for `length` bytes.
pub(super) fn fits(length: u64, block_bytes: u32) -> bool {
    block_bytes.is_power_of_two()
        && (MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&block_bytes)
        && length.div_ceil(u64::from(block_bytes)) <= u64::from(MAX_BLOCKS)
}

/// Like `read`, and goes on after a signal.
pub(super) fn read_some(source: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

struct BlockHasher {
    block_bytes: usize,
    in_block_bytes: usize,
    current: Hasher,
    done: Vec<Digest>,
}

impl BlockHasher {
    fn new(block_bytes: u32) -> Self {
        let block_bytes = usize::try_from(block_bytes.max(1)).unwrap_or(usize::MAX);
        Self { block_bytes, in_block_bytes: 0, current: Hasher::new(), done: Vec::new() }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = self.block_bytes.saturating_sub(self.in_block_bytes);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.current.update(now);
            self.in_block_bytes = self.in_block_bytes.saturating_add(now.len());
            if self.in_block_bytes == self.block_bytes {
                self.close();
            }
            bytes = later;
        }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.current).finish());
        self.in_block_bytes = 0;
    }

    fn finish(mut self) -> Vec<Digest> {
        if self.in_block_bytes > 0 {
            self.close();
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_hashed_as_if_cut_by_hand() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        for length in [0, 1, 511, 512, 513, 65_536, 65_537, 200_000] {
            let bytes = &bytes[..length];
            let measured = measure(&mut &bytes[..], 512).unwrap();
            let by_hand: Vec<Digest> = bytes.chunks(512).map(Digest::of).collect();
            assert_eq!(measured.blocks, by_hand, "{length} bytes");
            assert_eq!(measured.digest, Digest::of(bytes));
        }
    }

    #[test]
    fn the_default_block_size_doubles_until_the_blocks_fit() {
        assert_eq!(default_block_bytes(1), Some(4096));
        assert_eq!(default_block_bytes(16 << 20), Some(4096));
        assert_eq!(default_block_bytes((16 << 20) + 1), Some(8192));
        assert_eq!(default_block_bytes(4 << 30), Some(1 << 20));
        assert_eq!(default_block_bytes((4 << 30) + 1), None);
    }
}
