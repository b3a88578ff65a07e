//! The `boot` check's `max_attempts`: how often an image crashed before it answered is counted by the
//! device, and the plan says how often is fine.

use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{Release, Site, plan_with};

/// Its first start crashes at once; from then on it is healthy.
const CRASHES_ONCE: &str = "[[image]]\nversion = \"1.1.0\"\nbehaviour = \"crashes\"\n\
                            crash_after_ms = 0\ncrash_starts = 1\n";

fn boot_check(max_attempts: u32) -> String {
    plan_with(&format!("id = \"boot\"\nkind = \"boot\"\nmax_attempts = {max_attempts}"))
}

#[test]
fn an_image_that_answers_at_its_second_start_is_rejected_where_one_attempt_is_allowed() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(CRASHES_ONCE));
    let bundle = site.bundle(&Release::new("1.1.0").plan(&boot_check(1)));
    let _ = site
        .deploy(&bundle, &device.address())
        .code(1)
        .says("boot_attempts = 2, outside limits le 1")
        .says("slot B rejected");
    assert_eq!(boots(device.state()), [2, 2, 0], "started twice on trial, then back");
    assert_eq!(device.stop()["resets"]["crash"], 1, "the crash struck");
}

#[test]
fn the_same_image_is_committed_where_two_attempts_are_allowed() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(CRASHES_ONCE));
    let bundle = site.bundle(&Release::new("1.1.0").plan(&boot_check(2)));
    let deployed = site.deploy(&bundle, &device.address());
    let _ = deployed.code(0).says("boot_attempts = 2, inside limits le 2");
    assert_eq!(boots(device.state()), [1, 2, 0]);
    assert_eq!(device.stop()["resets"]["crash"], 1, "the crash struck");
}

/// No check judges the number of starts, so the device allows one.
#[test]
fn without_a_check_of_its_attempts_the_first_crash_ends_the_trial() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(CRASHES_ONCE));
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, &device.address()).code(6);
    assert_eq!(boots(device.state()), [2, 1, 0]);
}

/// A crash behind the first answer is no attempt at booting: the image failed while it was judged.
#[test]
fn an_image_that_crashes_under_its_checks_is_rejected_by_the_host() {
    let site = Site::new();
    let body = CRASHES_ONCE.replace("crash_after_ms = 0", "crash_after_ms = 1500");
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(&body));
    let watch = "id = \"alive\"\nkind = \"liveness\"\nwindow = \"4s\"\ninterval = \"200ms\"\n\
                 min_rate_hz = 0.1";
    let plan = format!("{}[[stage.check]]\n{watch}\n", boot_check(1));
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let _ = site
        .deploy(&bundle, &device.address())
        .code(1)
        .says("the trial image crashed while it was checked")
        .says("mend the bundle");
    assert_eq!(device.stop()["resets"]["crash"], 1, "the crash struck");
}
