//! P2, nothing unproven becomes permanent: whatever a trial image does, without a confirm of this very
//! boot the old version is back, and stays.

use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

/// Every way in which an image can fail without the host's help, and the device's own word for it.
const BEHAVIOURS: [(&str, &str); 4] = [
    ("crashes", "the trial image crashed, hung, reset by itself or was not ready in time"),
    ("hangs", "the trial image crashed, hung, reset by itself or was not ready in time"),
    ("hangs_feeding_watchdog", "its lease expired"),
    ("never_answers", "its lease expired"),
];

#[test]
fn every_way_to_fail_on_trial_ends_in_the_old_version_with_exit_6_and_the_reason() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    for (behaviour, reason) in BEHAVIOURS {
        let body = format!("[[image]]\nversion = \"1.1.0\"\nbehaviour = \"{behaviour}\"\n");
        let device = format!("sim:{}", site.scenario(behaviour, &body).display());
        let _ = site
            .deploy(&bundle, &device)
            .code(6)
            .says(reason)
            .says("slot A admitted, confirmed; slot B rejected")
            .says("version 1.0.0 in slot A by itself");
    }
}

/// The one that a watchdog alone does not end, on a real port; then a cold start, to see that the
/// old version is not only running but permanent.
#[test]
fn an_image_that_hangs_but_feeds_its_watchdog_is_gone_after_a_cold_start_too() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.1.0\"\nbehaviour = \"hangs_feeding_watchdog\"\n";
    let options = SimOptions::pty().scenario(body);
    let device = Simulator::start(&site, &options);
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, &device.address()).code(6);
    device.kill();
    let device = Simulator::start(&site, &options);
    let status = site.status(&device.address());
    assert_eq!(status["device"]["version"], "1.0.0");
    assert_eq!(status["slot_b"]["state"], "rejected");
    assert_eq!(status["trial"], serde_json::Value::Null);
}

/// What was rejected is not tried again by accident, and can be on purpose.
#[test]
fn a_rejected_bundle_is_refused_until_it_is_asked_for_again() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.1.0\"\nfails = [\"ram\"]\n";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(body));
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, &device.address()).code(1).says("ram: fail");
    let sent = device.payload_bytes();
    let _ = site
        .deploy(&bundle, &device.address())
        .code(5)
        .says("the device rejected this bundle in trial 1");
    let again = site.noflake(&["deploy", &bundle, "-d", &device.address(), "--again"]);
    let _ = again.code(1).says("ram: fail");
    assert_eq!(device.payload_bytes(), sent, "what the slot still holds is not sent again");
}
