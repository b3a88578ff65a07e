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
    let found = bundle.check_problems(root.record().claims(), &plan_digest);
    let problems: Vec<String> = found.iter().map(|problem| sentence(problem)).collect();
    let points = match (args.explain, bundle.unverified_manifest().plan) {
        (false, _) => Vec::new(),
        (true, Some(plan)) => {
            let read = own_plan(&bundle);
            explain::explain(&bundle, &found, root.record().claims(), plan.digest, read.as_ref())
        }
        (true, None) => {
            let read = Plan::default_deploy()?;
            let plan = Digest(read.digest());
            explain::explain(&bundle, &found, root.record().claims(), plan, Some(&read))
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
    let refused: Vec<&Point> = points.iter().filter(|point| point.is_refused()).collect();
    // What devices refuse is an end of its own, though nothing of the file may be wrong.
    match (refused.first(), problems.len()) {
        (Some(first), _) => Err(CommandError::Unwelcome {
            path: args.bundle.clone(),
            version: root.record().claims().version,
            count: refused.len(),
            remedy: first.remedy().unwrap_or_default(),
        }),
        (None, 0) => Ok(()),
        (None, count) => Err(CommandError::Problems { path: args.bundle.clone(), count }),
    }
}

/// The plan that the bundle carries; what keeps it from being read stands among the problems.
fn own_plan(bundle: &Bundle) -> Option<Plan> {
    let text = bundle.plan_text().ok()??;
    Plan::parse(&text, "plan").ok()
}
