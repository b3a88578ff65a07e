//! Where power fails in an operation, and how its cells may be left.

use hw_sim::{Fault, Operation, Reads, Tear};

/// Tears without order that are tried on each operation.
const SCATTERED: u64 = 4;

/// Every cut of an operation: behind each byte; in each word of more than one byte, torn in its bits; some
/// without any order; and with cells that read one way at the first start and the other way later, in each word
/// of a program and in the whole of it.
pub fn all(what: &Operation, word_bytes: u32) -> Vec<Tear> {
    let length = length(what);
    let mut cuts: Vec<Tear> = (0..length).map(|bytes| Tear::Behind { bytes }).collect();
    if word_bytes > 1 {
        cuts.extend(words(length, word_bytes).map(|bytes| torn(bytes)));
    }
    cuts.extend(rest(what, word_bytes, words(length, word_bytes)));
    cuts
}

/// Every cut of an operation as far as words tell them apart: before each word, and in it.
pub fn by_words(what: &Operation, word_bytes: u32) -> Vec<Tear> {
    let length = length(what);
    let behind = words(length, word_bytes).map(|bytes| Tear::Behind { bytes });
    let torn = words(length, word_bytes).map(torn);
    let mut cuts: Vec<Tear> = behind.chain(torn).collect();
    cuts.extend(rest(what, word_bytes, std::iter::empty()));
    cuts
}

/// The tear as a fault in operation `at_operation`, counted from 1.
pub const fn fault(at_operation: u64, tear: Tear) -> Fault {
    Fault::cut(at_operation, tear)
}

fn length(what: &Operation) -> u32 {
    match what {
        Operation::Program { bytes, .. } => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        Operation::Erase { block } => block.len_bytes,
    }
}

fn words(length: u32, word_bytes: u32) -> impl Iterator<Item = u32> {
    (0..length).step_by(word_bytes as usize)
}

const fn torn(bytes: u32) -> Tear {
    Tear::InWord { bytes, seed: bytes as u64 }
}

fn rest(what: &Operation, word_bytes: u32, weak_words: impl Iterator<Item = u32>) -> Vec<Tear> {
    let length = length(what);
    let mut cuts: Vec<Tear> = (0..SCATTERED).map(|seed| Tear::Scattered { seed }).collect();
    let weak = |from, until, reads| Tear::Weak { from, until, reads };
    let both = [Reads::NewFirst, Reads::OldFirst];
    cuts.extend(both.map(|reads| weak(0, length, reads)));
    cuts.push(weak(0, length, Reads::Each { seed: 1 }));
    // Erases act on all of a block at once.
    if matches!(what, Operation::Program { .. }) {
        for from in weak_words {
            cuts.extend(both.map(|reads| weak(from, from + word_bytes, reads)));
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use firmware_protocol::flash::Range;

    use super::*;

    #[test]
    fn an_operation_is_cut_at_every_byte_in_every_word_and_with_weak_cells() {
        let program = Operation::Program { address: 0, bytes: vec![0; 16] };
        let erase = Operation::Erase { block: Range { start: 0, len_bytes: 16 } };
        let whole = 3 + 4;
        assert_eq!(all(&program, 8).len(), 16 + 2 + whole + 2 * 2);
        assert_eq!(all(&program, 1).len(), 16 + whole + 2 * 16);
        assert_eq!(all(&erase, 8).len(), 16 + 2 + whole);
        assert_eq!(by_words(&program, 8).len(), 2 + 2 + whole);
    }
}
