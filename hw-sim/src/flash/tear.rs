//! What is left of a flash operation in which power fails.

use crate::clock::{Chance, Purpose};
use crate::fault::{PowerCut, Tear};

/// What cells that held `held` and were to hold `wanted` hold when `cut` strikes.
pub(super) fn torn(held: &[u8], wanted: &[u8], word_bytes: u32, cut: PowerCut) -> Vec<u8> {
    let chance = |seed| Chance::new(seed, Purpose::Tear, cut.at_operation);
    match cut.tear {
        Tear::Behind { bytes } => prefix(held, wanted, bytes as usize),
        Tear::Seeded { seed } => {
            let bytes = chance(seed).below((wanted.len() as u64).saturating_add(1));
            prefix(held, wanted, usize::try_from(bytes).unwrap_or(usize::MAX))
        }
        Tear::InWord { bytes, seed } => {
            let word = word_bytes.max(1) as usize;
            let whole = (bytes as usize) / word * word;
            let mut left = prefix(held, wanted, whole);
            let torn = left.iter_mut().zip(held.iter().zip(wanted)).skip(whole).take(word);
            some_bits(torn, &mut chance(seed));
            left
        }
        Tear::Scattered { seed } => {
            let mut chance = chance(seed);
            let mut left = held.to_vec();
            let words = left.chunks_mut(word_bytes.max(1) as usize);
            let pairs = held.chunks(word_bytes.max(1) as usize);
            for ((left, held), wanted) in
                words.zip(pairs).zip(wanted.chunks(word_bytes.max(1) as usize))
            {
                match chance.below(3) {
                    0 => {}
                    1 => left.copy_from_slice(wanted),
                    _ => some_bits(left.iter_mut().zip(held.iter().zip(wanted)), &mut chance),
                }
            }
            left
        }
    }
}

fn prefix(held: &[u8], wanted: &[u8], bytes: usize) -> Vec<u8> {
    let bytes = bytes.min(wanted.len());
    wanted.iter().take(bytes).chain(held.iter().skip(bytes)).copied().collect()
}

/// Of the bits that were to change, some do.
fn some_bits<'a>(cells: impl Iterator<Item = (&'a mut u8, (&'a u8, &'a u8))>, chance: &mut Chance) {
    for (cell, (held, wanted)) in cells {
        let changes = u8::try_from(chance.below(256)).unwrap_or(0);
        *cell = held ^ ((held ^ wanted) & changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(tear: Tear, word_bytes: u32) -> Vec<u8> {
        torn(&[0xFF; 64], &[0; 64], word_bytes, PowerCut { at_operation: 1, tear })
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
}
