//! A wait for a device that goes on for longer than ten seconds says so, and how long it will be. In
//! virtual time.

use integration::cli::Ended;
use integration::site::{QUICK_PLAN, Release, Site};

/// A deploy of an image that takes `boot_s` seconds from its start to its first answer.
fn deploy(arguments: &[&str], boot_s: u32) -> Ended {
    let site = Site::new();
    let plan = QUICK_PLAN.replace("run = \"60s\"", "run = \"10m\"");
    let plan = plan.replace("lease = \"4s\"", "lease = \"40s\"").replace("30s", "10m");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let body = format!("[[image]]\nversion = \"1.1.0\"\nboot_ms = {boot_s}000\n");
    let device = format!("sim:{}", site.scenario("slow", &body).display());
    site.noflake(&[arguments, &["deploy", &bundle, "-d", &device]].concat()).code(0)
}

/// What was said about the wait, line by line.
fn waits(ended: &Ended) -> Vec<&str> {
    let said = ended.stderr.lines().filter_map(|line| line.split_once(" | no answer for "));
    said.map(|(_, wait)| wait).collect()
}

#[test]
fn a_slow_boot_is_told_of_every_ten_seconds_with_the_limit() {
    // Until the lease has ended and the device could be back: 40 s and 30 s.
    let expected = [10, 20, 30].map(|waited_s| format!("{waited_s} s; waiting up to 70 s"));
    assert_eq!(waits(&deploy(&[], 35)), expected);
}

#[test]
fn a_wait_of_less_than_ten_seconds_is_not_told_of() {
    assert!(waits(&deploy(&[], 8)).is_empty());
}

/// The device is switched on with the command, and starts for 30 s.
#[test]
fn a_plan_says_how_long_a_device_is_waited_for_at_first() {
    let set = "connect = \"20s\"\n";
    for (connect, code, waited) in
        [("", 3, "within 10"), (set, 3, "within 20"), ("connect = \"60s\"\n", 0, "verdict")]
    {
        let site = Site::new();
        let plan = QUICK_PLAN.replace(set, connect).replace("run = \"60s\"", "run = \"10m\"");
        let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
        let scenario = site.scenario("slow", "[[image]]\nversion = \"1.0.0\"\nboot_ms = 30000\n");
        let device = format!("sim:{}", scenario.display());
        let _ = site.noflake(&["deploy", &bundle, "-d", &device]).code(code).says(waited);
    }
}

#[test]
fn programs_are_told_in_json() {
    let ended = deploy(&["--format", "json"], 25);
    let lines = ended.stderr.lines().map(|line| serde_json::from_str(line).unwrap());
    let waits: Vec<serde_json::Value> =
        lines.filter(|line: &serde_json::Value| line["progress"] == "waiting").collect();
    let waited: Vec<u64> = waits.iter().filter_map(|wait| wait["waited_s"].as_u64()).collect();
    assert_eq!(waited, [10, 20]);
    assert_eq!(waits[0]["limit_s"], 70);
    assert_eq!(waits[0]["text"], "no answer for 10 s; waiting up to 70 s");
}

/// In real time: nothing listens there, and eight seconds without a word look like a program that hangs.
#[test]
fn a_device_that_has_never_answered_is_told_of_soon() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = Site::new().noflake(&["device", "status", "-d", &format!("tcp:{free}")]).code(3);
    ended.says(&format!("tcp:{free}: no answer for 2 s; waiting up to 8 s")).is_one_clear_error();
}
