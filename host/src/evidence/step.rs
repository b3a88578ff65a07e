//! The steps of a run: phases of the deployment and stages of the plan.
//!
//! Both are test steps in OCP-TV. A stage runs inside the phase `checks`.

use serde::{Deserialize, Serialize};

/// A part of a deployment, in the order of one that succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Identity, trust and floors are looked at; nothing is written.
    Precheck,
    /// The bundle goes into the spare slot.
    Stage,
    /// What was written is read back and hashed.
    ReadBack,
    /// The device boots the spare slot, unproven.
    Trial,
    /// The plan's checks run.
    Checks,
    /// The trial becomes permanent.
    Confirm,
    /// The device goes back to its old slot.
    Rollback,
    /// What runs now is read from its own answer.
    Verify,
}

/// A phase of the deployment or a stage of the plan: a test step in OCP-TV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A phase of the deployment.
    Phase(Phase),
    /// A stage of the plan, by its id.
    Stage(String),
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Done now.
    Done,
    /// Nothing to do: it was done before.
    FoundDone,
    /// Done, from where an earlier run had stopped.
    Resumed,
    /// Done, after taking over the session of another host.
    TakenOver,
    /// Left out for a stated reason.
    Skipped,
    /// The device said no.
    Refused,
    /// The device did not do what it should.
    Failed,
    /// The device went back to its old slot by itself.
    WentBack,
    /// The bench, the link or the tool failed; says nothing about the device.
    Error,
    /// Stopped by the operator.
    Interrupted,
}

impl Phase {
    /// Every phase, in the order of a deployment.
    pub const ALL: [Self; 8] = [
        Self::Precheck,
        Self::Stage,
        Self::ReadBack,
        Self::Trial,
        Self::Checks,
        Self::Confirm,
        Self::Rollback,
        Self::Verify,
    ];

    /// The name in records and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Precheck => "precheck",
            Self::Stage => "stage",
            Self::ReadBack => "read-back",
            Self::Trial => "trial",
            Self::Checks => "checks",
            Self::Confirm => "confirm",
            Self::Rollback => "rollback",
            Self::Verify => "verify",
        }
    }
}

impl Step {
    /// The `testStepId`. Phases and stages have prefixes, so a stage may be called `trial`.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Phase(phase) => format!("{PHASE_PREFIX}{}", phase.name()),
            Self::Stage(stage) => format!("{STAGE_PREFIX}{stage}"),
        }
    }

    /// Reads what [`Self::id`] wrote.
    pub(super) fn from_id(id: &str) -> Option<Self> {
        if let Some(stage) = id.strip_prefix(STAGE_PREFIX) {
            return Some(Self::Stage(stage.to_owned()));
        }
        let name = id.strip_prefix(PHASE_PREFIX)?;
        Phase::ALL.into_iter().find(|phase| phase.name() == name).map(Self::Phase)
    }
}

const PHASE_PREFIX: &str = "deploy.";
const STAGE_PREFIX: &str = "checks.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_id_names_its_step_even_if_a_stage_is_called_like_a_phase() {
        let stages = ["oq", "trial", "deploy.trial", ""].map(|id| Step::Stage(id.to_owned()));
        for step in Phase::ALL.map(Step::Phase).into_iter().chain(stages) {
            assert_eq!(Step::from_id(&step.id()), Some(step));
        }
    }

    #[test]
    fn an_unknown_step_id_is_none() {
        for id in ["", "deploy.", "deploy.lunch", "trial"] {
            assert_eq!(Step::from_id(id), None, "{id}");
        }
    }
}
