//! Programs of this computer, run to their end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::error::Error;

static OWN: OnceLock<PathBuf> = OnceLock::new();

/// Where this program lies. Asked first when it starts: behind a build of it the system calls its file deleted.
pub(crate) fn own() -> Result<&'static Path, Error> {
    if let Some(own) = OWN.get() {
        return Ok(own);
    }
    let own = std::env::current_exe().map_err(Error::file(Path::new("this program")))?;
    Ok(OWN.get_or_init(|| own))
}

/// Runs a program to its end; its output, if it ended with 0.
pub(crate) fn run(command: &mut Command) -> Result<Output, Error> {
    let output = output(command)?;
    if output.status.success() { Ok(output) } else { Err(failed(command, &output)) }
}

/// Runs a program to its end, whose progress and errors are for whoever waits.
pub(crate) fn watch(command: &mut Command) -> Result<(), Error> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.status().map_err(Error::start(command))?;
    let said = "it says above why".to_owned();
    let program = command.get_program().to_string_lossy().into_owned();
    if status.success() {
        Ok(())
    } else {
        Err(Error::Failed { program, status: status.to_string(), said })
    }
}

/// Runs a program to its end.
pub(crate) fn output(command: &mut Command) -> Result<Output, Error> {
    command.stdin(Stdio::null()).output().map_err(Error::start(command))
}

/// Runs a program to its end with `input` on its standard input; its output, if it ended with 0.
pub(crate) fn run_with(command: &mut Command, input: &str) -> Result<Output, Error> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::start(command))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read it says why it failed.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(Error::start(command))?;
    if output.status.success() { Ok(output) } else { Err(failed(command, &output)) }
}

fn failed(command: &Command, output: &Output) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).trim_end().to_owned();
    Error::Failed { program, status: output.status.to_string(), said }
}
