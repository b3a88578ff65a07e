//! The signed block list as it streams through: what flash holds already is kept.

use crate::digest::Hasher;
use crate::flash::{Flash, Range};
use crate::planted::Defence;
use crate::scan::{BlankScan, HashScan};

use super::{OpenPart, block_range, tail};

/// Length of one digest in a block list, in bytes.
pub(super) const DIGEST_BYTES: usize = 32;

/// What a listing has come to.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Blocks told of and hashed so far.
    pub(super) blocks: u32,
    list: Hasher,
    /// Digests that wait at the window's start: how many, how many are done.
    pub(super) queued: u32,
    pub(super) taken: u32,
    scan: Option<HashScan>,
    /// The list is the signed one; what lies behind the component is looked at.
    rest: Option<BlankScan>,
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
        Self { blocks: 0, list: Hasher::new(), queued: 0, taken: 0, scan: None, rest: None }
    }
}

impl OpenPart {
    /// Reads at most one step of a scan. A block that cannot be read is not held: it is erased and
    /// written like any other that is missing.
    pub(super) fn list_step<F: Flash>(&mut self, flash: &mut F, window: &[u8]) -> ListStep {
        let Some(listing) = &mut self.listing else {
            return ListStep::Taken(self.map.blocks());
        };
        if let Some(rest) = &mut listing.rest {
            let blank = match rest.step(flash) {
                Ok(None) => return ListStep::Working,
                Ok(Some(blank)) => blank,
                Err(_) => false,
            };
            return self.end_listing(flash, blank);
        }
        if listing.taken < listing.queued {
            return self.hash_step(flash, window);
        }
        let told = listing.blocks;
        if told < self.map.blocks() {
            return ListStep::Taken(told);
        }
        let is_signed = listing.list.clone().finish() == self.part.variant.block_list_digest;
        if !is_signed && !Defence::BlockDigests.is_off() {
            self.restart_listing();
            return ListStep::Forged;
        }
        let Some(rest) = self.rest(flash) else {
            return self.end_listing(flash, false);
        };
        if let Some(listing) = &mut self.listing {
            listing.rest = Some(BlankScan::new(rest));
        }
        ListStep::Working
    }

    /// Forgets a list that was begun, and what it would have kept.
    pub(super) fn restart_listing(&mut self) {
        if self.listing.take().is_some() {
            self.map.forget();
        }
    }

    fn hash_step<F: Flash>(&mut self, flash: &mut F, window: &[u8]) -> ListStep {
        let Some(listing) = &mut self.listing else { return ListStep::Forged };
        let at = usize::try_from(listing.taken).unwrap_or(usize::MAX).saturating_mul(DIGEST_BYTES);
        let told = window.get(at..).and_then(|rest| rest.first_chunk::<DIGEST_BYTES>());
        let (Some(told), Some(range)) = (told, block_range(&self.part, listing.blocks)) else {
            return ListStep::Forged;
        };
        let is_suspect = !range.common(self.suspect).is_empty();
        let scan = listing.scan.get_or_insert_with(|| HashScan::new(range));
        let held = match scan.step(flash) {
            _ if is_suspect => false,
            Ok(None) => return ListStep::Working,
            Ok(Some(digest)) => digest.0 == *told,
            Err(_) => false,
        };
        listing.scan = None;
        listing.list.update(told);
        if held {
            self.map.set_done(listing.blocks);
        }
        listing.taken = listing.taken.saturating_add(1);
        listing.blocks = listing.blocks.saturating_add(1);
        ListStep::Working
    }

    /// A block shares its erase block with others: unless all of them are kept, none can be. The
    /// same holds for what must be erased behind the component's end.
    fn end_listing<F: Flash>(&mut self, flash: &mut F, rest_is_blank: bool) -> ListStep {
        self.listing = None;
        self.map.end_listing();
        if !rest_is_blank {
            self.map.set_missing(self.map.blocks().saturating_sub(1));
        }
        for block in 0..self.map.blocks() {
            if !self.map.is_done(block) {
                self.spoil(flash, block);
            }
        }
        ListStep::Taken(self.map.blocks())
    }

    /// What lies behind the component's end in the erase block that it ends in.
    fn rest<F: Flash>(&self, flash: &F) -> Option<Range> {
        let end = tail(&self.part).start;
        let block = flash.block_at(end.checked_sub(1)?)?;
        Some(Range { start: end, len_bytes: block.end().saturating_sub(end) })
    }
}
