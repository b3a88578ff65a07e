//! The signed block list as it streams through: what flash holds already is kept.

use crate::digest::Hasher;
use crate::flash::{Flash, FlashError, Range};
use crate::scan::HashScan;

use super::{OpenPart, block_range, tail};

/// Length of one digest in a block list, in bytes.
pub(super) const DIGEST_BYTES: usize = 32;

/// What a listing has come to.
#[derive(Debug)]
pub(super) struct Listing {
    /// Blocks told of and hashed so far.
    pub(super) blocks: u32,
    list: Hasher,
    /// Digests that wait at the window's start: how many, how many are done.
    pub(super) queued: u32,
    pub(super) taken: u32,
    scan: Option<HashScan>,
}

/// How a block list ended, or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStep {
    /// More blocks are to be hashed.
    Working,
    /// Everything that was queued is hashed: blocks told of so far.
    Taken(u32),
    /// The list is not the signed one; nothing of it counts.
    Forged,
}

impl Listing {
    pub(super) fn new() -> Self {
        Self { blocks: 0, list: Hasher::new(), queued: 0, taken: 0, scan: None }
    }
}

impl OpenPart {
    pub(super) fn list_step<F: Flash>(
        &mut self,
        flash: &mut F,
        window: &[u8],
    ) -> Result<ListStep, FlashError> {
        let Some(listing) = &mut self.listing else {
            return Ok(ListStep::Taken(self.map.blocks()));
        };
        if listing.taken < listing.queued {
            let at =
                usize::try_from(listing.taken).unwrap_or(usize::MAX).saturating_mul(DIGEST_BYTES);
            let told = window.get(at..).and_then(|rest| rest.first_chunk::<DIGEST_BYTES>());
            let (Some(told), Some(range)) = (told, block_range(&self.part, listing.blocks)) else {
                return Ok(ListStep::Forged);
            };
            let scan = listing.scan.get_or_insert_with(|| HashScan::new(range));
            let Some(digest) = scan.step(flash)? else {
                return Ok(ListStep::Working);
            };
            listing.scan = None;
            listing.list.update(told);
            if digest.0 == *told {
                self.map.set_done(listing.blocks);
            }
            listing.taken = listing.taken.saturating_add(1);
            listing.blocks = listing.blocks.saturating_add(1);
            return Ok(ListStep::Working);
        }
        let told = listing.blocks;
        if told < self.map.blocks() {
            return Ok(ListStep::Taken(told));
        }
        let genuine = listing.list.clone().finish() == self.part.variant.block_list_digest;
        self.listing = None;
        if genuine {
            self.map.end_listing();
            self.keep_whole_erase_blocks(flash)?;
            Ok(ListStep::Taken(told))
        } else {
            self.map.forget();
            Ok(ListStep::Forged)
        }
    }

    /// A block shares its erase block with others: unless all of them are kept, none can be. The
    /// same holds for what must be erased behind the component's end.
    fn keep_whole_erase_blocks<F: Flash>(&mut self, flash: &mut F) -> Result<(), FlashError> {
        let last = self.map.blocks().saturating_sub(1);
        if self.map.is_done(last) && !self.rest_is_blank(flash)? {
            self.map.set_missing(last);
        }
        for block in 0..self.map.blocks() {
            if !self.map.is_done(block) {
                self.spoil(flash, block);
            }
        }
        Ok(())
    }

    /// Whether the erase block that the component ends in is erased behind its end.
    fn rest_is_blank<F: Flash>(&self, flash: &mut F) -> Result<bool, FlashError> {
        let end = tail(&self.part).start;
        let Some(block) = flash.block_at(end.saturating_sub(1)) else {
            return Ok(false);
        };
        let rest = Range { start: end, len_bytes: block.end().saturating_sub(end) };
        crate::scan::is_blank(flash, rest)
    }
}
