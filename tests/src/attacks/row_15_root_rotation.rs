//! Row 15: root records that do not follow the one in force.

use std::fs;

use firmware_protocol::message::{Request, RootStatus};
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{RoleKeys, RootRecord};

use super::{Outcome, Row, Switch};
use crate::intruder::Intruder;
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator, faults_in};
use crate::site::{RELEASE_KEY, ROOT_KEY, Release, STRANGER_KEY, Site, TestKey};
use crate::trust::{first_record, role, signed_root};

/// The row.
pub const ROW: Row = Row {
    number: 15,
    name: "root rotation abuse",
    attack: "root records that leave a number out or repeat one, signed by the old keys only, by the new ones only, by \
             strangers; power fails while the right one is stored",
    defence: "the next number, signed under the keys in force and under its own; stored and read back before it is named",
    switch: Switch::Defence(Defence::RootSuccession),
    run,
};

/// The other holder of record 1, and the one who takes the first holder's place in record 2.
const SECOND: TestKey = TestKey(7);
const THIRD: TestKey = TestKey(8);

fn run() -> Outcome {
    let first = RootRecord { root: role(&[ROOT_KEY, SECOND], 2), ..first_record() };
    let site = Site::under(&signed_root(&first, &[ROOT_KEY, SECOND]));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let in_force = root_of(&device);
    let strangers = strangers(&first);
    let mut taken = Vec::new();
    let abuses = abuses(&first);
    for (what, document, due) in &abuses {
        match Intruder::at(&device).enroll(document) {
            Ok(()) => taken.push(*what),
            Err(refusal) => assert_eq!(refusal, *due, "{what}"),
        }
    }
    if Intruder::at(&device).enroll(&strangers) == Ok(()) {
        fs::write(site.path("own.nfr"), &strangers).unwrap();
        let own = site.bundle(&Release::new("6.6.6").signed_by(STRANGER_KEY));
        let deploy = ["deploy", &own, "-d", &device.address(), "--root", "own.nfr"];
        let _ = site.noflake(&deploy).code(0);
        assert_eq!(site.running_version(&device.address()), "6.6.6");
        return Outcome::Succeeded(format!(
            "a root record signed by nobody but the attacker is in force, and the attacker's 6.6.6 runs; also taken: {}",
            taken.join(", ")
        ));
    }
    // What was refused is nowhere to be believed at the next start either.
    drop(device.stop());
    let device = Simulator::start(&site, &SimOptions::tcp());
    if !taken.is_empty() || root_of(&device) != in_force {
        return Outcome::Succeeded(format!("taken: {}", taken.join(", ")));
    }
    match cuts(&site, &first, &strangers) {
        Ok([first, second]) => Outcome::Refused(format!(
            "{} records refused, and record 1 stays in force, also at the next start; losses of power while record 2 was stored left record 1 in force \
             {first} times and record 2 {second} times, and a stranger's was refused behind each",
            abuses.len() + 1
        )),
        Err(breach) => Outcome::Succeeded(breach),
    }
}

/// Record 2 as it should be, but for who signs it.
fn next(first: &RootRecord) -> RootRecord {
    RootRecord { version: 2, root: role(&[SECOND, THIRD], 2), ..first.clone() }
}

/// What does not follow, and why it is refused.
fn abuses(first: &RootRecord) -> [(&'static str, Vec<u8>, Refusal); 4] {
    let next = next(first);
    let skips = RootRecord { version: 3, ..next.clone() };
    let same = RootRecord { release: role(&[RELEASE_KEY, STRANGER_KEY], 1), ..first.clone() };
    let all = [ROOT_KEY, SECOND, THIRD];
    [
        (
            "a number left out",
            signed_root(&skips, &all),
            Refusal::RootVersion { expected: 2, got: 3 },
        ),
        ("the same number", signed_root(&same, &all), Refusal::RootVersion { expected: 2, got: 1 }),
        (
            "the old keys only",
            signed_root(&next, &[ROOT_KEY, SECOND]),
            Refusal::UntrustedSignature { valid: 1, needed: 2 },
        ),
        ("the new keys only", signed_root(&next, &[SECOND, THIRD]), Refusal::AlreadyEnrolled),
    ]
}

/// Record 2 of somebody else.
fn strangers(first: &RootRecord) -> Vec<u8> {
    let own: RoleKeys = role(&[STRANGER_KEY], 1);
    let record = RootRecord { version: 2, root: own.clone(), release: own, ..first.clone() };
    signed_root(&record, &[STRANGER_KEY])
}

fn root_of(device: &Simulator) -> RootStatus {
    Intruder::at(device).enter().unwrap().root_status()
}

/// Lets power fail in every flash operation of storing record 2, each on a device of its own; gives how often record 1 and
/// how often record 2 was in force then.
fn cuts(site: &Site, first: &RootRecord, strangers: &[u8]) -> Result<[u32; 2], String> {
    let second = signed_root(&next(first), &[ROOT_KEY, SECOND, THIRD]);
    let mut left = [0, 0];
    for operation in 1.. {
        let faults = format!("faults = [\"cut@{operation}~{operation}\"]\n[power]\noff_ms = 20\n");
        let options = SimOptions::tcp().state(&format!("cut-{operation}")).scenario(&faults);
        let device = Simulator::start(site, &options);
        let mut raw = Intruder::at(&device).enter().unwrap();
        raw.offer(&second).unwrap();
        if raw.ask_once(Request::Enroll, |_| ()).is_some() {
            assert_eq!(faults_in(&device.stop()), 0, "power failed, and it answered");
            break;
        }
        drop(Raw::tcp_behind_reset(&device.socket(), raw.boot_nonce()));
        let held = root_of(&device);
        match (held.is_held, held.version) {
            (true, 1) => left[0] += 1,
            (true, 2) => left[1] += 1,
            _ => return Err(format!("cut {operation}: {held:?}")),
        }
        if Intruder::at(&device).enroll(strangers).is_ok() {
            return Err(format!("cut {operation}: a stranger's record is taken"));
        }
        Intruder::at(&device).enroll(&second).unwrap();
        assert_eq!(root_of(&device).version, 2, "cut {operation}");
    }
    Ok(left)
}
