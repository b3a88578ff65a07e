//! Row 23: a device whose words are meant for the terminal of whoever asks it.

use firmware_protocol::planted::Defence;

use super::{Outcome, Row, Switch};
use crate::hostile::{assert_harmless, steering};
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 23,
    name: "malicious device",
    attack: "names and console lines that set a clipboard, retitle and clear a terminal, turn text around and command a CI log",
    defence: "what a device says is escaped before it reaches a terminal, a log or a report; endless, absurd and slow answers are \
              the business of tests/hostile_device.rs",
    switch: Switch::Defence(Defence::EscapedText),
    run,
};

/// A serial number and a line of a console: OSC 52 sets the clipboard, CSI 2J clears, U+202E turns text around, U+009B is CSI.
const SCENARIO: &str = r###"
[device]
serial = "SN-1\u001b]52;c;b3duZWQ=\u0007\u202e"

[[image]]
version = "*"
console = ["\u001b[2Jall is well \u001b]0;owned\u0007", "\u009b31m", "::error::deploy failed", "##vso[task.setvariable variable=x]y"]
"###;

fn run() -> Outcome {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(SCENARIO));
    let address = device.address();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let looked: [&[&str]; 5] = [
        &["device", "identify", "-d", &address],
        &["device", "status", "-d", &address],
        &["--format", "json", "device", "status", "-d", &address],
        &["-vv", "deploy", &bundle, "-d", &address],
        &["device", "log", "-d", &address, "--for", "1s"],
    ];
    let mut texts: Vec<(String, String)> = Vec::new();
    for arguments in looked {
        let ended = site.noflake(arguments).code(0);
        texts.push((arguments.join(" "), format!("{}{}", ended.stdout, ended.stderr)));
    }
    let run = site.runs().pop().unwrap();
    for report in ["summary.md", "junit.xml", "record.jsonl", "trace.log"] {
        texts.push((report.to_owned(), std::fs::read_to_string(run.join(report)).unwrap()));
    }
    let seen: usize = texts.iter().map(|(_, text)| text.matches("all is well").count()).sum();
    assert!(seen > 0, "the console was never shown: {texts:?}");
    for (whose, text) in &texts {
        if let Some((steers, _)) = steering(text) {
            return Outcome::Succeeded(format!(
                "{} from the device stands as it is in what {whose} shows",
                steers.escape_unicode()
            ));
        }
        // A log is read by whoever runs the tool; a report by whoever asks for it.
        let is_log = whose.contains("device") || whose.contains("deploy");
        if is_log {
            assert_harmless(whose, text);
        }
    }
    Outcome::Refused(format!(
        "{} outputs and reports show the device's words {seen} times, and nothing in them steers a terminal or a CI",
        texts.len()
    ))
}
