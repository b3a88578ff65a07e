//! The conformance suite on simulated devices: its bundles, versions that behave as they are named for, and what it finds.

use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::cli::Ended;
use crate::site::{Release, STRANGER_KEY, Site};

/// What the versions of the suite do, by their version.
pub const IMAGES: &str = r#"
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
const LIMITS: &str = "[limits]\nlease_ms = 2000\nboot_max_ms = 3500\nback_ms = 5000\n";

/// A site with all bundles of the suite, but for those named.
#[derive(Debug)]
pub struct Suite {
    /// The site.
    pub site: Site,
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// With every bundle that there is a role for.
    pub fn new() -> Self {
        Self::without(&[])
    }

    /// Without the bundles of these roles.
    pub fn without(left_out: &[&str]) -> Self {
        let site = Site::new();
        fs::create_dir(site.path("conformance")).unwrap();
        let mut text = "schema = \"conformance/1\"\n[bundles]\n".to_owned();
        for (key, release) in releases() {
            if !left_out.contains(&key) {
                site.bundle_at(&release, &site.path(&format!("conformance/{key}.nfb")));
                writeln!(text, "{key} = \"{key}.nfb\"").unwrap();
            }
        }
        site.write("conformance/conformance.toml", &(text + LIMITS));
        Self { site }
    }

    /// With one more limit.
    pub fn limit(&self, line: &str) {
        let path = self.site.path("conformance/conformance.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{line}\n")).unwrap();
    }

    /// Runs the suite on `device`.
    #[track_caller]
    pub fn run(&self, device: &str, more: &[&str]) -> Ended {
        let arguments = ["--format", "json", "conformance", "-d", device];
        self.site.noflake(&[&arguments[..], more].concat())
    }

    /// The address of a simulated device in the command's own process.
    pub fn in_memory(&self, more: &str) -> String {
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

/// What one scenario has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub scenario: String,
    /// `holds`, `broken`, `not_checked` or `not_defended`.
    pub finding: String,
    /// Why; empty where it holds.
    pub why: String,
}

/// What each scenario has found, and the line about all of them.
#[track_caller]
pub fn found(ended: &Ended) -> (Vec<Found>, Value) {
    let mut lines = ended.json_lines();
    let all = lines.pop().unwrap_or_else(|| panic!("a line about all of them: {ended:?}"));
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let row = |line: &Value| Found {
        scenario: text(line, "scenario"),
        finding: text(line, "finding"),
        why: text(line, "why"),
    };
    (lines.iter().map(row).collect(), all)
}
