//! Row 3: an old release with a known hole, rightly signed.

use firmware_protocol::planted::Defence;

use super::{Outcome, Row, Switch};
use crate::random::{Random, seed};
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, Site, plan_with};

/// The row.
pub const ROW: Row = Row {
    number: 3,
    name: "rollback",
    attack: "releases below the newest confirmed security version, among installs, trials that fail and losses of power",
    defence: "the floor: it rises with each confirm and never falls, and nothing below it is admitted",
    switch: Switch::Defence(Defence::Floor),
    run,
};

/// How often an install, a trial that fails and an attack follow one another.
const ROUNDS: u64 = 4;

/// What the device has to be, by what has been confirmed.
struct Confirmed {
    version: String,
    floor: u64,
}

fn run() -> Outcome {
    let mut random = Random::new(seed("row_03_rollback", 303));
    let site = Site::new();
    let options = SimOptions::tcp();
    let mut device = Simulator::start(&site, &options);
    let mut losses = 0;
    let mut confirmed = Confirmed { version: "1.0.0".to_owned(), floor: 0 };
    for round in 1..=ROUNDS {
        let newer = confirmed.floor + random.between(1, 4);
        let version = format!("2.{round}.0");
        let bundle = site.bundle(&Release::new(&version).security(newer));
        let _ = site.deploy(&bundle, &device.address()).code(0);
        confirmed = Confirmed { version, floor: newer };

        let failing = plan_with("id = \"no\"\nkind = \"command\"\nargv = [\"false\"]");
        let newest = Release::new(&format!("3.{round}.0")).security(newer + 9).plan(&failing);
        let _ = site.deploy(&site.bundle(&newest), &device.address()).code(1);

        if random.between(0, 2) == 0 || round == 1 {
            device.kill();
            device = Simulator::start(&site, &options);
            losses += 1;
        }
        if let Some(breach) = attack(&site, &device, round, &confirmed, &mut random) {
            return Outcome::Succeeded(breach);
        }
    }
    let Confirmed { version, floor } = confirmed;
    Outcome::Refused(format!(
        "{ROUNDS} old releases refused (exit 5) among as many installs, as many failed trials and {losses} losses of \
         power; {version} runs, the floor is {floor}"
    ))
}

/// Installs an old release; says what runs if that worked.
fn attack(
    site: &Site,
    device: &Simulator,
    round: u64,
    confirmed: &Confirmed,
    random: &mut Random,
) -> Option<String> {
    let Confirmed { version: newer, floor } = confirmed;
    let (version, security) = (format!("1.{round}.0"), random.between(0, *floor));
    let old = site.bundle(&Release::new(&version).security(security));
    let ended = site.deploy(&old, &device.address());
    let status = site.status(&device.address());
    if status["device"]["version"] == version {
        return Some(format!(
            "{version} of security version {security} runs, behind {newer} of {floor}"
        ));
    }
    let _ = ended.code(5).says("is below the device's floor");
    assert_eq!(status["device"]["version"], *newer, "{status}");
    let has = status["accept_floor"].as_u64().unwrap();
    (has < *floor).then(|| format!("the floor fell from {floor} to {has}"))
}
