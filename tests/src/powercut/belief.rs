//! What a device has to be, or may be: the model that follows it, and those beside it since something was cut short.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::slot::{RejectReason, SlotId};

use super::bytes::Bytes;
use super::model::{Event, Held, Model};
use super::release::Releases;
use super::truth::{Differs, Truth};

/// What is known of a device.
#[derive(Debug, Clone)]
pub struct Belief {
    /// What it has to be.
    pub model: Model,
    /// What it may be instead: changes that it was asked for and did not acknowledge.
    pub maybe: Vec<Model>,
    /// What it may be behind its next start: changes that failed in flash and may stand there all the same.
    in_doubt: Vec<Model>,
    /// What has happened, if somebody wants to know.
    pub log: Option<Vec<Step>>,
    /// Its clock has jumped in this boot: what takes time may have happened.
    clock_off: bool,
    /// Slots that may have been admitted when this boot began.
    were_admitted: [bool; 2],
    /// Slots that may have been admitted when any boot began.
    ever_admitted: [bool; 2],
    /// Highest floor that it ever may have had.
    highest_floor: u64,
    /// Newest root record that it ever may have had.
    highest_root: u32,
}

/// Something that has happened, and up to which flash operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// Operations of the part when it was over.
    pub until: u64,
    /// What the device may have been before.
    pub before: Vec<Model>,
    /// What it may be now.
    pub after: Vec<Model>,
}

/// How a start went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Went {
    /// To its end.
    Through,
    /// It was cut short, and may have stored what it had decided, or not.
    CutShort,
    /// To its end, though flash did not do all that it was told: what was decided may not be stored, and a trial
    /// that cannot be accounted for does not run.
    Unsure,
    /// As that, and what it has read may read otherwise to what runs then: the record says one thing, and what runs
    /// follows from another.
    Unsteady,
}

/// What a device was found to be.
#[derive(Debug)]
pub struct Resolved {
    /// What was seen.
    pub truth: Truth,
    /// What is not as it may be, if anything.
    pub differs: Option<Differs>,
    /// Which of the states it may have been in, the first one being [`Belief::model`].
    pub place: usize,
}

impl Belief {
    /// A device that is this.
    pub const fn new(model: Model) -> Self {
        let (highest_floor, highest_root) = (model.floor, model.root);
        let were_admitted = [false; 2];
        let maybe = Vec::new();
        Self {
            model,
            maybe,
            in_doubt: Vec::new(),
            log: None,
            clock_off: false,
            were_admitted,
            ever_admitted: were_admitted,
            highest_floor,
            highest_root,
        }
    }

    /// Highest floor that it ever may have had.
    pub const fn highest_floor(&self) -> u64 {
        self.highest_floor
    }

    /// Newest root record that it ever may have had.
    pub const fn highest_root(&self) -> u32 {
        self.highest_root
    }

    /// Whether the slot may have been admitted when this boot began.
    pub const fn was_admitted(&self, slot: SlotId) -> bool {
        self.were_admitted[slot as usize]
    }

    /// The start could not read all of the record: it has obeyed an entry before the one in force.
    pub const fn obeyed_an_older_entry(&mut self) {
        self.were_admitted = self.ever_admitted;
    }

    /// A trial is about to be confirmed: the floor may be that of whatever lies in a slot.
    pub fn confirms(&mut self, releases: &Releases) {
        let held = self.all().flat_map(|model| model.slots).filter_map(Held::release);
        let floors = held.map(|number| releases.get(number).security_version);
        let highest = floors.max().unwrap_or(0);
        self.highest_floor = self.highest_floor.max(highest);
    }

    /// It is what it is seen to be, whatever it was.
    pub fn adopt(&mut self, truth: &Truth, releases: &Releases) {
        self.model = truth.model(releases);
        self.maybe.clear();
        self.in_doubt.clear();
    }

    /// Every state that it may be in, the one that it is in without a fault first.
    pub fn all(&self) -> impl Iterator<Item = &Model> + Clone {
        std::iter::once(&self.model).chain(&self.maybe)
    }

    /// It has started, or was about to: every state that it may have been in leads to another one.
    pub fn started(&mut self, cause: ResetCause, bytes: [Bytes; 2], went: Went, until: u64) {
        self.clock_off = false;
        for model in std::mem::take(&mut self.in_doubt) {
            self.may_be(model);
        }
        let before: Vec<Model> = self.all().cloned().collect();
        self.were_admitted = SlotId::ALL.map(|slot| {
            before.iter().any(|model| matches!(model.slots[slot as usize], Held::Admitted(_)))
        });
        let event = Event::Started { cause, bytes };
        for (ever, now) in self.ever_admitted.iter_mut().zip(self.were_admitted) {
            *ever |= now;
        }
        let after: Vec<Model> = before.iter().map(|model| model.after(event)).collect();
        if let Some(log) = &mut self.log {
            log.push(Step { until, before: before.clone(), after: after.clone() });
        }
        let all = match went {
            Went::Through => after,
            Went::CutShort => [before, after].concat(),
            Went::Unsure | Went::Unsteady => {
                let unstored = before.iter().zip(&after).flat_map(|(before, after)| {
                    let passed = before.paused().after(event);
                    [
                        before.running_as(&passed),
                        before.running_as(after),
                        after.running_as(&passed),
                    ]
                });
                let mut all: Vec<Model> = after.iter().cloned().chain(unstored).collect();
                if went == Went::Unsteady {
                    let recorded = before.iter().chain(&after);
                    all.extend(recorded.flat_map(|recorded| {
                        after.iter().map(|started| recorded.running_as(started))
                    }));
                }
                all
            }
        };
        if matches!(went, Went::Unsure | Went::Unsteady) {
            // The engine stores it anew, and has not when it is cut short.
            self.in_doubt.clone_from(&all);
        }
        self.is_one_of(all);
    }

    fn is_one_of(&mut self, all: Vec<Model>) {
        self.maybe.clear();
        let mut all = all.into_iter();
        if let Some(first) = all.next() {
            self.model = first;
        }
        all.for_each(|model| self.may_be(model));
    }

    fn note(&mut self, model: &Model) {
        self.highest_floor = self.highest_floor.max(model.floor);
        self.highest_root = self.highest_root.max(model.root);
    }

    fn may_be(&mut self, model: Model) {
        self.note(&model);
        if model != self.model && !self.maybe.contains(&model) {
            self.maybe.push(model);
        }
    }

    /// It refused this because flash failed: it goes on without, and knows no more than anybody whether flash
    /// holds it.
    pub fn failed(&mut self, event: Event) {
        self.cut_short(event);
        self.in_doubt.extend(self.maybe.iter().cloned());
    }

    /// The device has acknowledged it; what it may have done before counts no more, once it has written.
    pub fn happened(&mut self, event: Event, wrote: bool, until: u64) {
        if wrote && event != Event::Nothing {
            self.in_doubt.clear();
        }
        let before: Vec<Model> = self.all().cloned().collect();
        let maybe = std::mem::take(&mut self.maybe);
        let after = self.model.after(event);
        self.note(&after);
        self.model = after;
        if event == Event::Nothing {
            self.maybe = maybe;
        } else if self.clock_off {
            // What was found done may have been the clock's doing, and what takes time may be still to come.
            for model in &maybe {
                self.may_be(model.after(event));
            }
            if matches!(event, Event::GivenUp(_)) {
                before.iter().cloned().for_each(|model| self.may_be(model));
            }
            self.follow_clock();
        }
        if let Some(log) = &mut self.log {
            let after = std::iter::once(&self.model).chain(&self.maybe).cloned().collect();
            log.push(Step { until, before, after });
        }
    }

    /// The device was asked for it, or was about to do it, and has not acknowledged it.
    pub fn cut_short(&mut self, event: Event) {
        if event != Event::Nothing {
            self.may_be(self.model.after(event));
            if matches!(event, Event::Enrolled(_)) {
                self.may_be(self.model.after(Event::Recorded));
            }
            self.follow_clock();
        }
    }

    /// Its clock has jumped.
    pub fn clock_jumped(&mut self) {
        self.clock_off = true;
        self.follow_clock();
    }

    /// What takes time may have happened in every state that it may be in.
    fn follow_clock(&mut self) {
        if !self.clock_off {
            return;
        }
        let given_up = [RejectReason::LeaseExpired, RejectReason::BootLimit].map(Event::GivenUp);
        for model in self.all().cloned().collect::<Vec<_>>() {
            for event in given_up.into_iter().chain([Event::Nothing]) {
                let model = model.after(event);
                self.may_be(model.after(Event::Healed));
                self.may_be(model);
            }
        }
    }

    /// Finds which of the states that it may be in the device is in; those that look the same stay.
    pub fn resolve(&mut self, truth: Truth, releases: &Releases) -> Resolved {
        let all: Vec<Model> = self.all().cloned().collect();
        let is_seen = |model: &Model| truth.differs(model, releases).is_none();
        let Some(place) = all.iter().position(is_seen) else {
            let differs = truth.differs(&self.model, releases);
            return Resolved { truth, differs, place: 0 };
        };
        self.is_one_of(all.into_iter().filter(is_seen).collect());
        self.follow_clock();
        Resolved { truth, differs: None, place }
    }
}
