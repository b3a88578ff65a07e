//! Where things are built, and `noflake` itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::program;

/// The folder of the boards' workspace.
pub(crate) fn boards() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// The repository.
fn repository() -> PathBuf {
    let above = boards().join("../..");
    std::fs::canonicalize(&above).unwrap_or(above)
}

/// Where everything is built: `CARGO_TARGET_DIR`, or `target` of the repository.
pub(crate) fn target() -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let chosen = chosen.unwrap_or_else(|| repository().join("target"));
    // Programs are started in other folders than this one.
    std::path::absolute(&chosen).unwrap_or(chosen)
}

/// The `noflake` of this repository, built if need be.
#[derive(Debug, Clone)]
pub(crate) struct Noflake(PathBuf);

impl Noflake {
    pub(crate) fn build() -> Result<Self, Error> {
        eprintln!("building noflake");
        let mut cargo = Command::new("cargo");
        cargo.current_dir(repository()).args(["build", "--release", "--locked", "-p", "noflake"]);
        cargo.arg("--target-dir").arg(target());
        program::watch(&mut cargo)?;
        Ok(Self(target().join("release/noflake")))
    }

    /// A command of it in `folder`.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.0);
        command.current_dir(folder);
        command
    }
}
