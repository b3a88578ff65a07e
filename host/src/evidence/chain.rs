//! The hash chain through a record.
//!
//! Each line names the SHA-256 of the **bytes of the line before, its line feed included**; the first
//! names that of [`DOMAIN`]. Changing, adding, dropping or reordering lines breaks the chain at the next
//! line. It proves no author, and says nothing about the last line: a signature over the head does, or a head
//! that was noted elsewhere.

use sha2::{Digest as _, Sha256};

use crate::trust::Hex;

/// What the first line's `prev` is the SHA-256 of.
pub(super) const DOMAIN: &[u8] = b"noflake record v1\n";

/// Where a chain stands: the value that the next line must carry as `prev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    digest: [u8; 32],
    head: String,
    lines: u64,
}

impl Chain {
    pub(super) fn new() -> Self {
        let digest = sha256(DOMAIN);
        Self { digest, head: Hex(&digest).to_string(), lines: 0 }
    }

    /// SHA-256 of the last line in lower-case hex.
    pub(super) fn head(&self) -> &str {
        &self.head
    }

    /// SHA-256 of the last line.
    pub(super) const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Lines so far; also the sequence number of the next one.
    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    /// Takes a whole line, its line feed included.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.digest = sha256(line);
        self.head = Hex(&self.digest).to_string();
        self.lines = self.lines.saturating_add(1);
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'noflake record v1\n' | sha256sum`: whoever verifies by hand starts here.
    #[test]
    fn an_empty_chain_starts_at_the_published_value() {
        let chain = Chain::new();
        assert_eq!(chain.lines(), 0);
        assert_eq!(
            chain.head(),
            "6b67a616a46bbef1ad5bd54de8309e4a9a60d6532a77ce9a1c3234106df2b6a2"
        );
    }

    #[test]
    fn the_line_feed_is_part_of_what_is_hashed() {
        let mut chain = Chain::new();
        chain.push(b"{}\n");
        assert_eq!(
            chain.head(),
            "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
        );
        assert_eq!(chain.lines(), 1);
    }
}
