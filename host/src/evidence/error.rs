//! Why evidence could not be written or read, worded for the person at the bench.

use std::io;
use std::path::{Path, PathBuf};

use super::signing::SigningError;

/// Why evidence could not be written. What becomes of the device is told by the run's result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// Something that is not a folder has the name of one that is needed.
    #[error(
        "no folder for the evidence of this run: {} is a file, expected a folder",
        path.display()
    )]
    FileInTheWay {
        /// What is in the way.
        path: PathBuf,
    },
    /// The folder may not be written.
    #[error(
        "no permission to write the evidence of this run to {}",
        path.display()
    )]
    NotWritable {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full before the run wrote anything.
    #[error(
        "no room for the evidence of this run in {}",
        path.display()
    )]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused for another reason.
    #[error("failed to write {}", path.display())]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record broke off in the middle of a run.
    #[error(
        "the record {} ends at line {lines}: {cause}; what happens from here on is not recorded",
        path.display()
    )]
    RecordBrokeOff {
        /// The record.
        path: PathBuf,
        /// Whole lines that stand in it.
        lines: u64,
        /// Why, in words.
        cause: &'static str,
        /// What to do.
        next_step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier error closed the record, or the run has ended.
    #[error("the record {} is closed at line {lines}; nothing can follow", path.display())]
    Closed {
        /// The record.
        path: PathBuf,
        /// Whole lines that stand in it.
        lines: u64,
    },
    /// The record reached the size that a reader accepts.
    #[error(
        "the record {} is full at {max_bytes} bytes, {lines} lines; what happens from here on is \
         not recorded",
        path.display()
    )]
    RecordFull {
        /// The record.
        path: PathBuf,
        /// Whole lines that stand in it.
        lines: u64,
        /// The limit.
        max_bytes: u64,
    },
    /// One entry is longer than a reader accepts.
    #[error("an entry of {got_bytes} bytes does not fit into a line of {max_bytes} bytes")]
    EntryTooLong {
        /// Its length.
        got_bytes: usize,
        /// The limit.
        max_bytes: usize,
    },
    /// A limit has an operator that no plan has.
    #[error(
        "limit `{op}` of check `{check}` is unknown, expected ge le gt lt eq ne re not_re in \
         not_in, or one of them after marginal_"
    )]
    UnknownLimit {
        /// The check.
        check: String,
        /// The operator as given.
        op: String,
    },
    /// The record stands, and not all of it is signed.
    #[error(
        "the record {} is signed up to line {signed_lines} of {lines} only; the verdict of the run stands",
        path.display()
    )]
    Unsigned {
        /// The record.
        path: PathBuf,
        /// Lines that are signed.
        signed_lines: u64,
        /// Lines that stand in it.
        lines: u64,
        /// Why there is no further signature.
        source: SigningError,
    },
    /// An entry could not be put into words.
    #[error("failed to encode an entry as JSON")]
    Encode(#[source] serde_json::Error),
}

impl EvidenceError {
    /// What to do next.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::FileInTheWay { .. } => "move it away, or name another folder with --runs",
            Self::NotWritable { .. } => "make it writable, or name another folder with --runs",
            Self::RecordBrokeOff { next_step, .. } => next_step,
            Self::RecordFull { .. } => "split the plan into shorter runs",
            Self::Unsigned { .. } => {
                "mend the signer, then run again where a signed record is needed"
            }
            Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Closed { .. }
            | Self::EntryTooLong { .. }
            | Self::UnknownLimit { .. }
            | Self::Encode(_) => "make room, or name another folder with --runs",
        }
    }

    /// Why a run cannot go on with its evidence, in few words: the error itself is printed once, at the end.
    #[must_use]
    pub const fn in_short(&self) -> &'static str {
        match self {
            Self::RecordBrokeOff { cause, .. } => cause,
            Self::RecordFull { .. } => "the record is full",
            Self::FileInTheWay { .. }
            | Self::NotWritable { .. }
            | Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Closed { .. }
            | Self::EntryTooLong { .. }
            | Self::UnknownLimit { .. }
            | Self::Unsigned { .. }
            | Self::Encode(_) => "an entry cannot be written",
        }
    }

    /// Sorts an error of the system before the first line is written.
    pub(super) fn before_the_run(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        let is = |kinds: &[io::ErrorKind]| kinds.contains(&source.kind());
        if is(&[io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem]) {
            Self::NotWritable { path, source }
        } else if is(&[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
            Self::DiskFull { path, source }
        } else if is(&[io::ErrorKind::NotADirectory]) {
            Self::FileInTheWay { path }
        } else {
            Self::Io { path, source }
        }
    }

    /// Sorts an error of the system while the run is recorded.
    pub(super) fn during_the_run(path: &Path, lines: u64, source: io::Error) -> Self {
        let kind = source.kind();
        let (cause, next_step) = if kind == io::ErrorKind::StorageFull {
            ("the disk is full", "make room, then run again")
        } else if kind == io::ErrorKind::QuotaExceeded {
            ("the disk quota is used up", "make room, then run again")
        } else if kind == io::ErrorKind::FileTooLarge {
            (
                "the file may not grow further",
                "make room by a higher limit on file sizes, then run again",
            )
        } else {
            ("writing to it failed", "check the disk, then run again")
        };
        Self::RecordBrokeOff { path: path.to_path_buf(), lines, cause, next_step, source }
    }
}

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file cannot be opened or read.
    #[error("failed to read the record {}", path.display())]
    Io {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither a file nor a run folder.
    #[error("{} is not a file, expected a run folder or its record.jsonl", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Longer than any record that noflake writes.
    #[error(
        "{} is longer than {max_bytes} bytes, the longest that noflake writes; \
         is it the right file?", path.display()
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        max_bytes: u64,
    },
    /// A line is not what was written.
    #[error(
        "line {line} of {} is not as it was written: expected {expected}, got {got}; \
         trust nothing from the line before it on, and read the original again", path.display()
    )]
    BadLine {
        /// The record.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What belongs there.
        expected: String,
        /// What stands there.
        got: String,
    },
    /// Lines are not those that were signed, whatever the chain says.
    #[error(
        "{} of {} is not as signed by {hint}: expected SHA-256 {expected} of line {last}, got {got}; \
         trust nothing from line {first} on, and read the original again",
        lines_are(*first, *last), path.display()
    )]
    NotAsSigned {
        /// The record.
        path: PathBuf,
        /// The first of them, from 1.
        first: u64,
        /// The last of them.
        last: u64,
        /// Hint of the key that has signed.
        hint: String,
        /// Digest that was signed.
        expected: String,
        /// Digest of what stands there.
        got: String,
    },
    /// Lines were signed that are not there.
    #[error(
        "line {line} of {} is missing: {hint} has signed up to line {signed_lines}; somebody has cut the \
         record off, read the original again", path.display()
    )]
    Missing {
        /// The record.
        path: PathBuf,
        /// The first of them, from 1.
        line: u64,
        /// Hint of the key that has signed.
        hint: String,
        /// Lines that it has signed.
        signed_lines: u64,
    },
    /// What stands beside a record is no signature over it.
    #[error(
        "line {line} of {} is no signature over the record: expected {expected}, got {got}; \
         read the original again", path.display()
    )]
    BadSignature {
        /// The file of signatures.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What belongs there.
        expected: String,
        /// What stands there.
        got: String,
    },
}

impl RecordError {
    /// The first line that is at fault, if one is.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        match self {
            Self::BadLine { line, .. }
            | Self::Missing { line, .. }
            | Self::BadSignature { line, .. }
            | Self::NotAsSigned { first: line, .. } => Some(*line),
            Self::Io { .. } | Self::NotAFile { .. } | Self::TooLong { .. } => None,
        }
    }
}

/// The first line of a file that is not as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: u64,
    pub(super) expected: String,
    pub(super) got: String,
}

fn lines_are(first: u64, last: u64) -> String {
    if first == last { format!("line {first}") } else { format!("a line from {first} to {last}") }
}
