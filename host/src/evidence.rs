//! Evidence: what was seen during one run, line by line, as it happened (promise P9).
//!
//! A run owns a [`RunFolder`] with one `record.jsonl` in it. A [`Recorder`] appends [`Entry`]s, one
//! OCP-TV 2.0 artifact a line, each naming the SHA-256 of the line before. [`RunRecord::read`] checks
//! that chain, and the signatures over it if there are any, and yields a [`RunView`], from which every report is rendered; nothing else is a source.
//!
//! Not a report and not a judge: verdicts arrive here already made. The formats are in
//! `docs/EVIDENCE.md`. Every text is escaped when it is stored and again when it is read, so a
//! [`RunView`] never holds a character that could steer a terminal.

mod bounds;
mod chain;
mod checkpoint;
mod entry;
mod error;
mod escape;
mod fold;
mod folder;
mod mapping;
mod ocp;
mod reader;
mod recorder;
#[cfg(test)]
pub(crate) mod sample;
mod signed;
mod signing;
mod step;
mod time;
mod view;

pub use entry::{
    BundleRef, CheckId, CheckStart, DeviceFacts, Entry, Moment, NoteSeverity, Outcome, PlanRef,
    RunEnd, RunStart, Validator, Verb,
};
pub use error::{EvidenceError, RecordError};
pub use escape::{escape_bytes, escape_json_line, escape_log_line, escape_text};
pub use folder::RunFolder;
pub use reader::RunRecord;
pub use recorder::Recorder;
pub use signed::{SignedBy, Unproven};
pub use signing::{EvidenceSigner, Pace, SigningError};
pub use step::{Ending, Phase, Step};
pub use time::{utc_from_unix_ms, utc_from_unix_s};
pub use view::{
    AttemptView, CheckView, Integrity, JudgedMeasurement, NoteView, PhaseView, RunView, StageView,
};

/// Name of the record inside its run folder.
pub const RECORD_FILE: &str = "record.jsonl";
/// Name of the signatures over the record, beside it.
pub const SIGNATURES_FILE: &str = "signatures.jsonl";
/// Most signatures over one record that are written or read.
pub const SIGNATURES_MAX_LINES: usize = 4096;
/// Longest record that is written or read, in bytes.
///
/// A day of a busy 115 200 bit/s console is 1 GB, so no cap holds every console and the console has its
/// own ([`Recorder`]). This one is what a reader may load at once on a small laptop.
pub const RECORD_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Longest line of a record in bytes, its line feed included.
pub const LINE_MAX_BYTES: usize = 1024 * 1024;
