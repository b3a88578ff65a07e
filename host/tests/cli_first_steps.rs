//! A new user's first minutes at the shell: make a trust folder, make a bundle, verify it, and
//! everything that goes wrong on the way. Checks wiring, words and exit codes.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn init_then_create_then_verify_works_without_editing_anything() {
    let shell = Shell::initialised();
    let create = ["bundle", "create", "-o", "x.nfb", FD, "0"];
    let created = shell.run_with("tide pool\n", &create).ends_with_code(0);
    assert!(created.stdout.starts_with("Created x.nfb (bundle digest "), "{created:?}");
    let shown = created.stderr.find("About to sign this manifest:");
    assert!(shown.is_some(), "{created:?}");

    let verified = shell.run(&["bundle", "verify", "x.nfb"]).ends_with_code(0);
    assert!(verified.stdout.starts_with("x.nfb verifies"), "{verified:?}");
    let sheet =
        shell.run(&["--format", "json", "bundle", "show", "x.nfb"]).ends_with_code(0).json();
    assert_eq!(sheet["trust"], "verified");
    assert_eq!(sheet["components"][0]["variants"][1]["slot"], "B");
}

#[test]
fn a_second_init_changes_nothing_and_says_why() {
    let shell = Shell::initialised();
    let before = shell.listing();
    let again = shell.run_with("other\n", &["init", FD, "0"]).ends_with_code(2);
    assert_eq!(
        again.stderr,
        "error: . holds a trust folder already: ./trust exists\n\
         next: noflake bundle create there, or noflake init in another folder\n"
    );
    assert_eq!(shell.listing(), before);
}

#[test]
fn a_damaged_bundle_is_refused_with_every_problem_and_code_2() {
    let shell = Shell::initialised();
    shell.create();
    let mut bytes = shell.read("x.nfb");
    // The trailer takes the last four bytes; before it stands the config, before that app-b.bin.
    let config_at = bytes.len() - 5;
    bytes[config_at] ^= 1;
    bytes[config_at - 90] ^= 1;
    fs::write(shell.path("x.nfb"), bytes).unwrap();
    let verified = shell.run(&["bundle", "verify", "x.nfb"]).ends_with_code(2);
    for what in ["problem: app for slot B: stored digest is ", "problem: config for slot any: "] {
        assert!(verified.stdout.contains(what), "{verified:?}");
    }
    assert!(verified.stderr.starts_with("error: bundle x.nfb has 6 problem(s)\n"), "{verified:?}");
}

#[test]
fn without_a_root_claims_are_shown_as_unverified_and_nothing_verifies() {
    let shell = Shell::initialised();
    shell.create();
    fs::remove_file(shell.path("noflake.toml")).unwrap();
    let shown = shell.run(&["bundle", "show", "x.nfb"]).ends_with_code(0);
    assert!(shown.stdout.starts_with("UNVERIFIED: no root record given"), "{shown:?}");
    let verified = shell.run(&["bundle", "verify", "x.nfb"]).ends_with_code(2);
    assert!(verified.stderr.starts_with("error: no root record is named"), "{verified:?}");
    let stranger = Shell::initialised();
    fs::copy(stranger.path("trust/root.nfr"), shell.path("other.nfr")).unwrap();
    let verified =
        shell.run(&["bundle", "verify", "x.nfb", "--root", "other.nfr"]).ends_with_code(2);
    let reason = "0 of 1 needed signatures are by trusted keys and correct";
    assert!(verified.stdout.contains(reason), "{verified:?}");
}

#[test]
fn an_error_in_json_is_one_object_on_stdout() {
    let shell = Shell::empty();
    let failed = shell.run(&["--format", "json", "bundle", "show", "none.nfb"]).ends_with_code(2);
    let error = failed.json();
    assert_eq!(error["error"], "failed to read bundle none.nfb");
    assert_eq!(error["exit"], 2);
    assert_eq!(error["causes"].as_array().unwrap().len(), 1);
    assert_eq!(failed.stderr, "");
}

#[test]
fn a_wrong_passphrase_an_empty_one_and_the_wrong_key_are_told_apart() {
    let shell = Shell::initialised();
    let create = ["bundle", "create", "-o", "x.nfb", FD, "0"];
    let wrong = shell.run_with("tide pools\n", &create).ends_with_code(2);
    assert!(wrong.stderr.contains("error: wrong passphrase for key file trust/release.key\n"));
    let empty = shell.run_with("\n", &create).ends_with_code(2);
    assert!(empty.stderr.contains("error: the passphrase is empty\n"), "{empty:?}");
    let root = [&create[..], &["--key", "trust/root.key"]].concat();
    let root = shell.run_with("tide pool\n", &root).ends_with_code(2);
    assert!(root.stderr.contains("trust/root.key is a root key, expected a release key"));
    assert!(!shell.path("x.nfb").exists());
}

#[test]
fn a_key_is_made_once_and_shown_without_its_passphrase() {
    let shell = Shell::empty();
    let generate = ["key", "generate", "--role", "release", "ci", FD, "0"];
    shell.run_with("tide pool\n", &generate).ends_with_code(0);
    let again = shell.run_with("tide pool\n", &generate).ends_with_code(2);
    assert!(again.stderr.contains("ci.key exists already"), "{again:?}");
    let with_file =
        shell.run(&["--format", "json", "key", "show", "ci.key"]).ends_with_code(0).json();
    assert_eq!(with_file["role"], "release");
    fs::remove_file(shell.path("ci.pub")).unwrap();
    let show = ["--format", "json", "key", "show", "ci.key", FD, "0"];
    let with_passphrase = shell.run_with("tide pool\n", &show).ends_with_code(0).json();
    assert_eq!(with_passphrase["public_key"], with_file["public_key"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_noflake"))
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

/// Without a terminal and without a descriptor there is no passphrase: asking for one would be the error.
#[cfg(unix)]
#[test]
fn nobody_is_asked_for_the_passphrase_of_a_key_that_is_not_there_or_none() {
    let shell = Shell::initialised();
    fs::write(shell.path("text.key"), "no key\n").unwrap();
    let problems = [
        ("nope", "failed to read key file nope"),
        ("text.key", "key file text.key is open to others"),
    ];
    for (file, problem) in problems {
        for arguments in
            [&["key", "show", file][..], &["bundle", "create", "-o", "x.nfb", "--key", file]]
        {
            let ended = shell.run(arguments).ends_with_code(2);
            assert!(ended.stderr.contains(&format!("error: {problem}")), "{ended:?}");
        }
    }
}

#[test]
fn a_simulator_without_a_port_is_told_which_options_name_one() {
    let shell = Shell::empty();
    let ended = shell.run(&["sim"]).ends_with_code(2);
    let options = if cfg!(unix) { "<--serial <PATH>|--tcp <ADDR>>" } else { "--tcp <ADDR>" };
    assert!(ended.stderr.contains(options), "{ended:?}");
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let shell = Shell::empty();
    let help = shell.run(&["--help"]).ends_with_code(0).stdout;
    assert!(help.contains("\n  man "), "{help}");
    shell.run(&["man", "."]).ends_with_code(0);
    assert!(shell.path("noflake-bundle-create.1").exists());
}

const FD: &str = "--passphrase-fd";

/// A working folder of its own, outside any folder that holds a noflake.toml.
struct Shell(TempDir);

#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Shell {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn initialised() -> Self {
        let shell = Self::empty();
        shell.run_with("tide pool\n", &["init", FD, "0"]).ends_with_code(0);
        shell
    }

    fn create(&self) {
        let create = ["bundle", "create", "-o", "x.nfb", FD, "0"];
        self.run_with("tide pool\n", &create).ends_with_code(0);
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with("", arguments)
    }

    fn run_with(&self, input: &str, arguments: &[&str]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_noflake"))
            .args(arguments)
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that needs no input may end before it is written.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn listing(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        list(self.0.path(), &mut files);
        files.sort();
        files
    }
}

fn list(folder: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

impl Ended {
    #[track_caller]
    fn ends_with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(self.stdout.trim_end()).unwrap()
    }
}
