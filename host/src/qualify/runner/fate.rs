//! What has become of a bundle, decided in one place from what the device itself says.

use firmware_protocol::slot::RejectReason;

use crate::qualify::observation::{DeviceFacts, SlotState, StatusFacts, Where};

use super::Runner;

/// What has become of the bundle and its trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs, confirmed by this run.
    Committed,
    /// It runs on trial.
    OnTrial {
        /// In the boot that this run has seen.
        same_boot: bool,
    },
    /// Its trial is open, and the confirmed version runs.
    Paused,
    /// It lies in its slot and no trial of it was opened.
    Staged,
    /// The confirmed version runs, and the record says how the trial ended.
    Ended(RejectReason),
    /// No trial is open, and the record does not say why.
    Unexplained,
    /// The recovery image runs, where there was a version before.
    InRecovery,
    /// What the device shows is another host's doing.
    TakenOver,
}

/// What this run has asked of its trial; what else was decided on it, another host has decided.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) confirm: bool,
    /// Why the device refused the confirm, if it did.
    pub(super) confirm_refused: Option<String>,
    pub(super) rollback: bool,
}

impl Runner {
    /// What has become of the bundle, by the device's own word.
    pub(super) fn fate(&self, facts: &DeviceFacts, status: &StatusFacts) -> Fate {
        let before = self.before.as_ref();
        let was = before.map(|before| (before.running, before.bundle));
        if facts.running == Where::Recovery && was.is_none_or(|(was, _)| was != Where::Recovery) {
            return Fate::InRecovery;
        }
        let is_new = self.runs_trial(facts);
        let slot = status.slot(self.expect.trial_slot);
        let is_held = slot.is_some_and(|slot| slot.bundle == Some(self.order.bundle));
        let is_old = was == Some((facts.running, facts.bundle));
        if !is_held || !(is_new || is_old) {
            return Fate::TakenOver;
        }
        let ours = self.trial.map(|trial| trial.trial_id);
        match status.trial {
            Some(open) if ours.is_some_and(|ours| ours != open.trial_id) => Fate::TakenOver,
            Some(open) if is_new && open.is_running => {
                let nonce = self.trial.and_then(|trial| trial.boot_nonce);
                Fate::OnTrial { same_boot: nonce == Some(facts.boot_nonce) }
            }
            Some(_) => Fate::Paused,
            None if is_new && status.active == Some(self.expect.trial_slot) => {
                if self.has_confirmed(facts) { Fate::Committed } else { Fate::TakenOver }
            }
            None => self.fate_without_trial(status, ours),
        }
    }

    /// The confirm on record is this run's own. One that was done can still be refused: when its copy meets
    /// the boot behind a restart that nobody asked for.
    fn has_confirmed(&self, facts: &DeviceFacts) -> bool {
        let nonce = self.trial.and_then(|trial| trial.boot_nonce);
        let has_restarted = nonce != Some(facts.boot_nonce) && facts.reset_cause != "requested";
        self.asked.confirm && (self.asked.confirm_refused.is_none() || has_restarted)
    }

    /// No trial is open and the bundle does not run: its slot says why.
    fn fate_without_trial(&self, status: &StatusFacts, ours: Option<u64>) -> Fate {
        let Some(slot) = status.slot(self.expect.trial_slot) else { return Fate::Unexplained };
        let Some(rejection) = slot.rejection else {
            return match (slot.state, ours) {
                (SlotState::Staged, None) => Fate::Staged,
                // Only a host brings a slot back from what ended its trial.
                (SlotState::Staged | SlotState::Writing, Some(_)) => Fate::TakenOver,
                (SlotState::Empty | SlotState::Rejected | SlotState::Admitted, _)
                | (SlotState::Writing, None) => Fate::Unexplained,
            };
        };
        let is_ours = ours.is_none_or(|ours| ours == rejection.trial_id);
        let ended = Fate::Ended(rejection.cause);
        match rejection.cause {
            RejectReason::HostDecided | RejectReason::Withdrawn => {
                if is_ours && self.asked.rollback { ended } else { Fate::TakenOver }
            }
            // Only the confirm of another bundle retires one.
            RejectReason::Retired => Fate::TakenOver,
            // A slot that was confirmed, or is found damaged, is rejected outside of any trial.
            RejectReason::ConfirmedCrashed | RejectReason::Corrupt => ended,
            RejectReason::LeaseExpired
            | RejectReason::BootLimit
            | RejectReason::Crashed
            | RejectReason::PowerLost
            | RejectReason::BootsSpent => {
                if is_ours {
                    ended
                } else {
                    Fate::TakenOver
                }
            }
        }
    }

    pub(super) fn runs_trial(&self, facts: &DeviceFacts) -> bool {
        facts.running == self.expect.trial_slot && facts.bundle == Some(self.order.bundle)
    }
}

/// Whether a trial that ended so shows a failure of the device (promise P10), and what to do next.
/// `has_answered`: its image was heard.
pub(super) const fn after_end(cause: RejectReason, has_answered: bool) -> (bool, &'static str) {
    match cause {
        // An image that answers is alive: its checks took longer than the plan gives a boot.
        RejectReason::BootLimit if has_answered => (false, LONGER_BOOT),
        RejectReason::Crashed
        | RejectReason::BootLimit
        | RejectReason::BootsSpent
        | RejectReason::ConfirmedCrashed => (true, MEND_AFTER_LOG),
        RejectReason::Corrupt => (true, "run the same command again: it writes the bytes anew"),
        // It had a host, which heard nothing: a link that failed, or an image that does not listen.
        RejectReason::LeaseExpired if !has_answered => (false, ONCE_MORE),
        // A cable, a host or a supply that failed is no failure of the image.
        RejectReason::LeaseExpired
        | RejectReason::PowerLost
        | RejectReason::HostDecided
        | RejectReason::Withdrawn
        | RejectReason::Retired => (false, NOTHING_AGAINST),
    }
}

/// A start that nobody asked for, in words.
pub(super) fn restart_in_words(reset_cause: &str) -> String {
    match reset_cause {
        "power_on" | "brown_out" => format!("power failed (reset cause {reset_cause})"),
        _ => format!("the device restarted (reset cause {reset_cause})"),
    }
}

/// What a device runs, in words.
pub(super) fn running_in_words(facts: &DeviceFacts) -> String {
    match facts.running {
        Where::Recovery => "the recovery image".to_owned(),
        Where::SlotA | Where::SlotB => format!("version {} in {}", facts.version, facts.running),
    }
}

/// What to do when the run, and not the device, came to grief.
pub(super) const NOTHING_AGAINST: &str =
    "run the same command again: nothing speaks against the bundle";
const MEND_AFTER_LOG: &str =
    "look at noflake device log; mend the bundle, or deploy it again with --again";
const ONCE_MORE: &str = "run the same command again; if it ends so once more on a link that holds, the image does not listen: \
                         mend the bundle";
const LONGER_BOOT: &str =
    "give the plan a longer boot_max, or shorter checks; then deploy it with --again";
