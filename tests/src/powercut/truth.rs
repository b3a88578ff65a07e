//! What a device is seen to be: by its own answers, and by its flash's bytes.

use std::fmt;

use firmware_protocol::boot::Start;
use firmware_protocol::flash::Range;
use firmware_protocol::message::{Status, TrialStatus};
use firmware_protocol::record::{ENTRY_BYTES, PLACE_BYTES, read_entry};
use firmware_protocol::slot::{SlotId, SlotState};
use hw_sim::SimFlash;

use super::bytes::Bytes;
use super::host::{NEWER, NEWER_FIELDS};
use super::model::{Held, Model, OnTrial};
use super::part::Part;
use super::release::Releases;

/// A device, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Version of the root record in force.
    pub root: u32,
    /// What the record says.
    pub status: Status,
    /// The slot that runs; `None` is the recovery image.
    pub runs: Option<SlotId>,
    /// What the slots' bytes are.
    pub bytes: [Bytes; 2],
    /// The record holds the fields of a later version.
    pub carries: bool,
}

/// What is seen and should not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differs {
    /// Of which part of it.
    pub what: &'static str,
    /// What is seen, and what was expected.
    pub text: String,
}

impl Differs {
    /// The invariant that it is against.
    pub fn invariant(&self) -> &'static str {
        match self.what {
            "runs" => "I1",
            "trial" | "crashes" => "I3",
            "floor" => "I4",
            "root" => "I6",
            // What was acknowledged is there, what was not is there whole or not at all.
            _ => "I5",
        }
    }
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.text)
    }
}

impl Truth {
    /// Whether this is what the model has it to be; else the first thing that differs.
    pub fn differs(&self, model: &Model, releases: &Releases) -> Option<Differs> {
        let Self { root, status, runs, .. } = self;
        let held = SlotId::ALL.map(|slot| held(status.slots.get(slot), releases));
        let unless = |same: bool, what, seen: &dyn fmt::Debug, had: &dyn fmt::Debug| {
            (!same).then(|| Differs { what, text: format!("{seen:?}, expected {had:?}") })
        };
        let (trial, had) = (seen_trial(status), had_trial(model));
        let (floor, crashes) = (status.accept_floor, status.crash_left);
        unless(floor == model.floor, "floor", &floor, &model.floor)
            .or_else(|| unless(*root == model.root, "root", root, &model.root))
            .or_else(|| {
                unless(
                    status.active == model.confirmed,
                    "confirmed",
                    &status.active,
                    &model.confirmed,
                )
            })
            .or_else(|| unless(trial == had, "trial", &trial, &had))
            .or_else(|| unless(held == model.slots, "slots", &held, &model.slots))
            .or_else(|| {
                unless(crashes == model.crashes_left, "crashes", &crashes, &model.crashes_left)
            })
            .or_else(|| unless(*runs == model.runs, "runs", runs, &model.runs))
            .or_else(|| unless(self.carries == model.carries, "carried", &self.carries, &true))
    }

    /// As a model; what a status does not tell follows from the release on trial.
    pub fn model(&self, releases: &Releases) -> Model {
        let Self { root, status, runs, .. } = self;
        let trial = status.trial.map(|seen| {
            let release = status.slots.get(seen.slot).bundle().and_then(|of| releases.of(of));
            OnTrial {
                slot: seen.slot,
                id: seen.trial_id,
                armed: seen.armed,
                crashes_left: seen.crash_left,
                cuts_left: seen.power_left,
                boots_left: seen.boots_left,
                entered: seen.running,
                floor: release.map_or(0, |release| release.security_version),
                retires: release.is_some_and(|release| release.retires),
            }
        });
        Model {
            recorded: *root > 0,
            root: *root,
            confirmed: status.active,
            slots: SlotId::ALL.map(|slot| held(status.slots.get(slot), releases)),
            trial,
            floor: status.accept_floor,
            crashes_left: status.crash_left,
            next_trial: trial.map_or(1, |trial| trial.id + 1),
            runs: *runs,
            proves: status.trial.is_some_and(|trial| trial.running),
            carries: self.carries,
        }
    }

    /// In a line.
    pub fn in_words(&self, releases: &Releases) -> String {
        let Model { confirmed, slots: [a, b], trial, crashes_left, .. } = self.model(releases);
        let trial =
            trial.map_or("none".to_owned(), |trial| format!("{} of {:?}", trial.id, trial.slot));
        let name =
            |slot: Option<SlotId>| slot.map_or("none".to_owned(), |slot| format!("{slot:?}"));
        format!(
            "seen: runs {}, confirmed {}, slots {a:?} {b:?}, trial {trial}, {crashes_left} crashes left, \
             floor {}, root {}",
            name(self.runs),
            name(confirmed),
            self.status.accept_floor,
            self.root
        )
    }

    /// The release that runs by its bytes; `None` for the recovery image.
    pub fn running(&self) -> Option<Bytes> {
        self.runs.map(|slot| self.bytes[slot as usize])
    }
}

/// The slot that a boot stage has started.
pub const fn slot_of(start: Start) -> Option<SlotId> {
    match start {
        Start::Slot(slot) => Some(slot),
        Start::Recovery => None,
    }
}

fn seen_trial(status: &Status) -> Option<TrialFields> {
    let TrialStatus { slot, trial_id, armed, crash_left, power_left, boots_left, running, .. } =
        status.trial?;
    Some((slot, trial_id, armed, crash_left, power_left, boots_left, running))
}

fn had_trial(model: &Model) -> Option<TrialFields> {
    let trial = model.trial?;
    let left = (trial.armed, trial.crashes_left, trial.cuts_left, trial.boots_left);
    Some((trial.slot, trial.id, left.0, left.1, left.2, left.3, model.proves))
}

/// Slot, number, armed, crashes, power failures and boots left, running.
type TrialFields = (SlotId, u32, u8, u8, u8, u16, bool);

fn held(state: &SlotState, releases: &Releases) -> Held {
    let number = |bundle| releases.of(bundle).map_or(0, |release| release.number);
    match *state {
        SlotState::Empty => Held::Empty,
        SlotState::Writing { bundle } => Held::Writing(number(bundle)),
        SlotState::Staged { bundle } => Held::Staged(number(bundle)),
        SlotState::Rejected { bundle, reason, trial_id } => {
            Held::Rejected(number(bundle), reason, trial_id)
        }
        SlotState::Admitted { bundle } => Held::Admitted(number(bundle)),
    }
}

/// The entry in force, if there is one: where it lies, and its bytes.
pub fn entry_in_force(flash: &SimFlash, part: &Part) -> Option<(u32, [u8; ENTRY_BYTES])> {
    let ranges = part.layout.record().into_iter();
    let places = ranges.flat_map(|range| (range.start..range.end()).step_by(PLACE_BYTES));
    let entries = places.filter_map(|start| {
        let range = Range { start, len_bytes: u32::try_from(ENTRY_BYTES).ok()? };
        let bytes: [u8; ENTRY_BYTES] = flash.view(range)?.as_ref().try_into().ok()?;
        Some((read_entry(&bytes)?.0.sequence, start, bytes))
    });
    entries.max_by_key(|(sequence, ..)| *sequence).map(|(_, start, bytes)| (start, bytes))
}

/// Whether the entry in force holds the fields of a later version.
pub fn carries_newer(flash: &SimFlash, part: &Part) -> bool {
    let state = entry_in_force(flash, part).and_then(|(_, bytes)| read_entry(&bytes));
    state.is_some_and(|(head, state)| {
        head.version == NEWER && state.carried.bytes.as_slice() == NEWER_FIELDS
    })
}
