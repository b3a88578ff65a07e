//! `noflake qualify`: the bench's verb.

use std::path::PathBuf;

use super::deployment::{DeploymentArgs, deploy};
use crate::cli::Context;
use crate::error::{CommandError, Exit};
use crate::evidence::Verb;

/// Qualify a bundle: like deploy, but judged by a plan of the bench, and always on trial anew
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    deployment: DeploymentArgs,
    /// Qualification plan [default: the bundle's own]
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

/// Qualifies.
///
/// # Errors
/// When bundle, plan or folder cannot be used.
pub fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    deploy(&args.deployment, Verb::Qualify, args.plan.as_deref(), context)
}
