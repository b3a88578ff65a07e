//! Drift: `device status --against` tells what of a device differs from a bundle, part by part.

use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

/// The same bytes under another version are another manifest, and nothing else.
#[test]
fn a_manifest_of_another_version_over_the_same_bytes_is_drift_of_the_manifest_alone() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let deployed = Release::new("1.1.0");
    let _ = site.deploy(&site.bundle(&deployed), &device.address()).code(0);
    let other = Release { version: "1.2.0".to_owned(), ..deployed.clone() };
    let against = |release: &Release| {
        let bundle = site.bundle(release);
        site.noflake(&["device", "status", "-d", &device.address(), "--against", &bundle])
    };
    let _ = against(&deployed).code(0).says_not("DRIFT");
    let drifted = against(&other)
        .code(1)
        .says("manifest         DRIFT: version 1.1.0 runs, the bundle brings 1.2.0")
        .says("app              as in the bundle, every byte")
        .says("config           as in the bundle, every byte");
    assert_eq!(drifted.stdout.matches("DRIFT").count(), 1, "{}", drifted.stdout);
}
