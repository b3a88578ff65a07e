//! What is cut: things that a host has done to a device, from a state to a goal.
//!
//! A goal is reached from wherever the device is, as a host does that knows nothing of what was
//! before: it asks, and does what is next. So the retry behind a cut is the deed itself.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::record::RecordStore;
use hw_sim::SimFlash;

use crate::random::Random;

use super::cut::Grain;
use super::host::{reach, soil};
use super::judge::{Violation, violation};
use super::model::{Held, Model};
use super::part::Part;
use super::release::Releases;
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
    /// An image of a later version has written the record: it holds fields that this one does not know.
    Newer,
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
pub const DEEDS: [Deed; 21] = [
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
    composed("skew", fielded!(Goal::Newer), Goal::Confirmed(3)),
];

impl Deed {
    /// The deed of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        DEEDS.iter().find(|deed| deed.name == name)
    }

    /// The flash of a device that is about to start before the deed, its record `age` entries further on.
    ///
    /// # Errors
    /// What does not hold of the device on the way there, though nothing strikes.
    pub fn origin(&self, part: &Part, releases: &Releases, age: u32) -> Result<Origin, Violation> {
        let mut unit = Unit::off(part, releases, used(part), Model::blank());
        let started = unit.start(ResetCause::PowerOn);
        started.or_else(|stop| violation("I1", format!("a blank device: {stop:?}")))?;
        for goal in self.before {
            goal.reach(&mut unit)?;
            as_expected(&mut unit)?;
        }
        age_record(unit.flash(), part, age);
        let model = unit.belief.model.clone();
        let soiled = self.before.contains(&Goal::Soiled);
        Ok(Origin { flash: unit.into_flash(), model, soiled })
    }

    /// Flash was damaged from outside before: what the record remembers of it is not so.
    pub fn is_on_damage(&self) -> bool {
        [Goal::Ruined, Goal::Soiled].iter().any(|goal| self.before.contains(goal))
    }
}

/// A device before a deed, without power.
#[derive(Debug)]
pub struct Origin {
    flash: SimFlash,
    model: Model,
    soiled: bool,
}

impl Origin {
    /// The device, started, everything about its flash counted from now on.
    ///
    /// # Errors
    /// When it does not start.
    pub fn unit<'a>(&self, part: &'a Part, releases: &'a Releases) -> Result<Unit<'a>, Stop> {
        let flash = self.flash.fork().expect("memory can be read");
        let mut unit = Unit::off(part, releases, flash, self.model.clone());
        unit.start(ResetCause::Requested)?;
        if self.soiled {
            soil(&mut unit);
        }
        unit.flash().forget_history();
        Ok(unit)
    }
}

impl Goal {
    /// Brings a device there, from wherever it is.
    ///
    /// # Errors
    /// Why that ends before.
    pub fn reach(self, unit: &mut Unit<'_>) -> Result<(), Violation> {
        let Err(stop) = reach(unit, self) else { return Ok(()) };
        // A device that is not what it has to be says more than a goal that is not reached.
        as_expected(unit)?;
        violation(self.invariant(), format!("{self:?}: {stop:?}"))
    }

    /// The invariant that does not hold when it is not reached: a trial that nobody confirms ends by itself, and
    /// everything else is up to the host.
    pub const fn invariant(self) -> &'static str {
        match self {
            Self::LeaseEnded(_) | Self::Spent(_) | Self::FallenBack(_) => "I3",
            _ => "I10",
        }
    }

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
            Self::Newer => model.carries,
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
fn as_expected(unit: &mut Unit<'_>) -> Result<(), Violation> {
    let looked = unit.open_session().and_then(|()| unit.resolve());
    let resolved =
        looked.or_else(|stop| violation("I1", format!("what runs does not answer: {stop:?}")))?;
    match resolved.differs {
        None => Ok(()),
        Some(differs) => violation(differs.invariant(), differs.to_string()),
    }
}
