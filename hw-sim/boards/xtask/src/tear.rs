//! What a power cut leaves of the word, or the piece of a block, that was on its way.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng as _;

use crate::error::Error;

/// An operation of flash, as the board writes it to `operations` and `in_flight` (`mps2-an385/src/power_cut.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    /// Counted since power came on.
    pub(crate) number: u32,
    /// An erase; else a program.
    pub(crate) is_erase: bool,
    /// Where.
    pub(crate) address: u32,
    /// How many bytes.
    pub(crate) length: u32,
}

/// Length of one, in bytes.
const OPERATION_BYTES: usize = 16;

impl Operation {
    /// Reads those of a file, in order.
    pub(crate) fn read_all(path: &Path) -> Result<Vec<Self>, Error> {
        let bytes = fs::read(path).map_err(Error::file(path))?;
        Ok(bytes.chunks_exact(OPERATION_BYTES).map(Self::parse).collect())
    }

    fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| {
            bytes[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        Self { number: word(0), is_erase: word(4) == 2, address: word(8), length: word(12) }
    }

    /// Number of its pieces: words of a program, pages of an erase.
    pub(crate) const fn pieces(self) -> u32 {
        self.length / if self.is_erase { 256 } else { 4 }
    }

    /// Leaves the piece as a cut may: of an erase any bits are back, of a program any bits are gone, whatever was to be
    /// written. No real part is as bad.
    pub(crate) fn tear(self, flash: &Path, random: &mut ChaCha8Rng) -> Result<(), Error> {
        let file =
            File::options().read(true).write(true).open(flash).map_err(Error::file(flash))?;
        let mut bytes = vec![0; self.length as usize];
        let at = u64::from(self.address);
        file.read_exact_at(&mut bytes, at).map_err(Error::file(flash))?;
        for byte in &mut bytes {
            let chance = random.next_u32().to_le_bytes()[0];
            *byte = if self.is_erase { *byte | chance } else { *byte & chance };
        }
        file.write_all_at(&bytes, at).map_err(Error::file(flash))
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng as _;

    use super::*;

    #[test]
    fn a_torn_program_sets_no_bit_and_a_torn_erase_clears_none() {
        let folder = tempfile::tempdir().unwrap();
        let flash = folder.path().join("flash.bin");
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for (is_erase, length) in [(false, 4), (true, 256)] {
            let before: Vec<u8> = (0..=255).cycle().take(1024).collect();
            fs::write(&flash, &before).unwrap();
            let operation = Operation { number: 0, is_erase, address: 256, length };
            operation.tear(&flash, &mut random).unwrap();
            let after = fs::read(&flash).unwrap();
            let pairs = || before.iter().zip(&after);
            if is_erase {
                assert!(pairs().all(|(old, new)| old & new == *old));
            } else {
                assert!(pairs().all(|(old, new)| old & new == *new));
            }
            let changed = pairs().enumerate().filter(|(_, (old, new))| old != new);
            assert!(changed.map(|(at, _)| at).all(|at| (256..256 + length as usize).contains(&at)));
            assert_ne!(before, after);
        }
    }

    #[test]
    fn operations_are_read_as_the_board_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operations");
        let words: [u32; 8] = [7, 1, 0x1_0203, 8, 8, 2, 0x2000, 4096];
        fs::write(&path, words.map(u32::to_le_bytes).concat()).unwrap();
        let program = Operation { number: 7, is_erase: false, address: 0x1_0203, length: 8 };
        let erase = Operation { number: 8, is_erase: true, address: 0x2000, length: 4096 };
        assert_eq!(Operation::read_all(&path).unwrap(), [program, erase]);
        assert_eq!((program.pieces(), erase.pieces()), (2, 16));
    }
}
