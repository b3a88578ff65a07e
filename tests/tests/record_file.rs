//! `noflake device record` and `status --explain --record`: the boot record of a device in a file, and in words
//! with no device at hand.

use std::fs;

use integration::cli::{Ended, wait_for};
use integration::flash;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{QUICK_PLAN, Release, Site};

fn save(site: &Site, device: &Simulator, name: &str) -> Ended {
    site.noflake(&["device", "record", "-d", &device.address(), "-o", name])
}

fn explain(site: &Site, name: &str, more: &[&str]) -> Ended {
    site.noflake(&[&["device", "status", "--explain", "--record", name], more].concat())
}

#[test]
fn a_record_in_a_file_is_what_flash_holds_and_is_explained_without_the_device() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), &device.address()).code(0);
    let _ = save(&site, &device, "unit.record").code(0).says("ranges of 4096 and 4096");
    let saved = fs::read(site.path("unit.record")).unwrap();
    assert!(saved == flash::record(device.state()), "every byte of flash");
    save(&site, &device, "unit.record").code(2).says("exists already").is_one_clear_error();
    let status = site.status(&device.address());
    drop(device);
    let _ = explain(&site, "unit.record", &[])
        .code(0)
        .says("enrolled under root record 1")
        .says("slot B    admitted, confirmed")
        .says("reset cause power_on: the confirmed image runs (rule B5 of BOOT.md)")
        .says("the slots are not in this file; if slot B no longer matches")
        .says("next: nothing needs to be done");
    let told = explain(&site, "unit.record", &["--format", "json"]).code(0).json();
    for (told, status) in [
        (&told["state"]["active"], &status["active"]),
        (&told["state"]["slot_b"]["bundle"], &status["slot_b"]["bundle"]),
        (&told["state"]["accept_floor"], &status["accept_floor"]),
        (&told["record"]["sequence"], &status["wear"]["record_entries"]),
        (&told["record"]["places"], &status["wear"]["record_places"]),
        (&told["state"]["slot_erases"]["b"], &status["wear"]["slot_b"]["erases"]),
    ] {
        assert_eq!(told, status);
    }
}

/// Nothing about the part has to be known but where its first range ends, and that is said.
#[test]
fn a_record_of_another_part_with_unequal_ranges_is_explained_too() {
    let site = Site::new();
    let flash =
        "[flash]\nerased = 0\nword_bytes = 32\nblocks = [{ bytes = 4096 }, { bytes = 8192 }]\n";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(flash));
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), &device.address()).code(0);
    let told = save(&site, &device, "uneven.record").code(0).says("in ranges of 4096 and 8192");
    let _ = told.says("--record uneven.record --first-range 4096");
    assert!(fs::read(site.path("uneven.record")).unwrap() == flash::record(device.state()));
    let _ = explain(&site, "uneven.record", &["--first-range", "4096"])
        .code(0)
        .says("of 24 places hold an entry")
        .says("slot B    admitted, confirmed")
        .says("(rule B5 of BOOT.md)");
}

/// The row of the boot table follows from the reset that comes next.
#[test]
fn a_trial_in_the_file_is_explained_for_the_reset_that_is_asked_about() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let plan = format!(
        "{}\n[[stage.check]]\nid = \"wait\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"touch here; sleep 60\"]\n",
        QUICK_PLAN.replace("lease = \"4s\"", "lease = \"50s\"")
    );
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the check that waits", || site.path("here").exists().then_some(()));
    let _ = save(&site, &device, "trial.record").code(0);
    host.kill();
    let _ = explain(&site, "trial.record", &["--reset-cause", "requested"])
        .code(0)
        .says("trial     1 in slot B, 0 boots armed, its image ran last")
        .says("(rule B3 of BOOT.md)")
        .says("a changed record is stored before that")
        .says("next: run the same noflake deploy again");
    let wrong = explain(&site, "trial.record", &["--reset-cause", "lightning"]).code(2);
    let _ = wrong.says("power_on, brown_out, pin, requested, watchdog, deadline, crash, unknown");
}

#[test]
fn a_lost_record_is_told_from_a_file_that_never_was_one() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let state = device.state().to_owned();
    device.kill();
    let mut record = flash::record(&state);
    record[20] ^= 1;
    fs::write(site.path("torn.record"), &record).unwrap();
    let lost = "no boot record can be read, so the recovery image runs (rule B1 of BOOT.md)";
    let _ = explain(&site, "torn.record", &[])
        .code(0)
        .says("0 of 16 places hold an entry")
        .says(lost)
        .says("next: noflake device recover -d DEVICE --root ROOT --bundle BUNDLE");
    fs::write(site.path("blank.record"), vec![0xff; 8192]).unwrap();
    let _ = explain(&site, "blank.record", &[]).code(0).says(lost);

    let bundle = fs::read(site.bundle(&Release::new("1.1.0"))).unwrap();
    let whole = flash::record(&state);
    for (name, bytes, says) in [
        ("empty", &[][..], "has 0 bytes"),
        ("short", &whole[..8000], "has 8000 bytes"),
        ("bundle", &bundle[..8192], "is no boot record: none of its 16 places"),
    ] {
        fs::write(site.path(name), bytes).unwrap();
        explain(&site, name, &[]).code(2).says(says).is_one_clear_error();
    }
    fs::write(site.path("endless"), vec![0xff; (4 << 20) + 1]).unwrap();
    explain(&site, "endless", &[]).code(2).says("expected at most 4194304").is_one_clear_error();
    explain(&site, "none", &[])
        .code(2)
        .says("failed to read boot record none")
        .is_one_clear_error();
    let odd = explain(&site, "torn.record", &["--first-range", "700"]).code(2);
    odd.says("the first of 700").is_one_clear_error();
}

#[test]
fn a_record_in_a_file_is_asked_for_alone() {
    let site = Site::new();
    for arguments in [
        &["device", "status", "--record", "x"][..],
        &["device", "status", "--explain", "--record", "x", "-d", "sim:"],
        &["device", "status", "--explain", "--record", "x", "--against", "y"],
        &["device", "status", "--explain", "--reset-cause", "crash", "-d", "sim:"],
    ] {
        let _ = site.noflake(arguments).code(2).says_not("panicked");
    }
}
