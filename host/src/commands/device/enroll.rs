//! `noflake device enroll`: gives a device in factory state its root record, or an enrolled one the next.

use firmware_protocol::message::How;
use serde_json::json;

use crate::cli::Context;
use crate::commands::root::RootArgs;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, reach};
use crate::error::CommandError;

/// Give a device in factory state its root record, or an enrolled one the next root record
///
/// From then on the device installs only what the release keys named there have signed. An enrolled
/// device takes the record that follows the one in force, if enough of the root keys in force have
/// signed it too. The same record once more changes nothing; any other one is refused.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    root: RootArgs,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let root = args.root.require(context)?;
    // A simulated device is made anew for this command: it must begin in factory state.
    let mut device = args.target.one(context, None)?;
    runtime::block_on(async {
        let opened = reach(&mut device, true, context).await?;
        let before = device.root_version().await.map_err(|source| at(&device, source))?;
        let how = device.enroll(root.bytes()).await.map_err(|source| at(&device, source))?;
        device.close().await;
        let version = root.record().claims().version;
        let (done, since) = in_words(how, before, version);
        let human = format!(
            "{}: device {} {done} root record {version} ({:.16}){since}.",
            device.address(),
            opened.facts.serial,
            root.record().digest(),
        );
        let machine = json!({
            "device": device.address().to_string(),
            "serial": opened.facts.serial,
            "root_version": version,
            "root_version_before": before,
            "root_digest": root.record().digest().to_string(),
            "found_done": how == How::FoundDone,
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}

/// What was done with a root record, and what had been in force.
pub(super) fn in_words(how: How, before: Option<u32>, version: u32) -> (&'static str, String) {
    match (how, before) {
        (How::FoundDone, _) => ("was enrolled before with", String::new()),
        (How::Done | How::Resumed, Some(before)) if before == version => {
            ("had lost, and took again,", String::new())
        }
        (How::Done | How::Resumed, Some(before)) => {
            ("took", format!("; it takes the place of root record {before}"))
        }
        (How::Done | How::Resumed, None) => ("took", String::new()),
    }
}
