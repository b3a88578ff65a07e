//! P11, same seed, same run: a simulated run follows from its seed, down to every measured value.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;

use integration::site::{Release, Site, plan_with};
use serde_json::Value;

/// Everything that a run has measured and found, without wall-clock times and the run's own id.
fn found(site: &Site, bundle: &str, device: &str, seed: &str) -> Vec<String> {
    let ended =
        site.noflake(&["--format", "json", "deploy", bundle, "-d", device, "--seed", seed]).code(0);
    let folder = site.path(ended.json()["evidence"].as_str().unwrap());
    let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
    let mut found: Vec<String> = record
        .lines()
        .filter_map(|line| {
            let mut entry: Value = serde_json::from_str(line).unwrap();
            entry.as_object_mut()?.retain(|key, _| key == "testStepArtifact");
            let text = entry.to_string();
            text.contains("measurement").then_some(text)
        })
        .collect();
    found.push(ended.json()["boot_nonce"].to_string());
    found.push(ended.json()["downtime_ms"].to_string());
    found
}

#[test]
fn a_seed_gives_the_same_run_on_a_noisy_line_and_another_seed_another() {
    let site = Site::new();
    let body = "[[link_fault]]\nkind = \"corrupt\"\nrate = 2e-5\n";
    let device = format!("sim:{}", site.scenario("noisy", body).display());
    let check = "id = \"rail\"\nkind = \"measure\"\nsource = \"rail_3v3\"\nunit = \"V\"\n\
                 limits = { ge = 3.0 }";
    let bundle = site.bundle(&Release::sized("1.1.0", 100_000).plan(&plan_with(check)));
    let first = found(&site, &bundle, &device, "5");
    assert!(first.len() > 5, "{first:?}");
    assert_eq!(first, found(&site, &bundle, &device, "5"));
    assert_ne!(first, found(&site, &bundle, &device, "6"));
}

/// The one printed line: the seed is in the record, and in the command line that it keeps.
#[test]
fn a_record_names_the_seed_that_replays_it() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let _ = site.noflake(&["deploy", &bundle, "-d", "sim:", "--seed", "4711"]).code(0);
    let record = fs::read_to_string(site.runs().remove(0).join("record.jsonl")).unwrap();
    assert!(record.contains("\"seed\":4711"), "{record}");
}
