//! Before anything is written: is this the right device, what has it, and what did earlier runs leave?
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a step knows the sightings that carry it on; every other one is told in words"
)]

use firmware_protocol::planted::Defence;
use firmware_protocol::root::LifeCycle;

use crate::evidence::{Entry, Moment, NoteSeverity, Outcome, Phase, Verb};
use crate::plan::SlotRole;
use crate::qualify::observation::{DeviceFacts, StatusFacts, TrialFacts, Where};

use super::act::{Act, ComponentHash, Saw};
use super::{Reached, Runner, State, TrialOpen, notes};

const ROOT_IS_LOST: &str = "flash has lost the root record that the device is enrolled under";

impl Runner {
    /// The device answered for the first time, or again after an earlier run's trial was given up.
    pub(super) fn connected(&mut self, now_ms: u64, saw: Saw) {
        match saw {
            Saw::Connected { facts, status, .. } => self.look_at(now_ms, &facts, &status),
            other => self.cannot_reach(now_ms, &other),
        }
    }

    fn cannot_reach(&mut self, now_ms: u64, saw: &Saw) {
        let refused = match saw {
            Saw::Refused { reason, next, is_stale: false } => {
                Some((format!("the device refused: {reason}"), next))
            }
            Saw::NotMet { reason, next } => Some((reason.clone(), next)),
            _ => None,
        };
        if let Some((message, next)) = refused {
            self.end(now_ms, Outcome::Refused, message, Some(next));
            return;
        }
        let message = format!("no device was reached: {}", saw.in_words());
        let next = match saw {
            Saw::Lost { next, .. } | Saw::Refused { next, .. } => next,
            _ => "check cable, port and power, then run the same command again",
        };
        self.end(now_ms, Outcome::Error, message, Some(next));
    }

    fn look_at(&mut self, now_ms: u64, facts: &DeviceFacts, status: &StatusFacts) {
        if self.before.is_none() {
            let recorded = Box::new(notes::facts_for_record(facts));
            let (phase, moment) = (Phase::Precheck, Moment::Before);
            self.record(now_ms, Entry::Device { phase, moment, facts: recorded });
        }
        self.before = Some(facts.clone());
        self.expect.hardware.clone_from(&facts.hardware);
        let confirmed = status.active.and_then(Where::other);
        self.expect.trial_slot = facts.running.other().or(confirmed).unwrap_or(Where::SlotA);
        self.expect.from_recovery = facts.running == Where::Recovery;
        self.expect.confirmed = status.active;
        if let Some((reason, next)) = self.mismatch(facts) {
            self.end_seeing(now_ms, Outcome::Refused, reason, Some(&next), facts);
            return;
        }
        // In the field it believes nobody before it has that record again: no trial can be dealt with either.
        if facts.life_cycle == LifeCycle::Field && self.refuse_without_root(now_ms, facts) {
            return;
        }
        if let Some(trial) = status.trial {
            self.deal_with_trial(now_ms, status, trial);
            return;
        }
        let runs_it = facts.bundle == Some(self.order.bundle);
        if runs_it && self.order.verb == Verb::Deploy {
            self.state = State::ComparingRunning;
            self.act(Act::HashSlot { slot: facts.running });
        } else if !self.refuse_without_root(now_ms, facts) {
            self.look_at_spare(now_ms, status);
            self.state = State::Planning;
        }
    }

    /// A device that has lost its root record takes no bundle, and is told so before anything is staged.
    fn refuse_without_root(&mut self, now_ms: u64, facts: &DeviceFacts) -> bool {
        if facts.root_is_lost {
            let message = format!("{ROOT_IS_LOST}: without it the device takes no bundle");
            let next = self.mend_root();
            self.end_seeing(now_ms, Outcome::Refused, message, Some(&next), facts);
        }
        facts.root_is_lost
    }

    /// How it gets its root record back, and goes on with this order.
    fn mend_root(&self) -> String {
        match self.order.verb {
            Verb::Deploy => self.order.recover.clone(),
            Verb::Qualify => {
                "noflake device enroll, with the root record that it is enrolled under; then run \
                              the same command again"
                    .to_owned()
            }
        }
    }

    /// Why this bundle and this device do not belong together, and what to do about it.
    fn mismatch(&self, facts: &DeviceFacts) -> Option<(String, String)> {
        let order = &self.order;
        if Defence::HardwareMatch.is_off() {
            return None;
        }
        if facts.product != order.product {
            let reason = format!(
                "the bundle is for product {}, the device is a {}",
                order.product, facts.product
            );
            let next = "take the bundle for this product; nothing was written";
            return Some((reason, next.to_owned()));
        }
        let fits = order.hardware.iter().any(|(id, first, last)| {
            *id == facts.hardware && (*first..=*last).contains(&facts.hardware_rev)
        });
        if !fits {
            let wanted: Vec<String> = order
                .hardware
                .iter()
                .map(|(id, first, last)| format!("{id} revision {first} to {last}"))
                .collect();
            let reason = format!(
                "the bundle is for {}, the device is {} revision {}",
                wanted.join(" or "),
                facts.hardware,
                facts.hardware_rev
            );
            let next = "take the bundle for this hardware; nothing was written";
            return Some((reason, next.to_owned()));
        }
        if !facts.is_enrolled() && facts.running == Where::Recovery {
            let reason = "the device runs its recovery image and has no root record: it is new, or has lost \
                          its boot record";
            return Some((reason.to_owned(), order.recover.clone()));
        }
        if !facts.is_enrolled() {
            let reason = "the device is in factory state: it has no root record";
            let next = "noflake device enroll, then run the same command again";
            return Some((reason.to_owned(), next.to_owned()));
        }
        let applies = order.plan.applies_to.admit(&facts.product, facts.hardware_rev);
        applies.err().map(|reason| (reason.to_string(), "take a plan for this device".to_owned()))
    }

    /// An earlier run left a trial open: goes on with it if it is this run's own bundle and plan and
    /// has boots left, else gives it up first. What another bundle or plan has on trial may be held for
    /// somebody to decide on, so it is left alone unless this run is to take the device over.
    fn deal_with_trial(&mut self, now_ms: u64, status: &StatusFacts, trial: TrialFacts) {
        let holds = status.slot(trial.slot).and_then(|slot| slot.bundle);
        let is_ours = holds == Some(self.order.bundle) && trial.plan == self.expect.plan;
        // Checks before the trial demand that none is open.
        let starts_on_trial = self
            .order
            .plan
            .stages
            .iter()
            .all(|stage| matches!(stage.slot, SlotRole::Trial | SlotRole::Committed));
        if is_ours && trial.boots_left > 0 && !trial.is_running && starts_on_trial {
            let text = format!(
                "an earlier run left trial {} of this bundle open; this run goes on with it",
                trial.trial_id
            );
            self.note(now_ms, NoteSeverity::Info, text);
            self.expect.trial_slot = trial.slot;
            self.trial = Some(TrialOpen {
                trial_id: trial.trial_id,
                boot_nonce: None,
                crash_left: Some(trial.crash_left),
            });
            self.reached = Reached::Staged;
            self.state = State::Planning;
            return;
        }
        if !is_ours && !self.order.take_over {
            let message = format!(
                "trial {} of another bundle or plan is open in {}",
                trial.trial_id, trial.slot
            );
            let next = "noflake device status --explain; noflake device rollback ends that trial, \
                        as does this command with --take-over";
            self.end(now_ms, Outcome::Refused, message, Some(next));
            return;
        }
        self.swept = Some(trial.trial_id);
        let text = format!(
            "an earlier run left trial {} open; it is rolled back and this run starts over",
            trial.trial_id
        );
        self.note(now_ms, NoteSeverity::Info, text);
        // What the earlier run did not finish says nothing against the bundle.
        self.again |= holds == Some(self.order.bundle);
        self.state = State::RollingBackOld { resets: trial.is_running };
        self.act(Act::Rollback { trial_id: trial.trial_id, blames_bundle: false });
    }

    pub(super) fn old_rolled_back(&mut self, now_ms: u64, saw: Saw, resets: bool) {
        let was_in_trial = self.before.take();
        let limit_ms = self.order.plan.timeouts.connect_ms;
        match saw {
            Saw::Done => {
                // Only a device that ran the trial resets; the other one answers at once.
                let not_boot = was_in_trial.filter(|_| resets).map(|facts| facts.boot_nonce);
                self.state = State::Connecting;
                self.act(Act::Connect { until_ms: now_ms.saturating_add(limit_ms), not_boot });
            }
            Saw::Refused { is_stale: true, .. } | Saw::Lost { .. } => {
                self.state = State::Connecting;
                let until_ms = now_ms.saturating_add(limit_ms);
                self.act(Act::Connect { until_ms, not_boot: None });
            }
            other => {
                let message = format!("an open trial cannot be given up: {}", other.in_words());
                self.end(
                    now_ms,
                    Outcome::Refused,
                    message,
                    Some("noflake device status --explain"),
                );
            }
        }
    }

    /// A bundle that the device gave up for no fault of its own may be tried again without being
    /// asked for.
    fn look_at_spare(&mut self, now_ms: u64, status: &StatusFacts) {
        let Some(slot) = status.slot(self.expect.trial_slot) else { return };
        let Some(rejection) = slot.rejection.filter(|_| slot.bundle == Some(self.order.bundle))
        else {
            return;
        };
        if !rejection.blames_bundle && !self.again {
            let text = format!(
                "trial {} of this bundle ended because {}; it is tried again",
                rejection.trial_id, rejection.reason
            );
            self.note(now_ms, NoteSeverity::Info, text);
            self.again = true;
        }
    }

    /// The bundle runs already: is every byte of it as it should be?
    pub(super) fn compared(&mut self, now_ms: u64, saw: Saw) {
        let hashes = match saw {
            Saw::Hashes(hashes) => hashes,
            // The device restarted in between, and is looked at anew.
            Saw::Refused { is_stale: true, .. } if self.may_retry() => {
                let limit_ms = self.order.plan.timeouts.connect_ms;
                self.state = State::Connecting;
                self.act(Act::Connect {
                    until_ms: now_ms.saturating_add(limit_ms),
                    not_boot: None,
                });
                return;
            }
            other => {
                self.cannot_reach(now_ms, &other);
                return;
            }
        };
        let drifted: Vec<&str> = hashes
            .iter()
            .filter(|hash| !hash.matches)
            .map(|ComponentHash { name, .. }| name.as_str())
            .collect();
        let Some(before) = self.before.clone() else { return };
        if drifted.is_empty() {
            let done = match self.swept {
                None => "nothing was written".to_owned(),
                Some(trial_id) => format!("trial {trial_id} was ended, no image was written"),
            };
            let message = format!(
                "version {} runs already from {}, byte for byte; {done}",
                before.version, before.running
            );
            if before.root_is_lost {
                let message = format!("{message}; but {ROOT_IS_LOST}, and takes no other bundle");
                let next = self.mend_root();
                self.end_seeing(now_ms, Outcome::AlreadyRunning, message, Some(&next), &before);
            } else {
                self.end_seeing(now_ms, Outcome::AlreadyRunning, message, None, &before);
            }
            return;
        }
        if self.refuse_without_root(now_ms, &before) {
            return;
        }
        let text = format!(
            "version {} runs, but {} differs from the bundle (drift); it is deployed anew",
            before.version,
            drifted.join(", ")
        );
        self.note(now_ms, NoteSeverity::Warning, text);
        self.state = State::Planning;
    }
}
