//! What a deployment puts on record as it goes.

use crate::evidence::{
    CheckId, CheckStart, DeviceFacts as RecordedFacts, Ending, Entry, NoteSeverity, Outcome, Phase,
    Step, Validator,
};
use crate::measurement::{Limits, Measurement};
use crate::qualify::check_run::CheckOutcome;
use crate::qualify::observation::{DeviceFacts, Where};

use super::{Act, Runner};

impl Runner {
    pub(super) fn record(&mut self, at_ms: u64, entry: Entry) {
        self.act(Act::Record { at_ms, entry: Box::new(entry) });
    }

    pub(super) fn note(&mut self, at_ms: u64, severity: NoteSeverity, text: impl Into<String>) {
        self.record(at_ms, Entry::Note { severity, text: text.into() });
    }

    pub(super) fn measured(&mut self, at_ms: u64, name: &str, value: u64, unit: &str) {
        if let Some(phase) = self.phase {
            // Counts of bytes and milliseconds stay far below the 2^53 that a double holds exactly.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            let measurement = Measurement::number(name, value as f64, unit);
            self.record(at_ms, Entry::StepMeasurement { step: Step::Phase(phase), measurement });
        }
    }

    /// Enters a phase; the one before ends as done unless it was ended otherwise.
    pub(super) fn enter_phase(&mut self, phase: Phase, at_ms: u64) {
        if self.phase == Some(phase) {
            return;
        }
        self.leave_stage(at_ms);
        self.leave_phase(at_ms, Ending::Done, None);
        self.phase = Some(phase);
        self.record(at_ms, Entry::StepStart(Step::Phase(phase)));
    }

    pub(super) fn leave_phase(&mut self, at_ms: u64, ending: Ending, reason: Option<String>) {
        if let Some(phase) = self.phase.take() {
            let reason = reason.filter(|_| ending != Ending::Done);
            self.record(at_ms, Entry::StepEnd { step: Step::Phase(phase), ending, reason });
        }
    }

    pub(super) fn enter_stage(&mut self, id: &str, at_ms: u64) {
        self.leave_stage(at_ms);
        self.enter_phase(Phase::Checks, at_ms);
        self.stage = Some(id.to_owned());
        self.record(at_ms, Entry::StepStart(Step::Stage(id.to_owned())));
    }

    pub(super) fn leave_stage(&mut self, at_ms: u64) {
        if let Some(stage) = self.stage.take() {
            let step = Step::Stage(stage);
            self.record(at_ms, Entry::StepEnd { step, ending: Ending::Done, reason: None });
        }
    }

    /// Puts on record every check that has come out since the last call.
    pub(super) fn record_outcomes(&mut self, now_ms: u64) {
        let fresh: Vec<CheckOutcome> =
            self.plan_run.outcomes().iter().skip(self.recorded_outcomes).cloned().collect();
        self.recorded_outcomes = self.recorded_outcomes.saturating_add(fresh.len());
        for outcome in &fresh {
            self.record_outcome(now_ms, outcome);
        }
    }

    fn record_outcome(&mut self, now_ms: u64, outcome: &CheckOutcome) {
        let id = CheckId { stage: outcome.stage.clone(), check: outcome.id.clone() };
        let began_ms = outcome.attempts.first().map(|attempt| attempt.started_ms);
        if let Some(began_ms) = began_ms {
            let start = CheckStart {
                id: id.clone(),
                kind: outcome.kind.to_owned(),
                severity: outcome.severity.word().to_owned(),
                plan_line: Some(outcome.line),
                requirements: outcome.requirements.clone(),
            };
            self.record(began_ms, Entry::CheckStart(start));
        }
        for (attempt, number) in outcome.attempts.iter().zip(1_u32..) {
            for measured in &attempt.measurements {
                let entry = Entry::CheckMeasurement {
                    check: id.clone(),
                    attempt: number,
                    measurement: measured.measurement.clone(),
                    validators: validators(&measured.limits),
                };
                self.record(attempt.ended_ms, entry);
            }
            let entry = Entry::AttemptEnd {
                check: id.clone(),
                attempt: number,
                verdict: attempt.verdict,
                reason: attempt.reason.clone(),
            };
            self.record(attempt.ended_ms, entry);
        }
        let ended_ms = outcome.attempts.last().map_or(now_ms, |attempt| attempt.ended_ms);
        let (verdict, reason) = (outcome.verdict, outcome.reason.clone());
        self.record(ended_ms, Entry::CheckEnd { check: id, verdict, reason });
    }
}

/// A device's facts as the record keeps them.
pub(super) fn facts_for_record(facts: &DeviceFacts) -> RecordedFacts {
    RecordedFacts {
        product: facts.product.clone(),
        hardware: facts.hardware.clone(),
        revision: facts.hardware_rev.to_string(),
        serial: facts.serial.clone(),
        slot: match facts.running {
            Where::SlotA => "A",
            Where::SlotB => "B",
            Where::Recovery => "recovery",
        }
        .to_owned(),
        bundle: facts.bundle.map(hex).unwrap_or_default(),
        version: facts.version.clone(),
        boot_nonce: format!("{:016x}", facts.boot_nonce),
        reset_cause: facts.reset_cause.clone(),
    }
}

/// All digits of a digest.
pub(super) fn hex(digest: [u8; 32]) -> String {
    firmware_protocol::digest::Digest(digest).to_string()
}

/// How the step under way ends when the run ends so.
pub(super) const fn ending_of(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Committed | Outcome::RolledBack | Outcome::Held => Ending::Done,
        Outcome::AlreadyRunning => Ending::FoundDone,
        Outcome::Refused => Ending::Refused,
        Outcome::WentBackByItself => Ending::WentBack,
        Outcome::Error => Ending::Error,
        Outcome::Interrupted => Ending::Interrupted,
        Outcome::NeedsService => Ending::Failed,
    }
}

/// Limits as the record writes them: one validator each.
fn validators(limits: &Limits) -> Vec<Validator> {
    match serde_json::to_value(limits) {
        Ok(serde_json::Value::Object(set)) => {
            set.into_iter().map(|(op, value)| Validator::new(op, &value)).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}
