//! Power cuts at chosen places: where the file `cut` says so, the firmware stops inside a flash operation, says where in the file
//! `in_flight`, and waits for its power to go. So the bench knows which word was on its way, and tears it.

use crate::file::File;
use crate::{retained, watchdog};

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Programs words.
    Program = 1,
    /// Erases a block.
    Erase = 2,
}

/// The place that was chosen, if one was.
#[derive(Debug)]
pub struct PowerCut {
    at: Option<Place>,
    /// The file in which every operation leaves its kind and place, if it is there.
    log: Option<File>,
}

/// A piece of an operation; both are counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    operation: u32,
    piece: u32,
}

/// An operation under way.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    number: u32,
    kind: Kind,
    piece: u32,
}

impl PowerCut {
    /// Asks the bench's files.
    #[must_use]
    pub fn chosen() -> Self {
        Self { at: read_place(), log: File::open_to_append("operations\0").ok() }
    }

    /// An operation begins.
    pub fn begin(&mut self, kind: Kind, address: u32, length: u32) -> Operation {
        let number = retained::next_operation();
        if let Some(log) = &mut self.log {
            // A log that cannot be written is found short by the bench.
            let _ = log.write(&record([number, kind as u32, address, length]));
        }
        Operation { number, kind, piece: 0 }
    }

    /// The next piece of it is about to be written to `address`.
    pub fn pass(&self, operation: &mut Operation, address: u32, length: u32) {
        let here = Place { operation: operation.number, piece: operation.piece };
        if self.at == Some(here) {
            if let Ok(mut file) = File::create("in_flight\0") {
                let Operation { number, kind, .. } = *operation;
                let _ = file.write(&record([number, kind as u32, address, length]));
            }
            cortex_m::interrupt::disable();
            loop {
                watchdog::feed();
            }
        }
        operation.piece += 1;
    }
}

fn read_place() -> Option<Place> {
    let mut file = File::open("cut\0").ok()?;
    let mut bytes = [0; 8];
    file.read(&mut bytes).ok()?;
    let [o0, o1, o2, o3, p0, p1, p2, p3] = bytes;
    Some(Place {
        operation: u32::from_le_bytes([o0, o1, o2, o3]),
        piece: u32::from_le_bytes([p0, p1, p2, p3]),
    })
}

fn record(words: [u32; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}
