//! Signs a record while it is written, into `signatures.jsonl` beside it.
//!
//! Like the record it is only appended to. After a failure nothing more is signed: the run goes on, and its end tells
//! up to which line it is signed.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::SIGNATURES_MAX_LINES;
use super::checkpoint::{Checkpoint, message, to_line};
use super::folder::RunFolder;
use crate::trust::{Signer, SignerError};

/// What signs evidence, for several runs at once.
pub type EvidenceSigner = Arc<dyn Signer + Send + Sync>;

/// When a record is signed, besides where it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Behind the end of every step as well: for a key that is at hand at once.
    EachStep,
    /// Only where it is asked for: a signer that waits for a person would hold up a trial and its lease.
    WhenAsked,
}

/// Why a record has no further signature.
#[derive(Debug, Error)]
pub enum SigningError {
    /// What was to sign did not.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The signature, or the lines that it is about, are not on disk.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The open file of signatures.
pub(super) struct Signing {
    file: File,
    path: PathBuf,
    signer: EvidenceSigner,
    pace: Pace,
    written: usize,
    signed_lines: u64,
    failed: Option<SigningError>,
}

impl Signing {
    /// Opens the file.
    ///
    /// # Errors
    /// When the folder has such a file already, or the system refuses.
    pub(super) fn start(
        folder: &RunFolder,
        signer: EvidenceSigner,
        pace: Pace,
    ) -> Result<Self, SigningError> {
        let path = folder.signatures_path();
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|source| SigningError::Write { path: path.clone(), source })?;
        Ok(Self { file, path, signer, pace, written: 0, signed_lines: 0, failed: None })
    }

    /// Up to which line the record is signed.
    pub(super) const fn signed_lines(&self) -> u64 {
        self.signed_lines
    }

    /// Signs behind a step. What goes wrong is kept for the end: no trial is given up for a signature.
    pub(super) fn step_ended(&mut self, lines: u64, head: [u8; 32]) {
        // The last line of the file is kept for the end of the run.
        let has_room = self.written.saturating_add(1) < SIGNATURES_MAX_LINES;
        if self.pace == Pace::EachStep && has_room && self.failed.is_none() {
            self.failed = self.sign(lines, head).err();
        }
    }

    /// Signs the first `lines` lines, which are on disk; nothing if that is done already.
    ///
    /// # Errors
    /// What went wrong, now or behind a step before.
    pub(super) fn sign(&mut self, lines: u64, head: [u8; 32]) -> Result<(), SigningError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if lines == self.signed_lines {
            return Ok(());
        }
        let checkpoint = Checkpoint { lines, head, public_key: self.signer.public_key() };
        let signature = self.signer.sign(&message(lines, &head))?;
        let line = to_line(&checkpoint, &signature);
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(|source| SigningError::Write { path: self.path.clone(), source })?;
        self.written = self.written.saturating_add(1);
        self.signed_lines = lines;
        Ok(())
    }
}

impl fmt::Debug for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signing")
            .field("path", &self.path)
            .field("pace", &self.pace)
            .field("signed_lines", &self.signed_lines)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;
    use crate::trust::test_signer;

    /// However many steps a run has, its end is signed as well: the last line that a reader takes is kept for it.
    #[test]
    fn the_last_line_of_signatures_is_kept_for_the_end_of_the_run() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(parent.path(), sample::at(0), "00000001").unwrap();
        let signer = Arc::new(test_signer(1));
        let mut signing = Signing::start(&folder, signer, Pace::EachStep).unwrap();
        signing.written = SIGNATURES_MAX_LINES - 2;
        for lines in 1..=3 {
            signing.step_ended(lines, [7; 32]);
        }
        assert_eq!((signing.signed_lines(), signing.written), (1, SIGNATURES_MAX_LINES - 1));
        signing.sign(4, [7; 32]).unwrap();
        assert_eq!((signing.signed_lines(), signing.written), (4, SIGNATURES_MAX_LINES));
        let text = std::fs::read_to_string(folder.signatures_path()).unwrap();
        assert_eq!(text.lines().count(), 2);
    }
}
