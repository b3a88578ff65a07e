//! `noflake device recover`: brings back a device that runs its recovery image, or has lost its record.

use std::path::PathBuf;

use firmware_protocol::message::How;
use serde_json::json;

use super::{enroll, first_record};
use crate::bench::{Device, Opened};
use crate::cli::Context;
use crate::commands::deployment::{Deployment, RunArgs};
use crate::commands::runtime;
use crate::commands::target::{at, in_session};
use crate::error::{CommandError, Exit};
use crate::evidence::Verb;
use crate::qualify::observation::Where;
use crate::trust::LoadedRoot;

/// Bring back a device that runs its recovery image, or has lost its boot record or root record
///
/// Gives the device its root record where that is missing, then deploys the bundle as noflake deploy
/// does, with the same evidence and exit codes. Cut short anywhere, the same command goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    run: RunArgs,
    /// Signed bundle that is known to work
    #[arg(long, value_name = "BUNDLE")]
    bundle: PathBuf,
}

/// What a device lacks, and what was done about its root record.
struct Found {
    opened: Opened,
    row: &'static str,
    root_before: Option<u32>,
    /// `None` when the root record was not offered.
    enrolled: Option<How>,
}

impl Found {
    fn is_in_recovery(&self) -> bool {
        self.opened.facts.running == Where::Recovery
    }

    /// A root record that flash had lost was stored anew.
    fn needs_recovery(&self) -> bool {
        self.is_in_recovery() || matches!(self.enrolled, Some(How::Done | How::Resumed))
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let deployment = Deployment::prepare(&args.bundle, &args.run, Verb::Deploy, None, context)?;
    let mut device = args.run.target.one(context, Some(deployment.root()))?;
    runtime::block_on(async {
        let mut interrupts = runtime::interrupts();
        let looking = async |device: &mut Device, opened: Opened| {
            // Not enrolled for a bundle that is not for it, which could not be taken back; the run says why.
            if !deployment.is_for(&opened.facts) {
                return Ok(None);
            }
            look_at_root(device, opened, deployment.root()).await.map(Some)
        };
        if let Some(found) = in_session(&mut device, &mut interrupts, context, looking).await? {
            tell(&device, &found, &deployment, context);
        }
        // Also where nothing was wrong: an earlier recovery may have ended behind the root record.
        deployment.run(vec![device], interrupts, context).await
    })?
}

/// Offers the root record where one may be missing: in recovery, where flash has lost it, and where the one in force
/// has the same number, so that it changes nothing else.
async fn look_at_root(
    device: &mut Device,
    opened: Opened,
    root: &LoadedRoot,
) -> Result<Found, CommandError> {
    let row = device.status().await.map_err(|source| at(device, source))?.row.id();
    let root_before = device.root_version().await.map_err(|source| at(device, source))?;
    let may_be_lost = opened.facts.running == Where::Recovery
        || opened.facts.root_is_lost
        || root_before == Some(root.record().claims().version);
    if may_be_lost && root_before.is_none() {
        first_record::refuse_in_vain(device, &opened.facts, root)?;
    }
    let enrolled = if may_be_lost { Some(enroll::offer(device, root).await?) } else { None };
    Ok(Found { opened, row, root_before, enrolled })
}

fn tell(device: &Device, found: &Found, deployment: &Deployment, context: &Context) {
    let address = device.address();
    let facts = &found.opened.facts;
    let root = deployment.root().record();
    let is_on_trial = found.opened.status.trial.is_some_and(|trial| trial.is_running);
    let mut lines = vec![if found.is_in_recovery() {
        format!(
            "{address}: device {} runs its recovery image: {} (rule {} of BOOT.md)",
            facts.serial, found.opened.status.why, found.row
        )
    } else {
        format!(
            "{address}: device {} runs version {} from {}{}",
            facts.serial,
            facts.version,
            facts.running,
            if is_on_trial { ", on trial" } else { "" }
        )
    }];
    if let Some(how) = found.enrolled {
        let version = root.claims().version;
        let (done, since) = enroll::in_words(how, found.root_before, version);
        lines.push(format!(
            "  root      it {done} root record {version} ({:.16}){since}",
            root.digest()
        ));
    }
    let why = match (found.is_in_recovery(), found.needs_recovery()) {
        (true, _) => "recovery_image",
        (false, true) => "root_lost",
        (false, false) => "none",
    };
    let not_needed =
        if found.needs_recovery() || is_on_trial { "" } else { "nothing to recover; " };
    lines.push(format!("  does      {not_needed}deploys version {}", deployment.version()));
    let version = root.claims().version;
    let how = found.enrolled.map(|how| enroll::machine_word(how, found.root_before, version));
    let machine = json!({
        "device": address.to_string(),
        "serial": facts.serial,
        "running": facts.running.to_string(),
        "boot_row": found.row,
        "needs_recovery": found.needs_recovery(),
        "why": why,
        "root_version": version,
        "root_version_before": found.root_before,
        "root_digest": root.digest().to_string(),
        "root_how": how,
    });
    context.output.result(&lines.join("\n"), &machine);
}
