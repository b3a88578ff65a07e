//! Ctrl-C: exit 130, the state of the device is said, and the same command then works.

use integration::cli::wait_for;
use integration::simulator::{SimOptions, Simulator, boots, wire_bytes};
use integration::site::{Release, Site};
use rustix::process::Signal;

#[test]
fn in_the_middle_of_staging_the_running_version_is_untouched_and_the_next_run_goes_on() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions { baud: 921_600, ..SimOptions::pty() });
    let release = Release::sized("1.1.0", 150_000);
    let bundle = site.bundle(&release);
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("bytes on the line", || (wire_bytes(device.state()) > 40_000).then_some(()));
    host.signal(Signal::INT);
    let _ = host
        .wait()
        .code(130)
        .says("interrupted")
        .says("this run has not touched what the device runs")
        .says("run the same command again: it goes on where this run stopped");
    assert_eq!(site.running_version(&device.address()), "1.0.0");
    let _ = site.deploy(&bundle, &device.address()).code(0).says("were there already");
    assert!(device.payload_bytes() <= release.payload_bytes() + (64 << 10));
}

#[test]
fn in_the_middle_of_a_trial_the_old_version_is_seen_running_before_the_command_ends() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let flag = site.path("was-here");
    let script = format!("test -e {0} || {{ touch {0}; sleep 60; }}", flag.display());
    let check = format!("id = \"wait\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]\n");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&integration::site::plan_with(&check)));
    let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the check that waits", || flag.exists().then_some(()));
    host.signal(Signal::INT);
    let _ = host.wait().code(130).says("version 1.0.0 runs again from slot A");
    assert_eq!(boots(device.state()), [2, 1, 0]);
    assert_eq!(site.running_version(&device.address()), "1.0.0");
    let second = site.deploy(&bundle, &device.address());
    let _ = second.code(0).says("version 1.1.0 runs from slot B, confirmed");
}

/// `nohup` says that a closed terminal does not matter.
#[test]
fn a_run_under_nohup_goes_on_when_its_terminal_closes() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions { baud: 921_600, ..SimOptions::pty() });
    let bundle = site.bundle(&Release::sized("1.1.0", 100_000));
    let mut command = std::process::Command::new("nohup");
    command.arg(integration::cli::noflake_binary());
    command.args(["deploy", &bundle, "-d", &device.address()]);
    let host = integration::cli::Running::spawn(site.folder(), command, "");
    wait_for("bytes on the line", || (wire_bytes(device.state()) > 20_000).then_some(()));
    host.signal(Signal::HUP);
    let _ = host.wait().code(0).says("version 1.1.0 runs from slot B, confirmed");
}

#[test]
fn a_console_that_is_listened_to_says_how_to_stop_and_stops_cleanly() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let log = site.start(&["device", "log", "-d", &device.address()]);
    wait_for("the session", || (wire_bytes(device.state()) > 60).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(500));
    log.signal(Signal::INT);
    let ended = log.wait().code(0);
    assert!(
        ended.stderr.contains("listening to ") && ended.stderr.contains("until Ctrl-C"),
        "{ended:?}"
    );
    assert_eq!(ended.stdout, "");
}

/// The second Ctrl-C leaves the device alone while its image is still starting, for longer than its lease.
#[test]
fn twice_in_a_slow_start_says_nothing_against_the_bundle() {
    let site = Site::new();
    let slow = "[[image]]\nversion = \"1.1.0\"\nboot_ms = 8000\n";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(slow));
    let bundle = site.bundle(&Release::new("1.1.0"));
    let mut host = site.start(&["deploy", &bundle, "-d", &device.address()]);
    wait_for("the trial", || (boots(device.state())[1] == 1).then_some(()));
    wait_for("the second Ctrl-C", || {
        host.signal(Signal::INT);
        std::thread::sleep(std::time::Duration::from_millis(100));
        host.has_ended().then_some(())
    });
    let _ = host.wait().code(130).says("the device goes back by itself within 4 s");
    wait_for("the old version's return", || (boots(device.state())[0] == 2).then_some(()));
    let explain = ["device", "status", "--explain", "-d", &device.address()];
    let _ = site
        .noflake(&explain)
        .code(0)
        .says("its lease expired")
        .says("next: run the same noflake deploy again; if its trial ends so once more");
    let again = site.deploy(&bundle, &device.address());
    let _ = again.code(6).says("it is tried again").says_not("rejected this bundle");
    assert_eq!(device.stop()["resets"]["deadline"], 2, "both starts outlived their lease");
}
