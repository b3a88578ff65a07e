//! What TRUST.md says to do when something has happened to a key, a holder or a device, done once before it happens: by files and
//! commands alone, against devices of the field.

use std::thread::sleep;
use std::time::Duration;

use integration::field::FieldOffice;
use integration::office::role;
use integration::simulator::{SimOptions, Simulator};

fn enroll(works: &FieldOffice, device: &Simulator, root: &str) -> integration::cli::Ended {
    let address = device.address();
    works.office.say(&["device", "enroll", "-d", &address, "--root", root, "--as", "t.key"])
}

/// Holder a is gone with the key. The other two put d in their place, on a device that is in the field already.
#[test]
fn a_holder_is_lost() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let _ = works.office.say(&["key", "generate", "--role", "root", "d"]).code(0);
    let without = role("root", &["b", "c", "d"], 2);
    let next = |name, spec: &str, by: &[&str], after| {
        let _ = works.office.root(name, spec, by, Some(after));
    };
    next("one", &without, &["c.key", "d.key"], "field.nfr");
    let _ = enroll(&works, &device, "one.nfr").code(5).says("enrolled under another root record");
    next("two", &without, &["b.key", "c.key"], "field.nfr");
    let _ = enroll(&works, &device, "two.nfr").code(0).says("takes the place of root record 1");
    // From then on the lost key signs nothing: a with b is one of two.
    next("three", &role("root", &["a", "b", "c"], 2), &["a.key", "b.key"], "two.nfr");
    let _ = enroll(&works, &device, "three.nfr").code(5).says("enrolled under another root record");
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.deploy(&bundle, &device.address(), "two.nfr", "t").code(0);
}

/// The operate key was stolen, and delegations of the thief's are about. An epoch and another key end all of them; the office makes
/// its own anew.
#[test]
fn a_key_is_revoked() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let _ = works.delegate("u", &["--name", "the thief"]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let address = device.address();
    let _ = works.deploy(&bundle, &address, "field.nfr", "u").code(0);
    let _ = works.office.say(&["key", "generate", "--role", "operate", "o2"]).code(0);
    let revoked = format!("{}[epochs]\noperate = 1\n", role("operate", &["o2"], 1));
    let _ = works.office.root("two", &revoked, &["a.key", "b.key"], Some("field.nfr"));
    let _ = enroll(&works, &device, "two.nfr").code(0);
    for host in ["t", "u"] {
        let refused = works.deploy(&bundle, &address, "two.nfr", host).code(5);
        let _ = refused.says("0 of 1 needed signatures");
    }
    let delegate = ["key", "delegate", "t.pub", "--key", "o2.key", "--root", "two.nfr", "--force"];
    let _ = works.office.say(&[&delegate[..], &["--product", "rover-nav"]].concat()).code(0);
    let next = works.office.bundle("2.1.0", "r");
    let _ = works.deploy(&next, &address, "two.nfr", "t").code(0);
    let _ =
        works.deploy(&bundle, &address, "two.nfr", "u").code(5).says("0 of 1 needed signatures");
}

/// A delegation has ended in the field. Nothing is sent, and a new file is all that it takes.
#[test]
fn a_delegation_is_over() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &["--for", "0s"]).code(0);
    let device = works.enrolled_by(&SimOptions::tcp().factory(), "u");
    let address = device.address();
    sleep(Duration::from_millis(2_100));
    let ended = works.deploy(&bundle, &address, "field.nfr", "t").code(2);
    ended.says("ended").says("noflake key delegate").is_one_clear_error();
    let _ = works.delegate("t", &["--force"]).code(0);
    let _ = works.deploy(&bundle, &address, "field.nfr", "t").code(0);
}

/// A device lay in a drawer during two rotations, the second of which took its release key away.
#[test]
fn a_device_was_away_during_two_rotations() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let address = device.address();
    let old = works.office.bundle("2.0.0", "r");
    let _ = works.deploy(&old, &address, "field.nfr", "t").code(0);
    works.root("field-2", "r", Some("field.nfr"));
    works.root("field-3", "r2", Some("field-2.nfr"));
    let newest = works.office.bundle("3.0.0", "r2");
    let _ = works.deploy(&newest, &address, "field-3.nfr", "t").code(5).says("trusted keys");
    let skipped = enroll(&works, &device, "field-3.nfr").code(5);
    let _ = skipped.says("root record 3, the device takes 2 next: new ones are taken one by one");
    let _ = enroll(&works, &device, "field-2.nfr").code(0);
    let _ = enroll(&works, &device, "field-3.nfr").code(0);
    let _ = enroll(&works, &device, "field-2.nfr").code(5).says("the device takes 4 next");
    assert_eq!(works.office.site.running_version(&address), "2.0.0", "nothing stopped running");
    let _ = works.deploy(&newest, &address, "field-3.nfr", "t").code(0);
}

/// Someone asks for a delegation without an end.
#[test]
fn a_time_beyond_the_calendar_is_told_as_the_end_of_it() {
    let works = FieldOffice::new();
    let made = works.delegate("t", &["--for", "20000years"]).code(0);
    let _ = made.says("until 9999-12-31T23:59:59Z");
}
