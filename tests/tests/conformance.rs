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
        ("next", next("1.2.0")),
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
    assert_eq!(rows.len(), 25);
    assert_eq!((&all["version"], &all["healthy"]), (&"1.2.0".into(), &true.into()));
    let _ = ended.code(0).says("both slots are overwritten").says("its floor at 2");
}
