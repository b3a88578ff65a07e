//! P5, "written" is not "running": success is told only from the new image's own answer, and what is
//! told can be seen on the device.

use integration::flash;
use integration::simulator::{SimOptions, Simulator, boots};
use integration::site::{Release, Site};

#[test]
fn success_names_the_boot_that_the_device_itself_reports_and_bytes_that_its_flash_holds() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let release = Release::new("1.1.0");
    let bundle = site.bundle(&release);
    let before = site.status(&device.address());
    let ended = site.noflake(&["--format", "json", "deploy", &bundle, "-d", &device.address()]);
    let told = ended.code(0).json();
    let status = site.status(&device.address());
    assert_eq!(told["state"], "committed");
    assert_eq!(told["boot_nonce"], status["device"]["boot_nonce"]);
    assert_ne!(told["boot_nonce"], before["device"]["boot_nonce"]);
    assert_eq!(told["running"], "slot B");
    assert_eq!(status["device"]["running"], "slot B");
    assert_eq!(status["active"], "slot B");
    assert!(told["downtime_ms"].as_u64().is_some_and(|downtime_ms| downtime_ms > 0));
    assert_eq!(boots(device.state()), [1, 1, 0]);
    flash::assert_holds(device.state(), "B", "app", &release.app[1]);
    flash::assert_holds(device.state(), "B", "config", &release.config);
    // The next version goes into the other slot, with that slot's own variant.
    let next = Release::new("1.2.0");
    let _ = site.deploy(&site.bundle(&next), &device.address()).code(0);
    flash::assert_holds(device.state(), "A", "app", &next.app[0]);
}

#[test]
fn a_version_that_is_staged_whole_and_never_runs_is_no_success() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.1.0\"\nbehaviour = \"hangs\"\n";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(body));
    let release = Release::new("1.1.0");
    let ended = site.noflake(&[
        "--format",
        "json",
        "deploy",
        &site.bundle(&release),
        "-d",
        &device.address(),
    ]);
    let told = ended.code(6).json();
    flash::assert_holds(device.state(), "B", "app", &release.app[1]);
    assert_eq!(told["state"], "went_back_by_itself");
    assert_eq!(told["version"], "1.0.0");
    assert_eq!(told["running"], "slot A");
}

#[test]
fn deploying_what_runs_already_is_found_done_byte_for_byte_and_writes_nothing() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&bundle, &device.address()).code(0);
    let before = flash::whole(device.state());
    let deploy = ["--format", "json", "deploy", &bundle, "-d", &device.address()];
    let again = site.noflake(&deploy).code(0).says("runs already from slot B");
    // Nothing was judged, and nothing is wrong: a pipeline that reads JUnit stays green.
    assert!(again.json()["verdict"].is_null(), "{}", again.stdout);
    let junit = site.runs().pop().unwrap().join("junit.xml");
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("failures=\"0\" errors=\"0\""), "{junit}");
    assert!(junit.contains("not judged"), "{junit}");
    assert!(flash::whole(device.state()) == before);
}
