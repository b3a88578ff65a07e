//! The qualification plan: what is checked, in which order, against which limits.
//!
//! A plan is TOML with `schema = "qualplan/1"`; docs/QUALIFICATION.md is its reference. Reading is
//! strict, because a plan gates a commit: an unknown key, an impossible limit or a feature that
//! this version lacks is an error and never ignored. All problems are reported at once, each with
//! its line. This module knows no device: `qualify` runs what is read here.

mod asked;
mod canonical;
mod check;
mod check_reader;
mod duration;
mod error;
mod head;
mod head_reader;
mod kind_reader;
mod limits;
mod section;
mod stage;
mod stage_reader;

pub use asked::{Asked, AsksTooMuch, asked};
pub use check::{
    Check, CheckKind, LinkMetric, Retry, RetryOn, SELFTEST_MIN_CHECKS, Severity, TimeLimits,
    TimeUnit,
};
pub use error::{PlanError, Problem};
pub use head::{AppliesTo, Level, NotApplicable, OnFail, OnInconclusive, Policy, Timeouts};
pub use stage::{SlotRole, Stage, StageKind};

use firmware_protocol::boot::MAX_ARMED;
use toml::de::DeTable;

use error::Problems;
use section::Section;

/// The schema this version reads.
pub const SCHEMA: &str = "qualplan/1";

/// Largest plan text, in bytes; bounds the work that an untrusted bundle can ask for.
pub const PLAN_BYTES_MAX: usize = 256 * 1024;

/// Most checks in a plan, all stages together.
pub const CHECKS_MAX: usize = 256;

/// Longest id of a stage or a check, in bytes.
pub const ID_MAX_BYTES: usize = 64;

/// The text of the built-in plan, for `report` and for users who want a plan to start from.
pub const DEFAULT_DEPLOY: &str = include_str!("plan/default_deploy.toml");

/// A plan that was read and found sound.
///
/// ```
/// use noflake::plan::Plan;
///
/// let plan = Plan::parse(
///     r#"
///     schema = "qualplan/1"
///     [plan]
///     id = "smoke"
///     version = "1"
///     [[stage]]
///     id = "oq"
///     [[stage.check]]
///     id = "runs"
///     kind = "identity"
///     "#,
///     "smoke.toml",
/// )?;
/// assert_eq!(plan.checks().count(), 1);
/// # Ok::<(), noflake::plan::PlanError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Stable id; part of report names.
    pub id: String,
    /// Version of the plan, as its author counts.
    pub version: String,
    /// How much the plan asks for.
    pub level: Level,
    /// What the plan may be run against.
    pub applies_to: AppliesTo,
    /// Requirements that the whole plan covers.
    pub requirements: Vec<String>,
    /// Time limits of the run.
    pub timeouts: Timeouts,
    /// What a verdict leads to.
    pub policy: Policy,
    /// Stages in the order they run; never empty.
    pub stages: Vec<Stage>,
    digest: [u8; 32],
}

impl Plan {
    /// Reads a plan; `origin` is the path or name that errors show.
    ///
    /// # Errors
    /// [`PlanError`] with every problem found, in line order.
    pub fn parse(text: &str, origin: &str) -> Result<Self, PlanError> {
        let problems = Problems::new(text);
        let plan = read(text, &problems);
        match (plan, problems.into_sorted()) {
            (Some(plan), found) if found.is_empty() => Ok(plan),
            (_, problems) => Err(PlanError { origin: origin.to_owned(), problems }),
        }
    }

    /// Reads the built-in plan, used when a bundle carries none: the new image itself answers, from
    /// the trial slot, with its status checks in order and over a working link.
    ///
    /// # Errors
    /// None as shipped: a test reads it. The type is that of [`Plan::parse`], so that both
    /// sources of a plan are used alike.
    pub fn default_deploy() -> Result<Self, PlanError> {
        Self::parse(DEFAULT_DEPLOY, "built-in plan deploy-default")
    }

    /// SHA-256 of the canonical form: comments, white space, key order and the spelling of numbers
    /// and strings do not change it, anything else does.
    ///
    /// It covers what the author wrote and not the defaults, which `qualplan/1` fixes: a later
    /// version of the tool computes the same digest. The bytes are described in
    /// docs/QUALIFICATION.md, "Plan digest".
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Boots in a row that the device may make of the trial image until it answers: one, and where a
    /// check judges their number one more than it allows, so that the one too many can be seen.
    #[must_use]
    pub fn boots_until_ready(&self) -> u8 {
        let allowed = self.checks().filter_map(|(_, check)| {
            if let CheckKind::Boot { max_attempts, .. } = check.kind { max_attempts } else { None }
        });
        let most = allowed.max().unwrap_or(0).saturating_add(1);
        u8::try_from(most).unwrap_or(MAX_ARMED).min(MAX_ARMED)
    }

    /// All checks in the order they run, each with its stage.
    pub fn checks(&self) -> impl Iterator<Item = (&Stage, &Check)> {
        self.stages.iter().flat_map(|stage| stage.checks.iter().map(move |check| (stage, check)))
    }
}

fn read(text: &str, problems: &Problems) -> Option<Plan> {
    if text.len() > PLAN_BYTES_MAX {
        problems.add_without_line(format!(
            "the plan is {} bytes long, at most {PLAN_BYTES_MAX} bytes are read; split it",
            text.len()
        ));
        return None;
    }
    match DeTable::parse(text) {
        Ok(document) => {
            let root = Section::root(document.get_ref(), problems);
            read_root(root, canonical::digest(document.get_ref()))
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            problems.add(at, format!("not valid TOML: {}", error.message().replace('\n', ", ")));
            None
        }
    }
}

fn read_root(mut root: Section<'_>, digest: [u8; 32]) -> Option<Plan> {
    read_schema(&mut root)?;
    let identity = root.required_table("plan").and_then(head_reader::identity);
    let timeouts = head_reader::timeouts(root.table("timeouts"));
    let policy = head_reader::policy(root.table("policy"));
    let stages = stage_reader::stages(&mut root, &timeouts);
    root.later(&["bench", "variant", "extends"], "schema, plan, timeouts, policy, stage");
    root.finish();
    let head_reader::Identity { id, version, level, applies_to, requirements } = identity?;
    Some(Plan { id, version, level, applies_to, requirements, timeouts, policy, stages, digest })
}

/// Another schema makes every later message noise, so nothing else of such a plan is read.
fn read_schema(root: &mut Section<'_>) -> Option<()> {
    let (schema, at) = root.required_text("schema")?;
    if schema == SCHEMA {
        return Some(());
    }
    root.problem_at(
        at,
        format!(
            "schema is \"{schema}\", this version reads \"{SCHEMA}\"; write schema = \
            \"{SCHEMA}\" or use a matching noflake"
        ),
    );
    None
}

#[cfg(test)]
mod tests;
