//! What every exploration begins from: a device that runs one release, and the order to deploy another.

use std::sync::Arc;

use firmware_protocol::boot::{BootState, ResetCause};
use firmware_protocol::flash::Range;
use firmware_protocol::record::RecordStore;
use hw_sim::SimFlash;
use noflake::evidence::Verb;
use noflake::plan::Plan;
use noflake::qualify::runner::Order;

use super::canonical::FIRST_TRIAL;
use super::memory::Memory;
use crate::powercut::deed::Goal;
use crate::powercut::host::reach;
use crate::powercut::model::Model;
use crate::powercut::part::{Part, small};
use crate::powercut::release::{Release, Releases};
use crate::powercut::unit::Unit;

/// The release that runs and is confirmed.
pub const OLD: u8 = 1;
/// The release that is to be deployed.
pub const NEW: u8 = 2;
/// Silence after which a trial ends, in milliseconds: longer than the host waits for one answer.
pub const LEASE_MS: u64 = 20_000;
/// Longest boot of a trial, in milliseconds.
pub const BOOT_MAX_MS: u64 = 30_000;
/// Boots of a trial.
pub const BOOTS: u16 = 3;

const PLAN: &str = r#"
schema = "qualplan/1"
[plan]
id = "model.deploy"
version = "1"
[timeouts]
connect = "10s"
lease = "20s"
boot_max = "30s"
trial_boots = 3
[[stage]]
id = "iq"
slot = "trial"
[[stage.check]]
id = "identity"
kind = "identity"
[[stage.check]]
id = "slot"
kind = "slot"
[[stage.check]]
id = "rail"
kind = "measure"
source = "rail"
unit = "V"
limits = { ge = 3.0 }
"#;

/// Everything that does not change.
#[derive(Debug)]
pub struct Scene {
    /// The part.
    pub part: Part,
    /// What can be on it.
    pub releases: Releases,
    /// What is to be deployed.
    pub order: Order,
    empty: Memory,
    staged: Memory,
}

/// How a device begins. The old release is confirmed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// The other slot is empty.
    Empty,
    /// The new release lies in the other slot, not tried yet.
    Staged,
}

impl Scene {
    /// Everything, made once.
    pub fn new() -> Arc<Self> {
        let (part, releases) = (small(), Releases::new());
        let flash = |goals: &[Goal]| {
            let blank = SimFlash::holding(part.spec.clone(), Vec::new());
            let mut unit = Unit::off(&part, &releases, blank, Model::blank());
            unit.start(ResetCause::PowerOn).expect("a blank device starts");
            for goal in goals {
                reach(&mut unit, *goal).expect("the device is brought where it begins");
            }
            let whole = Range { start: 0, len_bytes: part.spec.size_bytes() };
            let bytes = unit.flash().view(whole).expect("all of it can be read").into_owned();
            renumbered(Memory::new(&part, &bytes), &part)
        };
        let empty = flash(&[Goal::Root(1), Goal::Confirmed(OLD)]);
        let staged = flash(&[Goal::Root(1), Goal::Confirmed(OLD), Goal::Staged(NEW)]);
        let order = order(releases.get(NEW));
        Arc::new(Self { part, releases, order, empty, staged })
    }

    /// The flash of a device that begins so.
    pub fn flash(&self, begin: Begin) -> Memory {
        match begin {
            Begin::Empty => self.empty.clone(),
            Begin::Staged => self.staged.clone(),
        }
    }

    /// What a device's record says; `None` when there is none.
    pub fn record(&self, flash: &Memory) -> Option<BootState> {
        RecordStore::load(&mut flash.clone(), self.part.layout.record()).state().cloned()
    }

    /// The release to be deployed.
    pub fn new_release(&self) -> &Release {
        self.releases.get(NEW)
    }
}

/// Trials are numbered from where no other number is.
fn renumbered(mut flash: Memory, part: &Part) -> Memory {
    let mut store = RecordStore::load(&mut flash, part.layout.record());
    let mut state = store.state().cloned().expect("the device has a record");
    state.next_trial_id = FIRST_TRIAL;
    state.confirmed_trial_id = 0;
    store.write(&mut flash, &state).expect("flash works");
    flash
}

fn order(release: &Release) -> Order {
    Order {
        verb: Verb::Deploy,
        product: "demo".to_owned(),
        hardware: vec![("board".to_owned(), 1, 1)],
        version: format!("1.{}.0", release.number),
        bundle: release.digest.0,
        plan: Plan::parse(PLAN, "model.toml").expect("the plan is sound"),
        again: false,
        take_over: false,
        recover: String::new(),
    }
}
