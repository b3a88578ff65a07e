//! Runs that lose their device in the trial: to another host, to a cable that is out for a while, to a
//! power cut. Each says what the device shows, rejects nothing, and names the next command.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firmware_protocol::message::Request;
use integration::cli::{Ended, Running, wait_for};
use integration::proxy::{At, Proxy};
use integration::raw::Raw;
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{QUICK_PLAN, Release, Site, plan_with};

/// A run on a serial line whose first attempt at a check of its trial waits for the word to go on. The
/// other host comes over the network; its resets close no serial port, so the run looks only then.
struct Held {
    site: Site,
    device: Simulator,
    bundle: String,
    host: Running,
}

impl Held {
    fn start() -> Self {
        let site = Site::new();
        let both = SimOptions { tcp: SimOptions::tcp().tcp, ..SimOptions::pty() };
        let device = Simulator::start(&site, &both);
        let (here, go) = (site.path("here"), site.path("go"));
        let script = format!(
            "test -e {0} || {{ touch {0}; while ! test -e {1}; do sleep 0.1; done; }}",
            here.display(),
            go.display()
        );
        let check =
            format!("id = \"wait\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]\n");
        let plan = plan_with(&check).replace("connect = \"20s\"", "connect = \"2s\"");
        let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
        let host = site.start(&["--format", "json", "deploy", &bundle, "-d", &device.address()]);
        wait_for("the check that waits", || here.exists().then_some(()));
        Self { site, device, bundle, host }
    }

    /// Lets it go on, and gives its end.
    #[track_caller]
    fn go_on(self) -> Ended {
        self.site.write("go", "");
        let ended = self.host.wait().code(3);
        let told = ended.json();
        assert_eq!((&told["state"], &told["verdict"]), (&"error".into(), &"error".into()));
        ended
    }
}

#[test]
fn a_run_whose_device_another_host_deploys_another_version_to_is_told_what_runs() {
    let held = Held::start();
    let other = held.site.bundle(&Release::new("1.2.0"));
    let taking = ["deploy", &other, "-d", &held.device.tcp_address(), "--take-over"];
    let _ = held.site.noflake(&taking).code(0).says("version 1.2.0 runs from slot B, confirmed");
    let _ = held
        .go_on()
        .says("another host took the device over; it runs version 1.2.0 in slot B")
        .says_not("by itself")
        .says_not("mend the bundle");
}

#[test]
fn a_run_whose_bundle_another_host_confirmed_has_committed_nothing() {
    let held = Held::start();
    let taking = ["deploy", &held.bundle, "-d", &held.device.tcp_address(), "--take-over"];
    let _ = held.site.noflake(&taking).code(0).says("version 1.1.0 runs from slot B, confirmed");
    let _ = held.go_on().says(
        "another host took the device over and confirmed version 1.1.0 in slot B; this run did not \
         judge it",
    );
}

#[test]
fn a_run_whose_trial_another_host_rolled_back_does_not_say_that_the_device_did() {
    let held = Held::start();
    let taking = ["device", "rollback", "-d", &held.device.tcp_address(), "--take-over"];
    let _ = held.site.noflake(&taking).code(0);
    let _ = held.go_on().says("another host took the device over; it runs version 1.0.0 in slot A");
}

/// What a device that another host keeps runs is read without its session.
#[test]
fn a_run_whose_device_another_host_keeps_is_told_what_runs() {
    let held = Held::start();
    let mut other = Raw::tcp(&held.device.socket());
    other.open_session();
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    let keeping = std::thread::spawn(move || {
        while !over.load(Ordering::SeqCst) {
            other.ask(Request::Renew, |_| ()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
    });
    let ended = held.go_on();
    is_over.store(true, Ordering::SeqCst);
    keeping.join().expect("the other host has kept its session");
    let _ = ended
        .says("another host took the device over; it runs version 1.1.0 in slot B, on trial")
        .says_not("goes back");
}

/// The lease ran out because the cable was out: the device saw no failure, and neither did the host.
#[test]
fn a_cable_that_is_out_until_the_device_goes_back_speaks_against_no_bundle() {
    let site = Site::new();
    let plan = QUICK_PLAN.replace("lease = \"4s\"", "lease = \"1s\"");
    let here = site.path("here");
    let script = format!("test -e {0} || {{ touch {0}; sleep 60; }}", here.display());
    let check = format!("id = \"wait\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]");
    let bundle =
        site.bundle(&Release::new("1.1.0").plan(&format!("{plan}\n[[stage.check]]\n{check}\n")));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let host = site.start(&["--format", "json", "deploy", &bundle, "-d", &cable.address()]);
    wait_for("the check that waits", || here.exists().then_some(()));
    cable.cut_for_good();
    wait_for("the old version's return", || (boots(device.state())[0] == 2).then_some(()));
    cable.plug_in();
    let told = host.wait().code(6).says("its lease expired").json();
    assert_eq!(told["state"], "went_back_by_itself");
    assert_eq!((&told["verdict"], &told["version"]), (&"error".into(), &"1.0.0".into()));
    let next = "run the same command again: nothing speaks against the bundle";
    assert_eq!(told["next"], next);
    let run = told["evidence"].as_str().unwrap();
    let shown = site.noflake(&["report", "show", run]).code(0);
    let _ = shown.says("ERROR: went back by itself, exit 6").says(next).says_not("REJECTED");
    let junit = std::fs::read_to_string(site.path(run).join("junit.xml")).unwrap();
    assert!(junit.contains("failures=\"0\"") && !junit.contains("<failure"), "{junit}");
    let summary = std::fs::read_to_string(site.path(run).join("summary.md")).unwrap();
    assert!(summary.starts_with("## error: went back by itself, exit 6"), "{summary}");
    let _ = site.deploy(&bundle, &device.address()).code(0);
}

/// Power fails in the trial's first boot: its one armed start is spent, and the trial waits.
#[test]
fn a_power_cut_in_the_trial_boot_is_named_and_the_same_command_goes_on() {
    let site = Site::new();
    let slow = "[[image]]\nversion = \"1.1.0\"\nboot_ms = 8000\n";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(slow));
    let socket = device.socket();
    let plan = QUICK_PLAN.replace("lease = \"4s\"", "lease = \"60s\"");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let host = site.start(&["--format", "json", "deploy", &bundle, "-d", &device.address()]);
    let state = device.state().to_owned();
    wait_for("the trial boot", || (boots(&state)[1] == 1).then_some(()));
    device.kill();
    let options = SimOptions { tcp: Some(socket), ..SimOptions::tcp() };
    let device = Simulator::start(&site, &options);
    let told = host
        .wait()
        .code(3)
        .says("power failed (reset cause power_on) before the new version answered")
        .says("version 1.0.0 in slot A runs, and trial 1 is still open with 2 boots left")
        .json();
    assert_eq!((&told["state"], &told["verdict"]), (&"error".into(), &"error".into()));
    let again = site.deploy(&bundle, &device.address()).code(0);
    let _ = again.says("left trial 1 of this bundle open; this run goes on with it");
}
