//! The one way below a floor, as a test bench goes it: `noflake device bench-reset`.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;

use integration::cli::Ended;
use integration::office::{Office, role};
use integration::simulator::{SimOptions, Simulator};

/// An office with a qualify role, and root records of both life cycles.
struct Works {
    office: Office,
}

impl Works {
    fn new() -> Self {
        let keys = [("root", "a"), ("release", "r"), ("qualify", "q"), ("operate", "o")];
        let works = Self { office: Office::new(&[&keys[..], &[("host", "t")]].concat()) };
        works.root("bench", "development");
        works.root("field", "field");
        works
    }

    fn root(&self, name: &str, life_cycle: &str) {
        let roles = [("root", "a"), ("release", "r"), ("qualify", "q"), ("operate", "o")];
        let roles = roles.map(|(name, key)| role(name, &[key], 1)).concat();
        let spec = format!("{roles}[policy]\nlife_cycle = \"{life_cycle}\"\n");
        let _ = self.office.root(name, &spec, &["a.key"], None);
    }

    /// The example of a version, and of a security version.
    fn bundle(&self, version: &str, security_version: u64) -> String {
        let path = self.office.site.path("example/bundle.toml");
        let spec = fs::read_to_string(&path).unwrap();
        let line = spec.lines().find(|line| line.starts_with("security_version"));
        let stated = format!("security_version = {security_version}");
        let spec = match line {
            Some(line) => spec.replace(line, &stated),
            None => spec.replacen("version = ", &format!("{stated}\nversion = "), 1),
        };
        fs::write(&path, spec).unwrap();
        self.office.bundle(version, "r")
    }

    fn reset(&self, address: &str, floor: &str, key: &str) -> Ended {
        let reset = ["device", "bench-reset", "-d", address, "--floor", floor, "--key", key];
        self.office.say(&[&reset[..], &["--root", "bench.nfr"]].concat())
    }
}

#[test]
fn a_bench_goes_back_below_a_floor_and_nobody_else_does() {
    let works = Works::new();
    let (newer, older) = (works.bundle("2.0.0", 9), works.bundle("1.5.0", 5));
    let device = Simulator::start(&works.office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let nobodys = works.reset(&address, "4", "q.key").code(5);
    nobodys.says("it has no root record").says("next: noflake device enroll").is_one_clear_error();
    let enroll = ["device", "enroll", "-d", &address, "--root", "bench.nfr"];
    let _ = works.office.noflake(&enroll).code(0);
    let deploy = |bundle: &str| {
        works.office.noflake(&["deploy", bundle, "-d", &address, "--root", "bench.nfr"])
    };
    let _ = deploy(&newer).code(0);
    let _ = deploy(&older).code(5).says("security version 5 is below the device's floor 9");

    let stranger = works.reset(&address, "4", "r.key").code(2);
    stranger.says("is no qualify key of the root record").is_one_clear_error();
    let raised = works.reset(&address, "10", "q.key").code(5);
    raised
        .says("the bench reset names floor 10, and the device's is 9: it only lowers one")
        .says("next: noflake device status")
        .is_one_clear_error();
    let done = works.reset(&address, "4", "q.key").code(0);
    let _ = done
        .says("floor       4 instead of 9")
        .says("the floor of device SIM-0001 is lowered to 4; it was 9.");
    let _ = works.reset(&address, "4", "q.key").code(0).says("was found at 4");
    let _ = deploy(&older).code(0).says("version 1.5.0 runs");
    let status = works.office.site.status(&address);
    assert_eq!(status["accept_floor"], 5, "and a confirm raises it again");
}

#[test]
fn a_device_of_the_field_never_goes_back() {
    let works = Works::new();
    let device = Simulator::start(&works.office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let enroll = ["device", "enroll", "-d", &address, "--root", "field.nfr", "--as", "t.key"];
    let _ = works.office.say(&enroll).code(0);
    let reset = works.reset(&address, "0", "q.key").code(5);
    reset.says("its life cycle is not development").is_one_clear_error();
}
