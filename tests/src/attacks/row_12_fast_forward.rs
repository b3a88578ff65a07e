//! Row 12: numbers used up by one bundle.

use std::fs;

use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;

use super::{Outcome, Row, Switch};
use crate::intruder::{Intruder, Shipment};
use crate::simulator::{SimOptions, Simulator};
use crate::site::{ROOT_KEY, Release, Site, TestKey, later_root_record};

/// The row.
pub const ROW: Row = Row {
    number: 12,
    name: "fast-forward",
    attack: "a stolen release key signs the highest security version that there is",
    defence: "a security version lies a step above the floor at most, and the root record says how far",
    switch: Switch::Defence(Defence::SecurityStep),
    run,
};

/// The release key behind the theft.
const NEXT_KEY: TestKey = TestKey(6);
/// How far a step goes, if the root record does not say.
const STEP: u64 = 1000;

fn run() -> Outcome {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let address = device.address();
    let last = site.bundle(&Release::new("6.6.6").security(u64::MAX));
    let ended = site.deploy(&last, &address);
    let floor = site.status(&address)["accept_floor"].as_u64().unwrap();
    if floor == u64::MAX {
        let honest = site.bundle(&Release::new("2.0.0").security(2));
        let _ = site.deploy(&honest, &address).code(5);
        return Outcome::Succeeded(format!(
            "6.6.6 is confirmed, the floor is {floor}, and every honest release is locked out"
        ));
    }
    let _ = ended.code(5).says(&format!("it takes {STEP} at most"));

    // The most that the thief gets is a step, and it is not what locks honest releases out.
    let step = site.bundle(&Release::new("6.6.7").security(STEP));
    let _ = site.deploy(&step, &address).code(0);
    let next = later_root_record(2, NEXT_KEY, &[ROOT_KEY]);
    Intruder::at(&device).enroll(&next).unwrap();
    fs::write(site.root(), next).unwrap();
    let more = Shipment::of(&site, &Release::new("6.6.8").security(2 * STEP));
    let untrusted = Refusal::UntrustedSignature { valid: 0, needed: 1 };
    assert_eq!(Intruder::at(&device).install(&more), Err(untrusted));
    let honest = Release::new("2.0.0").security(STEP + 1).signed_by(NEXT_KEY);
    let _ = site.deploy(&site.bundle(&honest), &address).code(0);
    assert_eq!(site.running_version(&address), "2.0.0");
    Outcome::Refused(format!(
        "security version {} refused (exit 5); the thief gets {STEP} further, the next root record takes the key away, and \
         2.0.0 is deployed as {}: nobody is locked out",
        u64::MAX,
        STEP + 1
    ))
}
