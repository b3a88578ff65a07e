//! The tool itself, run as a user would run it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::CommandError;

/// The passphrase of the demo's keys, which protect nothing.
const PASSPHRASE: &str = "demo passphrase\n";

/// What a command came to.
pub(super) struct Ran {
    pub(super) exit: i32,
    /// Its results, one JSON value each.
    pub(super) results: Vec<Value>,
    pub(super) stderr: String,
}

impl Ran {
    /// A text of the last result.
    pub(super) fn text(&self, key: &str) -> String {
        let value = self.results.last().and_then(|result| result.get(key));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// A number of the last result.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.results.last().and_then(|result| result.get(key)).and_then(Value::as_u64)
    }
}

/// A command of this very program.
pub(super) fn command(folder: &Path) -> Result<Command, CommandError> {
    let program = std::env::current_exe().map_err(CommandError::Demo)?;
    let mut command = Command::new(program);
    command.current_dir(folder).args(["--format", "json"]).env_remove("RUST_LOG");
    Ok(command)
}

/// Runs the tool to its end, the demo's passphrase on its standard input.
pub(super) fn run<I, S>(folder: &Path, arguments: I) -> Result<Ran, CommandError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut child = command(folder)?
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(CommandError::Demo)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that asks for no passphrase may have closed it already.
        drop(stdin.write_all(PASSPHRASE.as_bytes()));
    }
    let output = child.wait_with_output().map_err(CommandError::Demo)?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    Ok(Ran {
        exit: output.status.code().unwrap_or(-1),
        results: stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs the tool for something that has to work.
pub(super) fn must<I, S>(folder: &Path, arguments: I) -> Result<Ran, CommandError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let arguments: Vec<S> = arguments.into_iter().collect();
    let typed: Vec<String> =
        arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
    let ran = run(folder, arguments)?;
    if ran.exit == 0 {
        return Ok(ran);
    }
    let said = if ran.stderr.trim().is_empty() { ran.text("error") } else { ran.stderr };
    Err(CommandError::DemoStep { typed: typed.join(" "), exit: ran.exit, said })
}
