//! Changed copies of bytes that a target takes: no coverage, no cleverness, the same again from the same seed.

use crate::random::Random;

/// A few bytes flipped, taken out, put in, said twice, taken from `other`, or all behind a place cut off.
///
/// # Panics
/// Never: lengths and places fit.
pub fn changed(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.between(0, 4) {
        let at = below(random, bytes.len() + 1);
        let until = at + below(random, (bytes.len() - at).min(16) + 1);
        match random.between(0, 6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let more = random.bytes(until - at);
                bytes.splice(at..at, more);
            }
            3 => {
                let again = bytes[at..until].to_vec();
                bytes.splice(at..at, again);
            }
            4 => {
                let from = below(random, other.len() + 1);
                let piece = &other[from..from + below(random, (other.len() - from).min(64) + 1)];
                bytes.splice(at..until, piece.iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.between(0, 8);
                }
            }
        }
    }
    bytes
}

fn below(random: &mut Random, end: usize) -> usize {
    usize::try_from(random.between(0, end as u64)).unwrap_or(0)
}
