//! A trial that the plan holds: the operator is told both commands, and each prints what the device
//! itself says afterwards.

use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{QUICK_PLAN, Release, Site};

/// A device that runs 1.1.0 on trial, held because one check fails.
fn held(site: &Site, options: SimOptions) -> Simulator {
    let body = "[[image]]\nversion = \"1.1.0\"\nfails = [\"clock\"]\n";
    let device = Simulator::start(site, &options.scenario(body));
    let plan = QUICK_PLAN.replace("lease = \"4s\"", "lease = \"60s\"");
    let plan = format!("{plan}\n[policy]\non_fail = \"hold\"\n");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let _ = site.deploy(&bundle, &device.address()).code(1).says("held on trial");
    let explain = ["device", "status", "--explain", "-d", &device.address()];
    let _ = site
        .noflake(&explain)
        .code(0)
        .says("noflake device confirm makes the version permanent without further checks")
        .says("noflake device rollback goes back")
        .says("next: run the same noflake deploy again: it goes on with the trial or starts over");
    device
}

#[test]
fn confirm_prints_that_the_device_says_the_slot_is_confirmed() {
    let site = Site::new();
    let device = held(&site, SimOptions::pty());
    let confirm = ["device", "confirm", "-d", &device.address()];
    // At once: the boot is kept for the host of the trial no longer than until that was there.
    let ended = site.noflake(&confirm).code(0).says_not("another host");
    let _ = ended
        .says("confirmed; the device says: version 1.1.0 runs from slot B")
        .says("slot B admitted, confirmed");
    assert_eq!(boots(device.state()), [1, 1, 0], "nothing was booted for it");
    let status = site.status(&device.address());
    assert_eq!(status["active"], "slot B");
    assert!(status["trial"].is_null(), "{status}");
    let _ = site.noflake(&confirm).code(5).says("no trial is open");
}

#[test]
fn rollback_prints_that_the_old_version_is_seen_running_again() {
    let site = Site::new();
    let device = held(&site, SimOptions::tcp());
    let rollback = ["--format", "json", "device", "rollback", "-d", &device.address()];
    let said = site.noflake(&rollback).code(0).json();
    assert_eq!(said["decision"], "rolled back");
    assert_eq!((&said["version"], &said["running"]), (&"1.0.0".into(), &"slot A".into()));
    assert_eq!(said["active"], "slot A");
    assert_eq!(boots(device.state()), [2, 1, 0], "the old version was booted again");
    assert_eq!(site.running_version(&device.address()), "1.0.0");
}

/// What is held waits for a person: a run with another plan or bundle does not sweep it away.
#[test]
fn a_held_trial_is_left_alone_by_a_run_of_another_bundle_unless_it_takes_over() {
    let site = Site::new();
    let device = held(&site, SimOptions::tcp());
    let other = site.bundle(&Release::new("1.2.0"));
    let _ = site
        .deploy(&other, &device.address())
        .code(5)
        .says("of another bundle or plan is open in slot B")
        .says("noflake device rollback")
        .says("--take-over");
    let status = site.status(&device.address());
    assert_eq!(status["trial"]["running"], true, "{status}");
    let deploy = ["deploy", &other, "-d", &device.address(), "--take-over"];
    let _ = site.noflake(&deploy).code(0).says("committed: version 1.2.0");
}
