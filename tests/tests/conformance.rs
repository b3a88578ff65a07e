//! `noflake conformance`: on a sound device every promise holds, over every link; a device that breaks one is told which.

use std::path::PathBuf;
use std::process::Command;

use integration::cli::{Ended, noflake_binary, wait_for};
use integration::conformance::{Found, IMAGES, Suite, found};
use integration::simulator::{SimOptions, Simulator, boots};
use rustix::process::Signal;

#[track_caller]
fn assert_all_hold(ended: &Ended, but: &[(&str, &str)]) {
    let (rows, _) = found(ended);
    for Found { scenario, finding, why } in &rows {
        let expected = but.iter().find(|(name, _)| name == scenario).map_or("holds", |it| it.1);
        assert_eq!(finding, expected, "{scenario}: {why}\n{}", ended.stderr);
    }
}

#[test]
fn every_promise_holds_on_a_sound_device_in_memory() {
    let suite = Suite::new();
    let ended = suite.run(&suite.in_memory(""), &[]);
    assert_all_hold(&ended, &[]);
    let (rows, all) = found(&ended);
    assert_eq!(rows.len(), 29);
    assert_eq!((&all["version"], &all["healthy"]), (&"1.2.0".into(), &true.into()));
    let _ = ended.code(0).says("both slots are overwritten").says("its floor at 2");
}

/// Flash that takes its time, so that there is something to cut.
const SLOW_FLASH: &str = "[flash]\nerase_us = 2000\nprogram_us = 100\n";

/// Where nothing takes the power.
const NO_POWER: [(&str, &str); 3] = [
    ("P1.cut-stage", "not_checked"),
    ("P1.cut-trial", "not_checked"),
    ("P1.cut-confirm", "not_checked"),
];

#[test]
fn every_promise_but_those_of_power_cuts_holds_on_a_sound_device_behind_a_line() {
    let suite = Suite::new();
    let options = SimOptions { in_memory: true, ..SimOptions::pty().scenario(IMAGES) };
    let device = Simulator::start(&suite.site, &options);
    let ended = suite.run(&device.address(), &[]);
    assert_all_hold(&ended, &NO_POWER);
    let _ = ended.code(0).says("needs a power controller (--power-off, --power-on)");
}

#[test]
fn every_promise_holds_again_on_a_device_whose_floor_the_suite_has_raised() {
    let suite = Suite::new();
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(IMAGES) };
    let device = Simulator::start(&suite.site, &options);
    let only = |names| suite.run(&device.address(), &["--only", names]);
    assert_all_hold(&only("P7"), &[]);
    let again = only("P7,P4,P5,P6,P2.hangs");
    assert_all_hold(&again, &[("P7.floor-at-confirm", "not_checked")]);
    let _ = again.code(0).says("the floor is at 2 already").says("begins with `next`");
}

#[test]
fn what_a_scenario_lacks_is_never_taken_for_a_promise_that_holds() {
    let left_out = ["hangs", "never_polls", "deaf", "stranger", "fails"];
    let suite = Suite::without(&left_out);
    let names = "P2.hangs,P2.never-polls,P2.fails,P3.deaf,P4.stranger,P1.starts";
    let ended = suite.run(&suite.in_memory(""), &["--only", names]);
    let (rows, all) = found(&ended);
    for Found { scenario, finding, why } in &rows {
        if scenario == "P1.starts" {
            assert_eq!(finding, "holds", "{why}");
        } else {
            assert_eq!(finding, "not_checked", "{scenario}");
            assert!(why.starts_with("needs a bundle `"), "{scenario}: {why}");
        }
    }
    assert_eq!(all["counts"]["not_checked"], 5);
    let _ = ended.code(0);
}

/// Runs one scenario on a device that breaks its promise, and hears so by name.
#[track_caller]
fn assert_broken(device: &str, scenario: &str, why: &str) {
    let suite = Suite::new();
    let ended = suite.run(&suite.in_memory(device), &["--only", scenario]);
    let (rows, _) = found(&ended);
    let [Found { scenario: name, finding, why: said }] = &rows[..] else {
        panic!("one row: {ended:?}")
    };
    assert_eq!((name.as_str(), finding.as_str()), (scenario, "broken"), "{said}\n{}", ended.stderr);
    assert!(said.contains(why), "{said}");
    let _ = ended.code(1);
}

#[test]
fn a_device_that_takes_what_nobody_signed_breaks_p4() {
    let rogue = "[device]\nrogue = \"accepts_unsigned\"";
    assert_broken(rogue, "P4.stranger", "it takes the bundle of a stranger");
}

#[test]
fn a_device_that_lies_about_digests_breaks_p5() {
    let rogue = "[device]\nrogue = \"lies_about_digests\"";
    assert_broken(rogue, "P5.tells-what-it-holds", "hashes as `next` before `next` was sent");
}

#[test]
fn a_device_without_a_deadline_in_hardware_breaks_p2_and_is_not_blamed_for_interrupts() {
    let device = "[device]\nhardware_deadline = false";
    assert_broken(device, "P2.never-polls", "no hardware deadline");
    let suite = Suite::new();
    let ended = suite.run(&suite.in_memory(device), &["--only", "P2.feeds-from-interrupt"]);
    let (rows, _) = found(&ended);
    assert_eq!(rows[0].finding, "not_defended", "{rows:?}");
    let _ = ended.code(0);
}

#[test]
fn a_device_that_does_not_come_back_leaves_the_rest_unchecked_and_is_told_of() {
    let suite = Suite::new();
    let scenario = format!("[device]\nhardware_deadline = false\n{IMAGES}");
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(&scenario) };
    let device = Simulator::start(&suite.site, &options);
    let ended = suite.run(&device.address(), &["--only", "P2.never-polls,P2.feeds-from-interrupt"]);
    let (rows, _) = found(&ended);
    let words: Vec<&str> = rows.iter().map(|row| row.finding.as_str()).collect();
    assert_eq!(words, ["broken", "not_checked"], "{rows:?}");
    let _ = ended.code(1).says("power it off and on");
}

/// The supply is a pair of commands that kill the simulator and start it again on the same flash, as on a bench one switches
/// a plug.
#[test]
fn power_is_taken_by_commands_and_a_sound_device_comes_back() {
    let suite = Suite::new();
    suite.limit("cuts = 2");
    let power = Supply::new(&suite);
    let commands = ["--power-off", &power.off, "--power-on", &power.on];
    power.switch("on.sh");
    wait_for("the port", || suite.site.path("slow.port").exists().then_some(()));
    let ended = suite.run(&power.address, &[&commands[..], &["--only", "P1"]].concat());
    assert_all_hold(&ended, &[]);
    let _ = ended.code(0).says("its power is taken in the middle of what it does");
}

struct Supply {
    folder: PathBuf,
    address: String,
    off: String,
    on: String,
}

impl Drop for Supply {
    fn drop(&mut self) {
        self.switch("off.sh");
    }
}

impl Supply {
    /// Scripts around a simulator.
    fn new(suite: &Suite) -> Self {
        let path = |name: &str| suite.site.path(name).display().to_string();
        let slow = format!("{IMAGES}\n{SLOW_FLASH}");
        let scenario = suite.site.scenario("slow", &slow).display().to_string();
        let (port, state, pid) = (path("slow.port"), path("slow"), path("slow.pid"));
        let (program, root) = (noflake_binary().display(), suite.site.root().display().to_string());
        let on = format!(
            "{program} sim --serial {port} --state {state} --root {root} --scenario {scenario} --seed 7 \
             >/dev/null 2>&1 &\necho $! >{pid}\n"
        );
        suite.site.write("on.sh", &on);
        suite.site.write("off.sh", &format!("kill -9 $(cat {pid})\n"));
        let address = format!("serial:{port}?baud=3000000");
        Self {
            folder: suite.site.folder().to_owned(),
            address,
            off: format!("sh {}", path("off.sh")),
            on: format!("sh {}", path("on.sh")),
        }
    }

    fn switch(&self, script: &str) {
        let _ = Command::new("sh").arg(self.folder.join(script)).status();
    }
}

/// The trial that is open is given up, and the command says what runs.
#[test]
fn an_operator_who_stops_the_suite_leaves_a_healthy_version_and_no_trial() {
    let suite = Suite::new();
    let device = Simulator::start(&suite.site, &SimOptions::tcp().scenario(IMAGES));
    let address = device.address();
    let only = ["conformance", "-d", &address, "--only", "P2.unconfirmed,P6"];
    let host = suite.site.start(&only);
    // Its slot is the one that the device has left behind for `base`.
    wait_for("its trial", || {
        let begun = host.stderr().contains("P2.unconfirmed: a trial");
        (begun && boots(device.state())[0] == 2).then_some(())
    });
    host.signal(Signal::INT);
    let ended = host.wait().code(130).says("P6.resumes              not checked: interrupted");
    let _ = ended.says("it runs version 1.1.0 from slot B, confirmed and healthy");
    assert!(suite.site.status(&address)["trial"].is_null());
}

#[test]
fn a_power_command_that_fails_is_a_fault_of_the_bench() {
    let suite = Suite::new();
    let scenario = format!("{IMAGES}\n{SLOW_FLASH}");
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(&scenario) };
    let device = Simulator::start(&suite.site, &options);
    let power = ["--power-off", "false", "--power-on", "true"];
    let ended = suite.run(&device.address(), &[&power[..], &["--only", "P1.cut-stage"]].concat());
    let _ = ended.code(3).says("the power command `false` failed: exit 1");
}

#[test]
fn what_cannot_be_a_suite_is_refused_before_any_device_is_asked() {
    let suite = Suite::new();
    let list = suite.site.noflake(&["conformance", "--list", "--only", "P3"]).code(0);
    let _ = list.says("P3.silence").says("needs bundle `deaf`").says_not("P4");
    let _ = suite.run("sim:", &["--only", "P3.silent"]).code(2).says("P3.silent").says("--list");
    suite.site.write("conformance/conformance.toml", "schema = \"conformance/1\"\n[bundles]\n");
    let ended = suite.site.noflake(&["conformance", "-d", "sim:"]).code(2);
    ended.says("bundles.base: expected a bundle, got none").is_one_clear_error();
}
