//! `noflake device recover`: brings back a device that runs its recovery image, or has lost its record.

use std::path::PathBuf;

use firmware_protocol::message::How;
use serde_json::json;

use super::enroll;
use crate::bench::{Device, DeviceError, Opened};
use crate::cli::Context;
use crate::commands::deployment::{Deployment, RunArgs};
use crate::commands::runtime;
use crate::commands::target::{at, reach};
use crate::error::{CommandError, Exit};
use crate::evidence::Verb;
use crate::qualify::observation::Where;
use crate::trust::LoadedRoot;

/// Bring back a device that runs its recovery image, or has lost its boot record or root record
///
/// Gives the device its root record where that is missing, then deploys the bundle as noflake deploy
/// does, with the same evidence and exit codes. A device that needs no recovery is left alone.
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
    /// An earlier recovery with this bundle came to no end.
    is_under_way: bool,
}

impl Found {
    fn is_in_recovery(&self) -> bool {
        self.opened.facts.running == Where::Recovery
    }

    /// A root record that flash had lost was stored anew.
    fn needs_recovery(&self) -> bool {
        self.is_in_recovery()
            || self.is_under_way
            || matches!(self.enrolled, Some(How::Done | How::Resumed))
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let deployment = Deployment::prepare(&args.bundle, &args.run, Verb::Deploy, None, context)?;
    let mut device = args.run.target.one(context, Some(deployment.root()))?;
    let address = device.address().clone();
    runtime::block_on(async {
        let mut interrupts = runtime::interrupts();
        let looked = tokio::select! {
            biased;
            _ = interrupts.changed() => Err(CommandError::Interrupted { address }),
            looked = look(&mut device, &deployment, context) => looked,
        };
        device.close().await;
        let is_deployed = match looked? {
            Looked::IsForAnother => true,
            Looked::Found(found) => {
                tell(&device, &found, &deployment, context);
                found.needs_recovery()
            }
        };
        if is_deployed {
            deployment.run(vec![device], interrupts, context).await
        } else {
            Ok(Exit::Success)
        }
    })?
}

/// What comes of a look at a device.
enum Looked {
    /// The bundle is not for it, so it is not enrolled, which could not be taken back; the run says why.
    IsForAnother,
    Found(Box<Found>),
}

/// Offers the root record where one may be missing: in recovery, and where the one in force has the same number,
/// so that it changes nothing unless flash has lost it.
async fn look(
    device: &mut Device,
    deployment: &Deployment,
    context: &Context,
) -> Result<Looked, CommandError> {
    let opened = reach(device, true, context).await?;
    if !deployment.is_for(&opened.facts) {
        return Ok(Looked::IsForAnother);
    }
    let is_under_way = deployment.is_under_way(&opened.status);
    let found = look_at_root(device, opened, deployment.root()).await;
    let found = found.map_err(|source| at(device, source))?;
    Ok(Looked::Found(Box::new(Found { is_under_way, ..found })))
}

async fn look_at_root(
    device: &mut Device,
    opened: Opened,
    root: &LoadedRoot,
) -> Result<Found, DeviceError> {
    let row = device.status().await?.row.id();
    let root_before = device.root_version().await?;
    let may_be_lost = opened.facts.running == Where::Recovery
        || root_before == Some(root.record().claims().version);
    let enrolled = if may_be_lost { Some(device.enroll(root.bytes()).await?) } else { None };
    Ok(Found { opened, row, root_before, enrolled, is_under_way: false })
}

fn tell(device: &Device, found: &Found, deployment: &Deployment, context: &Context) {
    let address = device.address();
    let facts = &found.opened.facts;
    let root = deployment.root().record();
    let mut lines = vec![if found.is_in_recovery() {
        format!(
            "{address}: device {} runs its recovery image: {} (rule {} of BOOT.md)",
            facts.serial, found.opened.status.why, found.row
        )
    } else {
        format!(
            "{address}: device {} runs version {} from {}",
            facts.serial, facts.version, facts.running
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
    let next = match (found.needs_recovery(), found.opened.facts.enrolled) {
        (true, _) => None,
        (false, true) => Some(deployment.deploy_command(address)),
        (false, false) => Some("noflake device enroll, if it is yours to enrol".to_owned()),
    };
    match &next {
        None => lines.push(format!("  does      deploys version {}", deployment.version())),
        Some(next) => {
            lines.push("  does      nothing: it needs no recovery".to_owned());
            lines.push(format!("  next      {next}"));
        }
    }
    let machine = json!({
        "device": address.to_string(),
        "serial": facts.serial,
        "running": facts.running.to_string(),
        "boot_row": found.row,
        "needs_recovery": found.needs_recovery(),
        "root_version_before": found.root_before,
        "root_offered": found.enrolled.is_some(),
        "root_found_done": found.enrolled.map(|how| how == How::FoundDone),
        "next": next,
    });
    context.output.result(&lines.join("\n"), &machine);
}
