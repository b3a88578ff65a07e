//! A supply that fails at random inside flash operations, again and again: a loop of deploys, with no operator,
//! ends committed. `.ci/cuts` does the same from the shell, through more than 200 cuts.

use std::time::{Duration, Instant};

use integration::flash;
use integration::random::seed;
use integration::simulator::{SimOptions, Simulator, faults_in};
use integration::site::{Release, Site};

const CUTS: u64 = 15;
/// Longest that the loop may take: many times what it takes.
const PATIENCE: Duration = Duration::from_secs(100);

#[test]
fn deploys_in_a_loop_end_committed_through_a_supply_that_fails_again_and_again() {
    let seed = seed("power_cut_random", 5);
    let site = Site::new();
    let releases = [Release::new("1.1.0"), Release::new("1.2.0")];
    let bundles = releases.each_ref().map(|release| site.bundle(release));
    let options = SimOptions { power_cut: Some(format!("random:{seed}:60")), ..SimOptions::tcp() };
    let device = Simulator::start(&site, &options.scenario("[power]\noff_ms = 20\n"));
    let (begun, mut deploys, mut current) = (Instant::now(), 0, 0);
    loop {
        let ended = site.deploy(&bundles[current], &device.address()).says_not("panicked");
        deploys += 1;
        let cuts = device.faults();
        let told = format!("deploy {deploys}, {cuts} cuts, seed {seed}: {ended:?}");
        assert!(begun.elapsed() < PATIENCE, "no end: {told}");
        match ended.code {
            Some(0) if cuts >= CUTS => break,
            Some(0) => current = 1 - current,
            // No verdict, too little seen, or back by itself: the same command again.
            Some(3 | 4 | 6) => {}
            _ => panic!("a power cut does not explain the exit code of {told}"),
        }
    }
    let state = device.state().to_owned();
    assert!(faults_in(&device.stop()) >= CUTS, "the supply has failed inside flash operations");
    // What is in force now is judged without the supply that fails.
    let device = Simulator::start(&site, &SimOptions::tcp());
    let status = site.status(&device.address());
    let release = &releases[current];
    assert_eq!(status["device"]["version"], release.version.as_str(), "{status}");
    assert_eq!(status["device"]["running"], status["active"], "{status}");
    let slot = if status["active"] == "slot A" { "A" } else { "B" };
    flash::assert_holds(&state, slot, "app", &release.app[usize::from(slot == "B")]);
    flash::assert_holds(&state, slot, "config", &release.config);
}
