//! Why evidence could not be written or read, worded for the person at the bench.

use std::io;
use std::path::{Path, PathBuf};

/// Why evidence could not be written. The device is unaffected by all of them.
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
        "the record {} ends at line {lines}: {cause}; what happens from here on is not recorded, \
         the device itself is not affected", path.display()
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
         not recorded, the device itself is not affected",
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
            Self::DiskFull { .. }
            | Self::Io { .. }
            | Self::Closed { .. }
            | Self::EntryTooLong { .. }
            | Self::UnknownLimit { .. }
            | Self::Encode(_) => {
                "make room, or name another folder with --runs; the device is unaffected"
            }
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
        "{} is longer than {max_bytes} bytes, the longest record that noflake writes; \
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
}
