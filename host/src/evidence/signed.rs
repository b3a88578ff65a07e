//! How far a record is signed, and whether that is enough for somebody who knows the right keys.

use firmware_protocol::root::PublicKey;
use firmware_protocol::trust::key_hint;
use thiserror::Error;

use super::view::{Integrity, RunView};
use crate::trust::Hex;

/// A key, and how far it has signed a record. The signature holds; whose key that is, nobody knows from the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedBy {
    /// The key.
    pub public_key: PublicKey,
    /// Lines from the first that its last signature is about.
    pub lines: u64,
}

/// Why a record proves nothing under the keys that were named. Each names the first line that is at fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unproven {
    /// The run did not come to its end, or somebody cut it off.
    #[error("line {line} is missing: the record ends before it, without the end of the run")]
    NoEnd {
        /// The first line that is not there.
        line: u64,
    },
    /// Bytes that nobody recorded.
    #[error("line {line} does not belong there: it follows the end of the run")]
    Behind {
        /// Their line.
        line: u64,
    },
    /// There are no signatures.
    #[error("line {line} is not signed, nor is any other of {lines}")]
    NotSigned {
        /// The first.
        line: u64,
        /// Lines of the record.
        lines: u64,
    },
    /// A key that was named has signed its begin.
    #[error(
        "line {line} is not signed by a key that was named: {hint} has signed up to the one before, of {lines}"
    )]
    Short {
        /// The first that is not signed.
        line: u64,
        /// Lines of the record.
        lines: u64,
        /// Hint of the key.
        hint: String,
    },
    /// Other keys have signed it.
    #[error(
        "line {line} is not signed by a key that was named, nor is any other of {lines}: the signer is {hint}"
    )]
    OtherKey {
        /// The first.
        line: u64,
        /// Lines of the record.
        lines: u64,
        /// Hint of the key that has signed most.
        hint: String,
    },
}

impl Unproven {
    /// The first line that is at fault, from 1.
    #[must_use]
    pub const fn line(&self) -> u64 {
        match self {
            Self::NoEnd { line }
            | Self::Behind { line }
            | Self::NotSigned { line, .. }
            | Self::Short { line, .. }
            | Self::OtherKey { line, .. } => *line,
        }
    }
}

impl SignedBy {
    /// The key's hint, as people compare it.
    #[must_use]
    pub fn hint(&self) -> String {
        Hex(&key_hint(&self.public_key)).to_string()
    }
}

impl RunView {
    /// The keys that have signed every line of a record that came to its end.
    pub fn signed_to_end(&self) -> impl Iterator<Item = &SignedBy> {
        let whole = match &self.integrity {
            Integrity::Complete { lines, .. } => Some(*lines),
            Integrity::Interrupted { .. } => None,
        };
        self.signed.iter().filter(move |signed| Some(signed.lines) == whole)
    }

    /// The one of `keys` that has signed the whole record of a run that came to its end.
    ///
    /// # Errors
    /// With the first line that is at fault.
    pub fn proven_by(&self, keys: &[PublicKey]) -> Result<&SignedBy, Unproven> {
        let lines = match &self.integrity {
            Integrity::Complete { lines, .. } => *lines,
            Integrity::Interrupted { lines, .. } => {
                let line = lines.saturating_add(1);
                let is_behind = self.end.is_some();
                return Err(if is_behind {
                    Unproven::Behind { line }
                } else {
                    Unproven::NoEnd { line }
                });
            }
        };
        // The longest part stands first.
        match (
            self.signed.iter().find(|signed| keys.contains(&signed.public_key)),
            self.signed.first(),
        ) {
            (Some(named), _) if named.lines == lines => Ok(named),
            (Some(named), _) => {
                let (line, hint) = (named.lines.saturating_add(1), named.hint());
                Err(Unproven::Short { line, lines, hint })
            }
            (None, Some(other)) => Err(Unproven::OtherKey { line: 1, lines, hint: other.hint() }),
            (None, None) => Err(Unproven::NotSigned { line: 1, lines }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;

    fn signed(seed: u8, lines: u64) -> SignedBy {
        SignedBy { public_key: [seed; 32], lines }
    }

    /// The sample has 35 lines.
    fn view(signed: &[SignedBy]) -> RunView {
        RunView { signed: signed.to_vec(), ..sample::view() }
    }

    #[test]
    fn a_whole_record_is_proven_by_a_named_key_that_signed_its_last_line() {
        let run = view(&[signed(1, 35), signed(2, 20)]);
        assert_eq!(run.proven_by(&[[9; 32], [1; 32]]), Ok(&signed(1, 35)));
        assert_eq!(run.signed_to_end().count(), 1);
        let short = run.proven_by(&[[2; 32]]).expect_err("ends early");
        assert_eq!(short.line(), 21, "{short}");
        assert!(matches!(run.proven_by(&[[9; 32]]), Err(Unproven::OtherKey { line: 1, .. })));
        assert!(matches!(run.proven_by(&[]), Err(Unproven::OtherKey { .. })));
        let unsigned = view(&[]);
        let unsigned = unsigned.proven_by(&[[1; 32]]);
        assert_eq!(unsigned, Err(Unproven::NotSigned { line: 1, lines: 35 }));
    }

    #[test]
    fn a_run_without_end_is_never_proven() {
        let mut run = sample::view_of(sample::run().into_iter().take(5));
        run.signed = vec![signed(1, 6)];
        assert_eq!(run.proven_by(&[[1; 32]]), Err(Unproven::NoEnd { line: 7 }));
        assert_eq!(run.signed_to_end().count(), 0);
        let mut run = view(&[signed(1, 35)]);
        run.integrity = Integrity::Interrupted { lines: 35, head: String::new(), torn_bytes: 1 };
        assert_eq!(run.proven_by(&[[1; 32]]), Err(Unproven::Behind { line: 36 }));
    }
}
