//! A device as its record would have it, and what the runner sees of it.

use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::RejectReason;

use super::*;
use crate::qualify::observation::{
    Ask, CheckInfo, Rejection, SlotFacts, SlotState, TrialFacts, Where,
};

/// What happens to one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// It never reaches the device.
    Before,
    /// The device did it; its answer is lost.
    Behind,
    /// It never reaches the device, which is reset by something else meanwhile.
    Reset,
    /// The device did it and restarted; what answers is the new boot, to a second copy of it.
    Twice,
    /// It never reaches the device, whose image crashes instead.
    Crash,
}

/// A device as its record would have it.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
pub(super) struct World {
    pub(super) now_ms: u64,
    pub(super) running: Where,
    pub(super) active: Where,
    /// Slot A holds what can be started; else the recovery image takes its place.
    pub(super) old_starts: bool,
    pub(super) staged: bool,
    pub(super) admitted: bool,
    pub(super) trial: Option<TrialFacts>,
    pub(super) rejected: bool,
    pub(super) nonce: u64,
    pub(super) rail_v: f64,
    pub(super) confirms: u32,
    /// So many starts of the trial image crash before it answers.
    pub(super) crashes: u32,
    /// What the last rollback said of the bundle.
    pub(super) blamed: Option<bool>,
    /// Nobody is reached before then.
    pub(super) silent_until_ms: u64,
    /// What is missing meanwhile.
    pub(super) missing: Missing,
    /// How the last trial ended.
    pub(super) ended: RejectReason,
    pub(super) trial_id: u64,
    /// Digest and version of what slot B holds, if anything.
    pub(super) spare: ([u8; 32], &'static str),
    pub(super) reset_cause: &'static str,
}

impl World {
    pub(super) fn new(rail_v: f64) -> Self {
        Self {
            now_ms: 0,
            running: Where::SlotA,
            active: Where::SlotA,
            old_starts: true,
            staged: false,
            admitted: false,
            trial: None,
            rejected: false,
            nonce: 100,
            rail_v,
            confirms: 0,
            crashes: 0,
            blamed: None,
            silent_until_ms: 0,
            missing: Missing::Answer,
            ended: RejectReason::LeaseExpired,
            trial_id: 1,
            spare: (NEW, "2.0.0"),
            reset_cause: "requested",
        }
    }

    /// A device whose two slots hold nothing that can be started.
    pub(super) fn in_recovery(rail_v: f64) -> Self {
        Self { running: Where::Recovery, old_starts: false, ..Self::new(rail_v) }
    }

    pub(super) fn boot(&mut self) {
        self.nonce += 1;
        let is_old = self.active == Where::SlotA;
        self.running = if is_old && !self.old_starts { Where::Recovery } else { self.active };
        if let Some(trial) = &mut self.trial {
            trial.is_running = trial.armed > 0;
            if trial.armed > 0 {
                trial.armed -= 1;
                trial.boots_left -= 1;
                self.running = trial.slot;
            }
        }
        if self.crashes > 0 && self.running == Where::SlotB {
            self.crashes -= 1;
            self.crash();
        }
    }

    /// The image that runs crashes, and the device starts anew.
    pub(super) fn crash(&mut self) {
        let Some(trial) = &mut self.trial else { return self.boot() };
        trial.crash_left -= u32::from(trial.is_running);
        self.reset_cause = "crash";
        if trial.crash_left == 0 {
            self.end_trial(RejectReason::Crashed);
        } else {
            self.boot();
        }
    }

    /// Power fails, and the device starts anew.
    pub(super) fn power_cut(&mut self) {
        self.reset_cause = "power_on";
        self.boot();
    }

    pub(super) fn end_trial(&mut self, why: RejectReason) {
        self.ended = why;
        let was_running = self.trial.take().is_some_and(|trial| trial.is_running);
        self.rejected = true;
        self.staged = false;
        if was_running {
            self.boot();
        }
    }

    /// Another host stages another version over the one on trial.
    pub(super) fn staged_over_by_another(&mut self) {
        self.end_trial(RejectReason::Withdrawn);
        (self.staged, self.rejected) = (true, false);
        self.spare = ([3; 32], "1.2.0");
    }

    /// Another host deploys another version over the one on trial.
    pub(super) fn replaced_by_another(&mut self) {
        self.staged_over_by_another();
        self.confirmed_by_another();
        self.boot();
    }

    /// Another host confirms the trial.
    pub(super) fn confirmed_by_another(&mut self) {
        self.trial = None;
        self.active = Where::SlotB;
        (self.admitted, self.staged) = (true, false);
    }

    pub(super) fn facts(&self) -> DeviceFacts {
        let new = self.running == Where::SlotB;
        DeviceFacts {
            product: "rover".to_owned(),
            hardware: "nav".to_owned(),
            hardware_rev: 1,
            serial: "S1".to_owned(),
            running: self.running,
            bundle: match self.running {
                Where::Recovery => None,
                Where::SlotA | Where::SlotB => Some(if new { self.spare.0 } else { OLD }),
            },
            version: match self.running {
                Where::Recovery => "",
                Where::SlotA => "1.0.0",
                Where::SlotB => self.spare.1,
            }
            .to_owned(),
            boot_nonce: self.nonce,
            reset_cause: self.reset_cause.to_owned(),
            watchdog_hardware: true,
            life_cycle: LifeCycle::Development,
            root_is_lost: false,
        }
    }

    pub(super) fn status(&self) -> StatusFacts {
        let rejection = Rejection {
            cause: self.ended,
            reason: self.ended.explanation(),
            trial_id: self.trial_id,
            blames_bundle: matches!(self.ended, RejectReason::HostDecided | RejectReason::Crashed),
        };
        let state = match (self.admitted, self.staged, self.rejected) {
            (true, _, _) => SlotState::Admitted,
            (_, true, _) => SlotState::Staged,
            (_, _, true) => SlotState::Rejected,
            _ => SlotState::Empty,
        };
        StatusFacts {
            active: Some(self.active),
            slots: [
                SlotFacts { state: SlotState::Admitted, bundle: Some(OLD), rejection: None },
                SlotFacts {
                    state,
                    bundle: (state != SlotState::Empty).then_some(self.spare.0),
                    rejection: (state == SlotState::Rejected).then_some(rejection),
                },
            ],
            trial: self.trial,
            accept_floor: 0,
            why: "the model says so",
        }
    }

    pub(super) fn refused(reason: &str) -> Saw {
        Saw::Refused { reason: reason.to_owned(), is_stale: false, next: "" }
    }

    /// Does an act and gives its answer.
    pub(super) fn act(&mut self, act: &Act) -> Saw {
        self.now_ms += 10;
        match act {
            Act::Connect { until_ms, not_boot } => self.connect(*until_ms, *not_boot),
            Act::Look { .. } => self.connected(),
            Act::Stage { .. } if self.trial.is_some() => Self::refused("a trial is open"),
            Act::Stage { slot, .. } => {
                (self.staged, self.rejected) = (true, false);
                Saw::Staged(StagedFacts {
                    slot: *slot,
                    is_found_done: false,
                    is_resumed: false,
                    total_bytes: 10,
                    kept_bytes: 0,
                    sent_bytes: 10,
                    device_bytes: 10,
                    took_ms: 1,
                })
            }
            Act::OpenTrial { plan, terms } => self.open_trial(*plan, *terms),
            Act::Arm { boots, .. } => match &mut self.trial {
                Some(trial) => {
                    trial.armed = u32::from(*boots);
                    Saw::Done
                }
                None => Self::refused("no trial"),
            },
            Act::Reset { boot_nonce } if *boot_nonce == self.nonce => {
                self.boot();
                Saw::Done
            }
            Act::Confirm { boot_nonce, .. } => self.confirm(*boot_nonce),
            Act::Rollback { blames_bundle, .. } if self.trial.is_some() => {
                self.blamed = Some(*blames_bundle);
                self.end_trial(if *blames_bundle {
                    RejectReason::HostDecided
                } else {
                    RejectReason::Withdrawn
                });
                Saw::Done
            }
            Act::Reset { .. } | Act::Rollback { .. } => Self::refused("not now"),
            Act::Ask(ask) => Saw::Seen(self.answer(ask)),
            Act::WaitUntil { at_ms } => {
                self.now_ms = self.now_ms.max(*at_ms);
                Saw::Done
            }
            Act::HashSlot { .. } => Saw::Hashes(Vec::new()),
            Act::Record { .. } | Act::End(_) => unreachable!("the caller deals with these"),
        }
    }

    pub(super) fn connect(&mut self, until_ms: u64, not_boot: Option<u64>) -> Saw {
        if until_ms < self.silent_until_ms {
            self.now_ms = self.now_ms.max(until_ms);
            return lost(self.missing, "silence");
        }
        self.now_ms = self.now_ms.max(self.silent_until_ms);
        if not_boot == Some(self.nonce) {
            // Nobody comes: time passes, and with it the lease.
            self.now_ms = self.now_ms.max(until_ms);
            if self.trial.is_some_and(|trial| trial.is_running) {
                self.end_trial(RejectReason::LeaseExpired);
            } else {
                return lost(Missing::Answer, "still the boot before");
            }
        }
        self.connected()
    }

    pub(super) fn connected(&self) -> Saw {
        Saw::Connected {
            facts: Box::new(self.facts()),
            status: Box::new(self.status()),
            at_ms: self.now_ms,
        }
    }

    pub(super) fn open_trial(&mut self, plan: [u8; 32], terms: Terms) -> Saw {
        if !self.staged {
            return Self::refused("nothing is staged");
        }
        let trial = self.trial.get_or_insert(TrialFacts {
            slot: Where::SlotB,
            trial_id: self.trial_id,
            plan,
            armed: 0,
            boots_left: u32::from(terms.boots),
            crash_left: u32::from(terms.crashes),
            power_left: 1,
            is_running: false,
        });
        Saw::Trial { trial_id: trial.trial_id }
    }

    pub(super) fn confirm(&mut self, boot_nonce: u64) -> Saw {
        let runs = self.trial.is_some_and(|trial| trial.is_running);
        if !runs || boot_nonce != self.nonce {
            return Self::refused("not this boot");
        }
        self.trial = None;
        self.active = Where::SlotB;
        (self.admitted, self.staged) = (true, false);
        self.confirms += 1;
        Saw::Done
    }

    pub(super) fn answer(&self, ask: &Ask) -> Seen {
        match ask {
            Ask::Identify => Seen::Facts(self.facts()),
            Ask::Status => Seen::Status(self.status()),
            Ask::ListChecks => Seen::Checks(vec![CheckInfo {
                name: "rail".to_owned(),
                unit: "V".to_owned(),
                is_status: false,
            }]),
            Ask::RunCheck { name } => {
                Seen::Reading(crate::measurement::Measurement::number(name, self.rail_v, "V"))
            }
            Ask::Ping => Seen::Pong { rtt_us: 1 },
            Ask::Command { .. } => Seen::NoAnswer,
        }
    }
}

pub(super) fn lost(missing: Missing, reason: &str) -> Saw {
    Saw::Lost { missing, reason: reason.to_owned(), next: "" }
}
