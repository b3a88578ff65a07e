//! A signed document goes from the window's start to its place on flash, an operation a step.

use crate::flash::{Flash, Range};
use crate::refusal::Refusal;
use crate::scan;
use crate::trust::MAX_ENVELOPE_BYTES;

/// Longest document, in bytes.
const MAX_DOCUMENT_BYTES: u32 = 4096;
const _: () = assert!(MAX_ENVELOPE_BYTES == 4096 && MAX_ROOT_BYTES <= MAX_ENVELOPE_BYTES);
/// Longest root record envelope, in bytes.
pub(super) const MAX_ROOT_BYTES: usize = 1344;

/// How far the document at the window's start has been stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreCursor {
    range: Range,
    document_bytes: usize,
    erased_bytes: u32,
    programmed_bytes: u32,
}

/// What a step of storing a document did.
pub(super) enum StoreStep {
    Erased,
    Programmed,
    /// All of it is on flash.
    Stored,
}

impl StoreCursor {
    /// The document at the window's start is to be stored in `range`.
    pub(super) const fn new(range: Range, document_bytes: usize) -> Self {
        Self { range, document_bytes, erased_bytes: 0, programmed_bytes: 0 }
    }

    /// One erase or one program.
    pub(super) fn step<F: Flash>(
        &mut self,
        flash: &mut F,
        window: &mut [u8],
    ) -> Result<StoreStep, Refusal> {
        let at = self.range.start.saturating_add(self.erased_bytes);
        // As far as a document is ever read, whatever its length.
        if self.erased_bytes < self.range.len_bytes.min(MAX_DOCUMENT_BYTES) {
            let block = flash.block_at(at).ok_or(Refusal::Flash)?;
            flash.erase(block).map_err(|_| Refusal::Flash)?;
            self.erased_bytes = block.end().saturating_sub(self.range.start);
            return Ok(StoreStep::Erased);
        }
        let geometry = flash.geometry();
        let word = usize::try_from(geometry.word_bytes).unwrap_or(1).max(1);
        let padded = self.document_bytes.next_multiple_of(word);
        // Erased padding up to a whole word; the window is far longer than any document.
        if let Some(padding) = window.get_mut(self.document_bytes..padded) {
            padding.fill(geometry.erased);
        }
        let from = usize::try_from(self.programmed_bytes).unwrap_or(usize::MAX);
        let page = usize::try_from(geometry.page_bytes).unwrap_or(word);
        let piece = window.get(from..padded.min(from.saturating_add(page))).unwrap_or_default();
        let address = self.range.start.saturating_add(self.programmed_bytes);
        flash.program(address, piece).map_err(|_| Refusal::Flash)?;
        if !scan::holds(flash, address, piece) {
            return Err(Refusal::Flash);
        }
        let written = u32::try_from(piece.len()).unwrap_or(0);
        self.programmed_bytes = self.programmed_bytes.saturating_add(written);
        let ended = from.saturating_add(piece.len()) >= padded;
        Ok(if ended { StoreStep::Stored } else { StoreStep::Programmed })
    }
}
