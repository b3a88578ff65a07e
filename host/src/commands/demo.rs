//! `noflake demo`.
use crate::cli::Context;
use crate::error::{CommandError, Exit};
/// Demo
#[derive(Debug, clap::Args)]
pub struct Args {}
/// Runs.
///
/// # Errors
/// None.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, CommandError> { Ok(Exit::Success) }
