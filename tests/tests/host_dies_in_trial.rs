//! A host that dies during the trial: the device is back on the old version by its own lease,
//! `device status --explain` says why, and the same deploy then commits.

use integration::cli::wait_for;
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{QUICK_PLAN, Release, Site};

/// A plan whose check waits for the first attempt only: the host dies in it, the next one does not.
fn plan(site: &Site) -> String {
    let flag = site.path("was-here");
    let script = format!("test -e {0} || {{ touch {0}; sleep 60; }}", flag.display());
    format!(
        "{}\n[[stage.check]]\nid = \"wait\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]\n",
        QUICK_PLAN.replace("lease = \"4s\"", "lease = \"1500ms\"")
    )
}

fn dies(options: &SimOptions) {
    let site = Site::new();
    let device = Simulator::start(&site, options);
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan(&site)));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the check that waits", || site.path("was-here").exists().then_some(()));
    assert_eq!(boots(device.state()), [1, 1, 0], "the trial runs");
    host.kill();
    // Nobody asks the device anything until it is back.
    wait_for("the old version's return", || (boots(device.state())[0] == 2).then_some(()));
    let explained = site.noflake(&["device", "status", "--explain", "-d", &device.address()]);
    let _ = explained
        .code(0)
        .says("version 1.0.0")
        .says("its lease expired: no host renewed it in time")
        .says("next: run the same noflake deploy again; if its trial ends so once more");
    let sent = device.payload_bytes();
    let _ = site.deploy(&bundle, &device.address()).code(0).says("it is tried again");
    assert_eq!(device.payload_bytes(), sent, "what is staged already is not sent again");
    assert_eq!(site.running_version(&device.address()), "1.1.0");
}

#[test]
fn over_a_serial_line() {
    dies(&SimOptions::pty());
}

#[test]
fn over_tcp() {
    dies(&SimOptions::tcp());
}

/// The same deploy that comes before the lease has ended need not wait for it.
#[test]
fn a_second_host_that_comes_at_once_starts_over_and_says_so() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let plan = plan(&site).replace("1500ms", "30s");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the check that waits", || site.path("was-here").exists().then_some(()));
    host.kill();
    let _ = site
        .deploy(&bundle, &device.address())
        .code(0)
        .says("an earlier run left trial ")
        .says("this run starts over");
}
