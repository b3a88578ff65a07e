//! `noflake bundle`: makes, shows and verifies bundles.

mod certify;
mod create;
mod explain;
mod show;
mod verify;

use crate::causes::sentence;
use crate::cli::Context;
use crate::error::CommandError;
use crate::plan::Plan;

/// Make, show, verify and certify bundles
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(create::Args),
    Show(show::Args),
    Verify(verify::Args),
    Certify(certify::Args),
}

/// Runs `noflake bundle`.
///
/// # Errors
/// When the bundle cannot be made, read or trusted.
pub fn run(args: Args, context: &Context) -> Result<(), CommandError> {
    match args.command {
        Command::Create(args) => create::run(args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Verify(args) => verify::run(&args, context),
        Command::Certify(args) => certify::run(&args, context),
    }
}

/// Plan digest of a plan's text.
fn plan_digest(text: &str, origin: &str) -> Result<[u8; 32], String> {
    Plan::parse(text, origin).map(|plan| plan.digest()).map_err(|error| sentence(&error))
}
