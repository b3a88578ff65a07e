//! Looks into the flash of a simulated device: `flash.bin` by the addresses of `layout.toml`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Where a device keeps what.
#[derive(Debug, Deserialize)]
pub struct FlashLayout {
    erased: u8,
    record: [Range; 2],
    trust: [Range; 2],
    slot: Vec<Slot>,
}

#[derive(Debug, Deserialize)]
struct Range {
    start: usize,
    bytes: usize,
}

#[derive(Debug, Deserialize)]
struct Slot {
    id: String,
    area: Vec<AreaRange>,
}

#[derive(Debug, Deserialize)]
struct AreaRange {
    name: String,
    start: usize,
    bytes: usize,
}

impl FlashLayout {
    /// Reads the layout in a state folder.
    pub fn read(state: &Path) -> Self {
        toml::from_str(&fs::read_to_string(state.join("layout.toml")).unwrap()).unwrap()
    }

    /// What flash erases to.
    pub const fn erased(&self) -> u8 {
        self.erased
    }

    /// Start and length of an area in a slot.
    pub fn area(&self, slot: &str, name: &str) -> (usize, usize) {
        let slot = self.slot.iter().find(|known| known.id == slot).unwrap();
        let area = slot.area.iter().find(|area| area.name == name).unwrap();
        (area.start, area.bytes)
    }
}

/// The whole flash of a device.
pub fn whole(state: &Path) -> Vec<u8> {
    fs::read(state.join("flash.bin")).unwrap()
}

/// Both ranges of the boot record, one behind the other.
pub fn record(state: &Path) -> Vec<u8> {
    let flash = whole(state);
    let ranges = FlashLayout::read(state).record;
    ranges.iter().flat_map(|range| flash[range.start..range.start + range.bytes].to_vec()).collect()
}

/// Makes a device that is off lose its boot record.
pub fn lose_record(state: &Path) {
    scramble(state, &FlashLayout::read(state).record);
}

/// Makes a device that is off lose its root record.
pub fn lose_root(state: &Path) {
    scramble(state, &FlashLayout::read(state).trust);
}

/// Makes a device that is off lose the image of a slot.
pub fn lose_image(state: &Path, slot: &str) {
    let (start, _) = FlashLayout::read(state).area(slot, "app");
    scramble(state, &[Range { start, bytes: 16 }]);
}

fn scramble(state: &Path, ranges: &[Range]) {
    let mut flash = whole(state);
    for range in ranges {
        flash[range.start..range.start + range.bytes].fill(0x5a);
    }
    fs::write(state.join("flash.bin"), flash).unwrap();
}

/// What an area of a slot holds, erased bytes at its end included.
pub fn area(state: &Path, slot: &str, name: &str) -> Vec<u8> {
    let (start, bytes) = FlashLayout::read(state).area(slot, name);
    whole(state)[start..start + bytes].to_vec()
}

/// Holds an area against the file it should be, byte by byte, and the rest of it against erased flash.
#[track_caller]
pub fn assert_holds(state: &Path, slot: &str, name: &str, expected: &[u8]) {
    let held = area(state, slot, name);
    let differs = held.iter().zip(expected).position(|(held, expected)| held != expected);
    assert_eq!(differs, None, "first byte of {name} in slot {slot} that differs");
    let erased = FlashLayout::read(state).erased();
    let behind = held[expected.len()..].iter().position(|byte| *byte != erased);
    assert_eq!(behind, None, "first byte behind {name} in slot {slot} that is not erased");
}
