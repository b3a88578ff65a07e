//! Runs the real `noflake` and keeps what it said.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest that one command may take: far more than any takes, so that a hang ends in words.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test, built when it is missing or older than its sources.
///
/// Cargo names a binary to the tests of its own package only, so its place follows from where this
/// test runs: the same target folder, the same profile.
pub fn noflake_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("NOFLAKE_BIN") {
        Some(named) => PathBuf::from(named),
        None => built_binary(),
    })
}

/// The command that starts `noflake`: the program itself, or what stands in for it while attacks are tried without
/// their defences.
pub fn noflake() -> Command {
    #[cfg(feature = "planted")]
    if let Some(command) = crate::attacks::stand_in::command() {
        return command;
    }
    Command::new(noflake_binary())
}

fn built_binary() -> PathBuf {
    let test = env::current_exe().unwrap();
    // target/PROFILE/deps/TEST
    let profile = test.parent().and_then(Path::parent).expect("tests run from target/PROFILE/deps");
    let binary = profile.join("noflake");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = fs::metadata(&binary).and_then(|metadata| metadata.modified()).ok();
    if built.is_none_or(|built| newest_source(workspace) > built) {
        let is_release = profile.file_name().is_some_and(|name| name == "release");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "-p", "noflake", "--bin", "noflake"]).current_dir(workspace);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if is_release {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "failed to build {}", binary.display());
    }
    binary
}

fn newest_source(workspace: &Path) -> SystemTime {
    let folders = ["host/src", "hw-sim/src", "firmware-protocol/src"];
    let files = folders.iter().flat_map(|folder| crate::source::files(&workspace.join(folder), ""));
    let times = files.map(|path| fs::metadata(path).unwrap().modified().unwrap());
    times.max().expect("the workspace has sources")
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its results.
    pub stdout: String,
    /// Its progress and errors.
    pub stderr: String,
}

impl Ended {
    /// Holds the exit code against the expected one.
    #[track_caller]
    #[must_use = "the words matter too"]
    pub fn code(self, expected: i32) -> Self {
        let Self { code, stdout, stderr } = &self;
        assert_eq!(*code, Some(expected), "exit code\nstdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }

    /// Both streams must hold `fragment` between them.
    #[track_caller]
    #[must_use = "more may be asked of it"]
    pub fn says(self, fragment: &str) -> Self {
        let Self { stdout, stderr, .. } = &self;
        let found = stdout.contains(fragment) || stderr.contains(fragment);
        assert!(found, "expected {fragment:?}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }

    /// Neither stream may hold `fragment`.
    #[track_caller]
    #[must_use = "more may be asked of it"]
    pub fn says_not(self, fragment: &str) -> Self {
        let Self { stdout, stderr, .. } = &self;
        let found = stdout.contains(fragment) || stderr.contains(fragment);
        assert!(!found, "unexpected {fragment:?}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        self
    }

    /// What every error owes a person: one error line, a next command, no panic, nothing twice.
    #[track_caller]
    pub fn is_one_clear_error(self) {
        let ended = self.says_not("panicked").says_not("RUST_BACKTRACE");
        let errors = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        let Ended { stdout, stderr, .. } = &ended;
        assert_eq!(errors, 1, "one error line\nstdout:\n{stdout}\nstderr:\n{stderr}");
        let _ = ended.says("next: ");
    }

    /// Every line of stdout, as JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{line:?} is no JSON: {error}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The one line of stdout, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "one JSON line: {self:?}");
        lines.remove(0)
    }
}

/// A command that is running; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
    words: String,
}

impl Running {
    /// Starts `noflake` with `arguments` in `folder`.
    pub fn start<S: AsRef<std::ffi::OsStr>>(folder: &Path, arguments: &[S]) -> Self {
        let mut command = noflake();
        command.args(arguments);
        Self::spawn(folder, command, "")
    }

    /// Starts any `command` in `folder`, with `input` on its stdin.
    pub fn spawn(folder: &Path, mut command: Command, input: &str) -> Self {
        let words = format!("{command:?}");
        let mut child = command
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that needs no input may end before it is written.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let stdout = Said::by(child.stdout.take().unwrap());
        let stderr = Said::by(child.stderr.take().unwrap());
        Self { child, stdout, stderr, words }
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// True once it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let begun = Instant::now();
        let mut is_late = false;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > PATIENCE && !is_late {
                is_late = true;
                self.child.kill().unwrap();
            }
            thread::sleep(Duration::from_millis(5));
        };
        let (stdout, stderr) = (self.stdout.whole(), self.stderr.whole());
        let words = &self.words;
        assert!(
            !is_late,
            "{words} was not done in {PATIENCE:?}\nstdout:\n{stdout}\nstderr:\n{stderr}"
        );
        Ended { code: status.code(), stdout, stderr }
    }

    /// Kills it as a power cut would: no word, no clean-up.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command says, read as it comes, so that it never has to wait.
#[derive(Debug)]
struct Said {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn by(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                match stream.read(&mut piece) {
                    Ok(0) => break,
                    Ok(length) => to.lock().unwrap().extend_from_slice(&piece[..length]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn whole(&mut self) -> String {
        self.reader.take().unwrap().join().unwrap();
        self.so_far()
    }
}

/// Runs `noflake` with `arguments` in `folder`, with `input` on its stdin.
#[track_caller]
pub fn run(folder: &Path, input: &str, arguments: &[&str]) -> Ended {
    let mut command = noflake();
    command.args(arguments);
    Running::spawn(folder, command, input).wait()
}

/// Makes words comparable from run to run: paths below `folder` lose it, and digests, nonces, times,
/// ports and numbers of milliseconds become their kind's name.
pub fn redact(text: &str, folder: &Path) -> String {
    let text = text.replace(&folder.display().to_string(), "SITE");
    let mut redacted = String::new();
    let mut word = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_alphanumeric() {
            word.push(character);
            continue;
        }
        // A run's random part may be digits alone.
        let is_of_run = word.len() == 8 && redacted.ends_with("TIME-");
        redacted.push_str(if is_of_run { "HEX" } else { redact_word(&word) });
        word.clear();
        if character != '\0' {
            redacted.push(character);
        }
    }
    redacted
}

fn redact_word(word: &str) -> &str {
    let is_hex = |length| word.len() >= length && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    match word.len() {
        16 if word.starts_with("20") && word.ends_with('Z') => "TIME",
        _ if digits == word.len() && digits > 2 => "N",
        8.. if is_hex(8) => "HEX",
        _ => word,
    }
}

/// Waits until `ready` gives something; panics with `what` when it never does.
#[track_caller]
pub fn wait_for<R>(what: &str, mut ready: impl FnMut() -> Option<R>) -> R {
    let begun = Instant::now();
    loop {
        if let Some(result) = ready() {
            return result;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: not seen in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(3));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_redacted_and_words_are_not() {
        let text =
            "/tmp/x/runs/20261122T204640Z-0a1b2c3d: boot 00ff00ff00ff00ff, 1234 ms, slot B, 1.1.0";
        let redacted = redact(text, Path::new("/tmp/x"));
        assert_eq!(redacted, "SITE/runs/TIME-HEX: boot HEX, N ms, slot B, 1.1.0");
        let digits = redact("runs/20261122T204640Z-01234567", Path::new("/tmp/x"));
        assert_eq!(digits, "runs/TIME-HEX");
    }
}
