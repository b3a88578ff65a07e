//! The lines of a record: OCP Test & Validation 2.0 artifacts and one object of our own.
//!
//! Field names and words are those of the specification. What it has no field for stands in the root
//! object's `metadata` (the hash chain, and how a step or a run ended) or in an `extension`. The
//! specification allows extensions, but no root `metadata`: `jq -c 'del(.metadata)'` gives a strict record.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::entry::{BundleRef, CheckId, PlanRef, RunEnd, Verb};
use super::step::Ending;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    #[serde(flatten)]
    pub(super) artifact: Artifact,
    #[serde(rename = "sequenceNumber")]
    pub(super) sequence_number: u64,
    pub(super) timestamp: String,
    pub(super) metadata: Metadata,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Metadata {
    /// SHA-256 of the line before (`chain.rs`).
    pub(super) prev: String,
    #[serde(rename = "stepEnd", default, skip_serializing_if = "Option::is_none")]
    pub(super) step_end: Option<StepEnding>,
    #[serde(rename = "runEnd", default, skip_serializing_if = "Option::is_none")]
    pub(super) run_end: Option<RunEnd>,
    #[serde(rename = "logSource", default, skip_serializing_if = "Option::is_none")]
    pub(super) log_source: Option<LogSource>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StepEnding {
    pub(super) ending: Ending,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LogSource {
    Console,
    Host,
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, for the length of a line")]
pub(super) enum Artifact {
    #[serde(rename = "schemaVersion")]
    SchemaVersion { major: u32, minor: u32 },
    #[serde(rename = "testRunArtifact")]
    Run(RunArtifact),
    #[serde(rename = "testStepArtifact")]
    Step(StepArtifact),
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, for the length of a line")]
pub(super) enum RunArtifact {
    #[serde(rename = "testRunStart")]
    Start(TestRunStart),
    #[serde(rename = "testRunEnd")]
    End { status: Status, result: TestResult },
    #[serde(rename = "log")]
    Log(Log),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StepArtifact {
    #[serde(rename = "testStepId")]
    pub(super) step_id: String,
    #[serde(flatten)]
    pub(super) content: StepContent,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum StepContent {
    #[serde(rename = "testStepStart")]
    Start { name: String },
    #[serde(rename = "testStepEnd")]
    End { status: Status },
    #[serde(rename = "measurement")]
    Measurement(MeasurementArtifact),
    #[serde(rename = "diagnosis")]
    Diagnosis(Diagnosis),
    #[serde(rename = "log")]
    Log(Log),
    #[serde(rename = "extension")]
    Extension { name: String, content: Value },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TestRunStart {
    pub(super) name: String,
    pub(super) version: String,
    #[serde(rename = "commandLine")]
    pub(super) command_line: String,
    pub(super) parameters: Parameters,
    #[serde(rename = "dutInfo")]
    pub(super) dut_info: DutInfo,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parameters {
    pub(super) verb: Verb,
    pub(super) plan: PlanRef,
    pub(super) bundle: BundleRef,
    pub(super) tool_version: String,
    pub(super) bench: String,
    pub(super) device_class: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) seed: Option<u64>,
    #[serde(default)]
    pub(super) planned: Vec<CheckId>,
}

/// Written before anything is known about the device but its address: a link that never answers is a
/// run too. What the device says follows in an extension.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DutInfo {
    #[serde(rename = "dutInfoId")]
    pub(super) id: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Log {
    pub(super) severity: LogSeverity,
    pub(super) message: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MeasurementArtifact {
    pub(super) name: String,
    pub(super) value: crate::measurement::Value,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) unit: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) validators: Vec<ValidatorArtifact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<MeasurementMetadata>,
}

/// Which check took the value; absent for a value of the step itself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MeasurementMetadata {
    pub(super) check: String,
    pub(super) attempt: u32,
}

/// `name` is the plan's word: `marginal_ge` and `ge` have the same type.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ValidatorArtifact {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: ValidatorType,
    pub(super) value: Value,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Diagnosis {
    /// `<check id>:<verdict>`: OCP-TV wants a word that a program can look up.
    pub(super) verdict: String,
    #[serde(rename = "type")]
    pub(super) kind: DiagnosisType,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    Complete,
    Error,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum TestResult {
    Pass,
    Fail,
    NotApplicable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum DiagnosisType {
    Pass,
    Fail,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum LogSeverity {
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ValidatorType {
    Equal,
    NotEqual,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    RegexMatch,
    RegexNoMatch,
    InSet,
    NotInSet,
}

impl ValidatorType {
    /// The type of a limit in the plan's words, `None` for a word that no plan has.
    pub(super) fn from_op(op: &str) -> Option<Self> {
        Some(match op.strip_prefix("marginal_").unwrap_or(op) {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "lt" => Self::LessThan,
            "le" => Self::LessThanOrEqual,
            "gt" => Self::GreaterThan,
            "ge" => Self::GreaterThanOrEqual,
            "re" => Self::RegexMatch,
            "not_re" => Self::RegexNoMatch,
            "in" => Self::InSet,
            "not_in" => Self::NotInSet,
            _ => return None,
        })
    }
}

/// Extension names; the content is the entry's own fields.
pub(super) const DEVICE_EXTENSION: &str = "noflake.device";
pub(super) const CHECK_EXTENSION: &str = "noflake.check";
pub(super) const ATTEMPT_EXTENSION: &str = "noflake.attempt";

/// An extension's content is an object.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>())
}
