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
        .says("the running version is untouched")
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
