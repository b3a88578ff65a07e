//! What has happened so far, as far as the promises need it: kept beside the machines, and by none of them.

use firmware_protocol::boot::{Blame, BootRow, BootState, Start};
use firmware_protocol::slot::{SlotId, SlotState};
use firmware_protocol::start::Handover;

use super::question::Question;
use super::scene::{BOOTS, Scene};

/// A promise that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its id (design, "Promises"; TESTING.md).
    pub promise: &'static str,
    /// What was seen.
    pub seen: String,
}

/// A trial's boot: the trial, and the nonce of the boot.
pub type TrialBoot = (u32, u64);

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each can happen to a run without the others")]
pub struct Witness {
    /// Boots that are armed and were not begun.
    armed: u8,
    /// Boots of the open trial.
    boots: u16,
    /// The boots that have told who they are, what their record says, and a value within its limits.
    pub identified: Option<TrialBoot>,
    /// See `identified`.
    pub told_status: Option<TrialBoot>,
    /// See `identified`.
    pub passed: Option<TrialBoot>,
    /// The boot that a host whose checks have passed has asked to keep.
    pub judged: Option<TrialBoot>,
    /// This run has seen a check fail.
    pub has_failed: bool,
    /// The trial's image has crashed in this run, or its boot took too long.
    pub has_crashed: bool,
    /// Something went wrong in this run that is no verdict of a check.
    pub was_disturbed: bool,
    /// The operator has stopped this run.
    pub was_stopped: bool,
    /// The slot that was confirmed when this run began.
    pub found: Option<SlotId>,
}

impl Witness {
    /// Another run begins, on a device with this slot confirmed.
    pub const fn begin_run(&mut self, confirmed: Option<SlotId>) {
        self.found = confirmed;
        self.has_failed = false;
        self.has_crashed = false;
        self.was_disturbed = false;
        self.was_stopped = false;
    }

    /// Holds what a start has made of the record against what it may do.
    ///
    /// # Errors
    /// What it may not.
    pub fn started(
        &mut self,
        before: &BootState,
        after: &BootState,
        handover: &Handover,
    ) -> Result<(), Violation> {
        if before.active != after.active && !falls_back(before, handover) {
            return broken("P2", "a start has changed the confirmed slot".to_owned());
        }
        floor_stays(before, after)?;
        let Some(trial) = after.trial else {
            (self.armed, self.boots) = (0, 0);
            return Ok(());
        };
        let runs = handover.row == BootRow::TrialArmed;
        if runs {
            if handover.start != Start::Slot(trial.slot) || self.armed == 0 {
                let seen = format!("trial {} runs and no boot is armed", trial.trial_id);
                return broken("P2", seen);
            }
            self.boots += 1;
        }
        if trial.armed > self.armed - u8::from(runs) {
            return broken("P2", format!("{} boots are armed behind this start", trial.armed));
        }
        if trial.boots_left > BOOTS.saturating_sub(self.boots) {
            let (boots, left) = (self.boots, trial.boots_left);
            return broken("P2", format!("{left} boots are left behind {boots} of {BOOTS}"));
        }
        self.armed = trial.armed;
        Ok(())
    }

    /// Holds a change of the record in a boot against what was asked; `nonce` names the boot.
    ///
    /// # Errors
    /// What nobody has asked for.
    pub fn changed(
        &mut self,
        before: &BootState,
        after: &BootState,
        asked: Option<Question>,
        nonce: u64,
        scene: &Scene,
    ) -> Result<(), Violation> {
        if before.active == after.active {
            floor_stays(before, after)?;
        } else {
            self.confirmed(before, after, asked, nonce, scene)?;
        }
        let armed = after.trial.map_or(0, |trial| trial.armed);
        let id = |state: &BootState| state.trial.map(|trial| trial.trial_id);
        if id(before) != id(after) {
            (self.armed, self.boots) = (0, 0);
            if after.trial.is_some() && !matches!(asked, Some(Question::OpenTrial { .. })) {
                return broken("P2", "a trial is open that nobody has opened".to_owned());
            }
        }
        if armed != self.armed {
            match asked {
                Some(Question::Arm { trial_id, boots })
                    if id(after) == Some(trial_id) && boots == armed =>
                {
                    self.armed = armed;
                }
                _ => return broken("P2", format!("{armed} boots are armed, unasked")),
            }
        }
        Ok(())
    }

    fn confirmed(
        &self,
        before: &BootState,
        after: &BootState,
        asked: Option<Question>,
        nonce: u64,
        scene: &Scene,
    ) -> Result<(), Violation> {
        let Some(trial) = before.trial else {
            return broken("P2", "the confirmed slot changes without a trial".to_owned());
        };
        let this = (trial.trial_id, nonce);
        let is_asked = matches!(asked, Some(Question::Confirm { trial_id, boot_nonce })
            if (trial_id, boot_nonce) == this);
        if !is_asked {
            return broken("P2", format!("the confirmed slot changes on {asked:?}"));
        }
        if self.judged != Some(this) {
            return broken("P2", "a boot is kept whose checks have not passed".to_owned());
        }
        if trial.plan.0 != scene.order.plan.digest() {
            return broken("P2", "another plan has judged this trial".to_owned());
        }
        let expected = before.accept_floor.max(scene.new_release().security_version);
        if after.accept_floor != expected {
            return broken("I4", format!("the floor is {} behind a confirm", after.accept_floor));
        }
        let admitted = SlotState::Admitted { bundle: scene.new_release().digest };
        if after.active != Some(trial.slot) || *after.slots.get(trial.slot) != admitted {
            return broken("P2", format!("confirmed: {:?}", after.active));
        }
        if after.trial.is_some() {
            return broken("P2", "a trial is open behind its confirm".to_owned());
        }
        Ok(())
    }
}

/// The confirmed image has used up its crashes, and there is another one that was confirmed before.
fn falls_back(before: &BootState, handover: &Handover) -> bool {
    let fallback = before.active.map(|slot| *before.slots.get(slot.other()));
    before.crash_left <= 1
        && handover.cause.blame() == Blame::Image
        && handover.row == BootRow::FallbackCrashed
        && matches!(fallback, Some(SlotState::Admitted { .. }))
}

fn floor_stays(before: &BootState, after: &BootState) -> Result<(), Violation> {
    if before.accept_floor == after.accept_floor {
        return Ok(());
    }
    let seen = format!("the floor goes from {} to {}", before.accept_floor, after.accept_floor);
    broken("I4", seen)
}

/// A promise does not hold.
///
/// # Errors
/// Always.
pub fn broken<T>(promise: &'static str, seen: String) -> Result<T, Violation> {
    Err(Violation { promise, seen })
}
