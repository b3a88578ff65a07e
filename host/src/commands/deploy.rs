//! `noflake deploy`: the technician's verb.

use super::deployment::{DeploymentArgs, deploy};
use crate::cli::Context;
use crate::error::{CommandError, Exit};
use crate::evidence::Verb;

/// Deploy a bundle: stage, boot on trial, run the bundle's own plan, commit or roll back
///
/// Interrupted at any point, the same command goes on where it stopped or starts over cleanly, and
/// says which. Several devices are worked on side by side, each with its own verdict.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    deployment: DeploymentArgs,
}

/// Deploys.
///
/// # Errors
/// When bundle, plan or folder cannot be used.
pub fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    deploy(&args.deployment, Verb::Deploy, None, context)
}
