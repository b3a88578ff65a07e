//! Where everything lies on the board's flash. Chosen once: whatever is in the field keeps it.

use firmware_protocol::flash::{Name, Range};
use firmware_protocol::layout::{Area, Layout, LayoutError, SlotLayout};
use firmware_protocol::slot::{PerSlot, SlotId};

use crate::flash::{BLOCK_BYTES, SIZE_BYTES};
use crate::map::SPARE_FLASH;

/// Erase blocks of a version's program.
const PROGRAM_BLOCKS: u32 = 128;
/// The component that runs.
pub const PROGRAM: &str = "app";
/// The component that says how it behaves, and what its sensor reads.
pub const SETTINGS: &str = "settings";

const fn blocks(first: u32, count: u32) -> Range {
    Range { start: first * BLOCK_BYTES, len_bytes: count * BLOCK_BYTES }
}

/// A block that no version and no record lies in: the flash check writes it.
pub const SPARE: Range = blocks(SPARE_FLASH / BLOCK_BYTES, 1);

/// The layout: two ranges of two blocks for the boot record, one block for each root record, then slot A and slot B.
///
/// # Errors
/// Never, as `cargo xtask board test` sees at the first start.
pub fn layout() -> Result<Layout, LayoutError> {
    let slots = PerSlot { a: slot(6)?, b: slot(6 + 2 + PROGRAM_BLOCKS)? };
    let block_at = |address: u32| (address < SIZE_BYTES).then(|| blocks(address / BLOCK_BYTES, 1));
    Layout::new([blocks(0, 2), blocks(2, 2)], [blocks(4, 1), blocks(5, 1)], slots, block_at)
}

fn slot(first: u32) -> Result<SlotLayout, LayoutError> {
    let mut areas = heapless::Vec::new();
    let places = [
        (PROGRAM, blocks(first + 1, PROGRAM_BLOCKS)),
        (SETTINGS, blocks(first + 1 + PROGRAM_BLOCKS, 1)),
    ];
    for (name, range) in places {
        let name = Name::try_from(name).map_err(|_| LayoutError::Areas)?;
        areas.push(Area { name, range }).map_err(|_| LayoutError::Areas)?;
    }
    Ok(SlotLayout { manifest: blocks(first, 1), areas })
}

/// Where a component lies in a slot; empty where there is none of that name.
#[must_use]
pub fn area(layout: &Layout, slot: SlotId, name: &str) -> Range {
    layout.slot(slot).area(name).map(|(_, area)| area.range).unwrap_or_default()
}
