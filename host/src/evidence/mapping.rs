//! Between an [`Entry`] and its artifact, both ways, with nothing lost.

use serde_json::Value;

use super::entry::{
    CheckId, CheckStart, DeviceFacts, Entry, Moment, NoteSeverity, PlanRef, RunStart, Validator,
};
use super::error::EvidenceError;
use super::ocp::{
    ATTEMPT_EXTENSION, Artifact, CHECK_EXTENSION, DEVICE_EXTENSION, Diagnosis, DiagnosisType,
    DutInfo, Log, LogSeverity, LogSource, MeasurementArtifact, MeasurementMetadata, Metadata,
    Parameters, RunArtifact, Status, StepArtifact, StepContent, StepEnding, TestResult,
    TestRunStart, ValidatorArtifact, ValidatorType, object,
};
use super::step::{Ending, Step};
use crate::measurement::{self, Measurement};
use crate::verdict::{AttemptVerdict, CheckVerdict, RunVerdict};

/// Turns an entry into its artifact; `current` is the innermost open step, which owns log lines.
pub(super) fn to_artifact(
    entry: Entry,
    current: Option<&Step>,
) -> Result<(Artifact, Metadata), EvidenceError> {
    let mut metadata = Metadata::default();
    let artifact = match entry {
        Entry::RunStart(start) => Artifact::Run(RunArtifact::Start(run_start(*start))),
        Entry::Device { phase, moment, facts } => {
            let content = object([("moment", json(moment)?), ("facts", json(facts)?)]);
            extension(&Step::Phase(phase), DEVICE_EXTENSION, content)
        }
        Entry::StepStart(step) => {
            let name = step_name(&step);
            in_step(&step, StepContent::Start { name })
        }
        Entry::StepMeasurement { step, measurement } => {
            in_step(&step, StepContent::Measurement(measured(measurement, Vec::new(), None)))
        }
        Entry::StepEnd { step, ending, reason } => {
            metadata.step_end = Some(StepEnding { ending, reason });
            in_step(&step, StepContent::End { status: step_status(ending) })
        }
        Entry::CheckStart(start) => extension(&stage_of(&start.id), CHECK_EXTENSION, json(start)?),
        Entry::CheckMeasurement { check, attempt, measurement, validators } => {
            let validators = validator_artifacts(&check, validators)?;
            let owner = MeasurementMetadata { check: check.check.clone(), attempt };
            let content = measured(measurement, validators, Some(owner));
            in_step(&stage_of(&check), StepContent::Measurement(content))
        }
        Entry::AttemptEnd { check, attempt, verdict, reason } => {
            let content = object([
                ("check", Value::from(check.check.clone())),
                ("attempt", Value::from(attempt)),
                ("verdict", json(verdict)?),
                ("reason", Value::from(reason)),
            ]);
            extension(&stage_of(&check), ATTEMPT_EXTENSION, content)
        }
        Entry::CheckEnd { check, verdict, reason } => {
            in_step(&stage_of(&check), StepContent::Diagnosis(diagnosis(&check, verdict, reason)?))
        }
        Entry::Console { text } => {
            metadata.log_source = Some(LogSource::Console);
            log(current, LogSeverity::Info, text)
        }
        Entry::Note { severity, text } => {
            metadata.log_source = Some(LogSource::Host);
            log(current, log_severity(severity), text)
        }
        Entry::RunEnd(end) => {
            let (status, result) = run_status(end.verdict);
            metadata.run_end = Some(*end);
            Artifact::Run(RunArtifact::End { status, result })
        }
    };
    Ok((artifact, metadata))
}

/// Reads an artifact back. `Ok(None)`: nothing that this version knows, and nothing that it needs.
pub(super) fn from_artifact(
    artifact: Artifact,
    metadata: Metadata,
) -> Result<Option<Entry>, &'static str> {
    match artifact {
        Artifact::SchemaVersion { .. } => Err("one schemaVersion, on line 1"),
        Artifact::Run(RunArtifact::Start(start)) => {
            Ok(Some(Entry::RunStart(Box::new(read_run_start(start)))))
        }
        Artifact::Run(RunArtifact::End { .. }) => {
            let end = metadata.run_end.ok_or("metadata.runEnd beside testRunEnd")?;
            Ok(Some(Entry::RunEnd(Box::new(end))))
        }
        Artifact::Run(RunArtifact::Log(log)) => Ok(Some(read_log(log, metadata.log_source))),
        Artifact::Step(artifact) => from_step_artifact(artifact, metadata),
    }
}

fn from_step_artifact(
    artifact: StepArtifact,
    metadata: Metadata,
) -> Result<Option<Entry>, &'static str> {
    let step = Step::from_id(&artifact.step_id)
        .ok_or("a testStepId that starts with deploy. or checks. and names a step")?;
    Ok(Some(match artifact.content {
        StepContent::Start { .. } => Entry::StepStart(step),
        StepContent::End { .. } => {
            let end = metadata.step_end.ok_or("metadata.stepEnd beside testStepEnd")?;
            Entry::StepEnd { step, ending: end.ending, reason: end.reason }
        }
        StepContent::Measurement(artifact) => read_measurement(step, artifact)?,
        StepContent::Diagnosis(diagnosis) => read_diagnosis(step, diagnosis)?,
        StepContent::Log(log) => read_log(log, metadata.log_source),
        StepContent::Extension { name, content } => return read_extension(step, &name, content),
    }))
}

fn read_extension(step: Step, name: &str, content: Value) -> Result<Option<Entry>, &'static str> {
    Ok(Some(match name {
        DEVICE_EXTENSION => {
            let Step::Phase(phase) = step else { return Err("device facts in a phase") };
            let (moment, facts): (Moment, DeviceFacts) =
                (member(&content, "moment")?, member(&content, "facts")?);
            Entry::Device { phase, moment, facts: Box::new(facts) }
        }
        CHECK_EXTENSION => {
            let mut start: CheckStart =
                serde_json::from_value(content).map_err(|_| "the fields of noflake.check")?;
            start.id.stage = stage_name(step)?;
            Entry::CheckStart(start)
        }
        ATTEMPT_EXTENSION => {
            let check = CheckId { stage: stage_name(step)?, check: member(&content, "check")? };
            let verdict: AttemptVerdict = member(&content, "verdict")?;
            let (attempt, reason) = (member(&content, "attempt")?, member(&content, "reason")?);
            Entry::AttemptEnd { check, attempt, verdict, reason }
        }
        // A newer noflake may say more; its own lines are still part of the chain.
        _ => return Ok(None),
    }))
}

fn run_start(start: RunStart) -> TestRunStart {
    TestRunStart {
        name: start.plan.id.clone(),
        version: start.plan.version.clone(),
        command_line: start.command_line,
        dut_info: DutInfo { id: start.device_address },
        parameters: Parameters {
            verb: start.verb,
            plan: start.plan,
            bundle: start.bundle,
            tool_version: start.tool_version,
            bench: start.bench,
            device_class: start.device_class,
            seed: start.seed,
            planned: start.planned,
        },
    }
}

fn read_run_start(start: TestRunStart) -> RunStart {
    let parameters = start.parameters;
    RunStart {
        verb: parameters.verb,
        plan: PlanRef { id: start.name, version: start.version, ..parameters.plan },
        bundle: parameters.bundle,
        tool_version: parameters.tool_version,
        command_line: start.command_line,
        bench: parameters.bench,
        device_address: start.dut_info.id,
        device_class: parameters.device_class,
        seed: parameters.seed,
        planned: parameters.planned,
    }
}

fn measured(
    measurement: Measurement,
    validators: Vec<ValidatorArtifact>,
    metadata: Option<MeasurementMetadata>,
) -> MeasurementArtifact {
    let Measurement { name, value, unit } = measurement;
    MeasurementArtifact { name, value: finite(value), unit, validators, metadata }
}

/// JSON has no word for NaN and infinity; as text they stay visible and readable.
fn finite(value: measurement::Value) -> measurement::Value {
    match value {
        measurement::Value::Number(number) if !number.is_finite() => {
            measurement::Value::Text(number.to_string())
        }
        measurement::Value::Number(_)
        | measurement::Value::Flag(_)
        | measurement::Value::Text(_) => value,
    }
}

fn read_measurement(step: Step, artifact: MeasurementArtifact) -> Result<Entry, &'static str> {
    let MeasurementArtifact { name, value, unit, validators, metadata } = artifact;
    let measurement = Measurement { name, value, unit };
    let Some(MeasurementMetadata { check, attempt }) = metadata else {
        return Ok(Entry::StepMeasurement { step, measurement });
    };
    let check = CheckId { stage: stage_name(step)?, check };
    if !validators.iter().all(|validator| is_limit(&validator.value)) {
        return Err("limits that are flags, numbers, texts, or lists of these");
    }
    let validators =
        validators.into_iter().map(|limit| Validator::new(limit.name, &limit.value)).collect();
    Ok(Entry::CheckMeasurement { check, attempt, measurement, validators })
}

fn is_limit(value: &Value) -> bool {
    let is_plain = |value: &Value| !value.is_array() && !value.is_object();
    is_plain(value) || value.as_array().is_some_and(|listed| listed.iter().all(is_plain))
}

fn validator_artifacts(
    check: &CheckId,
    validators: Vec<Validator>,
) -> Result<Vec<ValidatorArtifact>, EvidenceError> {
    let artifact = |validator: Validator| match ValidatorType::from_op(&validator.op) {
        Some(kind) => Ok(ValidatorArtifact { kind, value: validator.value(), name: validator.op }),
        None => Err(EvidenceError::UnknownLimit { check: check.check.clone(), op: validator.op }),
    };
    validators.into_iter().map(artifact).collect()
}

fn diagnosis(
    check: &CheckId,
    verdict: CheckVerdict,
    message: String,
) -> Result<Diagnosis, EvidenceError> {
    let word = json(verdict)?;
    Ok(Diagnosis {
        verdict: format!("{}:{}", check.check, word.as_str().unwrap_or_default()),
        kind: diagnosis_type(verdict),
        message,
    })
}

fn read_diagnosis(step: Step, diagnosis: Diagnosis) -> Result<Entry, &'static str> {
    const EXPECTED: &str = "a diagnosis verdict of the form <check>:<verdict>";
    let (check, word) = diagnosis.verdict.rsplit_once(':').ok_or(EXPECTED)?;
    let verdict = serde_json::from_value(Value::from(word)).map_err(|_| EXPECTED)?;
    let check = CheckId { stage: stage_name(step)?, check: check.to_owned() };
    Ok(Entry::CheckEnd { check, verdict, reason: diagnosis.message })
}

fn log(current: Option<&Step>, severity: LogSeverity, message: String) -> Artifact {
    let log = Log { severity, message };
    match current {
        Some(step) => in_step(step, StepContent::Log(log)),
        None => Artifact::Run(RunArtifact::Log(log)),
    }
}

fn read_log(log: Log, source: Option<LogSource>) -> Entry {
    let text = log.message;
    if source == Some(LogSource::Console) {
        return Entry::Console { text };
    }
    let severity = match log.severity {
        LogSeverity::Debug | LogSeverity::Info => NoteSeverity::Info,
        LogSeverity::Warning => NoteSeverity::Warning,
        LogSeverity::Error | LogSeverity::Fatal => NoteSeverity::Error,
    };
    Entry::Note { severity, text }
}

fn in_step(step: &Step, content: StepContent) -> Artifact {
    Artifact::Step(StepArtifact { step_id: step.id(), content })
}

fn extension(step: &Step, name: &str, content: Value) -> Artifact {
    in_step(step, StepContent::Extension { name: name.to_owned(), content })
}

fn stage_of(check: &CheckId) -> Step {
    Step::Stage(check.stage.clone())
}

fn stage_name(step: Step) -> Result<String, &'static str> {
    match step {
        Step::Stage(stage) => Ok(stage),
        Step::Phase(_) => Err("a check inside a stage of the plan (testStepId checks.<stage>)"),
    }
}

fn step_name(step: &Step) -> String {
    match step {
        Step::Phase(phase) => phase.name().to_owned(),
        Step::Stage(stage) => stage.clone(),
    }
}

fn member<T: serde::de::DeserializeOwned>(content: &Value, name: &str) -> Result<T, &'static str> {
    let value = content.get(name).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|_| "an extension with all its fields")
}

fn json(value: impl serde::Serialize) -> Result<Value, EvidenceError> {
    serde_json::to_value(value).map_err(EvidenceError::Encode)
}

/// OCP-TV: a step that found a fault did complete; only one that could not do its work is in error.
const fn step_status(ending: Ending) -> Status {
    match ending {
        Ending::Done
        | Ending::FoundDone
        | Ending::Resumed
        | Ending::TakenOver
        | Ending::Refused
        | Ending::Failed
        | Ending::WentBack => Status::Complete,
        Ending::Skipped => Status::Skip,
        Ending::Error | Ending::Interrupted => Status::Error,
    }
}

const fn run_status(verdict: RunVerdict) -> (Status, TestResult) {
    match verdict {
        RunVerdict::Qualified | RunVerdict::QualifiedWithDeviations => {
            (Status::Complete, TestResult::Pass)
        }
        RunVerdict::Rejected => (Status::Complete, TestResult::Fail),
        RunVerdict::Inconclusive => (Status::Complete, TestResult::NotApplicable),
        RunVerdict::Error => (Status::Error, TestResult::NotApplicable),
    }
}

const fn diagnosis_type(verdict: CheckVerdict) -> DiagnosisType {
    match verdict {
        CheckVerdict::Pass | CheckVerdict::Marginal | CheckVerdict::Flaky => DiagnosisType::Pass,
        CheckVerdict::Fail => DiagnosisType::Fail,
        CheckVerdict::Skip
        | CheckVerdict::Inconclusive
        | CheckVerdict::Error
        | CheckVerdict::NotRun => DiagnosisType::Unknown,
    }
}

const fn log_severity(severity: NoteSeverity) -> LogSeverity {
    match severity {
        NoteSeverity::Info => LogSeverity::Info,
        NoteSeverity::Warning => LogSeverity::Warning,
        NoteSeverity::Error => LogSeverity::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;

    #[test]
    fn every_entry_survives_the_way_through_its_artifact() {
        for (_, entry) in sample::run() {
            let (artifact, metadata) = to_artifact(entry.clone(), None).expect("encodes");
            let read = from_artifact(artifact, metadata).expect("is known");
            assert_eq!(read, Some(entry));
        }
    }

    #[test]
    fn a_number_that_json_cannot_say_is_kept_as_text() {
        for (number, text) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            let value = finite(measurement::Value::Number(number));
            assert_eq!(value, measurement::Value::Text(text.to_owned()));
        }
    }

    #[test]
    fn a_limit_that_no_plan_has_is_refused_by_name() {
        let entry = Entry::CheckMeasurement {
            check: sample::check("rail-3v3"),
            attempt: 1,
            measurement: sample::volts(3.3),
            validators: vec![Validator::new("about".to_owned(), &3.into())],
        };
        let error = to_artifact(entry, None).expect_err("is unknown");
        assert!(error.to_string().starts_with("limit `about` of check `rail-3v3`"), "{error}");
    }

    #[test]
    fn a_limit_is_plain_or_a_list_and_nothing_deeper() {
        for (value, expected) in [
            (serde_json::json!(3), true),
            (serde_json::json!(["a", 1, true]), true),
            (serde_json::json!([["a"]]), false),
            (serde_json::json!({ "a": 1 }), false),
        ] {
            assert_eq!(is_limit(&value), expected, "{value}");
        }
    }

    #[test]
    fn an_extension_of_a_newer_version_is_passed_over() {
        let artifact = extension(&Step::Stage("oq".to_owned()), "noflake.future", Value::Null);
        assert_eq!(from_artifact(artifact, Metadata::default()), Ok(None));
    }

    #[test]
    fn a_check_id_may_hold_a_colon() {
        let check = CheckId { stage: "oq".to_owned(), check: "net:eth0".to_owned() };
        let entry = Entry::CheckEnd { check, verdict: CheckVerdict::NotRun, reason: String::new() };
        let (artifact, metadata) = to_artifact(entry.clone(), None).expect("encodes");
        assert_eq!(from_artifact(artifact, metadata), Ok(Some(entry)));
    }
}
