//! P3, losing the host means rollback: when the cable is cut during a trial nobody has to do
//! anything, the device's own lease ends it.

use integration::cli::wait_for;
use integration::proxy::{At, Proxy};
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{QUICK_PLAN, Release, Site};

#[test]
fn a_cable_that_is_cut_during_the_trial_brings_the_old_version_back_without_anybody() {
    let site = Site::new();
    // A trial that takes long enough to lose its cable in.
    let plan = QUICK_PLAN.replace("lease = \"4s\"", "lease = \"1s\"");
    let plan = format!(
        "{plan}\n[[stage.check]]\nid = \"wait\"\nkind = \"command\"\nargv = [\"sleep\", \"60\"]\n"
    );
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let host = site.start(&["deploy", &bundle, "-d", &cable.address()]);
    wait_for("the trial boot", || (boots(device.state())[1] == 1).then_some(()));
    cable.cut_for_good();
    wait_for("the old version's return", || (boots(device.state())[0] == 2).then_some(()));
    host.kill();
    let status = site.noflake(&["device", "status", "--explain", "-d", &device.address()]);
    let _ = status
        .code(0)
        .says("version 1.0.0")
        .says("its lease expired")
        .says("next: run the same noflake deploy again");
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), &device.address()).code(0);
}
