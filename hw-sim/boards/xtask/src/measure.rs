//! What the boot stage takes of time and stack, in a run whose time is the number of its instructions.

use std::fs;

use crate::emulator::Emulator;
use crate::error::Error;

const FILE: &str = "measured";

/// Figures of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// Instructions from the first look at the record to the decision.
    pub(crate) instructions: u64,
    /// Deepest stack of the boot stage, in bytes.
    pub(crate) stack_bytes: u64,
}

/// Starts `board` and reads what its boot stage leaves (`mps2-an385/src/measured.rs`).
pub(crate) fn start(board: &Emulator) -> Result<Start, Error> {
    let path = board.path(FILE);
    if path.exists() {
        fs::remove_file(&path).map_err(Error::file(&path))?;
    }
    let bytes = board.measure(FILE, 8)?;
    let number =
        |at: usize| bytes[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    // One instruction is a nanosecond of the emulated clock.
    Ok(Start { instructions: number(0) * 1_000, stack_bytes: number(4) })
}
