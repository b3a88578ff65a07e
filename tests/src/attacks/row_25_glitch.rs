//! Row 25: a disturbed processor, in which one decision comes out the other way.
//!
//! By model: a decision is what [`firmware_protocol::planted`] passes on, in the verification of what is signed and of what is
//! started. What a disturbed instruction does beside that is for the review of a board (TRUST.md, "A disturbed processor").

use std::fs;

use firmware_protocol::planted::Defence;
use serde_json::Value;

use super::{Outcome, Row, Switch};
use crate::flash::{self, FlashLayout};
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, STRANGER_KEY, Site, root_record};

/// The row.
pub const ROW: Row = Row {
    number: 25,
    name: "glitch on verify",
    attack: "a stranger's bundle, and a confirmed slot with a byte changed, while one decision after the other comes out wrong",
    defence: "a stage and the opening of a trial each verify what is signed, and a start compares each digest twice",
    switch: Switch::Defence(Defence::SecondLook),
    run,
};

/// Whether this build can turn a decision over. Where it cannot, none is counted, and the attack by itself is all there is.
const CAN_DISTURB: bool = cfg!(feature = "planted");
/// More decisions than any of these attacks meets.
const MOST_DECISIONS: u32 = 400;

fn run() -> Outcome {
    let site = Site::new();
    let mut tried = 0;
    for attack in [Attack::install(&site), Attack::change(&site)] {
        let counted = attack.tried(&site, 0);
        assert!(!counted.has_worked, "an attack that needs no disturbance");
        let last = counted.decisions;
        assert_eq!(last > 0, CAN_DISTURB, "{last} decisions counted while {}", attack.doing);
        assert!(last <= MOST_DECISIONS, "{last} decisions, more than expected");
        for number in 1..=last {
            tried += 1;
            if attack.tried(&site, number).has_worked {
                return Outcome::Succeeded(format!(
                    "with decision {number} of {last} turned over, {}",
                    attack.aim
                ));
            }
        }
    }
    Outcome::Refused(if CAN_DISTURB {
        format!("{tried} decisions turned over, one at a time: nothing foreign or changed ran")
    } else {
        "no decision can be turned over in this build: both attacks failed by themselves, and nothing is said of a \
         disturbance"
            .to_owned()
    })
}

/// A device in the state in which the attack begins, and the attack.
struct Attack {
    aim: &'static str,
    doing: &'static str,
    state: &'static str,
    begin: fn(&Site, &Simulator),
    has_worked: fn(&Value) -> bool,
}

/// How it ended.
struct Ended {
    has_worked: bool,
    decisions: u32,
}

impl Attack {
    /// A stranger's bundle is installed, by a host that believes the stranger.
    fn install(site: &Site) -> Self {
        fs::write(site.path("own.nfr"), root_record(STRANGER_KEY, STRANGER_KEY)).unwrap();
        site.bundle_at(
            &Release::sized("6.6.6", 4_000).signed_by(STRANGER_KEY),
            &site.path("own.nfb"),
        );
        let _ = Simulator::start(site, &SimOptions::tcp().state("enrolled")).stop();
        Self {
            aim: "a stranger's 6.6.6 ran",
            doing: "a stranger's bundle is judged",
            state: "enrolled",
            begin: |site, device| {
                let deploy = ["deploy", "own.nfb", "-d", &device.address(), "--root", "own.nfr"];
                let _ = site.noflake(&deploy);
            },
            has_worked: |status| status["device"]["version"] == "6.6.6",
        }
    }

    /// Somebody has changed a byte of what is confirmed, and the device is started.
    fn change(site: &Site) -> Self {
        let device = Simulator::start(site, &SimOptions::tcp().state("changed"));
        let bundle = site.bundle(&Release::sized("1.1.0", 4_000));
        let _ = site.deploy(&bundle, &device.address()).code(0);
        let state = device.state().to_path_buf();
        let _ = device.stop();
        let mut flash = flash::whole(&state);
        for slot in ["A", "B"] {
            let (start, _) = FlashLayout::read(&state).area(slot, "app");
            flash[start + 100] ^= 1;
        }
        fs::write(state.join("flash.bin"), flash).unwrap();
        Self {
            aim: "a slot that was changed ran",
            doing: "a slot that was changed is started",
            state: "changed",
            begin: |_, _| {},
            has_worked: |status| status["device"]["running"] != "recovery",
        }
    }

    /// Tried on a copy of the device, with this decision turned over.
    fn tried(&self, site: &Site, disturbed: u32) -> Ended {
        let copy = format!("{}-{disturbed}", self.state);
        fs::create_dir(site.path(&copy)).unwrap();
        for file in fs::read_dir(site.path(self.state)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), site.path(&copy).join(file.file_name())).unwrap();
        }
        let device = Simulator::start(site, &options(site, disturbed).state(&copy));
        (self.begin)(site, &device);
        let has_worked = (self.has_worked)(&site.status(&device.address()));
        let _ = device.stop();
        Ended { has_worked, decisions: decisions(site) }
    }
}

#[cfg(feature = "planted")]
fn options(site: &Site, disturbed: u32) -> SimOptions {
    use super::stand_in::{COUNTED, DISTURBED};
    let counted = site.path("decisions").display().to_string();
    let environment = vec![(DISTURBED, disturbed.to_string()), (COUNTED, counted)];
    SimOptions { environment, ..SimOptions::tcp() }
}

#[cfg(feature = "planted")]
fn decisions(site: &Site) -> u32 {
    fs::read_to_string(site.path("decisions")).unwrap().parse().unwrap()
}

#[cfg(not(feature = "planted"))]
fn options(_site: &Site, _disturbed: u32) -> SimOptions {
    SimOptions::tcp()
}

#[cfg(not(feature = "planted"))]
const fn decisions(_site: &Site) -> u32 {
    0
}
