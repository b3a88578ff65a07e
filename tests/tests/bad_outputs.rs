//! A place where results cannot go: the verdict is told on stderr, the exit code says that it could not
//! be printed, and a run never ends early because nobody listens.

use std::process::Command;

use integration::cli::{Ended, Running, noflake_binary};
use integration::simulator::{SimOptions, Simulator};
use integration::site::{Release, Site};

/// Runs `script` in a shell, where `$@` is `noflake` with `arguments`.
fn shell(site: &Site, script: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(noflake_binary()).args(arguments);
    Running::spawn(site.folder(), command, "").wait().says_not("panicked")
}

#[test]
fn a_full_disk_behind_stdout_hides_no_outcome_and_ends_with_3_or_worse() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let bundle = site.bundle(&Release::new("1.1.0"));
    let address = device.address();
    for format in ["human", "json"] {
        let deploy = ["--format", format, "deploy", &bundle, "-d", &address, "--again"];
        let ended = shell(&site, "exec \"$@\" > /dev/full", &deploy).code(3);
        assert_eq!(ended.stdout, "");
        let word = if format == "human" { "verdict" } else { "\"verdict\":" };
        let _ = ended.says(word).says("failed to print the result").says("No space left");
    }
    assert_eq!(site.running_version(&address), "1.1.0");
    // A refusal by the device ranks below 3, an error of the user's stays what it is.
    let other = Release { product: "other".to_owned(), ..Release::new("1.2.0") };
    let refused = ["deploy", &site.bundle(&other), "-d", &address];
    let _ = shell(&site, "exec \"$@\" > /dev/full", &refused).code(3).says("refused");
    let wrong = ["--format", "json", "deploy", "none.nfb", "-d", &address];
    let ended = shell(&site, "exec \"$@\" > /dev/full", &wrong);
    let _ = ended.code(3).says("failed to read bundle none.nfb");
}

#[test]
fn a_reader_that_goes_away_ends_no_run() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::pty());
    let bundle = site.bundle(&Release::new("1.1.0"));
    let address = device.address();
    // Of all that is said, the first line is read and the pipe is closed behind it.
    let script = "set -o pipefail; \"$@\" 2>&1 | head -1";
    let ended = shell(&site, script, &["deploy", &bundle, "-d", &address]).code(0);
    assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
    assert_eq!(site.running_version(&address), "1.1.0");
    let run = site.runs().pop().unwrap().display().to_string();
    let _ = site.noflake(&["report", "show", &run]).code(0).says("QUALIFIED: committed, exit 0");
    let closed = ["deploy", &bundle, "-d", &address];
    let _ = shell(&site, "exec \"$@\" >&- 2>&-", &closed).code(0);
}
