//! Erases the spare block, looks whether it is blank, programs it page by page and reads it back.

use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

use crate::flash::{BLOCK_BYTES, ERASED, FileFlash, PAGE_BYTES};
use crate::layout::SPARE;

const PAGES: u32 = BLOCK_BYTES / PAGE_BYTES;

/// The check under way: one step erases, one looks at a page, one programs a page, one reads it back.
#[derive(Debug, Default)]
pub(super) struct FlashCheck {
    step: u32,
}

impl FlashCheck {
    /// Does one step; gives whether the part is sound when it is through, or as soon as it is not.
    pub(super) fn step(&mut self) -> Option<bool> {
        let mut flash = FileFlash::connect();
        let page = |step: u32| SPARE.start + step % PAGES * PAGE_BYTES;
        let mut bytes = [0; PAGE_BYTES as usize];
        let is_sound = match self.step {
            0 => flash.erase(SPARE.start, SPARE.end()).is_ok(),
            step if step <= PAGES => {
                let read = flash.read(page(step), &mut bytes);
                read.is_ok() && bytes.iter().all(|byte| *byte == ERASED)
            }
            step if step <= 2 * PAGES => flash.write(page(step), &pattern(page(step))).is_ok(),
            step => {
                let read = flash.read(page(step), &mut bytes);
                read.is_ok() && bytes == pattern(page(step))
            }
        };
        self.step += 1;
        (!is_sound || self.step > 3 * PAGES).then_some(is_sound)
    }
}

/// Bytes that differ from page to page, so that no address stands for another.
fn pattern(address: u32) -> [u8; PAGE_BYTES as usize] {
    let [_, page, _, _] = address.to_le_bytes();
    core::array::from_fn(|index| page.wrapping_mul(31) ^ index.to_le_bytes()[0])
}
