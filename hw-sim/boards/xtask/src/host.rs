//! Programs of this computer: how they are started, and `noflake` itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::Error;

/// The folder of the boards' workspace.
pub(crate) fn boards() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// Where everything is built: `CARGO_TARGET_DIR`, or `target` of the repository.
pub(crate) fn target() -> PathBuf {
    let repository = boards().join("../..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository.join("target"), PathBuf::from)
}

/// Runs a program to its end; its output, if it ended with 0.
pub(crate) fn run(command: &mut Command) -> Result<Output, Error> {
    let output = output(command)?;
    if output.status.success() { Ok(output) } else { Err(failed(command, &output)) }
}

/// Runs a program to its end.
pub(crate) fn output(command: &mut Command) -> Result<Output, Error> {
    command.stdin(Stdio::null()).output().map_err(|error| missing(command, &error))
}

/// Runs a program to its end with `input` on its standard input; its output, if it ended with 0.
pub(crate) fn run_with(command: &mut Command, input: &str) -> Result<Output, Error> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| missing(command, &error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read it says why it failed.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| missing(command, &error))?;
    if output.status.success() { Ok(output) } else { Err(failed(command, &output)) }
}

fn missing(command: &Command, error: &std::io::Error) -> Error {
    let program = command.get_program().to_string_lossy().into_owned();
    let remedy = if program.starts_with("qemu") {
        "`apt install qemu-system-arm` on Debian".to_owned()
    } else {
        error.to_string()
    };
    Error::Missing { program, remedy }
}

pub(crate) fn failed(command: &Command, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim_end();
    let said = if said.is_empty() { String::new() } else { format!(":\n{said}") };
    let program = command.get_program().to_string_lossy().into_owned();
    Error::Failed { program, status: output.status.to_string(), said }
}

/// The `noflake` of this repository, built if need be.
#[derive(Debug, Clone)]
pub(crate) struct Noflake(PathBuf);

impl Noflake {
    pub(crate) fn build() -> Result<Self, Error> {
        let mut cargo = Command::new("cargo");
        let repository = boards().join("../..");
        cargo.current_dir(&repository).args(["build", "--release", "--locked", "-p", "noflake"]);
        run(&mut cargo)?;
        Ok(Self(target().join("release/noflake")))
    }

    /// A command of it in `folder`.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.0);
        command.current_dir(folder);
        command
    }
}
