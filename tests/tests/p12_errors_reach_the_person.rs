//! P12, errors reach the person holding the cable: cause, state of both slots, the next safe command.

use integration::cli::redact;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

#[test]
fn a_rejected_run_says_what_failed_what_both_slots_hold_and_what_to_do() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.1.0\"\nfails = [\"ram\"]\n";
    let device = format!("sim:{}", site.scenario("failing", body).display());
    let ended = site.deploy(&site.bundle(&Release::new("1.1.0")), &device).code(1);
    assert_eq!(
        redact(&ended.stdout, site.folder()),
        "sim:SITE/failing.scenario.toml: rolled back: selftest: ram: fail, the scenario lets it fail; \
         version 1.0.0 runs again from slot A\n\
         \x20 verdict   rejected\n\
         \x20 downtime  N ms\n\
         \x20 slots     slot A admitted, confirmed; slot B rejected (the host rolled it back)\n\
         \x20 evidence  runs/TIME-HEX\n\
         \x20 next      mend the bundle, or deploy it again with --again\n"
    );
}

#[test]
fn a_device_in_factory_state_is_told_to_be_enrolled() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().factory());
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site
        .deploy(&bundle, &device.address())
        .code(5)
        .says("the device is in factory state")
        .says("slot A admitted, confirmed; slot B empty")
        .says("noflake device enroll");
    let _ = site.noflake(&["device", "enroll", "-d", &device.address()]).code(0);
    let _ = site.deploy(&bundle, &device.address()).code(0);
}

#[test]
fn status_explains_every_stage_of_a_life_and_ends_in_one_command() {
    let site = Site::new();
    let body = "[[image]]\nversion = \"1.2.0\"\nbehaviour = \"crashes\"\n";
    let device = Simulator::start(&site, &SimOptions::pty().scenario(body));
    let explain =
        || site.noflake(&["device", "status", "--explain", "-d", &device.address()]).code(0);
    let _ = explain().says("why: ").says("next: nothing needs to be done");
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), &device.address()).code(0);
    let _ = explain().says("it was confirmed since").says("next: nothing needs to be done");
    let _ = site.deploy(&site.bundle(&Release::new("1.2.0")), &device.address()).code(6);
    let _ = explain()
        .says("slot A was rejected in trial ")
        .says("crashed, hung, reset by itself or was not ready in time")
        .says("next: mend the bundle");
}

/// What a device says reaches the terminal only with its control characters shown, not obeyed.
#[test]
fn a_device_cannot_steer_the_terminal() {
    let site = Site::new();
    let body = "[device]\nserial = \"SIM\\u001b[2J\\u202e\"\n\
                [[image]]\nversion = \"*\"\nconsole = [\"boot \\u001b]0;owned\\u0007 ok\"]\n";
    let device = Simulator::start(&site, &SimOptions::pty().scenario(body));
    for arguments in [["device", "identify"], ["device", "status"]] {
        let ended = site.noflake(&[&arguments[..], &["-d", &device.address()]].concat()).code(0);
        assert!(
            !ended.stdout.contains('\u{1b}') && !ended.stdout.contains('\u{202e}'),
            "{ended:?}"
        );
    }
    let bundle = site.bundle(&Release::new("1.1.0"));
    let ended = site.deploy(&bundle, &device.address()).code(0);
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains('\u{1b}'), "{ended:?}");
}

/// README.md shows this run; the scenario beside it must keep showing it.
#[test]
fn the_run_in_the_readme_is_what_its_scenario_shows() {
    let site = Site::new();
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let device = format!("sim:{}", workspace.join("hw-sim/examples/rail.toml").display());
    let check = "id = \"rail-3v3\"\nkind = \"measure\"\nsource = \"rail_3v3\"\nunit = \"V\"\n\
                 limits = { ge = 3.14, le = 3.47 }";
    let plan = integration::site::plan_with(check);
    let ended = site.deploy(&site.bundle(&Release::new("1.1.0").plan(&plan)), &device).code(1);
    let readme = std::fs::read_to_string(workspace.join("README.md")).unwrap();
    let shown = "rolled back: rail-3v3: rail_3v3 = 3.9 V, outside limits ge 3.14, le 3.47; version 1.0.0 \
                 runs again from slot A";
    assert!(readme.contains(shown));
    let _ = ended.says(shown);
}
