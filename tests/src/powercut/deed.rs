//! What is cut: things that a host has done to a device, from a state to a goal.
//!
//! A goal is reached from wherever the device is, as a host does that knows nothing of what was
//! before: it asks, and does what is next. So the retry behind a cut is the deed itself.

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::digest::Digest;
use firmware_protocol::message::{Request, Status, TrialStatus, TrialTerms};
use firmware_protocol::record::RecordStore;
use firmware_protocol::slot::{SlotId, SlotState};
use hw_sim::SimFlash;

use crate::random::Random;

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
}

/// A state to be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The root record is in force.
    Enrolled,
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
}

/// A device in the field: two releases confirmed, one behind the other.
const FIELDED: [Goal; 3] = [Goal::Enrolled, Goal::Confirmed(1), Goal::Confirmed(2)];

macro_rules! fielded {
    ($($goal:expr),*) => { &[FIELDED[0], FIELDED[1], FIELDED[2] $(, $goal)*] };
}

/// Every deed.
pub const DEEDS: [Deed; 15] = [
    Deed { name: "enroll", before: &[], goal: Goal::Enrolled, ages: 1 },
    Deed { name: "first", before: &[Goal::Enrolled], goal: Goal::Confirmed(1), ages: 1 },
    Deed { name: "stage", before: fielded!(), goal: Goal::Staged(3), ages: 1 },
    Deed { name: "arm", before: fielded!(Goal::Staged(3)), goal: Goal::Armed(3), ages: 4 },
    Deed { name: "trial", before: fielded!(Goal::Staged(3)), goal: Goal::OnTrial(3), ages: 4 },
    Deed { name: "confirm", before: fielded!(Goal::OnTrial(3)), goal: Goal::Confirmed(3), ages: 4 },
    Deed {
        name: "rollback",
        before: fielded!(Goal::OnTrial(3)),
        goal: Goal::RolledBack(3),
        ages: 4,
    },
    Deed { name: "lease", before: fielded!(Goal::OnTrial(3)), goal: Goal::LeaseEnded(3), ages: 4 },
    Deed { name: "restage", before: fielded!(Goal::RolledBack(3)), goal: Goal::Staged(4), ages: 1 },
    Deed { name: "again", before: fielded!(Goal::RolledBack(3)), goal: Goal::OnTrial(3), ages: 1 },
    Deed { name: "deploy", before: fielded!(), goal: Goal::Confirmed(3), ages: 1 },
    Deed { name: "fallback", before: fielded!(), goal: Goal::FallenBack(1), ages: 4 },
    Deed { name: "spend", before: fielded!(Goal::Staged(3)), goal: Goal::Spent(3), ages: 1 },
    Deed { name: "damage", before: fielded!(Goal::Soiled), goal: Goal::FallenBack(1), ages: 4 },
    Deed { name: "recover", before: fielded!(Goal::Ruined), goal: Goal::Confirmed(3), ages: 1 },
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
    /// The device as it is before the deed: started, and its record `age` entries further on.
    ///
    /// # Errors
    /// The goal before it that was not reached, and why.
    pub fn prepare<'a>(
        &self,
        part: &'a Part,
        releases: &Releases,
        age: u32,
    ) -> Result<Unit<'a>, (Goal, Stop)> {
        let mut unit = Unit::start(part, used(part), ResetCause::PowerOn, 0);
        for goal in self.before {
            reach(&mut unit, part, releases, *goal).map_err(|stop| (*goal, stop))?;
        }
        age_record(unit.flash(), part, age);
        unit.reload(part);
        if self.before.contains(&Goal::Soiled) {
            soil(&mut unit, part);
        }
        Ok(unit)
    }

    /// Does it, from wherever the device is.
    pub fn act(&self, unit: &mut Unit<'_>, part: &Part, releases: &Releases) -> Result<(), Stop> {
        reach(unit, part, releases, self.goal)
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

fn reach(unit: &mut Unit<'_>, part: &Part, releases: &Releases, goal: Goal) -> Result<(), Stop> {
    match goal {
        Goal::Enrolled => enroll(unit, releases),
        Goal::Ruined => {
            ruin(unit, part);
            Ok(())
        }
        // Done behind the last start, see `Deed::prepare`.
        Goal::Soiled => Ok(()),
        Goal::Spent(number) => spend_boots(unit, releases.get(number)),
        Goal::FallenBack(number) => crash_until(unit, releases.get(number)),
        Goal::LeaseEnded(number) => wait_for_lease(unit, releases.get(number)),
        Goal::Staged(number)
        | Goal::Armed(number)
        | Goal::OnTrial(number)
        | Goal::Confirmed(number)
        | Goal::RolledBack(number) => {
            for _ in 0..MOST_STEPS {
                unit.open_session()?;
                let status = unit.status()?;
                if !step(unit, releases.get(number), &status, goal)? {
                    return Ok(());
                }
            }
            Err(Stop::Strange(format!("{goal:?} is not reached in {MOST_STEPS} steps")))
        }
    }
}

fn enroll(unit: &mut Unit<'_>, releases: &Releases) -> Result<(), Stop> {
    unit.open_session()?;
    if unit.root_version()? == 0 {
        unit.offer(&releases.root)?;
        unit.ask(Request::Enroll)?;
    }
    Ok(())
}

/// Does the next thing towards `goal`; false when there is none left.
fn step(unit: &mut Unit<'_>, release: &Release, status: &Status, goal: Goal) -> Result<bool, Stop> {
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
            let boot_nonce = unit.boot_nonce;
            unit.ask(Request::Confirm { trial_id, boot_nonce })?;
        }
        Goal::Armed(_) if trial.armed > 0 => return Ok(false),
        _ if trial.armed > 0 => unit.reset()?,
        _ => {
            unit.ask(Request::Arm { trial_id, boots: 1 })?;
        }
    }
    Ok(true)
}

fn stage(unit: &mut Unit<'_>, release: &Release, again: bool) -> Result<(), Stop> {
    unit.offer(&release.envelope)?;
    unit.ask(Request::Stage { again })?;
    for component in 0..2 {
        unit.send_missing(release, component)?;
    }
    unit.ask(Request::Finish)?;
    Ok(())
}

fn open_trial(unit: &mut Unit<'_>, release: &Release) -> Result<(), Stop> {
    unit.ask(Request::OpenTrial { bundle: release.digest, plan: PLAN, terms: TERMS })?;
    Ok(())
}

/// The host falls silent, until the device has ended the trial.
fn wait_for_lease(unit: &mut Unit<'_>, release: &Release) -> Result<(), Stop> {
    for _ in 0..MOST_STEPS {
        unit.open_session()?;
        let status = unit.status()?;
        if status.trial.is_none() {
            return Ok(());
        }
        unit.pass(LEASE_ENDS_MS)?;
    }
    Err(Stop::Strange(format!("the trial of release {} does not end", release.number)))
}

fn crash_until(unit: &mut Unit<'_>, fallback: &Release) -> Result<(), Stop> {
    for _ in 0..MOST_STEPS {
        unit.open_session()?;
        let status = unit.status()?;
        let active = status.active.and_then(|active| status.slots.get(active).bundle());
        if active == Some(fallback.digest) {
            return Ok(());
        }
        unit.restart(ResetCause::Watchdog);
        if !unit.flash().is_powered() {
            return Err(Stop::PowerLost);
        }
    }
    Err(Stop::Strange("the fallback never runs".to_owned()))
}

/// The host arms and resets, and never confirms.
fn spend_boots(unit: &mut Unit<'_>, release: &Release) -> Result<(), Stop> {
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
            None if SlotId::ALL.into_iter().any(staged) => open_trial(unit, release)?,
            None => return Ok(()),
        }
    }
    let (number, boots) = (release.number, TERMS.boots);
    Err(Stop::Strange(format!("release {number} runs on trial more than {boots} times")))
}

/// A cell of the running image's area, behind its bytes, loses a bit.
fn soil(unit: &mut Unit<'_>, part: &Part) {
    if let Start::Slot(slot) = unit.runs() {
        let app = part.layout.slots().get(slot).areas[0].range;
        unit.flash().flip(app.end() - 1, 0).expect("the address is on the part");
    }
}

/// One bit of each slot's image turns, and the device starts anew.
fn ruin(unit: &mut Unit<'_>, part: &Part) {
    for slot in [SlotId::A, SlotId::B] {
        let app = part.layout.slots().get(slot).areas[0].range;
        unit.flash().flip(app.start, 0).expect("the address is on the part");
    }
    unit.restart(ResetCause::PowerOn);
}
