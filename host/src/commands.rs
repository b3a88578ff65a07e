//! One file for each command: its arguments, and what it does.

pub mod bundle;
pub mod completions;
pub mod conformance;
#[cfg(feature = "sim")]
pub mod demo;
pub mod deploy;
pub mod device;
pub mod init;
pub mod key;
pub mod qualify;
pub mod report;
pub mod root_record;
#[cfg(feature = "sim")]
pub mod sim;

mod clock;
mod deployment;
mod evidence_key;
mod host_key;
mod named_device;
mod point;
mod recover_command;
mod root;
mod runtime;
mod signing;
mod target;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::trust::{PassphraseSource, Secrecy, WriteError, replace_file};

/// The file that a command writes.
#[derive(Debug, clap::Args)]
pub struct NewFileArgs {
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it is there already
    #[arg(long)]
    force: bool,
}

impl NewFileArgs {
    /// Where it is to be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.output
    }

    /// Writes it whole, for everybody to read.
    ///
    /// # Errors
    /// When it is there already and is not to be replaced, or the system refuses.
    pub fn write(&self, bytes: &[u8]) -> Result<(), WriteError> {
        replace_file(&self.output, Secrecy::Public, self.force, |file| file.write_all(bytes))
    }
}

/// Where a command that opens or makes a key gets its passphrase.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of this open file descriptor
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// The source that was asked for, or the terminal.
    #[must_use]
    pub fn source(self) -> PassphraseSource {
        self.passphrase_fd.map_or(PassphraseSource::Terminal, PassphraseSource::Descriptor)
    }
}
