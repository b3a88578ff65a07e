//! `noflake bundle verify`: every defect of a bundle at once.

use std::path::PathBuf;

use serde_json::json;

use super::plan_digest;
use crate::bundle::Bundle;
use crate::causes::sentence;
use crate::cli::Context;
use crate::commands::root::RootArgs;
use crate::error::CommandError;
use crate::evidence::escape_text;

/// Verify a bundle: signatures, every payload, the plan
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    #[command(flatten)]
    root: RootArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let root = args.root.require(context)?;
    let bundle = Bundle::open(&args.bundle)?;
    let problems: Vec<String> = bundle
        .check_problems(root.record().claims(), &plan_digest)
        .iter()
        .map(|problem| sentence(problem))
        .collect();
    let machine = json!({
        "bundle": args.bundle,
        "bundle_digest": bundle.digest().to_string(),
        "verified": problems.is_empty(),
        "problems": problems,
    });
    if problems.is_empty() {
        let human =
            format!("{} verifies (bundle digest {}).", args.bundle.display(), bundle.digest());
        context.output.result(&human, &machine);
        return Ok(());
    }
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("problem: {}", escape_text(problem))).collect();
    context.output.result(&lines.join("\n"), &machine);
    Err(CommandError::Problems { path: args.bundle.clone(), count: problems.len() })
}
