//! `noflake conformance`: on a sound device every promise holds, over every link; a device that breaks one is told which.

use std::fs;

use integration::cli::Ended;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, STRANGER_KEY, Site};
use serde_json::Value;

/// What the versions of the suite do, by their version.
const IMAGES: &str = r#"
[[image]]
version = "1.3.0"
fails = ["clock"]
[[image]]
version = "1.4.0"
behaviour = "hangs"
[[image]]
version = "1.5.0"
behaviour = "hangs_feeding_watchdog"
[[image]]
version = "1.6.0"
behaviour = "never_answers"
[[image]]
version = "1.7.0"
behaviour = "crashes"
[[image]]
version = "1.8.0"
behaviour = "hangs_feeding_watchdog"
"#;
/// Limits as short as a simulated device allows.
const LIMITS: &str = "[limits]\nlease_ms = 1500\nboot_max_ms = 3000\nback_ms = 8000\n";

/// A site with all bundles of the suite, but for those named.
struct Bench {
    site: Site,
}

impl Bench {
    fn new() -> Self {
        Self::without(&[])
    }

    fn without(left_out: &[&str]) -> Self {
        let site = Site::new();
        fs::create_dir(site.path("conformance")).unwrap();
        let mut text = "schema = \"conformance/1\"\n[bundles]\n".to_owned();
        for (key, release) in releases() {
            if !left_out.contains(&key) {
                site.bundle_at(&release, &site.path(&format!("conformance/{key}.nfb")));
                text += &format!("{key} = \"{key}.nfb\"\n");
            }
        }
        site.write("conformance/conformance.toml", &(text + LIMITS));
        Self { site }
    }

    /// Runs the suite on `device`.
    #[track_caller]
    fn run(&self, device: &str, more: &[&str]) -> Ended {
        let arguments = ["--format", "json", "conformance", "-d", device];
        self.site.noflake(&[&arguments[..], more].concat())
    }

    /// The address of a simulated device in the command's own process.
    fn in_memory(&self, more: &str) -> String {
        let path = self.site.scenario("unit", &format!("{more}\n{IMAGES}"));
        format!("sim:{}", path.display())
    }
}

fn releases() -> Vec<(&'static str, Release)> {
    let next = |version| Release::new(version).security(2);
    let other = Release { product: "other-product".to_owned(), ..next("1.9.0") };
    vec![
        ("base", Release::new("1.1.0")),
        // So large that a device cannot have to write all of it again behind a reset.
        ("next", Release::sized("1.2.0", 300_000).security(2)),
        ("fails", next("1.3.0")),
        ("hangs", next("1.4.0")),
        ("never_polls", next("1.5.0")),
        ("deaf", next("1.6.0")),
        ("crashes", next("1.7.0")),
        ("feeds_from_interrupt", next("1.8.0")),
        ("other_product", other),
        ("stranger", next("2.0.0").signed_by(STRANGER_KEY)),
    ]
}

/// Scenario and finding of each line, and the line about all of them.
fn findings(ended: &Ended) -> (Vec<(String, String, String)>, Value) {
    let mut lines = ended.json_lines();
    let all = lines.pop().unwrap();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let rows = lines.iter().map(|it| (text(it, "scenario"), text(it, "finding"), text(it, "why")));
    (rows.collect(), all)
}

#[track_caller]
fn assert_all_hold(ended: &Ended, but: &[(&str, &str)]) {
    let (rows, _) = findings(ended);
    for (scenario, finding, why) in &rows {
        let expected = but.iter().find(|(name, _)| name == scenario).map_or("holds", |it| it.1);
        assert_eq!(finding, expected, "{scenario}: {why}\n{}", ended.stderr);
    }
}

#[test]
fn every_promise_holds_on_a_sound_device_in_memory() {
    let bench = Bench::new();
    let ended = bench.run(&bench.in_memory(""), &[]);
    assert_all_hold(&ended, &[]);
    let (rows, all) = findings(&ended);
    assert_eq!(rows.len(), 26);
    assert_eq!((&all["version"], &all["healthy"]), (&"1.2.0".into(), &true.into()));
    let _ = ended.code(0).says("both slots are overwritten").says("its floor at 2");
}

/// Commands that take power have to work, but are not called for where power is not taken.
const NO_POWER: [(&str, &str); 3] = [
    ("P1.cut-stage", "not_checked"),
    ("P1.cut-trial", "not_checked"),
    ("P1.cut-confirm", "not_checked"),
];

#[test]
fn every_promise_but_those_of_power_cuts_holds_on_a_sound_device_behind_a_line() {
    let bench = Bench::new();
    let options = SimOptions { in_memory: true, ..SimOptions::pty().scenario(IMAGES) };
    let device = Simulator::start(&bench.site, &options);
    let ended = bench.run(&device.address(), &[]);
    assert_all_hold(&ended, &NO_POWER);
    let _ = ended.code(0).says("needs a power controller (--power-off, --power-on)");
}

#[test]
fn every_promise_holds_again_on_a_device_whose_floor_the_suite_has_raised() {
    let bench = Bench::new();
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(IMAGES) };
    let device = Simulator::start(&bench.site, &options);
    let only = |names| bench.run(&device.address(), &["--only", names]);
    assert_all_hold(&only("P7"), &[]);
    let again = only("P7,P4,P5,P6,P2.hangs");
    assert_all_hold(&again, &[("P7.floor-at-confirm", "not_checked")]);
    let _ = again.code(0).says("the floor is at 2 already").says("begins with `next`");
}

#[test]
fn what_a_scenario_lacks_is_never_taken_for_a_promise_that_holds() {
    let left_out = ["hangs", "never_polls", "deaf", "stranger", "fails"];
    let bench = Bench::without(&left_out);
    let names = "P2.hangs,P2.never-polls,P2.fails,P3.deaf,P4.stranger,P1.starts";
    let ended = bench.run(&bench.in_memory(""), &["--only", names]);
    let (rows, all) = findings(&ended);
    for (scenario, finding, why) in &rows {
        match scenario.as_str() {
            "P1.starts" => assert_eq!(finding, "holds", "{why}"),
            _ => {
                assert_eq!(finding, "not_checked", "{scenario}");
                assert!(why.starts_with("needs a bundle `"), "{scenario}: {why}");
            }
        }
    }
    assert_eq!(all["counts"]["not_checked"], 5);
    let _ = ended.code(0);
}

/// Runs one scenario on a device that breaks its promise, and hears so by name.
#[track_caller]
fn assert_broken(device: &str, scenario: &str, why: &str) {
    let bench = Bench::new();
    let ended = bench.run(&bench.in_memory(device), &["--only", scenario]);
    let (rows, _) = findings(&ended);
    let [(name, finding, said)] = &rows[..] else { panic!("one row: {ended:?}") };
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
    let bench = Bench::new();
    let ended = bench.run(&bench.in_memory(device), &["--only", "P2.feeds-from-interrupt"]);
    let (rows, _) = findings(&ended);
    assert_eq!(rows[0].1, "not_defended", "{rows:?}");
    let _ = ended.code(0);
}

#[test]
fn a_device_that_does_not_come_back_leaves_the_rest_unchecked_and_is_told_of() {
    let bench = Bench::new();
    let scenario = format!("[device]\nhardware_deadline = false\n{IMAGES}");
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(&scenario) };
    let device = Simulator::start(&bench.site, &options);
    let ended = bench.run(&device.address(), &["--only", "P2.never-polls,P2.feeds-from-interrupt"]);
    let (rows, _) = findings(&ended);
    let words: Vec<&str> = rows.iter().map(|(_, finding, _)| finding.as_str()).collect();
    assert_eq!(words, ["broken", "not_checked"], "{rows:?}");
    let _ = ended.code(1).says("power it off and on");
}

#[test]
fn a_power_command_that_fails_is_a_fault_of_the_bench() {
    let bench = Bench::new();
    let options = SimOptions { in_memory: true, ..SimOptions::tcp().scenario(IMAGES) };
    let device = Simulator::start(&bench.site, &options);
    let power = ["--power-off", "false", "--power-on", "true"];
    let ended = bench.run(&device.address(), &[&power[..], &["--only", "P1.cut-stage"]].concat());
    let _ = ended.code(3).says("the power command `false` failed: exit 1");
}

#[test]
fn what_cannot_be_a_suite_is_refused_before_any_device_is_asked() {
    let bench = Bench::new();
    let list = bench.site.noflake(&["conformance", "--list", "--only", "P3"]).code(0);
    let _ = list.says("P3.silence").says("needs bundle `deaf`").says_not("P4");
    let _ = bench.run("sim:", &["--only", "P3.silent"]).code(2).says("P3.silent").says("--list");
    bench.site.write("conformance/conformance.toml", "schema = \"conformance/1\"\n[bundles]\n");
    let ended = bench.site.noflake(&["conformance", "-d", "sim:"]).code(2);
    ended.says("bundles.base: expected a bundle, got none").is_one_clear_error();
}
