//! `noflake demo`: all its stories hold, and each mistake that is planted breaks the story that should
//! notice it.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use integration::site::Site;

#[test]
fn every_story_holds() {
    let site = Site::new();
    let ended = site.noflake(&["demo", "--folder", "demo"]).code(0);
    let _ = ended.says("All 5 stories hold").says("Evidence: ").says_not("BROKEN");
}

fn breaks(mistake: &str, story: &str) {
    let site = Site::new();
    let demo = ["--format", "json", "demo", "--folder", "demo", "--plant", mistake];
    let lines = site.noflake(&demo).code(1).json_lines();
    let last = lines.last().unwrap();
    assert_eq!(last["ok"], false);
    let broken = last["broken"].as_array().unwrap();
    assert!(broken.contains(&story.into()), "{mistake} must break {story}: {last}");
}

#[test]
fn a_device_that_accepts_unsigned_bundles_is_noticed() {
    breaks("accept-unsigned", "unsigned");
}

#[test]
fn a_plan_that_ignores_its_check_is_noticed() {
    breaks("ignore-check", "rollback");
}

#[test]
fn a_device_that_ignores_its_lease_is_noticed() {
    breaks("ignore-lease", "lease");
}

#[test]
fn a_device_that_lies_about_its_digests_is_noticed() {
    breaks("lie-digest", "drift");
}
