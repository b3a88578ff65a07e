//! A compiler for the board: rustup's with its target, or else Debian's with the source of `core`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// The board's processor.
pub(crate) const TARGET: &str = "thumbv7m-none-eabi";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one that `rustc` names has the target.
    Installed,
    /// Debian's: `core` is built with the firmware.
    Debian,
}

impl Toolchain {
    /// Looks for one.
    pub(crate) fn find() -> Result<Self, Error> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        if sysroot(Path::new(&rustc)).is_some_and(|it| it.join("lib/rustlib").join(TARGET).is_dir())
        {
            return Ok(Self::Installed);
        }
        let source = "lib/rustlib/src/rust/library/core/src/lib.rs";
        let debian = Path::new(DEBIAN_RUSTC);
        if !sysroot(debian).is_some_and(|it| it.join(source).is_file()) {
            return Err(Error::Missing {
                what: format!("a compiler for {TARGET}"),
                remedy: format!(
                    "`rustup target add {TARGET}`, or on Debian `apt install rustc-web rust-web-src lld`"
                ),
            });
        }
        if Command::new("ld.lld").arg("--version").output().is_err() {
            let remedy =
                "`apt install lld`: Debian's compiler comes without a linker for the board";
            return Err(Error::Missing { what: "ld.lld".to_owned(), remedy: remedy.to_owned() });
        }
        Ok(Self::Debian)
    }

    /// A `cargo build` for the board in the folder of the boards, whose results go to `target`.
    pub(crate) fn cargo_build(self, boards: &Path, target: &Path) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(boards).args(["build", "--release", "--locked", "--target", TARGET]);
        cargo.arg("--target-dir").arg(target);
        // What is set for the host's programs does not go for the board's.
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
                cargo.env_remove(name);
            }
        }
        if self == Self::Debian {
            // It lets a stable compiler take -Z flags; it decides nothing that is shipped.
            cargo.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            let linker = format!("target.{TARGET}.linker=\"ld.lld\"");
            cargo.args(["-Zbuild-std=core", "--config", &linker]);
        }
        cargo
    }
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}
