//! The plan's `silence`: how long a check waits for a device that says nothing at all. In virtual time.

use integration::cli::Ended;
use integration::site::{QUICK_PLAN, Release, Site};

/// A line that goes dead for 25 s while the device is watched.
const DEAD_FOR_25_S: &str = "[[link_fault]]\nkind = \"disconnect\"\nafter_bytes = 34000\ndown_ms = 25000\ndirection = \"in\"\n";

/// The watch itself would forgive a gap of a minute, and so would the lease.
fn watched(silence: &str) -> Ended {
    let site = Site::new();
    let plan =
        QUICK_PLAN.replace("lease = \"4s\"", &format!("lease = \"60s\"\nsilence = \"{silence}\""));
    let plan = plan.replace("run = \"60s\"", "run = \"10m\"").replace("30s", "10m");
    let watch = "[[stage.check]]\nid = \"alive\"\nkind = \"liveness\"\nwindow = \"2m\"\n\
                 interval = \"100ms\"\nunit = \"s\"\nlimits = { le = 60 }\n";
    let bundle = site.bundle(&Release::new("1.1.0").plan(&format!("{plan}{watch}")));
    let device = format!("sim:{}", site.scenario("dead", DEAD_FOR_25_S).display());
    site.deploy(&bundle, &device)
}

#[test]
fn a_device_that_is_silent_for_longer_than_the_plan_allows_is_hung_and_goes_back() {
    let ended = watched("20s").code(3).says("alive: hung: no sign of life for 20 s");
    let _ = ended.says("version 1.0.0 runs again from slot A").says("verdict   error");
}

#[test]
fn a_shorter_silence_is_left_to_the_check_to_judge() {
    let ended = watched("40s").code(0).says_not("hung");
    // The same fault has struck: the longest gap is that of the dead line.
    let gap = ended.stderr.split("longest_gap = ").nth(1).unwrap();
    let gap_s: f64 = gap.split(' ').next().unwrap().parse().unwrap();
    assert!((25.0..40.0).contains(&gap_s), "{}", ended.stderr);
}
