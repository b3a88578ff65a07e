//! Row 4: an upgrade that is interrupted wherever it can be, and given up.

use std::fs;
use std::path::Path;
use std::thread;

use firmware_protocol::planted::Mistake;

use super::{Outcome, Row, Switch};
use crate::simulator::{SimOptions, Simulator, faults_in};
use crate::site::{Release, Site, plan_with};

/// The row.
pub const ROW: Row = Row {
    number: 4,
    name: "rollback by interrupting",
    attack: "power fails in every flash operation of an upgrade and of its revert; then the release before is wanted again",
    defence: "the floor rises in the entry that confirms, and in no other one",
    switch: Switch::Mistake(Mistake::FloorBeforeConfirm),
    run,
};

/// The floor that was confirmed, and that of the upgrade.
const CONFIRMED: u64 = 3;
const UPGRADE: u64 = 9;
/// Devices that are tried side by side: each waits for its power most of the time.
const SIDE_BY_SIDE: usize = 4;

/// A device in front of an upgrade that will fail, and what is deployed to it.
struct Scene {
    site: Site,
    upgrade: String,
    before: String,
}

fn run() -> Outcome {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().state("origin"));
    let confirmed = site.bundle(&Release::new("2.0.0").security(CONFIRMED));
    let _ = site.deploy(&confirmed, &device.address()).code(0);
    drop(device.stop());
    let failing = plan_with("id = \"no\"\nkind = \"command\"\nargv = [\"false\"]");
    let upgrade = Release::sized("3.0.0", 4_000).security(UPGRADE).plan(&failing);
    let before = Release::sized("1.9.0", 4_000).security(CONFIRMED);
    let scene = Scene { upgrade: site.bundle(&upgrade), before: site.bundle(&before), site };

    let whole = scene.interrupted(0);
    let operations = whole.operations;
    let cut = thread::scope(|scope| {
        let devices: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|first| {
                let scene = &scene;
                let numbers = (1..=operations).skip(first).step_by(SIDE_BY_SIDE);
                scope.spawn(move || numbers.map(|n| scene.interrupted(n)).collect::<Vec<_>>())
            })
            .collect();
        devices.into_iter().flat_map(|device| device.join().unwrap()).collect::<Vec<_>>()
    });
    let struck = cut.iter().filter(|seen| seen.faults > 0).count();
    let breaches: Vec<&String> =
        cut.iter().chain([&whole]).filter_map(|it| it.breach.as_ref()).collect();
    match breaches.first() {
        Some(first) => {
            Outcome::Succeeded(format!("{} of {} devices: {first}", breaches.len(), cut.len() + 1))
        }
        None => Outcome::Refused(format!(
            "{struck} losses of power in the {operations} flash operations of an upgrade and its revert: the floor stays \
             {CONFIRMED}, the device boots, and 1.9.0 is deployed again"
        )),
    }
}

/// What became of a device.
struct Seen {
    operations: u64,
    faults: u64,
    breach: Option<String>,
}

impl Scene {
    /// Tries the upgrade on a copy of the device, whose power fails in that flash operation; in none for zero.
    fn interrupted(&self, operation: u64) -> Seen {
        let name = format!("cut-{operation}");
        copy(&self.site.path("origin"), &self.site.path(&name));
        let fault = match operation {
            0 => String::new(),
            _ => format!("faults = [\"cut@{operation}~{operation}\"]\n"),
        };
        let scenario = format!("{fault}[power]\noff_ms = 20\n");
        let options = SimOptions::tcp().state(&name).scenario(&scenario);
        let device = Simulator::start(&self.site, &options);
        let address = device.address();
        let ended = self.site.deploy(&self.upgrade, &address);
        assert!(operation > 0 || ended.code == Some(1), "the upgrade fails its plan: {ended:?}");
        // Whoever interrupts for good leaves a trial open, or none; both are given up.
        let _ = self.site.noflake(&["device", "rollback", "-d", &address]);
        let status = self.site.status(&address);
        let counted = device.stop();
        let device = Simulator::start(&self.site, &SimOptions::tcp().state(&name));
        let ended = self.site.deploy(&self.before, &device.address());
        let then = self.site.running_version(&device.address());
        Seen {
            operations: counted["flash"]["operations"].as_u64().unwrap(),
            faults: faults_in(&counted),
            breach: breach(&status, ended.code, &then),
        }
    }
}

/// What the interrupted upgrade has cost: by what ran and what the floor was behind it, and how the release before went then.
fn breach(status: &serde_json::Value, code: Option<i32>, then: &str) -> Option<String> {
    let (runs, floor) = (&status["device"]["version"], &status["accept_floor"]);
    if *runs == "2.0.0" && *floor == CONFIRMED && code == Some(0) && then == "1.9.0" {
        return None;
    }
    Some(format!(
        "{runs} runs, the floor is {floor} where {CONFIRMED} was confirmed, and the release before ends with exit {} while \
         {then} runs",
        code.map_or_else(|| "none".to_owned(), |code| code.to_string())
    ))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
