//! The root record: whose signatures count.

use std::path::PathBuf;

use crate::cli::Context;
use crate::error::CommandError;
use crate::trust::{LoadedRoot, read_root};

/// The root record that a flag or the configuration names.
#[derive(Debug, clap::Args)]
pub(super) struct RootArgs {
    /// Root record that says whose signatures count [default: `trust.root` of noflake.toml]
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

impl RootArgs {
    /// Where it is, if one is named.
    ///
    /// # Errors
    /// When the configuration cannot be used.
    pub(super) fn path(&self, context: &Context) -> Result<Option<PathBuf>, CommandError> {
        match &self.root {
            Some(path) => Ok(Some(path.clone())),
            None => Ok(context.config()?.trust.root),
        }
    }

    /// Reads it, if one is named.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn load(&self, context: &Context) -> Result<Option<LoadedRoot>, CommandError> {
        Ok(self.path(context)?.map(|path| read_root(&path)).transpose()?)
    }

    /// The number of the root record that the configuration names, where a flag named one and that is older than `version`:
    /// commands without the flag would go on by a record that is over.
    pub(super) fn older_in_config(&self, version: u32, context: &Context) -> Option<u32> {
        self.root.as_ref()?;
        let named = context.config().ok()?.trust.root?;
        let older = read_root(&named).ok()?.record().claims().version;
        (older < version).then_some(older)
    }

    /// Reads it; one must be named.
    ///
    /// # Errors
    /// When none is named, or it cannot be read.
    pub(super) fn require(&self, context: &Context) -> Result<LoadedRoot, CommandError> {
        let (what, flag, key) = ("root record", "--root", "trust.root");
        self.load(context)?.ok_or(CommandError::NotNamed { what, flag, key })
    }
}
