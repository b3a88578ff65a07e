//! Every exit code of the contract, from the shell: 0, 1, 2, 3, 4, 5, 6, 7 and 130.

use integration::cli::wait_for;
use integration::peer::{self, Script};
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{Release, Site, plan_with};
use rustix::process::Signal;

#[test]
fn zero_qualified_and_committed_or_done() {
    let site = Site::new();
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), "sim:").code(0);
    let _ = site.noflake(&["--version"]).code(0);
    let _ = site.noflake(&["deploy", "--help"]).code(0);
    let _ = site.noflake(&["device", "identify", "-d", "sim:"]).code(0);
}

#[test]
fn one_rejected_and_held_and_drift() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.1.0\"\nfails = [\"clock\"]\n";
    let failing = format!("sim:{}", site.scenario("failing", body).display());
    let release = Release::new("1.1.0");
    let _ = site.deploy(&site.bundle(&release), &failing).code(1).says("clock: fail");
    let policy = format!("{}\n[policy]\non_fail = \"hold\"\n", integration::site::QUICK_PLAN);
    let held = site.bundle(&release.plan(&policy));
    let ended = site.noflake(&["--format", "json", "deploy", &held, "-d", &failing]).code(1);
    assert_eq!(ended.json()["state"], "held");
    let drift = ["device", "status", "-d", "sim:", "--against", &held];
    let _ = site.noflake(&drift).code(1).says("DRIFT");
}

#[test]
fn two_usage_plan_or_bundle() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    for arguments in [
        &["deploy"][..],
        &["no-such-command"],
        &["deploy", &bundle],
        &["deploy", &bundle, "-d", "usb:1"],
        &["deploy", "none.nfb", "-d", "sim:"],
        &["deploy", "noflake.toml", "-d", "sim:"],
        &["qualify", &bundle, "--plan", "noflake.toml", "-d", "sim:"],
        &["deploy", &bundle, "-d", "sim:", "--root", &bundle],
        &["device", "status", "-d", "sim:", "-d", "sim:"],
        &["report", "show", "none"],
    ] {
        let ended = site.noflake(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn three_bench_link_or_tool() {
    let site = Site::new();
    let broken = plan_with("id = \"tool\"\nkind = \"command\"\nargv = [\"/no/such/tool\"]");
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0").plan(&broken)), "sim:").code(3);
    let silent = peer::start(Script::Silence);
    let _ = site.noflake(&["device", "identify", "-d", &silent]).code(3);
}

#[test]
fn four_inconclusive() {
    let site = Site::new();
    let log = plan_with("id = \"log\"\nkind = \"log\"\nforbid = [\"panic\"]");
    let silent = format!("sim:{}", site.scenario("silent", "").display());
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0").plan(&log)), &silent).code(4);
}

#[test]
fn five_refused_by_the_device() {
    let site = Site::new();
    let other = Release { product: "other".to_owned(), ..Release::new("1.1.0") };
    let _ = site.deploy(&site.bundle(&other), "sim:").code(5);
    let _ = site.noflake(&["device", "confirm", "-d", "sim:"]).code(5).says("no trial is open");
}

#[test]
fn six_went_back_by_itself() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.1.0\"\nbehaviour = \"crashes\"\n";
    let device = format!("sim:{}", site.scenario("crashing", body).display());
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), &device).code(6);
}

/// The link opens, and in the trial the device falls silent for good: nobody can say what it runs.
#[test]
fn seven_needs_service() {
    let site = Site::new();
    let body = "[device]\nhardware_deadline = false\n\
                [[image]]\nversion = \"1.1.0\"\nbehaviour = \"hangs_feeding_watchdog\"\n";
    let device = format!("sim:{}", site.scenario("mute", body).display());
    let ended = site.deploy(&site.bundle(&Release::new("1.1.0")), &device).code(7);
    let next = format!("noflake device status -d {device} --explain");
    let _ = ended.says("has not answered").says(&next);
}

/// The way to the device is gone in the trial: that says nothing about the device.
#[test]
fn three_when_the_link_is_lost_behind_the_reset() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().scenario("[device]\nboot_ms = 3000\n"));
    let plan = integration::site::QUICK_PLAN
        .replace("connect = \"20s\"", "connect = \"8s\"")
        .replace("lease = \"4s\"", "lease = \"1s\"");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let host = site.start(&["--format", "json", "deploy", &bundle, "-d", &device.address()]);
    // The reset into the trial ends the first boot; while the second is slow, the device is gone.
    let state = device.state().to_owned();
    wait_for("the reset into the trial", || {
        let record = site.runs().pop()?.join("record.jsonl");
        let text = std::fs::read_to_string(record).ok()?;
        (text.contains("deploy.trial") && boots(&state)[0] == 1).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    device.kill();
    let told = host.wait().code(3).says("failed to connect").says("goes back").json();
    assert_eq!((&told["state"], &told["verdict"]), (&"error".into(), &"error".into()));
}

#[test]
fn one_hundred_and_thirty_interrupted() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions { baud: 115_200, ..SimOptions::pty() });
    let bundle = site.bundle(&Release::sized("1.1.0", 200_000));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let host = site.start(&["deploy", &bundle, "-d", &device.address()]);
        let begun = integration::simulator::wire_bytes(device.state());
        wait_for("bytes", || {
            (integration::simulator::wire_bytes(device.state()) > begun + 3000).then_some(())
        });
        host.signal(signal);
        let _ = host.wait().code(130).says("run the same command again").says_not("panicked");
    }
}
