//! Where power fails in an operation, and how its cells may be left.

use hw_sim::{Fault, Reads, Tear};

/// Tears without order that are tried on each operation.
const SCATTERED: u64 = 4;

/// How finely operations are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// Behind each byte and in each word.
    Bytes,
    /// Before each word and in it.
    Words,
}

/// What an operation does to the cells that it is on.
#[derive(Debug, Clone)]
pub struct Change {
    /// Of each byte, whether it becomes another one. Power that fails before a byte which stays as it was
    /// leaves what it leaves before the next one.
    pub bytes: Vec<bool>,
    /// Erases act on all of a block at once.
    pub is_erase: bool,
}

impl Change {
    /// Every cut of the operation: before each byte that changes; in each word, torn in its bits; some without
    /// any order; and with cells that read one way at the first start and the other way later, in each word of
    /// a program and in the whole of it. One of an operation that changes nothing.
    pub fn cuts(&self, word_bytes: u32, grain: Grain) -> Vec<Tear> {
        let word = word_bytes.max(1) as usize;
        let words: Vec<u32> = (0..)
            .step_by(word)
            .zip(self.bytes.chunks(word))
            .filter(|(_, bytes)| bytes.contains(&true))
            .map(|(at, _)| at)
            .collect();
        if words.is_empty() {
            return vec![Tear::Behind { bytes: 0 }];
        }
        let mut cuts: Vec<Tear> = match grain {
            Grain::Bytes => {
                (0..).zip(&self.bytes).filter(|(_, changes)| **changes).map(behind).collect()
            }
            Grain::Words => words.iter().map(|at| Tear::Behind { bytes: *at }).collect(),
        };
        if word > 1 {
            cuts.extend(words.iter().map(|at| Tear::InWord { bytes: *at, seed: u64::from(*at) }));
        }
        cuts.extend((0..SCATTERED).map(|seed| Tear::Scattered { seed }));
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        let weak = |from, until, reads| Tear::Weak { from, until, reads };
        let both = [Reads::NewFirst, Reads::OldFirst];
        cuts.extend(both.map(|reads| weak(0, length, reads)));
        cuts.push(weak(0, length, Reads::Each { seed: 1 }));
        if grain == Grain::Bytes && !self.is_erase {
            let one = |at: u32| both.map(|reads| weak(at, at + word_bytes, reads));
            cuts.extend(words.iter().flat_map(|at| one(*at)));
        }
        cuts
    }
}

const fn behind((bytes, _): (u32, &bool)) -> Tear {
    Tear::Behind { bytes }
}

/// The tear as a fault in operation `at_operation`, counted from 1.
pub const fn fault(at_operation: u64, tear: Tear) -> Fault {
    Fault::cut(at_operation, tear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_cut_at_every_byte_that_changes_in_every_word_and_with_weak_cells() {
        let program = Change { bytes: vec![true; 16], is_erase: false };
        let erase = Change { is_erase: true, ..program.clone() };
        let whole = 3 + 4;
        assert_eq!(program.cuts(8, Grain::Bytes).len(), 16 + 2 + whole + 2 * 2);
        assert_eq!(program.cuts(1, Grain::Bytes).len(), 16 + whole + 2 * 16);
        assert_eq!(erase.cuts(8, Grain::Bytes).len(), 16 + 2 + whole);
        assert_eq!(program.cuts(8, Grain::Words).len(), 2 + 2 + whole);
    }

    #[test]
    fn a_byte_that_stays_as_it_was_is_not_worth_a_cut() {
        let mut bytes = vec![false; 16];
        (bytes[9], bytes[12]) = (true, true);
        let cuts = Change { bytes, is_erase: true }.cuts(8, Grain::Bytes);
        let behind = [9, 12].map(|bytes| Tear::Behind { bytes });
        assert_eq!(cuts[..3], [behind[0], behind[1], Tear::InWord { bytes: 8, seed: 8 }]);
        let nothing = Change { bytes: vec![false; 16], is_erase: false };
        assert_eq!(nothing.cuts(8, Grain::Bytes), [Tear::Behind { bytes: 0 }]);
    }
}
