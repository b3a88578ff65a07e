//! March C- over memory that nothing uses: finds cells that are stuck, coupled or not reached.

use crate::map::SPARE_RAM;
use crate::register::Register;

/// 64 KiB.
const WORDS: usize = 0x4000;
/// Words of one step.
const STEP_WORDS: usize = 4096;

/// What each element of the march expects, writes, and whether it goes down.
const ELEMENTS: [(Option<u32>, Option<u32>, bool); 6] = [
    (None, Some(0), false),
    (Some(0), Some(u32::MAX), false),
    (Some(u32::MAX), Some(0), false),
    (Some(0), Some(u32::MAX), true),
    (Some(u32::MAX), Some(0), true),
    (Some(0), None, false),
];

/// A march under way.
#[derive(Debug, Default)]
pub(super) struct RamMarch {
    element: usize,
    at: usize,
}

impl RamMarch {
    /// Does one step; gives whether the memory is sound when it is through, or as soon as it is not.
    pub(super) fn step(&mut self) -> Option<bool> {
        let Some((expected, written, goes_down)) = ELEMENTS.get(self.element) else {
            return Some(true);
        };
        for offset in self.at..(self.at + STEP_WORDS).min(WORDS) {
            let index = if *goes_down { WORDS - 1 - offset } else { offset };
            // SAFETY: memory of the board that `build.rs` gives to no program.
            let word = unsafe { Register::at(SPARE_RAM as usize + index * 4) };
            if expected.is_some_and(|expected| word.read() != expected) {
                return Some(false);
            }
            if let Some(value) = written {
                word.write(*value);
            }
        }
        self.at += STEP_WORDS;
        if self.at >= WORDS {
            (self.element, self.at) = (self.element + 1, 0);
        }
        None
    }
}
