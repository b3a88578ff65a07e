//! `noflake device`: one device, without a deployment.

mod bench_reset;
mod enroll;
mod first_record;
mod log;
mod pin;
mod record;
mod recover;
mod status;
mod trial;

use crate::cli::Context;
use crate::error::{CommandError, Exit};

/// Enrol, identify, look at and recover a device; decide on an open trial
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Enroll(enroll::Args),
    Pin(pin::Args),
    Identify(status::IdentifyArgs),
    Status(status::Args),
    Log(log::Args),
    Confirm(trial::ConfirmArgs),
    Rollback(trial::RollbackArgs),
    Recover(recover::Args),
    Record(record::Args),
    BenchReset(bench_reset::Args),
}

/// Runs `noflake device`.
///
/// # Errors
/// When the device cannot be reached, or refuses.
pub fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    match &args.command {
        Command::Enroll(args) => enroll::run(args, context).map(|()| Exit::Success),
        Command::Pin(args) => pin::run(args, context).map(|()| Exit::Success),
        Command::Identify(args) => status::identify(args, context).map(|()| Exit::Success),
        Command::Status(args) => status::run(args, context),
        Command::Log(args) => log::run(args, context).map(|()| Exit::Success),
        Command::Confirm(args) => trial::confirm(args, context).map(|()| Exit::Success),
        Command::Rollback(args) => trial::rollback(args, context).map(|()| Exit::Success),
        Command::Recover(args) => recover::run(args, context),
        Command::Record(args) => record::run(args, context).map(|()| Exit::Success),
        Command::BenchReset(args) => bench_reset::run(args, context).map(|()| Exit::Success),
    }
}
