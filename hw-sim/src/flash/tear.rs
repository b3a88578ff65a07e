//! What is left of a flash operation in which power fails.

use std::ops::Range;

use crate::clock::{Chance, Purpose};
use crate::fault::Tear;

/// Which cells of an operation have changed, and which may read as if they had.
#[derive(Debug)]
pub(super) struct Torn {
    /// Of each byte, the bits that have changed if they were to.
    done: Vec<u8>,
    /// Bytes that read one way or the other.
    pub(super) weak: Range<usize>,
}

impl Torn {
    /// An operation of `len` bytes, torn; `operation` tells apart those of one seed.
    pub(super) fn new(len: usize, word_bytes: u32, tear: Tear, operation: u64) -> Self {
        let chance = |seed| Chance::new(seed, Purpose::Tear, operation);
        let word = word_bytes.max(1) as usize;
        let none = 0..0;
        match tear {
            Tear::Behind { bytes } => Self { done: prefix(len, bytes as usize), weak: none },
            Tear::Seeded { seed } => {
                let bytes = chance(seed).below((len as u64).saturating_add(1));
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                Self { done: prefix(len, bytes), weak: none }
            }
            Tear::InWord { bytes, seed } => {
                let whole = (bytes as usize) / word * word;
                let mut done = prefix(len, whole);
                let torn = done.iter_mut().skip(whole).take(word);
                some_bits(torn, &mut chance(seed));
                Self { done, weak: none }
            }
            Tear::Scattered { seed } => {
                let mut chance = chance(seed);
                let mut done = vec![0; len];
                for word in done.chunks_mut(word) {
                    match chance.below(3) {
                        0 => {}
                        1 => word.fill(0xFF),
                        _ => some_bits(word.iter_mut(), &mut chance),
                    }
                }
                Self { done, weak: none }
            }
            Tear::Weak { from, until, .. } => {
                let until = (until as usize).min(len);
                let from = (from as usize).min(until);
                Self { done: prefix(len, from), weak: from..until }
            }
        }
    }

    /// What cells hold that held `held` and were to hold `wanted`.
    pub(super) fn left(&self, held: &[u8], wanted: &[u8]) -> Vec<u8> {
        let cells = held.iter().zip(wanted).zip(&self.done);
        cells.map(|((held, wanted), done)| held ^ ((held ^ wanted) & done)).collect()
    }

    /// As [`Torn::left`], with the weak ones as if they had changed.
    pub(super) fn arrived(&self, held: &[u8], wanted: &[u8]) -> Vec<u8> {
        let mut left = self.left(held, wanted);
        if let (Some(cells), Some(wanted)) =
            (left.get_mut(self.weak.clone()), wanted.get(self.weak.clone()))
        {
            cells.copy_from_slice(wanted);
        }
        left
    }
}

fn prefix(len: usize, bytes: usize) -> Vec<u8> {
    (0..len).map(|at| if at < bytes { 0xFF } else { 0 }).collect()
}

fn some_bits<'a>(cells: impl Iterator<Item = &'a mut u8>, chance: &mut Chance) {
    for cell in cells {
        *cell = u8::try_from(chance.below(256)).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Reads;

    fn left(tear: Tear, word_bytes: u32) -> Vec<u8> {
        Torn::new(64, word_bytes, tear, 1).left(&[0xFF; 64], &[0; 64])
    }

    #[test]
    fn a_torn_word_has_some_of_its_bits_and_its_neighbours_are_whole_or_untouched() {
        let mut partly = 0;
        for seed in 0..50 {
            let left = left(Tear::InWord { bytes: 21, seed }, 8);
            assert_eq!((&left[..16], &left[24..]), (&[0; 16][..], &[0xFF; 40][..]));
            partly += u32::from(left[16..24].iter().any(|byte| *byte != 0 && *byte != 0xFF));
        }
        assert!(partly > 40, "only {partly} of 50 words are torn in their bits");
    }

    #[test]
    fn scattered_words_are_of_every_kind_and_follow_from_their_seed() {
        let left = |seed| left(Tear::Scattered { seed }, 4);
        assert_eq!(left(7), left(7));
        let words: Vec<Vec<u8>> = (0..20)
            .flat_map(|seed| left(seed).chunks(4).map(<[u8]>::to_vec).collect::<Vec<_>>())
            .collect();
        let count = |wanted: &[u8]| words.iter().filter(|word| *word == wanted).count();
        let (whole, untouched) = (count(&[0; 4]), count(&[0xFF; 4]));
        assert!(whole > 50 && untouched > 50 && words.len() - whole - untouched > 50);
    }

    #[test]
    fn weak_cells_are_untouched_or_done_and_their_neighbours_are_sure() {
        let tear = Tear::Weak { from: 8, until: 16, reads: Reads::OldFirst };
        let torn = Torn::new(24, 4, tear, 1);
        let expected = |weak| [vec![0; 8], vec![weak; 8], vec![0xFF; 8]].concat();
        assert_eq!(torn.left(&[0xFF; 24], &[0; 24]), expected(0xFF));
        assert_eq!(torn.arrived(&[0xFF; 24], &[0; 24]), expected(0));
    }

    #[test]
    fn a_tear_beyond_the_operation_is_its_end() {
        let weak = Tear::Weak { from: 40, until: 90, reads: Reads::OldFirst };
        for tear in [Tear::Behind { bytes: 99 }, Tear::InWord { bytes: 99, seed: 1 }, weak] {
            let torn = Torn::new(24, 4, tear, 1);
            assert_eq!(torn.arrived(&[1; 24], &[2; 24]), [2; 24], "{tear:?}");
        }
    }
}
