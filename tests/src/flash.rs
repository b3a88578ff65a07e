//! Looks into the flash of a simulated device: `flash.bin` by the addresses of `layout.toml`.

use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Where a device keeps what.
#[derive(Debug, Deserialize)]
pub struct FlashLayout {
    erased: u8,
    slot: Vec<Slot>,
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
