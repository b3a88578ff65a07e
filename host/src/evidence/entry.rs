//! What can happen in a run, as the recorder takes it.
//!
//! Neutral towards the rest of the host: ids, kinds and limits arrive as the plan's own words, so a new
//! check kind changes nothing here. The order of entries is the order of events.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::step::{Ending, Phase, Step};
use crate::measurement::Measurement;
use crate::verdict::{AttemptVerdict, CheckVerdict, RunVerdict};

/// One event of a run; becomes one line of the record.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The run begins; always the first entry.
    RunStart(Box<RunStart>),
    /// What the device said about itself.
    Device {
        /// The phase in which it was asked.
        phase: Phase,
        /// Before or after the run touched it.
        moment: Moment,
        /// What it said.
        facts: Box<DeviceFacts>,
    },
    /// A phase or a stage begins.
    StepStart(Step),
    /// A value that belongs to a step and to no check, such as the bytes sent.
    StepMeasurement {
        /// Where it was taken.
        step: Step,
        /// The value.
        measurement: Measurement,
    },
    /// A phase or a stage ended.
    StepEnd {
        /// Which one.
        step: Step,
        /// How.
        ending: Ending,
        /// Why, for every ending that is not success.
        reason: Option<String>,
    },
    /// A check begins.
    CheckStart(CheckStart),
    /// A value that a check judges.
    CheckMeasurement {
        /// Which check.
        check: CheckId,
        /// Which attempt, from 1.
        attempt: u32,
        /// The value.
        measurement: Measurement,
        /// The limits it is held against; empty for a value that is only noted.
        validators: Vec<Validator>,
    },
    /// One attempt at a check ended.
    AttemptEnd {
        /// Which check.
        check: CheckId,
        /// Which attempt, from 1.
        attempt: u32,
        /// How it ended.
        verdict: AttemptVerdict,
        /// Why, in one sentence; empty for a plain pass.
        reason: String,
    },
    /// A check ended, all attempts considered. Also written for a check that never began.
    CheckEnd {
        /// Which check.
        check: CheckId,
        /// What it came to.
        verdict: CheckVerdict,
        /// Why, in one sentence; empty for a plain pass.
        reason: String,
    },
    /// A line of the device's console.
    Console {
        /// As received; the recorder escapes it. For bytes, see [`super::escape_bytes`].
        text: String,
    },
    /// Something the host has to say that no other entry holds.
    Note {
        /// How much it matters.
        severity: NoteSeverity,
        /// One sentence.
        text: String,
    },
    /// The run ended; nothing follows.
    RunEnd(Box<RunEnd>),
}

/// What was asked for, with which tool, plan, bundle and device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunStart {
    /// The verb that was typed.
    pub verb: Verb,
    /// The plan.
    pub plan: PlanRef,
    /// The bundle.
    pub bundle: BundleRef,
    /// Version of `noflake`.
    pub tool_version: String,
    /// The command as typed, without secrets.
    pub command_line: String,
    /// Which bench, laptop or CI job ran it.
    pub bench: String,
    /// Address of the device, such as `serial:/dev/ttyUSB0?baud=921600`.
    pub device_address: String,
    /// Class that the plan names for the device (`mcu`, `linux`); empty if it names none.
    pub device_class: String,
    /// Seed of a simulated run (promise P11).
    pub seed: Option<u64>,
    /// Every check of the plan, in its order. A check that is listed and never reports is `not_run`.
    pub planned: Vec<CheckId>,
}

/// What the operator asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// `noflake deploy`.
    #[default]
    Deploy,
    /// `noflake qualify`.
    Qualify,
}

/// Which plan was run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRef {
    /// Stable id, part of report names.
    pub id: String,
    /// Version as the plan states it.
    pub version: String,
    /// Plan digest in hex.
    pub digest: String,
    /// Path in the repository, for annotations; empty if the plan came inside the bundle.
    pub path: String,
}

/// Which bundle was deployed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleRef {
    /// Product it is for.
    pub product: String,
    /// Version it brings.
    pub version: String,
    /// Bundle digest in hex.
    pub digest: String,
}

/// Before or after the run touched the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// As found.
    Before,
    /// As left.
    After,
}

/// What a device says about itself. An unknown text is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceFacts {
    /// Product.
    pub product: String,
    /// Hardware id.
    pub hardware: String,
    /// Hardware revision.
    pub revision: String,
    /// Serial number.
    pub serial: String,
    /// Running slot, `A` or `B`.
    pub slot: String,
    /// Digest of the running bundle in hex.
    pub bundle: String,
    /// Version of the running bundle.
    pub version: String,
    /// Nonce of this boot in hex.
    pub boot_nonce: String,
    /// Why it started last.
    pub reset_cause: String,
}

/// Names a check within a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckId {
    /// Stage id.
    pub stage: String,
    /// Check id, unique within its stage.
    pub check: String,
}

/// What the plan says about a check that begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckStart {
    /// Which check.
    #[serde(flatten)]
    pub id: CheckId,
    /// Check kind as the plan writes it (`measure`, `boot`, ...).
    pub kind: String,
    /// Severity as the plan writes it (`blocker`, `major`, `info`).
    pub severity: String,
    /// Line of the check in the plan file.
    pub plan_line: Option<u32>,
    /// Requirements that it covers.
    pub requirements: Vec<String>,
}

/// One limit, in the plan's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validator {
    /// `ge le gt lt eq ne re not_re in not_in`, or one of them after `marginal_`.
    pub op: String,
    /// As JSON: a list in a record from somewhere takes sixteen times its text once it is parsed.
    value_json: Box<str>,
}

impl Validator {
    /// A limit; `value` is a list for `in` and `not_in`.
    #[must_use]
    pub fn new(op: String, value: &Value) -> Self {
        Self { op, value_json: value.to_string().into() }
    }

    /// What the value is held against.
    #[must_use]
    pub fn value(&self) -> Value {
        // Written by `new`, so it parses.
        serde_json::from_str(&self.value_json).unwrap_or_default()
    }
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteSeverity {
    /// Good to know.
    Info,
    /// Worth a look.
    Warning,
    /// Something failed.
    Error,
}

/// What the run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// Judgement of the bundle on this device.
    pub verdict: RunVerdict,
    /// What became of the device.
    pub outcome: Outcome,
    /// Exit code of the command.
    pub exit_code: u8,
    /// Time without a running application, in milliseconds, if it was measured.
    pub downtime_ms: Option<u64>,
    /// One sentence for people.
    pub message: String,
    /// The next safe command, if there is one (promise P12).
    pub next_command: Option<String>,
}

/// What became of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new bundle is permanent and seen running.
    Committed,
    /// The old bundle is seen running again.
    RolledBack,
    /// The bundle ran already; nothing was written.
    AlreadyRunning,
    /// Host or device refused; what the device runs was not touched.
    Refused,
    /// The device went back before the host judged; the old bundle is seen running.
    WentBackByItself,
    /// The bench, the link or the tool failed.
    Error,
    /// Stopped by the operator.
    Interrupted,
    /// The device needs service.
    NeedsService,
    /// The trial stays open until an operator decides.
    Held,
}

impl Outcome {
    /// Whether such a run has a verdict on the bundle: one that found it running, was refused or was
    /// stopped has judged nothing.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        !matches!(self, Self::AlreadyRunning | Self::Refused | Self::Interrupted)
    }
}
