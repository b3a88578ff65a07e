//! `noflake completions` and `noflake man`: for shells and packagers.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, Context};
use crate::error::CommandError;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Write manual pages into a folder
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The folder; it exists
    folder: PathBuf,
}

/// Prints the script.
///
/// # Errors
/// Never.
pub fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "noflake", &mut script);
    context.output.raw(&script);
    Ok(())
}

/// Writes the pages.
///
/// # Errors
/// When the folder takes no file.
pub fn run_man(args: &ManArgs, _context: &Context) -> Result<(), CommandError> {
    clap_mangen::generate_to(Cli::command(), &args.folder)
        .map_err(|source| CommandError::Folder { path: args.folder.clone(), source })
}
