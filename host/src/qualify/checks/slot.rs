//! The slots are as this point of a deployment demands, so that going back stays possible.

use super::{Claim, Judgement, Next};
use crate::plan::SlotRole;
use crate::qualify::observation::{
    Ask, DeviceFacts, Expectation, Scene, Seen, SlotState, StatusFacts, Where, short_digest,
};

/// Asks what runs, then what the boot record says.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    role: SlotRole,
    facts: Option<DeviceFacts>,
    status: Option<StatusFacts>,
}

impl Slot {
    pub(super) const fn new(role: SlotRole) -> Self {
        Self { role, facts: None, status: None }
    }
}

impl Claim for Slot {
    fn next(&mut self, _now_ms: u64, scene: &Scene<'_>) -> Next {
        match (&self.facts, &self.status) {
            (None, _) => Next::Ask(Ask::Identify),
            (Some(_), None) => Next::Ask(Ask::Status),
            (Some(facts), Some(status)) => {
                let complaints = complaints(self.role, facts.running, status, scene.expect);
                let pass =
                    format!("slots are as {} demands, running from {}", self.role, facts.running);
                Next::Judged(Judgement::from_complaints(pass, &complaints))
            }
        }
    }

    fn see(&mut self, _now_ms: u64, seen: Seen) -> Option<Judgement> {
        match (self.facts.is_some(), seen) {
            (false, Seen::Facts(facts)) => self.facts = Some(facts),
            (true, Seen::Status(status)) => self.status = Some(status),
            (false, seen) => return Some(Judgement::unexpected("device's facts", &seen)),
            (true, seen) => return Some(Judgement::unexpected("boot record", &seen)),
        }
        None
    }
}

fn complaints(
    role: SlotRole,
    running: Where,
    status: &StatusFacts,
    expect: &Expectation,
) -> Vec<String> {
    let new = expect.trial_slot;
    // A bundle never goes to recovery; naming it keeps the function total.
    let old = new.other().unwrap_or(Where::Recovery);
    let (ran, was_active) =
        if expect.from_recovery { (Where::Recovery, expect.confirmed) } else { (old, Some(old)) };
    let (runs, active) = match role {
        SlotRole::Incumbent | SlotRole::Inactive => (ran, was_active),
        SlotRole::Trial => (new, was_active),
        SlotRole::Committed => (new, Some(new)),
    };
    let mut complaints = Vec::new();
    if running != runs {
        complaints.push(format!("running from {running}, expected {runs}"));
    }
    if status.active != active {
        let word =
            |active: Option<Where>| active.map_or("none".to_owned(), |slot| slot.to_string());
        let (got, expected) = (word(status.active), word(active));
        complaints.push(format!("confirmed slot is {got}, expected {expected}"));
    }
    complaints.extend(trial_complaint(role, status, new));
    let admission =
        active.and_then(|slot| admission_complaint(status, slot, &[SlotState::Admitted]));
    complaints.extend(admission);
    if role != SlotRole::Incumbent {
        complaints.extend(bundle_complaints(role, status, expect));
    }
    complaints
}

fn trial_complaint(role: SlotRole, status: &StatusFacts, new: Where) -> Option<String> {
    match (role, status.trial) {
        (SlotRole::Trial, None) => Some(format!("no trial is open, expected one of {new}")),
        (SlotRole::Trial, Some(trial)) if trial.slot != new => {
            Some(format!("trial {} is of {}, expected {new}", trial.trial_id, trial.slot))
        }
        (SlotRole::Trial, Some(_)) | (_, None) => None,
        (_, Some(trial)) => {
            Some(format!("trial {} of {} is open, expected none", trial.trial_id, trial.slot))
        }
    }
}

fn bundle_complaints(role: SlotRole, status: &StatusFacts, expect: &Expectation) -> Vec<String> {
    let new = expect.trial_slot;
    let allowed: &[SlotState] = match role {
        // A slot stays staged until its trial is confirmed.
        SlotRole::Inactive | SlotRole::Trial => &[SlotState::Staged, SlotState::Admitted],
        SlotRole::Incumbent | SlotRole::Committed => &[SlotState::Admitted],
    };
    let mut complaints: Vec<String> =
        admission_complaint(status, new, allowed).into_iter().collect();
    let bundle = status.slot(new).and_then(|slot| slot.bundle);
    if bundle != Some(expect.bundle) {
        let (got, expected) = (short_digest(bundle.as_ref()), short_digest(Some(&expect.bundle)));
        complaints.push(format!("{new} holds {got}, expected {expected}"));
    }
    complaints
}

fn admission_complaint(
    status: &StatusFacts,
    place: Where,
    allowed: &[SlotState],
) -> Option<String> {
    let state = status.slot(place)?.state;
    let words: Vec<String> = allowed.iter().map(SlotState::to_string).collect();
    (!allowed.contains(&state))
        .then(|| format!("{place} is {state}, expected {}", words.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::checks::testing::{answers, expectation, facts, status};
    use crate::qualify::observation::TrialFacts;
    use crate::verdict::AttemptVerdict;

    #[test]
    fn an_open_trial_of_the_new_slot_with_the_old_one_admitted_passes() {
        assert_eq!(judge(SlotRole::Trial, Where::SlotB, status()).verdict, AttemptVerdict::Pass);
    }

    #[test]
    fn a_lost_way_back_fails() {
        let mut lost = status();
        lost.slots[0].state = SlotState::Rejected;
        fails(SlotRole::Trial, Where::SlotB, lost, "slot A is rejected, expected admitted");
    }

    #[test]
    fn a_closed_or_foreign_trial_fails() {
        fails(
            SlotRole::Trial,
            Where::SlotB,
            StatusFacts { trial: None, ..status() },
            "no trial is open",
        );
        let mut foreign = status();
        foreign.trial = foreign.trial.map(|trial| TrialFacts { slot: Where::SlotA, ..trial });
        fails(SlotRole::Trial, Where::SlotB, foreign, "trial 5 is of slot A, expected slot B");
    }

    #[test]
    fn running_from_elsewhere_fails() {
        fails(SlotRole::Trial, Where::SlotA, status(), "running from slot A, expected slot B");
        fails(SlotRole::Trial, Where::Recovery, status(), "running from recovery, expected slot B");
    }

    #[test]
    fn before_the_trial_the_old_slot_runs_and_no_trial_is_open() {
        let before = StatusFacts { trial: None, ..status() };
        assert_eq!(
            judge(SlotRole::Incumbent, Where::SlotA, before.clone()).verdict,
            AttemptVerdict::Pass
        );
        assert_eq!(judge(SlotRole::Inactive, Where::SlotA, before).verdict, AttemptVerdict::Pass);
        fails(
            SlotRole::Incumbent,
            Where::SlotA,
            status(),
            "trial 5 of slot B is open, expected none",
        );
    }

    #[test]
    fn after_confirm_the_new_slot_is_the_confirmed_one() {
        let after = StatusFacts { trial: None, active: Some(Where::SlotB), ..status() };
        assert_eq!(judge(SlotRole::Committed, Where::SlotB, after).verdict, AttemptVerdict::Pass);
        fails(
            SlotRole::Committed,
            Where::SlotB,
            status(),
            "confirmed slot is slot A, expected slot B",
        );
    }

    #[test]
    fn another_bundle_in_the_new_slot_fails() {
        let mut other = status();
        other.slots[1].bundle = Some([8; 32]);
        fails(SlotRole::Trial, Where::SlotB, other, "slot B holds 0808080808080808, expected 0707");
    }

    /// There is nothing to go back to, and that is no fault of the bundle that is to bring the device back.
    #[test]
    fn a_device_that_came_from_recovery_needs_no_way_back() {
        let mut lost = status();
        (lost.active, lost.slots[0].state) = (None, SlotState::Empty);
        fails(SlotRole::Trial, Where::SlotB, lost.clone(), "confirmed slot is none");
        let expect = Expectation { from_recovery: true, confirmed: None, ..expectation() };
        assert_eq!(complaints(SlotRole::Trial, Where::SlotB, &lost, &expect), Vec::<String>::new());
        let before = StatusFacts { trial: None, ..lost };
        let none = complaints(SlotRole::Inactive, Where::Recovery, &before, &expect);
        assert_eq!(none, Vec::<String>::new());
        let kept = Expectation { confirmed: Some(Where::SlotA), ..expect };
        let told = complaints(SlotRole::Trial, Where::SlotB, &before, &kept).join("; ");
        assert!(told.contains("confirmed slot is none, expected slot A"), "{told}");
    }

    fn fails(role: SlotRole, running: Where, status: StatusFacts, expected: &str) {
        let judgement = judge(role, running, status);
        assert_eq!(judgement.verdict, AttemptVerdict::Fail);
        assert!(judgement.reason.contains(expected), "{expected} is not in {}", judgement.reason);
    }

    fn judge(role: SlotRole, running: Where, status: StatusFacts) -> Judgement {
        let seen = vec![Seen::Facts(DeviceFacts { running, ..facts() }), Seen::Status(status)];
        answers(&mut Slot::new(role), &expectation(), None, seen)
    }
}
