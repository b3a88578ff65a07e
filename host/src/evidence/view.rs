//! A run as it stands in its record, in the shape that reports need.
//!
//! Plain data with nothing judged anew: what a verdict is called and how it looks is the report's.

use std::collections::BTreeMap;

use super::entry::{CheckStart, DeviceFacts, NoteSeverity, RunEnd, RunStart, Validator};
use super::signed::SignedBy;
use super::step::{Ending, Phase};
use crate::measurement::Measurement;
use crate::verdict::{AttemptVerdict, CheckVerdict};

/// Everything that a report may say about a run. Every text is escaped.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// What was asked for; all empty if the record ends before it says.
    pub run: RunStart,
    /// Time of the first line, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Time of the last line, in milliseconds since 1970.
    pub ended_unix_ms: u64,
    /// The device as found.
    pub before: Option<DeviceFacts>,
    /// The device as left.
    pub after: Option<DeviceFacts>,
    /// Phases in the order in which they first began.
    pub phases: Vec<PhaseView>,
    /// Stages in the plan's order.
    pub stages: Vec<StageView>,
    /// What the host had to say.
    pub notes: Vec<NoteView>,
    /// What the run came to; absent if it was killed.
    pub end: Option<RunEnd>,
    /// What is known about the record itself.
    pub integrity: Integrity,
    /// Who has signed it and how far, the longest part first.
    pub signed: Vec<SignedBy>,
}

/// What is known about a record after its chain has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Every line links to the one before, and the last is the end of the run.
    Complete {
        /// Lines in the record.
        lines: u64,
        /// SHA-256 of the last line in hex.
        head: String,
    },
    /// Every whole line links to the one before, and the run has no end.
    Interrupted {
        /// Whole lines in the record.
        lines: u64,
        /// SHA-256 of the last whole line in hex.
        head: String,
        /// Bytes of a line that was cut off.
        torn_bytes: usize,
    },
}

/// One phase of the deployment. Begun twice, it is still one.
#[derive(Debug, Clone, PartialEq)]
pub struct PhaseView {
    /// Which one.
    pub phase: Phase,
    /// When it first began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// How it ended; absent if the record says nothing.
    pub ending: Option<Ending>,
    /// Why.
    pub reason: Option<String>,
    /// Values of the phase itself.
    pub measurements: Vec<Measurement>,
    /// What the device said on its console.
    pub console: Vec<String>,
}

/// One stage of the plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StageView {
    /// Stage id.
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: Option<u64>,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// How it ended; absent if the record says nothing.
    pub ending: Option<Ending>,
    /// Its checks in the plan's order.
    pub checks: Vec<CheckView>,
    /// Values of the stage itself.
    pub measurements: Vec<Measurement>,
    /// What the device said on its console.
    pub console: Vec<String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckView {
    /// What the plan says about it; only the id if it never began.
    pub start: CheckStart,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: Option<u64>,
    /// When it ended.
    pub ended_unix_ms: Option<u64>,
    /// Its attempts by their number, from 1.
    pub attempts: BTreeMap<u32, AttemptView>,
    /// What it came to.
    pub verdict: CheckVerdict,
    /// Why; empty for a plain pass.
    pub reason: String,
}

/// One attempt at a check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttemptView {
    /// How it ended; absent if the record says nothing.
    pub verdict: Option<AttemptVerdict>,
    /// Why; empty for a plain pass.
    pub reason: String,
    /// What was measured.
    pub measurements: Vec<JudgedMeasurement>,
}

/// A value and the limits it was held against.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedMeasurement {
    /// The value.
    pub measurement: Measurement,
    /// The limits; empty if it was only noted.
    pub validators: Vec<Validator>,
}

/// Something the host had to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteView {
    /// When, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// How much it matters.
    pub severity: NoteSeverity,
    /// One sentence.
    pub text: String,
}

impl CheckView {
    /// The value that a table shows: of the last attempt, the first that was held against limits.
    #[must_use]
    pub fn shown_measurement(&self) -> Option<&JudgedMeasurement> {
        let seen = self.attempts.values().rev().find(|attempt| !attempt.measurements.is_empty())?;
        let judged = seen.measurements.iter().find(|judged| !judged.validators.is_empty());
        judged.or_else(|| seen.measurements.first())
    }
}
