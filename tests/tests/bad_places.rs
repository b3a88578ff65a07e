//! Bad places: a full disk, a file where the run folder should be, a serial port that is missing, is
//! no port, or is held by somebody else.

use std::fs;
use std::process::Command;

use integration::cli::{Running, noflake_binary};
use integration::flash;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};
use rustix::fs::{FlockOperation, flock};

#[test]
fn a_disk_that_fills_up_ends_the_run_with_3_and_the_old_version_running() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let bundle = site.bundle(&Release::new("1.1.0"));
    // Blocks of 512 or 1024 bytes, by shell: room for the record's start, and for no whole run.
    for blocks in [0, 1, 8, 12] {
        let script = "ulimit -f $1; shift; exec \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", &blocks.to_string()]);
        command.arg(noflake_binary()).args(["deploy", &bundle, "-d", &device.address()]);
        let ended = Running::spawn(site.folder(), command, "").wait().says_not("panicked");
        assert_eq!(ended.code, Some(3), "{blocks} blocks: {ended:?}");
        let ended = ended.says("room").says("next").says_not("not affected");
        let said = ended.stderr.matches("may not grow further; what happens from here on").count();
        assert_eq!(said, 1, "the error itself stands there once: {ended:?}");
        assert_eq!(site.running_version(&device.address()), "1.0.0", "{blocks} blocks");
    }
    let again = site.noflake(&["deploy", &bundle, "-d", &device.address()]);
    let _ = again.code(0);
}

#[test]
fn a_file_where_the_run_folder_should_be_is_named_and_left_alone() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let before = flash::whole(device.state());
    site.write("taken", "mine");
    let bundle = site.bundle(&Release::new("1.1.0"));
    let deploy = ["deploy", &bundle, "-d", &device.address(), "--runs", "taken"];
    site.noflake(&deploy).code(3).says("taken is a file, expected a folder").is_one_clear_error();
    assert_eq!(fs::read_to_string(site.path("taken")).unwrap(), "mine");
    let deploy = ["deploy", &bundle, "-d", &device.address(), "--runs", "/dev/full"];
    let ended = site.noflake(&deploy).code(3);
    ended.says("/dev/full is a file, expected a folder").is_one_clear_error();
    assert!(flash::whole(device.state()) == before, "the flash has changed");
}

#[test]
fn a_missing_port_is_answered_with_those_that_exist() {
    let site = Site::new();
    let identify = ["device", "identify", "-d", "serial:/dev/ttyNOFLAKE9"];
    let ended = site.noflake(&identify).code(3).says("there is no serial port /dev/ttyNOFLAKE9");
    ended.says("this machine has ").says("next: name one of these ports").is_one_clear_error();
}

#[test]
fn a_path_that_is_no_serial_port_is_an_error_and_stays_as_it_was() {
    let site = Site::new();
    site.write("notes.txt", "mine");
    let identify = ["device", "identify", "-d", "serial:notes.txt"];
    site.noflake(&identify).code(3).says("notes.txt").is_one_clear_error();
    assert_eq!(fs::read_to_string(site.path("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_port_that_another_process_holds_is_said_to_be_held() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let port = fs::File::options().read(true).write(true).open(device.port()).unwrap();
    flock(&port, FlockOperation::LockExclusive).unwrap();
    let address = device.address();
    let identify = ["device", "identify", "-d", &address];
    let ended = site.noflake(&identify).code(3).says("is held by another process");
    ended.says("next: end the program that holds the port").is_one_clear_error();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, &address).code(3).says("is held by another process");
    drop(port);
    let _ = site.noflake(&identify).code(0);
}

/// Two deploys at once on one TCP device: one works, the other is told that somebody else does.
#[test]
fn a_device_that_another_host_works_on_is_not_taken_from_it_unless_asked() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions { serial: true, ..SimOptions::tcp() });
    let slow = "id = \"wait\"\nkind = \"command\"\nargv = [\"sleep\", \"60\"]";
    let bundle = site.bundle(&Release::new("1.1.0").plan(&integration::site::plan_with(slow)));
    let first = site.start(&["deploy", &bundle, "-d", &device.tcp_address()]);
    let booted = || (integration::simulator::boots(device.state())[1] == 1).then_some(());
    integration::cli::wait_for("the trial boot", booted);
    let rollback = ["device", "rollback", "-d", &device.address()];
    let _ = site.noflake(&rollback).code(3).says("another host").says("--take-over");
    let _ = site.noflake(&[&rollback[..], &["--take-over"]].concat()).code(0);
    let ended = first.wait().says_not("panicked");
    assert!(matches!(ended.code, Some(3 | 6)), "{ended:?}");
    assert_eq!(site.running_version(&device.address()), "1.0.0");
}
