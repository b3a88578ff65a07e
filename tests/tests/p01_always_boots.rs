//! P1, always boots: after a power cut inside any flash operation the device boots an image that
//! verifies, never a blend of two, and the same deploy then goes through.
//!
//! Every single operation is cut in `firmware-protocol/tests` and `hw-sim/tests`, in virtual time;
//! here a seeded few, through the real binary on a real socket.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::thread;

use integration::flash;
use integration::random::{Random, seed};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

#[test]
fn a_power_cut_in_any_flash_operation_leaves_old_or_new_whole_and_the_same_deploy_then_commits() {
    let seed = seed("p01_always_boots", 101);
    let operations = count_operations();
    assert!(operations > 100, "{operations} operations are too few to be a deployment");
    let mut random = Random::new(seed);
    let cuts: Vec<u64> = (0..8).map(|_| random.between(1, operations + 1)).collect();
    for pair in cuts.chunks(2) {
        thread::scope(|scope| {
            for cut in pair {
                scope.spawn(move || survive(*cut, operations, seed));
            }
        });
    }
}

fn factory(site: &Site, old: &Release) -> SimOptions {
    let image = site.bundle(old).into();
    SimOptions { image: Some(image), ..SimOptions::tcp() }
}

fn count_operations() -> u64 {
    let (site, old, new) = (Site::new(), Release::new("1.0.0"), Release::new("1.1.0"));
    let device = Simulator::start(&site, &factory(&site, &old));
    let _ = site.deploy(&site.bundle(&new), &device.address()).code(0);
    device.stop()["flash"]["operations"].as_u64().unwrap()
}

fn survive(cut: u64, operations: u64, seed: u64) {
    let told = format!("cut {cut} of {operations}, seed {seed}");
    let (site, old, new) = (Site::new(), Release::new("1.0.0"), Release::new("1.1.0"));
    let body = format!("[power]\ncut_at_operation = {cut}\noff_ms = 50\n");
    let device = Simulator::start(&site, &factory(&site, &old).scenario(&body));
    let bundle = site.bundle(&new);
    let first = site.deploy(&bundle, &device.address()).says_not("panicked");

    let status = site.status(&device.address());
    let slot = match status["device"]["running"].as_str() {
        Some("slot A") => "A",
        Some("slot B") => "B",
        other => panic!("{told}: runs {other:?} after {first:?}"),
    };
    let runs = if status["device"]["version"] == "1.1.0" { &new } else { &old };
    flash::assert_holds(device.state(), slot, "app", &runs.app[usize::from(slot == "B")]);
    flash::assert_holds(device.state(), slot, "config", &runs.config);

    let second = site.deploy(&bundle, &device.address());
    assert_eq!(second.code, Some(0), "{told}: the retry: {second:?}\nthe first: {first:?}");
    assert_eq!(site.running_version(&device.address()), "1.1.0", "{told}");
    assert_eq!(device.stop()["fired"]["power_cuts"], 1, "{told}: the cut has struck");
}
