//! One file for each command: its arguments, and what it does.

pub mod bundle;
pub mod completions;
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

mod deployment;
mod root;
mod runtime;
mod target;

use crate::trust::PassphraseSource;

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
