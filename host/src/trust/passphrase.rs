//! Passphrases: from the terminal or an open file descriptor, never from arguments or environment,
//! which other processes can read.

use std::fmt;
use std::io::{self, Read};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::platform;

/// Where to get a passphrase from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassphraseSource {
    /// Ask the person at the terminal.
    Terminal,
    /// The first line of this open file descriptor.
    Descriptor(u32),
}

/// A passphrase that is not empty; wiped from memory when dropped.
pub struct Passphrase(Zeroizing<String>);

/// Why there is no passphrase.
#[derive(Debug, Error)]
pub enum PassphraseError {
    /// Nobody to ask.
    #[error("failed to ask for a passphrase on the terminal (without one, use --passphrase-fd N)")]
    Terminal(#[source] io::Error),
    /// The descriptor gives nothing.
    #[error("failed to read a passphrase from file descriptor {number}")]
    Descriptor {
        /// Its number.
        number: u32,
        /// What the system said.
        source: io::Error,
    },
    /// An empty passphrase protects nothing.
    #[error("the passphrase is empty")]
    Empty,
    /// Longer than anybody types.
    #[error("the passphrase has more than {MAX_PASSPHRASE_BYTES} bytes before its first line end")]
    TooLong,
    /// Not text.
    #[error("the passphrase is not UTF-8 text")]
    NotText,
    /// Ctrl-C at the question.
    #[error("interrupted while a passphrase was asked for")]
    Interrupted,
    /// Typed differently the second time.
    #[error("the two passphrases differ")]
    Differ,
}

impl PassphraseSource {
    /// Gets the passphrase of a key that exists; `what` tells the person which one.
    ///
    /// # Errors
    /// When none can be read, or it is empty.
    pub fn read(self, what: &str) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::Terminal => ask(&format!("Passphrase for {what}: "), true),
            Self::Descriptor(number) => {
                let failed = |source| PassphraseError::Descriptor { number, source };
                let mut file = platform::open_descriptor(number).map_err(failed)?;
                parse(&first_line(&mut file).map_err(failed)?)
            }
        }
    }

    /// Gets a passphrase for a new key; a person types it twice.
    ///
    /// # Errors
    /// When none can be read, it is empty, or the two differ.
    pub fn choose(self, what: &str) -> Result<Passphrase, PassphraseError> {
        let first = self.read(&format!("{what} (new)"))?;
        if self == Self::Terminal {
            let second = ask("The same passphrase again: ", false)?;
            if first.as_bytes() != second.as_bytes() {
                return Err(PassphraseError::Differ);
            }
        }
        Ok(first)
    }
}

impl Passphrase {
    /// A passphrase from text that is already in memory.
    ///
    /// # Errors
    /// When it is empty.
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        if text.is_empty() { Err(PassphraseError::Empty) } else { Ok(Self(text)) }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase")
    }
}

/// What was typed ahead of a `fresh` question was meant for somebody else: the next lines of commands that were pasted.
fn ask(question: &str, fresh: bool) -> Result<Passphrase, PassphraseError> {
    let line = platform::ask_secret(question, fresh).map_err(|error| {
        if error.kind() == io::ErrorKind::Interrupted {
            PassphraseError::Interrupted
        } else {
            PassphraseError::Terminal(error)
        }
    })?;
    parse(&line)
}

/// Reads byte by byte, so that whatever follows the line stays in the pipe for its own reader.
fn first_line(source: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE_BYTES.saturating_add(2)));
    let mut byte = Zeroizing::new([0_u8; 1]);
    while line.len() <= MAX_PASSPHRASE_BYTES.saturating_add(1) {
        if source.read(&mut *byte)? == 0 || *byte == [b'\n'] {
            break;
        }
        line.extend_from_slice(&*byte);
    }
    Ok(line)
}

fn parse(line: &[u8]) -> Result<Passphrase, PassphraseError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() > MAX_PASSPHRASE_BYTES {
        return Err(PassphraseError::TooLong);
    }
    let text = str::from_utf8(line).map_err(|_| PassphraseError::NotText)?;
    Passphrase::new(Zeroizing::new(text.to_owned()))
}

/// Longest passphrase read from a descriptor, in bytes.
const MAX_PASSPHRASE_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Passphrase, PassphraseError> {
        parse(&first_line(&mut &bytes[..]).unwrap())
    }

    #[test]
    fn the_first_line_counts_with_or_without_its_end() {
        for bytes in [&b"tide pool"[..], b"tide pool\n", b"tide pool\r\nmore\n"] {
            assert_eq!(read(bytes).unwrap().as_bytes(), b"tide pool");
        }
    }

    #[test]
    fn empty_endless_and_binary_lines_are_refused() {
        assert!(matches!(read(b""), Err(PassphraseError::Empty)));
        assert!(matches!(read(b"\r\nx"), Err(PassphraseError::Empty)));
        assert!(matches!(read(&[b'x'; 5000]), Err(PassphraseError::TooLong)));
        assert!(matches!(read(b"\xff\n"), Err(PassphraseError::NotText)));
    }
}
