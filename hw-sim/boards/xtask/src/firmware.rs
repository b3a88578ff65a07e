//! The board's programs, built.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::error::Error;
use crate::toolchain::{TARGET, Toolchain};
use crate::{image, noflake, program};

/// A mistake on purpose, which the test has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Plant {
    /// None.
    #[default]
    Nothing,
    /// The boot stage starts no watchdog.
    NoWatchdog,
    /// The boot stage starts no deadline.
    NoDeadline,
    /// The boot stage starts what was being written.
    TornAccepted,
}

/// The programs.
#[derive(Debug, Clone)]
pub(crate) struct Firmware {
    /// As it was linked: the emulator takes it so.
    pub(crate) boot_stage: PathBuf,
    /// As the part holds it.
    pub(crate) recovery: PathBuf,
    /// As a bundle holds it.
    pub(crate) application: Vec<u8>,
    /// As a bundle holds it.
    pub(crate) template: Vec<u8>,
    /// As a bundle holds it.
    pub(crate) embassy: Vec<u8>,
    /// Where they were linked to.
    pub(crate) folder: PathBuf,
}

impl Firmware {
    /// Builds them.
    pub(crate) fn build(plant: Plant) -> Result<Self, Error> {
        let features = match plant {
            Plant::Nothing => "embassy",
            Plant::NoWatchdog => "embassy,plant-no-watchdog",
            Plant::NoDeadline => "embassy,plant-no-deadline",
            Plant::TornAccepted => "embassy,plant-torn-accepted",
        };
        // A mistake never lies where the sound firmware does, or another mistake.
        let folder = match plant {
            Plant::Nothing => "boards",
            Plant::NoWatchdog => "boards-no-watchdog",
            Plant::NoDeadline => "boards-no-deadline",
            Plant::TornAccepted => "boards-torn-accepted",
        };
        let target = noflake::target().join(folder);
        let toolchain = Toolchain::find()?;
        eprintln!("building the firmware");
        let mut cargo = toolchain.cargo_build(&noflake::boards(), &target);
        cargo.args(["-p", "mps2-an385", "--features", features]);
        program::watch(&mut cargo)?;
        let folder = target.join(TARGET).join("release");
        let recovery = folder.join("recovery.bin");
        let bytes = image::bytes(&folder.join("recovery"))?;
        fs::write(&recovery, bytes).map_err(Error::file(&recovery))?;
        let application = image::bytes(&folder.join("application"))?;
        let template = image::bytes(&folder.join("template"))?;
        let embassy = image::bytes(&folder.join("embassy"))?;
        let boot_stage = folder.join("boot_stage");
        Ok(Self { boot_stage, recovery, application, template, embassy, folder })
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "boot stage, recovery, application, template and embassy are in {}",
            self.folder.display()
        )
    }
}
