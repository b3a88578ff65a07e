//! Holds what a record says against what a run can have: one begin, and the stages and checks of one plan.
//!
//! A record is a file from somewhere, and what a line names takes far more memory than the line: without these bounds one of
//! 64 MiB, whose chain holds, names millions of stages. Nothing that noflake writes is beyond them, because no plan is.

use std::collections::HashSet;

use super::entry::{CheckId, CheckStart, Entry};
use super::step::Step;
use crate::plan::{CHECKS_MAX, ID_MAX_BYTES, PLAN_BYTES_MAX};

/// Most requirements of all checks together: in a plan each takes two quotes and a comma.
const REQUIREMENTS_MAX: usize = PLAN_BYTES_MAX / 3;

/// What the entries so far have named.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    has_begun: bool,
    stages: HashSet<String>,
    checks: HashSet<CheckId>,
    requirements: usize,
}

impl Bounds {
    /// Takes the next entry in.
    ///
    /// # Errors
    /// What is expected in its place.
    pub(super) fn admit(&mut self, entry: &Entry) -> Result<(), String> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        match entry {
            Entry::RunStart(start) => {
                if !is_first {
                    return Err("one testRunStart, before everything that it begins".to_owned());
                }
                start.planned.iter().try_for_each(|check| self.admit_check(check))
            }
            Entry::StepStart(Step::Stage(stage))
            | Entry::StepMeasurement { step: Step::Stage(stage), .. }
            | Entry::StepEnd { step: Step::Stage(stage), .. } => self.admit_stage(stage),
            Entry::CheckStart(start) => self.admit_start(start),
            Entry::CheckMeasurement { check, .. }
            | Entry::AttemptEnd { check, .. }
            | Entry::CheckEnd { check, .. } => self.admit_check(check),
            Entry::StepStart(Step::Phase(_))
            | Entry::StepMeasurement { step: Step::Phase(_), .. }
            | Entry::StepEnd { step: Step::Phase(_), .. }
            | Entry::Device { .. }
            | Entry::Console { .. }
            | Entry::Note { .. }
            | Entry::RunEnd(_) => Ok(()),
        }
    }

    fn admit_start(&mut self, start: &CheckStart) -> Result<(), String> {
        self.requirements = self.requirements.saturating_add(start.requirements.len());
        if self.requirements > REQUIREMENTS_MAX {
            return Err(format!("at most {REQUIREMENTS_MAX} requirements of all checks together"));
        }
        self.admit_check(&start.id)
    }

    fn admit_check(&mut self, id: &CheckId) -> Result<(), String> {
        if self.checks.contains(id) {
            return Ok(());
        }
        self.admit_stage(&id.stage)?;
        refuse_long(&id.check)?;
        if self.checks.len() == CHECKS_MAX {
            return Err(format!("at most {CHECKS_MAX} checks, as in a plan"));
        }
        self.checks.insert(id.clone());
        Ok(())
    }

    /// A stage of a plan has a check, so there are no more of these.
    fn admit_stage(&mut self, id: &str) -> Result<(), String> {
        if self.stages.contains(id) {
            return Ok(());
        }
        refuse_long(id)?;
        if self.stages.len() == CHECKS_MAX {
            return Err(format!("at most {CHECKS_MAX} stages, as in a plan"));
        }
        self.stages.insert(id.to_owned());
        Ok(())
    }
}

fn refuse_long(id: &str) -> Result<(), String> {
    if id.len() > ID_MAX_BYTES {
        return Err(format!("ids of at most {ID_MAX_BYTES} bytes, as in a plan"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{RunStart, sample};

    fn start_of(planned: Vec<CheckId>) -> Entry {
        Entry::RunStart(Box::new(RunStart { planned, ..RunStart::default() }))
    }

    fn numbered(number: usize) -> CheckId {
        CheckId { stage: format!("s{number}"), check: "runs".to_owned() }
    }

    fn stage(number: usize) -> Entry {
        Entry::StepStart(Step::Stage(format!("s{number}")))
    }

    #[test]
    fn what_a_run_leaves_is_within_them() {
        let mut bounds = Bounds::default();
        for (_, entry) in sample::run() {
            assert_eq!(bounds.admit(&entry), Ok(()), "{entry:?}");
        }
    }

    #[test]
    fn the_largest_plan_is_within_them_and_one_check_more_is_not() {
        let mut bounds = Bounds::default();
        let planned: Vec<_> = (0..CHECKS_MAX).map(numbered).collect();
        assert_eq!(bounds.admit(&start_of(planned.clone())), Ok(()));
        for entry in (0..CHECKS_MAX).map(stage) {
            assert_eq!(bounds.admit(&entry), Ok(()));
        }
        let start = CheckStart { id: numbered(CHECKS_MAX), ..CheckStart::default() };
        let one_more = CheckId { check: "jumps".to_owned(), ..numbered(0) };
        for (entry, expected) in [
            (stage(CHECKS_MAX), "at most 256 stages, as in a plan"),
            (Entry::CheckStart(start), "at most 256 stages, as in a plan"),
            (
                Entry::CheckStart(CheckStart { id: one_more, ..CheckStart::default() }),
                "at most 256 checks, as in a plan",
            ),
        ] {
            assert_eq!(bounds.admit(&entry), Err(expected.to_owned()));
        }
        let planned = planned.into_iter().chain([numbered(CHECKS_MAX)]).collect();
        assert!(Bounds::default().admit(&start_of(planned)).is_err());
    }

    #[test]
    fn a_run_begins_once_and_first() {
        for before in [start_of(Vec::new()), stage(0)] {
            let mut bounds = Bounds::default();
            assert_eq!(bounds.admit(&before), Ok(()));
            let error = bounds.admit(&start_of(Vec::new())).expect_err("comes too late");
            assert_eq!(error, "one testRunStart, before everything that it begins");
        }
    }

    #[test]
    fn ids_and_requirements_are_as_few_and_as_short_as_in_a_plan() {
        let long = Entry::StepStart(Step::Stage("s".repeat(ID_MAX_BYTES + 1)));
        let error = Bounds::default().admit(&long).expect_err("is too long");
        assert_eq!(error, "ids of at most 64 bytes, as in a plan");
        let requirements = vec![String::new(); REQUIREMENTS_MAX / 2 + 1];
        let start = Entry::CheckStart(CheckStart {
            id: numbered(0),
            requirements,
            ..CheckStart::default()
        });
        let mut bounds = Bounds::default();
        assert_eq!(bounds.admit(&start), Ok(()));
        assert!(bounds.admit(&start).is_err());
    }
}
