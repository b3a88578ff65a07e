//! Reads `[[stage]]` and judges the plan as a whole.

use std::collections::BTreeMap;

use super::check_reader::{self, Context};
use super::head::Timeouts;
use super::section::Section;
use super::stage::{SlotRole, Stage, StageKind};
use super::{CHECKS_MAX, Severity};

const KINDS: [(&str, Option<StageKind>); 8] = [
    ("preflight", Some(StageKind::Preflight)),
    ("iq", Some(StageKind::Iq)),
    ("oq", Some(StageKind::Oq)),
    ("compare", None),
    ("pq", Some(StageKind::Pq)),
    ("drill", None),
    ("commit", Some(StageKind::Commit)),
    ("post", Some(StageKind::Post)),
];

const SLOTS: [(&str, SlotRole); 4] = [
    ("incumbent", SlotRole::Incumbent),
    ("inactive", SlotRole::Inactive),
    ("trial", SlotRole::Trial),
    ("committed", SlotRole::Committed),
];

/// Reads all stages; problems are reported, so an incomplete list is never used.
pub(super) fn stages(root: &mut Section<'_>, timeouts: &Timeouts) -> Vec<Stage> {
    let sections = root.tables("stage");
    let mut lines = Lines::default();
    let stages: Vec<Stage> =
        sections.into_iter().filter_map(|section| stage(section, timeouts, &mut lines)).collect();
    judge_order(root, &stages);
    judge_size(root, lines.checks.len());
    let read_count: usize = stages.iter().map(|stage| stage.checks.len()).sum();
    if root.has("stage") {
        // A check that could not be read may be the one that rejects.
        if read_count >= lines.checks.len() {
            judge_power(root, &stages);
        }
    } else {
        root.problem("the plan has no stage; add [[stage]] with at least one [[stage.check]]");
    }
    stages
}

/// Where each id was first used.
#[derive(Default)]
struct Lines {
    stages: BTreeMap<String, u32>,
    checks: BTreeMap<String, u32>,
}

fn stage(mut section: Section<'_>, timeouts: &Timeouts, lines: &mut Lines) -> Option<Stage> {
    let id = section.required_id("id");
    if let Some(id) = &id {
        section.call(format!("stage `{id}`"));
        refuse_repeat(&section, id, &mut lines.stages);
    }
    let kind = kind(&mut section);
    let slot = slot(&mut section, kind);
    let checks = checks(&mut section, Context { role: slot, timeouts }, &mut lines.checks);
    let line = section.line();
    section.finish();
    Some(Stage { id: id?, kind, slot, line, checks })
}

fn kind(section: &mut Section<'_>) -> StageKind {
    match section.choice("kind", &KINDS) {
        Some(Some(kind)) => return kind,
        Some(None) => section.problem_at(
            section.at("kind"),
            "this stage kind is not supported yet by this version (supported: preflight, iq, oq, \
                pq, commit, post)",
        ),
        None => {}
    }
    StageKind::Oq
}

fn slot(section: &mut Section<'_>, kind: StageKind) -> SlotRole {
    let default = kind.default_slot();
    let slot = section.choice("slot", &SLOTS).unwrap_or(default);
    if !kind.allows(slot) {
        let text = format!(
            "a stage of this kind cannot run on slot \"{slot}\"; write slot = \"{default}\" or \
                leave it out"
        );
        section.problem_at(section.at("slot"), text);
    }
    slot
}

fn checks(
    section: &mut Section<'_>,
    context: Context<'_>,
    lines: &mut BTreeMap<String, u32>,
) -> Vec<super::Check> {
    let sections = section.tables("check");
    if sections.is_empty() {
        section.problem("the stage has no check; add [[stage.check]] or drop the stage");
    }
    let read =
        |check| check_reader::check(check, context, |check, id| refuse_repeat(check, id, lines));
    sections.into_iter().filter_map(read).collect()
}

fn refuse_repeat(section: &Section<'_>, id: &str, lines: &mut BTreeMap<String, u32>) {
    if let Some(first) = lines.get(id) {
        section.problem(format!(
            "the id `{id}` is already used on line {first}; ids are unique in a plan"
        ));
    } else {
        lines.insert(id.to_owned(), section.line());
    }
}

fn judge_order(root: &Section<'_>, stages: &[Stage]) {
    for (before, stage) in stages.iter().zip(stages.iter().skip(1)) {
        if stage.kind.rank() < before.kind.rank() {
            root.problem_at_line(
                stage.line,
                format!(
                    "stage `{}` comes too late; the order is preflight, then iq, oq and pq, \
                    then commit, then post",
                    stage.id
                ),
            );
        }
    }
}

fn judge_size(root: &Section<'_>, check_count: usize) {
    if check_count > CHECKS_MAX {
        root.problem(format!(
            "the plan has {check_count} checks, at most {CHECKS_MAX} are run; split it"
        ));
    }
}

/// A plan that could not reject, or never looks at the new version, would commit without evidence.
fn judge_power(root: &Section<'_>, stages: &[Stage]) {
    let on_trial = stages.iter().filter(|stage| stage.slot == SlotRole::Trial);
    let mut checks = on_trial.flat_map(|stage| &stage.checks);
    if !checks.any(|check| check.severity != Severity::Info) {
        root.problem(
            "no check on slot \"trial\" has severity \"blocker\" or \"major\", so \
            nothing could reject the new version; add one",
        );
    }
}
