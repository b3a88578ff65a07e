//! Row 7: a release that is newer than what runs, and older than what is known to be needed.

use std::fs;

use firmware_protocol::planted::Defence;
use firmware_protocol::root::{Policy, RootRecord};

use super::{Outcome, Row, Switch};
use crate::intruder::Intruder;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{ROOT_KEY, Release, Site};
use crate::trust::{first_record, signed_root};

/// The row.
pub const ROW: Row = Row {
    number: 7,
    name: "stale but newer",
    attack: "a device at security version 1 is offered 5, rightly signed and with a known hole, while 9 is out",
    defence: "the root record says below which security version nothing is admitted, whatever was confirmed",
    switch: Switch::Defence(Defence::LowestSecurityVersion),
    run,
};

fn run() -> Outcome {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let untold = Simulator::start(&site, &SimOptions::tcp().state("untold"));
    let old = site.bundle(&Release::new("1.0.0").security(1));
    let _ = site.deploy(&old, &device.address()).code(0);
    let stale = site.bundle(&Release::new("5.0.0").security(5));
    // Nobody can know of what nobody has said.
    let _ = site.deploy(&stale, &untold.address()).code(0);

    let policy = Policy { lowest_security_version: 9, ..Policy::default() };
    let next = signed_root(&RootRecord { version: 2, policy, ..first_record() }, &[ROOT_KEY]);
    Intruder::at(&device).enroll(&next).unwrap();
    fs::write(site.root(), next).unwrap();
    let ended = site.deploy(&stale, &device.address());
    if site.running_version(&device.address()) == "5.0.0" {
        return Outcome::Succeeded(
            "5.0.0 of security version 5 runs, where 9 is the lowest".to_owned(),
        );
    }
    let _ = ended.code(5).says("security version 5 is below the device's floor 9");
    let newest = site.bundle(&Release::new("9.0.0").security(9));
    let _ = site.deploy(&newest, &device.address()).code(0);
    Outcome::Refused(
        "5.0.0 refused (exit 5) by a device that runs 1.0.0 and has root record 2, 9.0.0 installed; a device that no root \
         record has told takes 5.0.0"
            .to_owned(),
    )
}
