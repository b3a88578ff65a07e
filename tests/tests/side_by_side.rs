//! Several devices in one command: each has its own verdict, its own evidence and its own line of
//! JSON; the exit code is the worst.

use std::collections::BTreeSet;

use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

#[test]
fn every_device_gets_the_release_and_is_listed_in_the_order_it_was_named() {
    let site = Site::new();
    let options = SimOptions { serial: true, count: 3, ..SimOptions::tcp() };
    let devices = Simulator::start(&site, &options);
    let addresses = [0, 1, 2].map(|index| devices.address_of(index));
    let bundle = site.bundle(&Release::new("1.1.0"));
    let mut arguments = vec!["--format", "json", "deploy", &bundle];
    for address in &addresses {
        arguments.extend(["-d", address]);
    }
    let lines = site.noflake(&arguments).code(0).json_lines();
    let names: Vec<&str> = lines.iter().filter_map(|line| line["device"].as_str()).collect();
    assert_eq!(names, addresses);
    assert!(lines.iter().all(|line| line["state"] == "committed"), "{lines:?}");
    let folders: BTreeSet<&str> =
        lines.iter().filter_map(|line| line["evidence"].as_str()).collect();
    assert_eq!(folders.len(), 3, "each has evidence of its own");
}

#[test]
fn the_worst_exit_code_wins_by_the_order_of_what_needs_a_person_first() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let image = |name: &str, body: &str| {
        let body = format!("[[image]]\nversion = \"1.1.0\"\n{body}\n");
        format!("sim:{}", site.scenario(name, &body).display())
    };
    let healthy = "sim:".to_owned();
    let rejected = image("rejected", "fails = [\"ram\"]");
    let went_back = image("went-back", "behaviour = \"crashes\"");
    let refused =
        format!("sim:{}", site.scenario("refused", "[device]\nproduct = \"x\"").display());
    let unreachable = "serial:/dev/no-such-port".to_owned();
    // 3 before 5 before 6 before 1 before 0.
    let all = [&unreachable, &refused, &went_back, &rejected, &healthy];
    for (first, expected) in [(0, 3), (1, 5), (2, 6), (3, 1), (4, 0)] {
        let mut arguments = vec!["--format", "json", "deploy", &bundle];
        for device in all[first..].iter().rev() {
            arguments.extend(["-d", device.as_str()]);
        }
        let lines = site.noflake(&arguments).code(expected).json_lines();
        assert_eq!(lines.len(), all.len() - first);
        let worst = lines.last().map(|line| line["exit"].clone());
        assert_eq!(worst, Some(expected.into()), "each line has its own code: {lines:?}");
    }
}

/// Results come when all are done; who stands beside the quick device need not wait for the slow one.
#[test]
fn the_end_of_a_quick_device_is_told_while_a_slow_one_is_still_at_work() {
    let site = Site::new();
    let slow_start = "[[image]]\nversion = \"1.1.0\"\nboot_ms = 3000\n";
    let slow = Simulator::start(&site, &SimOptions::tcp().scenario(slow_start).state("slow"));
    let quick = Simulator::start(&site, &SimOptions::tcp().state("quick"));
    let bundle = site.bundle(&Release::new("1.1.0"));
    let deploy = ["deploy", &bundle, "-d", &slow.address(), "-d", &quick.address()];
    let ended = site.noflake(&deploy).code(0);
    let place = |device: &Simulator, what: &str| {
        let line = format!("{} | {what}", device.address());
        let found = ended.stderr.lines().position(|said| said.starts_with(&line));
        found.unwrap_or_else(|| panic!("no {line:?} in\n{}", ended.stderr))
    };
    let quick_end = place(&quick, "committed: version 1.1.0 runs from slot B, confirmed");
    assert!(quick_end < place(&slow, "checks ..."), "{}", ended.stderr);
    assert!(quick_end < place(&slow, "committed: "), "{}", ended.stderr);

    let again = [&["--format", "json"], &deploy[..]].concat();
    let ended = site.noflake(&again).code(0);
    let lines = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap());
    let ends: Vec<serde_json::Value> =
        lines.filter(|line: &serde_json::Value| line["progress"] == "end").collect();
    assert_eq!(ends.len(), 2, "{ends:?}");
    assert!(ends.iter().all(|end| end["about"] == "found done"), "{ends:?}");
    let named: Vec<String> = ended
        .json_lines()
        .iter()
        .filter_map(|line| line["device"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(named, [slow.address(), quick.address()], "results stand as they were named");
}
