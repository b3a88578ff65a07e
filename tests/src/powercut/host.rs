//! What a host does to bring a device to a goal, from wherever the device is: it asks, and does what is next.

use firmware_protocol::boot::{RECORD_VERSION, ResetCause};
use firmware_protocol::digest::Digest;
use firmware_protocol::message::{Request, Status, TrialStatus, TrialTerms};
use firmware_protocol::record::RecordStore;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{SlotId, SlotState};

use super::deed::Goal;
use super::model::{Event, Held, Model};
use super::release::{ROOTS, Release};
use super::unit::{Stop, Unit};

/// What a host asks of a trial.
pub const TERMS: TrialTerms =
    TrialTerms { boots: 6, crashes: 3, power_failures: 4, lease_ms: 10_000, boot_max_ms: 60_000 };

/// A later version of the record's layout, and what it appends.
pub const NEWER: u8 = RECORD_VERSION + 1;
/// See [`NEWER`].
pub const NEWER_FIELDS: [u8; 24] = *b"fields of a later layout";

const PLAN: Digest = Digest([9; 32]);
/// More than the steps of any goal.
const MOST_STEPS: u32 = 16;
/// More than any lease.
const LEASE_ENDS_MS: u64 = 15_000;

/// Brings a device to a goal.
///
/// # Errors
/// Why that ended before.
pub fn reach(unit: &mut Unit<'_>, goal: Goal) -> Result<(), Stop> {
    match goal {
        Goal::Root(version) => enroll(unit, version),
        Goal::Ruined => ruin(unit),
        Goal::Forgotten => forget(unit),
        Goal::Newer => write_as_newer(unit),
        // Done behind the last start, see `Deed::origin`.
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
                if rests(unit) {
                    unit.start(ResetCause::PowerOn)?;
                } else if unit.root_version()? == 0 {
                    enroll_anew(unit)?;
                } else if !step(unit, number, &status, goal)? {
                    return Ok(());
                }
            }
            Err(Stop::Strange(format!("{goal:?} is not reached in {MOST_STEPS} steps")))
        }
    }
}

/// Root records are taken one at a time.
fn enroll(unit: &mut Unit<'_>, version: u32) -> Result<(), Stop> {
    unit.open_session()?;
    if unit.root_version()? == 0 {
        enroll_anew(unit)?;
    }
    for version in unit.root_version()? + 1..=version {
        unit.offer_root(version)?;
        unit.ask(Request::Enroll)?;
    }
    Ok(())
}

/// Whatever was lost of a device comes back: the root record in force is offered once more, then the release.
///
/// # Errors
/// Why that ended before.
pub fn recover(unit: &mut Unit<'_>, number: u8) -> Result<(), Stop> {
    unit.open_session()?;
    match unit.root_version()? {
        0 => enroll_anew(unit)?,
        version => {
            unit.offer_root(version)?;
            unit.ask(Request::Enroll)?;
        }
    }
    reach(unit, Goal::Confirmed(number))
}

/// A device that has lost its record takes the newest root record that it still holds, and no other.
fn enroll_anew(unit: &mut Unit<'_>) -> Result<(), Stop> {
    for version in 1..=ROOTS {
        unit.offer_root(version)?;
        match unit.ask(Request::Enroll) {
            Err(Stop::Refused(Refusal::InRecovery)) if version < ROOTS => {}
            other => return other.map(|_| ()),
        }
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
            _ if staged => match open_trial(unit, release) {
                // Its manifest or a signature of it was lost since, or cannot be read: a stage stores it anew.
                Err(Stop::Refused(
                    Refusal::NotStaged | Refusal::UntrustedSignature { .. } | Refusal::Flash,
                )) => stage(unit, release, false).map(|()| true),
                opened => opened.map(|()| true),
            },
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
        _ if trial.armed > 0 => enter_trial(unit, trial_id)?,
        // Power failures in a row have used up its boots: the start behind a reset ends it.
        _ if trial.boots_left == 0 => unit.reset()?,
        _ => {
            unit.ask(Request::Arm { trial_id, boots: 1 })?;
        }
    }
    Ok(true)
}

/// Resets into the armed trial; one that does not run behind that is given up: its slot cannot be read.
fn enter_trial(unit: &mut Unit<'_>, trial_id: u32) -> Result<(), Stop> {
    unit.reset()?;
    unit.open_session()?;
    if unit.status()?.trial.is_some_and(|trial| trial.armed > 0 && !trial.running) {
        unit.ask(Request::Rollback { trial_id })?;
    }
    Ok(())
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
        let cause = match unit.belief.model.runs {
            Some(_) if active == Some(digest) => return Ok(()),
            Some(_) => ResetCause::Watchdog,
            // It has crashed too often as well: the power is switched off and on.
            None => ResetCause::PowerOn,
        };
        unit.start(cause)?;
    }
    Err(Stop::Strange("the fallback never runs".to_owned()))
}

/// The confirmed image is whole and does not run: it has crashed too often, or a start could not read that it is the
/// one. It runs again when the power is switched off and on.
fn rests(unit: &Unit<'_>) -> bool {
    let model = &unit.belief.model;
    let is_whole = |slot: SlotId| matches!(model.slot(slot), Held::Admitted(number) if unit.held[slot as usize].is(Some(number)));
    model.trial.is_none() && model.runs != model.confirmed && model.confirmed.is_some_and(is_whole)
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
pub(super) fn soil(unit: &mut Unit<'_>) {
    if let Some(slot) = unit.belief.model.runs {
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
    unit.belief.model = Model::blank();
    unit.start(ResetCause::PowerOn)
}

/// What an image of the next version of the record's layout would write: fields behind those known here.
fn write_as_newer(unit: &mut Unit<'_>) -> Result<(), Stop> {
    let (record, begun) = (unit.part.layout.record(), unit.operations());
    let mut store = RecordStore::load(unit.flash(), record);
    let mut state = store.state().cloned().ok_or_else(|| Stop::Strange("no record".to_owned()))?;
    state.carried.version = NEWER;
    state.carried.bytes.extend_from_slice(&NEWER_FIELDS).expect("there is room for them");
    store.write(unit.flash(), &state).expect("flash works");
    unit.happened(Event::Newer, begun);
    unit.start(ResetCause::Requested)
}
