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
