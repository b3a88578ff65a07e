//! Two hosts at one device: whoever comes while a deploy is under way is told so and changes nothing,
//! and the deploy goes on; unless the second takes over, and then the first is told.

use integration::cli::{Ended, wait_for};
use integration::simulator::{SimOptions, Simulator, boots, wire_bytes};
use integration::site::{QUICK_PLAN, Release, Site};

/// Starts a deploy that takes longer than a second host waits, and while it stages lets `second` try
/// another version; the first has to commit, and the device to run it.
fn while_staging(options: &SimOptions, second: impl Fn(&Site, &Simulator, &str) -> Ended) -> Ended {
    let site = Site::new();
    let device = Simulator::start(&site, options);
    let bundle = site.bundle(&Release::sized("1.1.0", 600_000));
    let plan = QUICK_PLAN.replace("connect = \"20s\"", "connect = \"5s\"");
    let other = site.bundle(&Release::new("2.0.0").plan(&plan));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("component bytes", || (wire_bytes(device.state()) > 20_000).then_some(()));
    let told = second(&site, &device, &other);
    let _ = host.wait().code(0).says("version 1.1.0 runs from slot B, confirmed");
    assert_eq!(site.running_version(&device.address()), "1.1.0");
    told
}

/// A line on which 600 000 bytes take 15 s.
fn slow_line() -> SimOptions {
    SimOptions { baud: 460_800, ..SimOptions::pty() }
}

/// A socket has no pace of its own: the flash sets it, and a small window keeps the queue short.
fn slow_flash() -> SimOptions {
    SimOptions::tcp().scenario("[device]\nwindow_bytes = 8192\n[flash]\nprogram_us = 6000\n")
}

#[test]
fn a_second_host_on_the_same_serial_port_is_refused_at_once() {
    let told =
        while_staging(&slow_line(), |site, device, bundle| site.deploy(bundle, &device.address()));
    let _ = told
        .code(3)
        .says("is held by another process")
        .says("end the program that holds the port, then run the same command again");
}

#[test]
fn a_second_host_on_the_same_socket_is_told_that_the_device_is_held() {
    let told =
        while_staging(&slow_flash(), |site, device, bundle| site.deploy(bundle, &device.address()));
    let _ = told
        .code(3)
        .says("another host is working on the device")
        .says("wait for the other host, or add --take-over");
}

#[test]
fn a_second_host_on_another_link_is_told_that_the_device_is_held() {
    let both = SimOptions { tcp: SimOptions::tcp().tcp, ..slow_line() };
    let told =
        while_staging(&both, |site, device, bundle| site.deploy(bundle, &device.tcp_address()));
    let _ = told
        .code(3)
        .says("another host is working on the device")
        .says("wait for the other host, or add --take-over");
}

#[test]
fn a_second_host_that_takes_over_deploys_and_the_first_is_told() {
    let site = Site::new();
    let device = Simulator::start(&site, &slow_flash());
    let first = site.bundle(&Release::sized("1.1.0", 600_000));
    let second = site.bundle(&Release::sized("2.0.0", 120_000));
    let host = site.start(&["deploy", &first, "-d", &device.address()]);
    wait_for("component bytes", || (wire_bytes(device.state()) > 20_000).then_some(()));
    let taking = ["deploy", &second, "-d", &device.address(), "--take-over"];
    let _ = site.noflake(&taking).code(0).says("version 2.0.0 runs from slot B, confirmed");
    let _ = host
        .wait()
        .code(3)
        .says("staging was interrupted: this session is over: another host took it")
        .says("this run has not touched what the device runs");
    assert_eq!(site.running_version(&device.address()), "2.0.0");
}

/// The reset into the trial ends the first host's session, and a slow start gives the second all the
/// time it needs to be there first: what it says to a socket waits for the new boot, what a line
/// carries to a device that starts is lost.
#[test]
fn a_second_deploy_that_waits_through_the_reset_into_the_trial_leaves_it_to_the_first() {
    let site = Site::new();
    let slow_start = "[[image]]\nversion = \"1.1.0\"\nboot_ms = 3000\n";
    let line = SimOptions { baud: 115_200, tcp: SimOptions::tcp().tcp, ..SimOptions::pty() };
    let device = Simulator::start(&site, &line.scenario(slow_start));
    let first = site.bundle(&Release::new("1.1.0"));
    let second = site.bundle(&Release::new("2.0.0"));
    let host = site.start(&["deploy", &first, "-d", &device.address()]);
    wait_for("component bytes", || (wire_bytes(device.state()) > 3_000).then_some(()));
    let mut waiting = site.start(&["deploy", &second, "-d", &device.tcp_address()]);
    wait_for("the trial", || (boots(device.state())[1] > 0).then_some(()));
    assert!(!waiting.has_ended(), "it waits while the trial starts");
    let _ = host.wait().code(0).says("version 1.1.0 runs from slot B, confirmed");
    // It goes on once the first is done.
    let _ = waiting.wait().code(0).says("before: 1.1.0").says(
        "another host is working on the device; waiting up to 20 s (--take-over takes it over)",
    );
}
