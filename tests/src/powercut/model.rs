//! What a device has to be: the rules of BOOT.md in plain words, written from the page and not from the engine. It
//! borrows names (slots, reset causes, reasons) and no decision.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::slot::{RejectReason, SlotId};

use super::bytes::Bytes;

/// A device as it has to be seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Model {
    /// It has a record at all.
    pub recorded: bool,
    /// Version of the root record in force.
    pub root: u32,
    /// The confirmed slot.
    pub confirmed: Option<SlotId>,
    /// What slot A and slot B hold.
    pub slots: [Held; 2],
    /// The open trial.
    pub trial: Option<OnTrial>,
    /// Lowest security version that is admitted.
    pub floor: u64,
    /// Crashes that the confirmed image has left.
    pub crashes_left: u8,
    /// Number of the next trial.
    pub next_trial: u32,
    /// The slot that runs; `None` is the recovery image.
    pub runs: Option<SlotId>,
    /// This boot is the trial's.
    pub proves: bool,
    /// The record holds fields of a later version.
    pub carries: bool,
}

/// What a slot holds; releases by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// Nothing.
    Empty,
    /// Parts of this release.
    Writing(u8),
    /// This release, unproven.
    Staged(u8),
    /// This release, which may not run: why, and since which trial.
    Rejected(u8, RejectReason, u32),
    /// This release, proven.
    Admitted(u8),
}

/// An open trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OnTrial {
    /// Its slot.
    pub slot: SlotId,
    /// Its number.
    pub id: u32,
    /// Boots that may start.
    pub armed: u8,
    /// Crashes left.
    pub crashes_left: u8,
    /// Power failures left.
    pub cuts_left: u8,
    /// Boots left.
    pub boots_left: u16,
    /// The last jump went into it and is not accounted for.
    pub entered: bool,
    /// The floor behind its confirm.
    pub floor: u64,
    /// Its confirm takes the fallback away.
    pub retires: bool,
}

/// What a trial is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The release.
    pub release: u8,
    /// Its security version.
    pub security_version: u64,
    /// It retires its fallback.
    pub retires: bool,
    /// Crashes allowed.
    pub crashes: u8,
    /// Power failures allowed.
    pub cuts: u8,
    /// Boots allowed.
    pub boots: u16,
}

/// What happens to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Nothing that is remembered.
    Nothing,
    /// It starts; its slots hold these bytes.
    Started {
        /// Why.
        cause: ResetCause,
        /// What is in slot A and slot B.
        bytes: [Bytes; 2],
    },
    /// It has a record, which says that it has no root record.
    Recorded,
    /// A root record is taken.
    Enrolled(u32),
    /// A release is on its way into the spare slot.
    Staging(u8),
    /// It was read back there.
    Staged(u8),
    /// A trial is opened.
    Opened(Opening),
    /// So many boots are allowed.
    Armed(u8),
    /// The trial is confirmed.
    Confirmed,
    /// The trial is given up.
    GivenUp(RejectReason),
    /// The image has run well for a while.
    Healed,
    /// A later version has written the record.
    Newer,
}

/// Crashes that a confirmed image may have.
const CRASHES: u8 = 3;

impl Model {
    /// A device that remembers nothing.
    #[must_use]
    pub const fn blank() -> Self {
        Self {
            recorded: false,
            root: 0,
            confirmed: None,
            slots: [Held::Empty; 2],
            trial: None,
            floor: 0,
            crashes_left: CRASHES,
            next_trial: 1,
            runs: None,
            proves: false,
            carries: false,
        }
    }

    /// What it is behind an event.
    #[must_use]
    pub fn after(&self, event: Event) -> Self {
        let mut next = self.clone();
        match event {
            Event::Nothing => {}
            Event::Started { cause, bytes } => next.start(cause, bytes),
            Event::Recorded => next.recorded = true,
            Event::Enrolled(version) => (next.recorded, next.root) = (true, version),
            Event::Staging(release) => next.begin_stage(release),
            Event::Staged(release) => *next.slot_mut(self.spare()) = Held::Staged(release),
            Event::Opened(opening) => next.open(opening),
            Event::Armed(boots) => {
                let entered = self.proves;
                if let Some(trial) = &mut next.trial {
                    *trial = OnTrial { armed: boots, entered, ..*trial };
                }
            }
            Event::Confirmed => next.confirm(),
            Event::GivenUp(reason) => next.end_trial(reason),
            Event::Healed => next.crashes_left = CRASHES,
            Event::Newer => next.carries = true,
        }
        next
    }

    /// The same, nothing armed.
    #[must_use]
    pub fn paused(&self) -> Self {
        let mut paused = self.clone();
        if let Some(trial) = &mut paused.trial {
            trial.armed = 0;
        }
        paused
    }

    /// The same, and what runs is what runs in `other`.
    #[must_use]
    pub fn running_as(&self, other: &Self) -> Self {
        Self { runs: other.runs, proves: other.proves, ..self.clone() }
    }

    /// The slot that a release goes into.
    #[must_use]
    pub fn spare(&self) -> SlotId {
        match (self.runs, self.confirmed) {
            (Some(runs), _) => runs.other(),
            (None, Some(confirmed)) => confirmed.other(),
            (None, None) => SlotId::A,
        }
    }

    /// What a slot holds.
    #[must_use]
    pub const fn slot(&self, slot: SlotId) -> Held {
        self.slots[slot as usize]
    }

    /// The release that is confirmed.
    #[must_use]
    pub fn confirmed_release(&self) -> Option<u8> {
        self.confirmed.and_then(|slot| self.slot(slot).release())
    }

    const fn slot_mut(&mut self, slot: SlotId) -> &mut Held {
        &mut self.slots[slot as usize]
    }

    /// "Slot states": marked before the first erase; what runs instead of a confirmed slot becomes confirmed.
    fn begin_stage(&mut self, release: u8) {
        let spare = self.spare();
        if self.slot(spare) == Held::Staged(release) {
            return;
        }
        if self.confirmed == Some(spare) {
            self.confirmed = Some(spare.other());
            self.crashes_left = CRASHES;
        }
        *self.slot_mut(spare) = Held::Writing(release);
    }

    /// "Trial".
    fn open(&mut self, opening: Opening) {
        if self.trial.is_some() {
            return;
        }
        self.trial = Some(OnTrial {
            slot: self.spare(),
            id: self.next_trial,
            armed: 0,
            crashes_left: opening.crashes,
            cuts_left: opening.cuts,
            boots_left: opening.boots,
            entered: false,
            floor: opening.security_version,
            retires: opening.retires,
        });
        self.next_trial += 1;
    }

    /// "Confirm is one entry".
    fn confirm(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        let old = trial.slot.other();
        if let Some(release) = self.slot(trial.slot).release() {
            *self.slot_mut(trial.slot) = Held::Admitted(release);
        }
        if let (true, Some(release)) = (trial.retires, self.slot(old).release()) {
            *self.slot_mut(old) = Held::Rejected(release, RejectReason::Retired, 0);
        }
        self.confirmed = Some(trial.slot);
        self.floor = self.floor.max(trial.floor);
        self.crashes_left = CRASHES;
        self.proves = false;
    }

    fn end_trial(&mut self, reason: RejectReason) {
        let Some(trial) = self.trial.take() else { return };
        if let Held::Staged(release) = self.slot(trial.slot) {
            *self.slot_mut(trial.slot) = Held::Rejected(release, reason, trial.id);
        }
        self.proves = false;
    }

    /// "Decision": accounts for the boot before, then looks for what may run.
    fn start(&mut self, cause: ResetCause, bytes: [Bytes; 2]) {
        let is_crash = matches!(
            cause,
            ResetCause::Watchdog | ResetCause::Deadline | ResetCause::Crash | ResetCause::Unknown
        );
        let is_power =
            matches!(cause, ResetCause::PowerOn | ResetCause::BrownOut | ResetCause::Pin);
        self.proves = false;
        self.runs = None;
        if !self.recorded {
            return;
        }
        match &mut self.trial {
            Some(trial) if trial.entered => {
                trial.entered = false;
                trial.crashes_left -= u8::from(is_crash).min(trial.crashes_left);
                trial.cuts_left -= u8::from(is_power).min(trial.cuts_left);
            }
            _ => self.crashes_left -= u8::from(is_crash).min(self.crashes_left),
        }
        if self.enter_trial(cause, bytes) {
            return;
        }
        self.start_confirmed(is_crash, bytes);
    }

    /// True when the trial's image runs.
    fn enter_trial(&mut self, cause: ResetCause, bytes: [Bytes; 2]) -> bool {
        let Some(trial) = self.trial else { return false };
        let there = bytes[trial.slot as usize];
        let is_staged = matches!(self.slot(trial.slot), Held::Staged(_));
        let is_whole = there.is(self.slot(trial.slot).release());
        let end = if is_staged { would_end(trial, cause) } else { Some(RejectReason::Corrupt) };
        let is_damaged = !is_whole && there != Bytes::Unreadable;
        if let Some(reason) = end {
            self.end_trial(reason);
            return false;
        }
        if trial.armed == 0 || there == Bytes::Unreadable {
            return false;
        }
        // Only what is about to run is looked at.
        if is_damaged {
            self.end_trial(RejectReason::Corrupt);
            return false;
        }
        let armed = trial.armed - 1;
        let boots_left = trial.boots_left.saturating_sub(1);
        self.trial = Some(OnTrial { armed, boots_left, entered: true, ..trial });
        (self.runs, self.proves) = (Some(trial.slot), true);
        true
    }

    fn start_confirmed(&mut self, is_crash: bool, bytes: [Bytes; 2]) {
        let Some(confirmed) = self.confirmed else { return };
        let spent = is_crash && self.crashes_left == 0;
        let there = |slot: SlotId| bytes[slot as usize];
        let is_admitted = |slot: SlotId| matches!(self.slot(slot), Held::Admitted(_));
        let is_fine = |slot: SlotId| is_admitted(slot) && there(slot).is(self.slot(slot).release());
        let fallback = confirmed.other();
        if is_fine(confirmed) && !spent {
            self.runs = Some(confirmed);
        } else if !is_fine(fallback) {
            // Recovery.
        } else if is_admitted(confirmed) && there(confirmed) == Bytes::Unreadable && !spent {
            self.runs = Some(fallback);
        } else {
            let reason = if spent { RejectReason::ConfirmedCrashed } else { RejectReason::Corrupt };
            if let Some(release) = self.slot(confirmed).release() {
                *self.slot_mut(confirmed) = Held::Rejected(release, reason, 0);
            }
            self.confirmed = Some(fallback);
            self.crashes_left = CRASHES;
            self.runs = Some(fallback);
        }
    }
}

/// "What ends it". The trials here have a lease that is shorter than their longest boot.
const fn would_end(trial: OnTrial, cause: ResetCause) -> Option<RejectReason> {
    if trial.crashes_left == 0 {
        let by_lease = matches!(cause, ResetCause::Deadline);
        Some(if by_lease { RejectReason::LeaseExpired } else { RejectReason::Crashed })
    } else if trial.cuts_left == 0 {
        Some(RejectReason::PowerLost)
    } else if trial.boots_left == 0 {
        Some(RejectReason::BootsSpent)
    } else {
        None
    }
}

impl Held {
    /// The release that it is about.
    #[must_use]
    pub const fn release(self) -> Option<u8> {
        match self {
            Self::Empty => None,
            Self::Writing(release)
            | Self::Staged(release)
            | Self::Rejected(release, ..)
            | Self::Admitted(release) => Some(release),
        }
    }
}
