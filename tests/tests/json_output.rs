//! `--format json`: whatever a command says on stdout is JSON, one value a line, also when it fails.

use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};
use serde_json::Value;

#[test]
fn every_command_that_succeeds_prints_json_lines_with_their_promised_keys() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().factory());
    let address = device.address();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let json = |arguments: &[&str], input: &str| -> Value {
        let arguments = [&["--format", "json"], arguments].concat();
        integration::cli::run(site.folder(), input, &arguments).code(0).json()
    };
    let on = |arguments: &[&str]| json(&[arguments, &["-d", &address]].concat(), "");
    let generate = ["key", "generate", "--role", "release", "ci", "--passphrase-fd", "0"];
    for (value, keys) in [
        (json(&["init", "fresh", "--passphrase-fd", "0"], "tide pool\n"), "folder root_record"),
        (json(&generate, "tide pool\n"), "key role public_key hint"),
        (json(&["key", "show", "ci.pub"], ""), "key role public_key"),
        (json(&["bundle", "show", &bundle], ""), "product version components trust"),
        (json(&["bundle", "verify", &bundle], ""), "bundle_digest verified problems"),
        (on(&["device", "enroll"]), "serial root_version root_digest found_done"),
        (on(&["device", "identify"]), "product serial running version boot_nonce"),
        (on(&["device", "status"]), "device active slot_a slot_b trial accept_floor link"),
        (on(&["device", "status", "--explain"]), "explanation next"),
        (on(&["deploy", &bundle]), "device state verdict exit evidence downtime_ms boot_nonce"),
        (on(&["qualify", &bundle]), "device state verdict exit evidence"),
        (on(&["device", "status", "--against", &bundle]), "drift components"),
    ] {
        for key in keys.split(' ') {
            assert!(value.get(key).is_some(), "no {key} in {value}");
        }
    }
    let run = site.runs().remove(0).display().to_string();
    assert_eq!(json(&["report", "show", &run], "")["complete"], true);
}

#[test]
fn progress_and_console_are_json_lines_too() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let ended = site.noflake(&["--format", "json", "deploy", &bundle, "-d", "sim:"]).code(0);
    assert!(ended.stderr.lines().count() > 5);
    for line in ended.stderr.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(value["progress"].is_string(), "{value}");
    }
    let body = "[[image]]\nversion = \"*\"\nconsole = [\"nav ready\"]\n";
    let device = Simulator::start(&site, &SimOptions::pty().scenario(body));
    let log = ["--format", "json", "device", "log", "--for", "300ms", "-d", &device.address()];
    let _ = site.noflake(&log).code(0).json_lines();
}

#[test]
fn an_error_is_one_json_object_with_its_causes_its_exit_code_and_the_next_command() {
    let site = Site::new();
    for (arguments, exit) in [
        (&["deploy", "none.nfb", "-d", "sim:"][..], 2),
        (&["bundle", "show", "noflake.toml"], 2),
        (&["report", "show", "runs/none"], 2),
        (&["device", "identify", "-d", "usb:1"], 2),
        (&["device", "identify", "-d", "serial:/dev/no-such-port"], 3),
        (&["device", "confirm", "-d", "sim:"], 5),
    ] {
        let ended = site.noflake(&[&["--format", "json"], arguments].concat()).code(exit);
        let error = ended.json();
        assert!(error["error"].is_string() && error["causes"].is_array(), "{error}");
        assert_eq!(error["exit"], exit, "{arguments:?}");
    }
}
