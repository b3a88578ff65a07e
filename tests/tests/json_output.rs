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
    let verified = json(&["report", "verify", &run], "");
    assert_eq!(verified["signed"], serde_json::json!([]));
    let report = json(&["report", "show", &run], "");
    assert_eq!((&report["complete"], &report["exit"]), (&true.into(), &0.into()));
    assert_eq!(
        (&report["before"]["version"], &report["before"]["slot"]),
        (&"1.0.0".into(), &"A".into())
    );
    assert_eq!(
        (&report["after"]["version"], &report["after"]["slot"]),
        (&"1.1.0".into(), &"B".into())
    );
    assert_eq!((&report["device"], &report["evidence"]), (&address.into(), &run.into()));
    let checks = report["checks"].as_array().unwrap();
    assert!(report["downtime_ms"].is_u64() && checks.len() == 3, "{report}");
    assert!(checks.iter().all(|check| check["verdict"] == "pass"), "{report}");
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
    let ended = site.noflake(&log).code(0);
    let _ = ended.json_lines();
    let told: Value = serde_json::from_str(ended.stderr.trim_end()).unwrap();
    assert!(told["text"].as_str().unwrap().starts_with("listening to serial:"), "{told}");
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

/// What the parser refuses is told as every other error, in whichever way JSON was asked for.
#[test]
fn a_command_line_that_is_none_is_a_json_error_too() {
    let site = Site::new();
    for (arguments, problem, next) in [
        (&["--format", "json", "deploy"][..], "<BUNDLE>", "noflake deploy"),
        (&["deploy", "x.nfb", "--format=json", "--agian"], "--agian", "noflake deploy"),
        (&["--format", "json", "no-such-command"], "no-such-command", "noflake"),
        (
            &["--format", "json", "sim", "--serial", "p", "--seed", "x"],
            "invalid value 'x'",
            "noflake",
        ),
    ] {
        let ended = site.noflake(arguments).code(2);
        let error = ended.json();
        assert_eq!((&error["exit"], ended.stderr.as_str()), (&2.into(), ""), "{error}");
        let said = error["error"].as_str().unwrap();
        assert!(said.contains(problem) && !said.starts_with("error"), "{said}");
        assert!(error["next"].as_str().unwrap().starts_with(next), "{error}");
    }
    for command in ["key", "bundle", "device", "report"] {
        let error = site.noflake(&["--format", "json", command]).code(2).json();
        let problem = format!("'noflake {command}' requires a subcommand");
        assert_eq!((&error["error"], &error["exit"]), (&problem.into(), &2.into()), "{error}");
        let next = error["next"].as_str().unwrap();
        assert!(next.starts_with(&format!("noflake {command} ")), "{error}");
    }
    let ended = site.noflake(&["deploy"]).code(2);
    assert!(ended.stdout.is_empty() && ended.stderr.starts_with("error: "), "{ended:?}");
}
