//! Where power fails in a deed, as the command line writes it.

use std::fmt;
use std::str::FromStr;

use hw_sim::{Operation, Tear};

/// A cut: the deed's operation, from 0, and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The operation.
    pub operation: usize,
    /// What is left of it.
    pub tear: Tear,
}

/// Tears without order that are tried on each operation.
const SCATTERED: u64 = 4;

impl Cut {
    /// Every cut of operation number `operation`: behind each byte, in each word of more than one byte, and
    /// some without any order.
    pub fn all(operation: usize, what: &Operation, word_bytes: u32) -> impl Iterator<Item = Self> {
        let length = match what {
            Operation::Program { bytes, .. } => u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            Operation::Erase { block } => block.len_bytes,
        };
        let behind = (0..length).map(|bytes| Tear::Behind { bytes });
        let is_word = move |bytes: &u32| word_bytes > 1 && bytes.is_multiple_of(word_bytes);
        let words =
            (0..length).filter(is_word).map(|bytes| Tear::InWord { bytes, seed: u64::from(bytes) });
        let scattered = (0..SCATTERED).map(|seed| Tear::Scattered { seed });
        behind.chain(words).chain(scattered).map(move |tear| Self { operation, tear })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation;
        match self.tear {
            Tear::Behind { bytes } => write!(f, "{operation}:{bytes}"),
            Tear::InWord { bytes, seed } => write!(f, "{operation}:{bytes}~{seed}"),
            Tear::Scattered { seed } | Tear::Seeded { seed } => write!(f, "{operation}:~{seed}"),
        }
    }
}

impl FromStr for Cut {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (operation, tear) = text.split_once(':')?;
            let tear = match tear.split_once('~') {
                None => Tear::Behind { bytes: tear.parse().ok()? },
                Some(("", seed)) => Tear::Scattered { seed: seed.parse().ok()? },
                Some((bytes, seed)) => {
                    Tear::InWord { bytes: bytes.parse().ok()?, seed: seed.parse().ok()? }
                }
            };
            Some(Self { operation: operation.parse().ok()?, tear })
        };
        parse().ok_or("expected OPERATION:BYTES, OPERATION:BYTES~SEED or OPERATION:~SEED")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_read_as_it_is_written() {
        let what = Operation::Program { address: 0, bytes: vec![0; 16] };
        let cuts: Vec<Cut> = Cut::all(3, &what, 8).collect();
        assert_eq!(cuts.len(), 16 + 2 + 4);
        for cut in cuts {
            assert_eq!(cut.to_string().parse(), Ok(cut));
        }
        assert!("3".parse::<Cut>().is_err() && "3:x".parse::<Cut>().is_err());
    }
}
