//! The board's programs, built.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::error::Error;
use crate::toolchain::{TARGET, Toolchain};
use crate::{host, image};

/// A mistake on purpose, which the test has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Plant {
    /// None.
    #[default]
    Nothing,
    /// The boot stage starts neither watchdog nor deadline.
    NoWatchdog,
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
    /// Where they were linked to.
    pub(crate) folder: PathBuf,
}

impl Firmware {
    /// Builds them.
    pub(crate) fn build(plant: Plant) -> Result<Self, Error> {
        let features = match plant {
            Plant::Nothing => "",
            Plant::NoWatchdog => "plant-no-watchdog",
            Plant::TornAccepted => "plant-torn-accepted",
        };
        let target = host::target().join("boards");
        let mut cargo = Toolchain::find()?.cargo_build(&host::boards(), &target);
        cargo.args(["-p", "mps2-an385", "--features", features]);
        host::run(&mut cargo)?;
        let folder = target.join(TARGET).join("release");
        let recovery = folder.join("recovery.bin");
        let bytes = image::bytes(&folder.join("recovery"))?;
        fs::write(&recovery, bytes).map_err(Error::file(&recovery))?;
        let application = image::bytes(&folder.join("application"))?;
        Ok(Self { boot_stage: folder.join("boot_stage"), recovery, application, folder })
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot stage, recovery, application and template are in {}", self.folder.display())
    }
}
