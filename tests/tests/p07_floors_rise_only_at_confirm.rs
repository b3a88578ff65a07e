//! P7, floors rise only at confirm, and never make a bootable slot unbootable.

use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site, plan_with};

#[test]
fn a_trial_that_fails_leaves_the_floor_and_a_confirm_raises_it_and_keeps_the_fallback() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let address = device.address();
    let floor = || site.status(&address)["accept_floor"].as_u64();
    let start = floor();

    let failing = plan_with("id = \"no\"\nkind = \"command\"\nargv = [\"false\"]");
    let rejected = Release::new("1.1.0").security(9).plan(&failing);
    let _ = site.deploy(&site.bundle(&rejected), &address).code(1);
    assert_eq!(floor(), start, "a rejected trial must not raise the floor");

    let _ = site.deploy(&site.bundle(&Release::new("1.2.0").security(5)), &address).code(0);
    assert_eq!(floor(), Some(5));
    let status = site.status(&address);
    assert_eq!(status["slot_a"]["state"], "admitted", "the fallback stays bootable: {status}");

    let old = site.bundle(&Release::new("1.3.0").security(4));
    let _ = site
        .deploy(&old, &address)
        .code(5)
        .says("security version 4 is below the device's floor 5");
    assert_eq!(site.running_version(&address), "1.2.0");
}
