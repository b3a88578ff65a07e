//! `noflake bundle verify`: every defect of a bundle at once.

use std::path::PathBuf;

use firmware_protocol::digest::Digest;
use serde_json::json;

use super::explain;
use super::plan_digest;
use crate::bundle::Bundle;
use crate::causes::sentence;
use crate::cli::Context;
use crate::commands::point::Point;
use crate::commands::root::RootArgs;
use crate::error::CommandError;
use crate::evidence::escape_text;
use crate::plan::Plan;

/// Verify a bundle: signatures, every payload, the plan
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle
    bundle: PathBuf,
    /// Say point by point what devices under this root record make of it, and who can do something about it
    #[arg(long)]
    explain: bool,
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
    let points = match (args.explain, bundle.unverified_manifest().plan) {
        (false, _) => Vec::new(),
        (true, Some(plan)) => explain::explain(&bundle, root.record().claims(), plan.digest),
        (true, None) => {
            let plan = Digest(Plan::default_deploy()?.digest());
            explain::explain(&bundle, root.record().claims(), plan)
        }
    };
    let machine = json!({
        "bundle": args.bundle,
        "bundle_digest": bundle.digest().to_string(),
        "verified": problems.is_empty(),
        "problems": problems,
        "explained": points.iter().map(Point::to_json).collect::<Vec<_>>(),
    });
    let mut lines: Vec<String> =
        problems.iter().map(|problem| format!("problem: {}", escape_text(problem))).collect();
    if problems.is_empty() {
        let (path, digest) = (args.bundle.display(), bundle.digest());
        lines.push(format!("{path} verifies (bundle digest {digest})."));
    }
    lines.extend(points.iter().map(Point::to_string));
    context.output.result(&lines.join("\n"), &machine);
    // What devices will refuse is a problem as well, though nothing of the file is wrong.
    let refused = points.iter().filter(|point| !point.is_good()).count();
    match problems.len().max(refused) {
        0 => Ok(()),
        count => Err(CommandError::Problems { path: args.bundle.clone(), count }),
    }
}
