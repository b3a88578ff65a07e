//! Folds the entries of a record into a [`RunView`].
//!
//! Total: any order of entries gives a view. A check that is planned and has no end is `not_run`, never a
//! pass (promise P10).

use std::collections::BTreeMap;

use super::entry::{CheckId, CheckStart, DeviceFacts, Entry, Moment, RunEnd, RunStart};
use super::recorder::OpenSteps;
use super::step::{Ending, Phase, Step};
use super::view::{
    AttemptView, CheckView, Integrity, JudgedMeasurement, NoteView, PhaseView, RunView, StageView,
};
use crate::verdict::CheckVerdict;

/// Folds entries into a [`RunView`].
#[derive(Debug, Default)]
pub(super) struct ViewBuilder {
    run: RunStart,
    times_unix_ms: Option<(u64, u64)>,
    before: Option<DeviceFacts>,
    after: Option<DeviceFacts>,
    phases: InOrder<Phase, PhaseView>,
    stages: InOrder<String, OpenStage>,
    notes: Vec<NoteView>,
    end: Option<RunEnd>,
    open_steps: OpenSteps,
}

impl ViewBuilder {
    pub(super) const fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Takes the time of a line, whether or not an entry is in it.
    pub(super) fn saw_time(&mut self, at: u64) {
        let (first, _) = self.times_unix_ms.unwrap_or((at, at));
        self.times_unix_ms = Some((first, at));
    }

    pub(super) fn push(&mut self, entry: Entry, at: u64) {
        self.open_steps.follow(&entry);
        match entry {
            Entry::RunStart(start) => self.plan(*start),
            Entry::Device { moment: Moment::Before, facts, .. } => self.before = Some(*facts),
            Entry::Device { moment: Moment::After, facts, .. } => self.after = Some(*facts),
            Entry::StepStart(step) => self.begin_step(&step, at),
            Entry::StepMeasurement { step, measurement } => match step {
                Step::Phase(phase) => self.phase(phase, at).measurements.push(measurement),
                Step::Stage(stage) => self.stage(&stage).view.measurements.push(measurement),
            },
            Entry::StepEnd { step, ending, reason } => self.end_step(&step, ending, reason, at),
            Entry::CheckStart(start) => {
                let check = self.check(&start.id);
                check.start = start;
                check.started_unix_ms.get_or_insert(at);
            }
            Entry::CheckMeasurement { check, attempt, measurement, validators } => {
                let judged = JudgedMeasurement { measurement, validators };
                self.check(&check).attempt(attempt).measurements.push(judged);
            }
            Entry::AttemptEnd { check, attempt, verdict, reason } => {
                let attempt = self.check(&check).attempt(attempt);
                attempt.verdict = Some(verdict);
                attempt.reason = reason;
            }
            Entry::CheckEnd { check, verdict, reason } => {
                let check = self.check(&check);
                check.verdict = verdict;
                check.reason = reason;
                check.ended_unix_ms = Some(at);
            }
            Entry::Console { text } => self.console(text, at),
            Entry::Note { severity, text } => {
                self.notes.push(NoteView { at_unix_ms: at, severity, text });
            }
            Entry::RunEnd(end) => self.end = Some(*end),
        }
    }

    pub(super) fn finish(self, integrity: Integrity) -> RunView {
        let (started_unix_ms, ended_unix_ms) = self.times_unix_ms.unwrap_or_default();
        RunView {
            run: self.run,
            started_unix_ms,
            ended_unix_ms,
            before: self.before,
            after: self.after,
            phases: self.phases.into_values(),
            stages: self.stages.into_values().into_iter().map(OpenStage::finish).collect(),
            notes: self.notes,
            end: self.end,
            integrity,
            signed: Vec::new(),
        }
    }

    fn plan(&mut self, start: RunStart) {
        for id in &start.planned {
            self.check(id);
        }
        self.run = start;
    }

    fn begin_step(&mut self, step: &Step, at: u64) {
        match step {
            Step::Phase(phase) => {
                let phase = self.phase(*phase, at);
                (phase.ending, phase.ended_unix_ms, phase.reason) = (None, None, None);
            }
            Step::Stage(stage) => {
                let stage = &mut self.stage(stage).view;
                stage.started_unix_ms.get_or_insert(at);
                (stage.ending, stage.ended_unix_ms) = (None, None);
            }
        }
    }

    fn end_step(&mut self, step: &Step, ending: Ending, reason: Option<String>, at: u64) {
        match step {
            Step::Phase(phase) => {
                let phase = self.phase(*phase, at);
                phase.ended_unix_ms = Some(at);
                phase.ending = Some(ending);
                phase.reason = reason;
            }
            Step::Stage(stage) => {
                let stage = &mut self.stage(stage).view;
                stage.ended_unix_ms = Some(at);
                stage.ending = Some(ending);
            }
        }
    }

    fn console(&mut self, text: String, at: u64) {
        match self.open_steps.current().cloned() {
            Some(Step::Phase(phase)) => self.phase(phase, at).console.push(text),
            Some(Step::Stage(stage)) => self.stage(&stage).view.console.push(text),
            // Before the first phase: it still belongs to the deployment.
            None => self.phase(Phase::Precheck, at).console.push(text),
        }
    }

    fn phase(&mut self, phase: Phase, at: u64) -> &mut PhaseView {
        let new = || PhaseView {
            phase,
            started_unix_ms: at,
            ended_unix_ms: None,
            ending: None,
            reason: None,
            measurements: Vec::new(),
            console: Vec::new(),
        };
        self.phases.entry(phase, new)
    }

    fn stage(&mut self, id: &str) -> &mut OpenStage {
        let new = || OpenStage {
            view: StageView { id: id.to_owned(), ..StageView::default() },
            checks: InOrder::default(),
        };
        self.stages.entry(id.to_owned(), new)
    }

    fn check(&mut self, id: &CheckId) -> &mut CheckView {
        self.stage(&id.stage).checks.entry(id.check.clone(), || CheckView::new(id.clone()))
    }
}

/// A stage while its checks come in.
#[derive(Debug)]
struct OpenStage {
    view: StageView,
    checks: InOrder<String, CheckView>,
}

impl OpenStage {
    fn finish(self) -> StageView {
        let mut checks = self.checks.into_values();
        checks.iter_mut().for_each(CheckView::explain_missing_end);
        StageView { checks, ..self.view }
    }
}

impl CheckView {
    fn new(id: CheckId) -> Self {
        Self {
            start: CheckStart { id, ..CheckStart::default() },
            started_unix_ms: None,
            ended_unix_ms: None,
            attempts: BTreeMap::new(),
            verdict: CheckVerdict::NotRun,
            reason: String::new(),
        }
    }

    fn attempt(&mut self, number: u32) -> &mut AttemptView {
        self.attempts.entry(number).or_default()
    }

    fn explain_missing_end(&mut self) {
        if self.ended_unix_ms.is_some() {
            return;
        }
        let reason = match self.started_unix_ms {
            Some(_) => "it began, and the record ends before it ended",
            None => "the record ends before its end",
        };
        reason.clone_into(&mut self.reason);
    }
}

/// A map that gives its values back in the order in which they came.
///
/// Not a list that is searched: a record of 64 MiB has hundreds of thousands of lines, each about one of these.
#[derive(Debug)]
struct InOrder<K, V>(BTreeMap<K, (usize, V)>);

impl<K: Ord, V> InOrder<K, V> {
    fn entry(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        let position = self.0.len();
        let (_, value) = self.0.entry(key).or_insert_with(|| (position, new()));
        value
    }

    fn into_values(self) -> Vec<V> {
        let mut values: Vec<_> = self.0.into_values().collect();
        values.sort_by_key(|(position, _)| *position);
        values.into_iter().map(|(_, value)| value).collect()
    }
}

impl<K, V> Default for InOrder<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample;
    use crate::verdict::AttemptVerdict;

    #[test]
    fn stages_and_checks_stand_in_the_order_of_the_plan() {
        let view = sample::view();
        let ids: Vec<_> = view
            .stages
            .iter()
            .flat_map(|stage| stage.checks.iter().map(|check| check.start.id.check.as_str()))
            .collect();
        assert_eq!(ids, ["rail-3v3", "cold-boot", "log-clean", "soak"]);
    }

    /// P10: a missing check is not a pass.
    #[test]
    fn a_planned_check_that_never_reports_is_not_run() {
        let view = sample::view_of(sample::run().into_iter().take(1));
        for check in view.stages.iter().flat_map(|stage| &stage.checks) {
            assert_eq!(check.verdict, CheckVerdict::NotRun);
            assert_eq!(check.reason, "the record ends before its end");
        }
    }

    #[test]
    fn a_check_that_was_cut_off_is_not_run_and_says_so() {
        let start = CheckStart { id: sample::check("rail-3v3"), ..CheckStart::default() };
        let view = sample::view_of([(sample::at(0), Entry::CheckStart(start))]);
        let check = &view.stages[0].checks[0];
        assert_eq!(check.verdict, CheckVerdict::NotRun);
        assert_eq!(check.reason, "it began, and the record ends before it ended");
    }

    #[test]
    fn the_value_shown_is_the_last_attempts_judged_one() {
        let view = sample::view();
        let shown = view.stages[0].checks[0].shown_measurement().expect("was measured");
        assert_eq!(shown.measurement, sample::volts(3.31));
        assert_eq!(view.stages[0].checks[0].attempts[&1].verdict, Some(AttemptVerdict::Error));
    }

    #[test]
    fn a_phase_that_begins_twice_is_one_phase_with_its_last_ending() {
        let step = Step::Phase(Phase::Stage);
        let end = |ending| Entry::StepEnd { step: step.clone(), ending, reason: None };
        let entries = [
            Entry::StepStart(step.clone()),
            end(Ending::Error),
            Entry::StepStart(step.clone()),
            end(Ending::Resumed),
        ];
        let view = sample::view_of(entries.map(|entry| (sample::at(0), entry)));
        assert_eq!(view.phases.len(), 1);
        assert_eq!(view.phases[0].ending, Some(Ending::Resumed));
    }
}
