//! What is cut: things that a host has done to a device, from a state to a goal.
//!
//! A goal is reached from wherever the device is, as a host does that knows nothing of what was
//! before: it asks, and does what is next. So the retry behind a cut is the deed itself.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::digest::Digest;
use firmware_protocol::message::{Request, Status, TrialStatus, TrialTerms};
use firmware_protocol::record::RecordStore;
use firmware_protocol::slot::{SlotId, SlotState};
use hw_sim::SimFlash;

use crate::random::Random;

use super::cut::Grain;
use super::model::{Held, Model};
use super::part::Part;
use super::release::{Release, Releases};
use super::unit::{Stop, Unit};

/// Something done to a device.
#[derive(Debug, Clone, Copy)]
pub struct Deed {
    /// Names it on the command line and in the table.
    pub name: &'static str,
    /// What was reached before, in order.
    pub before: &'static [Goal],
    /// What it is for.
    pub goal: Goal,
    /// How many ages of the record it is done at: the next entries lie elsewhere, or behind an erase.
    pub ages: u32,
    /// How finely its operations are cut. What is made of other deeds is cut by words.
    pub grain: Grain,
}

/// A state to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// This root record is in force.
    Root(u32),
    /// A release lies in the spare slot.
    Staged(u8),
    /// A trial of it is open and may boot once.
    Armed(u8),
    /// It runs on trial.
    OnTrial(u8),
    /// It is confirmed.
    Confirmed(u8),
    /// The host has taken it back.
    RolledBack(u8),
    /// The device has taken it back by itself.
    LeaseEnded(u8),
    /// The confirmed image has crashed until its fallback runs, which is this release.
    FallenBack(u8),
    /// It was given up by the device, because all its boots are used.
    Spent(u8),
    /// Neither slot verifies, so recovery runs.
    Ruined,
    /// A byte behind the confirmed image's end is no longer blank; nothing has started since.
    Soiled,
    /// The boot record is gone, so recovery runs.
    Forgotten,
}

/// A device in the field: two releases confirmed, one behind the other.
const FIELDED: [Goal; 3] = [Goal::Root(1), Goal::Confirmed(1), Goal::Confirmed(2)];

macro_rules! fielded {
    ($($goal:expr),*) => { &[FIELDED[0], FIELDED[1], FIELDED[2] $(, $goal)*] };
}

const fn deed(name: &'static str, before: &'static [Goal], goal: Goal, ages: u32) -> Deed {
    Deed { name, before, goal, ages, grain: Grain::Bytes }
}

const fn composed(name: &'static str, before: &'static [Goal], goal: Goal) -> Deed {
    Deed { name, before, goal, ages: 1, grain: Grain::Words }
}

/// Every deed.
pub const DEEDS: [Deed; 20] = [
    composed("enroll", &[], Goal::Root(1)),
    composed("first", &[Goal::Root(1)], Goal::Confirmed(1)),
    deed("stage", fielded!(), Goal::Staged(3), 1),
    deed("arm", fielded!(Goal::Staged(3)), Goal::Armed(3), 2),
    deed("trial", fielded!(Goal::Staged(3)), Goal::OnTrial(3), 2),
    deed("confirm", fielded!(Goal::OnTrial(6)), Goal::Confirmed(6), 4),
    deed("floor", fielded!(Goal::OnTrial(3)), Goal::Confirmed(3), 2),
    deed("retire", fielded!(Goal::OnTrial(5)), Goal::Confirmed(5), 1),
    deed("rollback", fielded!(Goal::OnTrial(3)), Goal::RolledBack(3), 4),
    deed("lease", fielded!(Goal::OnTrial(3)), Goal::LeaseEnded(3), 4),
    composed("restage", fielded!(Goal::RolledBack(3)), Goal::Staged(4)),
    composed("again", fielded!(Goal::RolledBack(3)), Goal::OnTrial(3)),
    composed("deploy", fielded!(), Goal::Confirmed(3)),
    deed("fallback", fielded!(), Goal::FallenBack(1), 2),
    composed("spend", fielded!(Goal::Staged(3)), Goal::Spent(3)),
    deed("damage", fielded!(Goal::Soiled), Goal::FallenBack(1), 4),
    deed("root", fielded!(), Goal::Root(2), 1),
    deed("roots", fielded!(Goal::Root(2)), Goal::Root(3), 1),
    deed("recover", fielded!(Goal::Ruined), Goal::Confirmed(3), 1),
    composed("relearn", fielded!(Goal::Forgotten), Goal::Confirmed(3)),
];

/// What a host asks of a trial.
pub const TERMS: TrialTerms =
    TrialTerms { boots: 6, crashes: 3, power_failures: 4, lease_ms: 10_000, boot_max_ms: 60_000 };

const PLAN: Digest = Digest([9; 32]);
/// More than the steps of any goal.
const MOST_STEPS: u32 = 16;
/// More than any lease.
const LEASE_ENDS_MS: u64 = 15_000;

impl Deed {
    /// The deed of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        DEEDS.iter().find(|deed| deed.name == name)
    }

    /// The device as it is before the deed: started, and its record `age` entries further on.
    ///
    /// # Errors
    /// The goal before it that was not reached, and why.
    pub fn prepare<'a>(
        &self,
        part: &'a Part,
        releases: &'a Releases,
        age: u32,
    ) -> Result<Unit<'a>, (Goal, Stop)> {
        let mut unit = Unit::off(part, releases, used(part), Model::blank());
        let first = self.before.first().copied().unwrap_or(self.goal);
        unit.start(ResetCause::PowerOn).map_err(|stop| (first, stop))?;
        for goal in self.before {
            let reached = reach(&mut unit, *goal).and_then(|()| as_expected(&mut unit));
            reached.map_err(|stop| (*goal, stop))?;
        }
        age_record(unit.flash(), part, age);
        unit.start(ResetCause::Requested).map_err(|stop| (first, stop))?;
        if self.before.contains(&Goal::Soiled) {
            soil(&mut unit);
        }
        Ok(unit)
    }

    /// Flash was damaged from outside before: what the record remembers of it is not so.
    pub fn is_on_damage(&self) -> bool {
        [Goal::Ruined, Goal::Soiled].iter().any(|goal| self.before.contains(goal))
    }

    /// Does it, from wherever the device is.
    pub fn act(&self, unit: &mut Unit<'_>) -> Result<(), Stop> {
        reach(unit, self.goal)
    }
}

impl Goal {
    /// Whether a device that has to be so is there.
    pub fn is_reached(self, model: &Model) -> bool {
        let spare = model.slot(model.spare());
        let on_trial = |number: u8| {
            let slot = model.trial.map(|trial| model.slot(trial.slot));
            slot == Some(Held::Staged(number))
        };
        let rejected = |number: u8| {
            model.trial.is_none()
                && model
                    .slots
                    .iter()
                    .any(|slot| matches!(slot, Held::Rejected(of, ..) if *of == number))
        };
        match self {
            Self::Root(version) => model.root == version,
            Self::Staged(number) => spare == Held::Staged(number) && model.trial.is_none(),
            Self::Armed(number) => on_trial(number) && model.trial.is_some_and(|on| on.armed > 0),
            Self::OnTrial(number) => on_trial(number) && model.proves,
            Self::Confirmed(number) | Self::FallenBack(number) => {
                model.confirmed_release() == Some(number)
                    && model.runs == model.confirmed
                    && model.trial.is_none()
            }
            Self::RolledBack(number) | Self::LeaseEnded(number) | Self::Spent(number) => {
                rejected(number)
            }
            Self::Ruined | Self::Forgotten => model.runs.is_none(),
            Self::Soiled => true,
        }
    }
}

/// A part that something else was on: bytes that mean nothing, everywhere.
fn used(part: &Part) -> SimFlash {
    let bytes = usize::try_from(part.spec.size_bytes()).expect("parts are small");
    SimFlash::holding(part.spec.clone(), Random::new(99).bytes(bytes))
}

/// Repeats the entry in force, so that the next one lies elsewhere, or behind an erase.
fn age_record(flash: &mut SimFlash, part: &Part, entries: u32) {
    let mut store = RecordStore::load(flash, part.layout.record());
    for _ in 0..entries {
        if let Some(state) = store.state().cloned() {
            store.write(flash, &state).expect("flash works");
        }
    }
}

/// Without a fault the device is what it has to be at every goal.
fn as_expected(unit: &mut Unit<'_>) -> Result<(), Stop> {
    unit.open_session()?;
    match unit.resolve()?.differs {
        None => Ok(()),
        Some(differs) => Err(Stop::Strange(format!("{}: {}", differs.what, differs.text))),
    }
}

/// Brings a device to a goal.
///
/// # Errors
/// Why that ended before.
pub fn reach(unit: &mut Unit<'_>, goal: Goal) -> Result<(), Stop> {
    match goal {
        Goal::Root(version) => enroll(unit, version),
        Goal::Ruined => ruin(unit),
        Goal::Forgotten => forget(unit),
        // Done behind the last start, see `Deed::prepare`.
        Goal::Soiled => Ok(()),
        Goal::Spent(number) => spend_boots(unit, number),
        Goal::FallenBack(number) => crash_until(unit, number),
        Goal::LeaseEnded(number) => wait_for_lease(unit, number),
        Goal::Staged(number)
        | Goal::Armed(number)
        | Goal::OnTrial(number)
        | Goal::Confirmed(number)
        | Goal::RolledBack(number) => {
            for _ in 0..MOST_STEPS {
                unit.open_session()?;
                let status = unit.status()?;
                if unit.root_version()? == 0 {
                    enroll(unit, 1)?;
                } else if !step(unit, number, &status, goal)? {
                    return Ok(());
                }
            }
            Err(Stop::Strange(format!("{goal:?} is not reached in {MOST_STEPS} steps")))
        }
    }
}

/// Root records are taken one at a time. A device without a record takes the one that it holds.
fn enroll(unit: &mut Unit<'_>, version: u32) -> Result<(), Stop> {
    unit.open_session()?;
    let from = unit.root_version()? + 1;
    for version in from..=version {
        unit.offer_root(version)?;
        unit.ask(Request::Enroll)?;
    }
    Ok(())
}

/// Does the next thing towards `goal`; false when there is none left.
fn step(unit: &mut Unit<'_>, number: u8, status: &Status, goal: Goal) -> Result<bool, Stop> {
    let releases = unit.releases;
    let release = releases.get(number);
    let slots = [SlotId::A, SlotId::B].map(|slot| *status.slots.get(slot));
    let is = |state: &SlotState| state.bundle() == Some(release.digest);
    let confirmed = status.active.is_some_and(|active| {
        matches!(status.slots.get(active), state @ SlotState::Admitted { .. } if is(state))
    });
    let staged = slots.iter().any(|state| matches!(state, SlotState::Staged { .. }) && is(state));
    let rejected =
        slots.iter().any(|state| matches!(state, SlotState::Rejected { .. }) && is(state));
    if confirmed || (goal == Goal::RolledBack(release.number) && rejected) {
        return Ok(false);
    }
    let Some(trial) = status.trial else {
        return match goal {
            Goal::Staged(_) if staged => Ok(false),
            _ if staged => open_trial(unit, release).map(|()| true),
            _ => stage(unit, release, rejected).map(|()| true),
        };
    };
    step_trial(unit, &trial, goal)
}

fn step_trial(unit: &mut Unit<'_>, trial: &TrialStatus, goal: Goal) -> Result<bool, Stop> {
    let trial_id = trial.trial_id;
    match goal {
        Goal::RolledBack(_) => {
            unit.ask(Request::Rollback { trial_id })?;
            if trial.running {
                unit.until_reset(1_000)?;
            }
        }
        Goal::OnTrial(_) if trial.running => return Ok(false),
        Goal::Confirmed(_) if trial.running => {
            let boot_nonce = unit.boot_nonce();
            unit.ask(Request::Confirm { trial_id, boot_nonce })?;
        }
        Goal::Armed(_) if trial.armed > 0 => return Ok(false),
        _ if trial.armed > 0 => unit.reset()?,
        // Power failures in a row have used up its boots: the start behind a reset ends it.
        _ if trial.boots_left == 0 => unit.reset()?,
        _ => {
            unit.ask(Request::Arm { trial_id, boots: 1 })?;
        }
    }
    Ok(true)
}

/// Sends a release into the spare slot.
///
/// # Errors
/// Why that ended before.
pub fn stage(unit: &mut Unit<'_>, release: &Release, again: bool) -> Result<(), Stop> {
    unit.offer_release(release.number)?;
    unit.ask(Request::Stage { again })?;
    for component in 0..2 {
        unit.send_missing(release, component)?;
    }
    unit.ask(Request::Finish)?;
    Ok(())
}

/// Opens a trial of a staged release.
///
/// # Errors
/// Why not.
pub fn open_trial(unit: &mut Unit<'_>, release: &Release) -> Result<(), Stop> {
    unit.ask(Request::OpenTrial { bundle: release.digest, plan: PLAN, terms: TERMS })?;
    Ok(())
}

/// The host falls silent, until the device has ended the trial.
fn wait_for_lease(unit: &mut Unit<'_>, number: u8) -> Result<(), Stop> {
    for _ in 0..MOST_STEPS {
        unit.open_session()?;
        let status = unit.status()?;
        if status.trial.is_none() {
            return Ok(());
        }
        unit.fall_silent(LEASE_ENDS_MS)?;
    }
    Err(Stop::Strange(format!("the trial of release {number} does not end")))
}

fn crash_until(unit: &mut Unit<'_>, fallback: u8) -> Result<(), Stop> {
    let digest = unit.releases.get(fallback).digest;
    for _ in 0..MOST_STEPS {
        unit.open_session()?;
        let status = unit.status()?;
        let active = status.active.and_then(|active| status.slots.get(active).bundle());
        if active == Some(digest) {
            return Ok(());
        }
        unit.start(ResetCause::Watchdog)?;
    }
    Err(Stop::Strange("the fallback never runs".to_owned()))
}

/// The host arms and resets, and never confirms.
fn spend_boots(unit: &mut Unit<'_>, number: u8) -> Result<(), Stop> {
    for _ in 0..u32::from(TERMS.boots) + 4 {
        unit.open_session()?;
        let status = unit.status()?;
        let staged = |slot| matches!(status.slots.get(slot), SlotState::Staged { .. });
        match status.trial {
            Some(TrialStatus { trial_id, boots_left: 1.., .. }) => {
                unit.ask(Request::Arm { trial_id, boots: 1 })?;
                unit.reset()?;
            }
            Some(_) => unit.reset()?,
            None if SlotId::ALL.into_iter().any(staged) => {
                let releases = unit.releases;
                open_trial(unit, releases.get(number))?;
            }
            None => return Ok(()),
        }
    }
    let boots = TERMS.boots;
    Err(Stop::Strange(format!("release {number} runs on trial more than {boots} times")))
}

/// A cell of the running image's area, behind its bytes, loses a bit.
fn soil(unit: &mut Unit<'_>) {
    if let Some(slot) = unit.model.runs {
        let app = unit.part.layout.slots().get(slot).areas[0].range;
        unit.flash().flip(app.end() - 1, 0).expect("the address is on the part");
    }
}

/// One bit of each slot's image turns, and the device starts anew.
fn ruin(unit: &mut Unit<'_>) -> Result<(), Stop> {
    for slot in SlotId::ALL {
        let app = unit.part.layout.slots().get(slot).areas[0].range;
        unit.flash().flip(app.start, 0).expect("the address is on the part");
    }
    unit.start(ResetCause::PowerOn)
}

/// The boot record is gone, and with it all that the device knew.
fn forget(unit: &mut Unit<'_>) -> Result<(), Stop> {
    for range in unit.part.layout.record() {
        let blank = vec![unit.part.spec.geometry.erased; range.len_bytes as usize];
        unit.flash().overwrite(range.start, &blank).expect("the range is on the part");
    }
    unit.model = Model::blank();
    unit.start(ResetCause::PowerOn)
}
