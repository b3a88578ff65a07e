//! `noflake device enroll`: gives a device in factory state its root record.

use firmware_protocol::message::{How, MAX_PIECE_BYTES, Reply, Request};
use serde_json::json;

use crate::bench::{Device, DeviceError};
use crate::cli::Context;
use crate::commands::root::RootArgs;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, reach};
use crate::error::CommandError;
use crate::trust::LoadedRoot;

/// Give a device in factory state its root record, once and for good
///
/// From then on the device installs only what the release keys named there have signed. Enrolling it
/// again with the same record changes nothing; with another one it is refused.
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
        let opened = reach(&mut device, true).await?;
        let how = enroll(&mut device, &root).await.map_err(|source| at(&device, source))?;
        device.close().await;
        let version = root.record().claims().version;
        let done = match how {
            How::FoundDone => "was enrolled before with",
            How::Done | How::Resumed => "took",
        };
        let human = format!(
            "{}: device {} {done} root record {version} ({:.16}).",
            device.address(),
            opened.facts.serial,
            root.record().digest(),
        );
        let machine = json!({
            "device": device.address().to_string(),
            "serial": opened.facts.serial,
            "root_version": version,
            "root_digest": root.record().digest().to_string(),
            "found_done": how == How::FoundDone,
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}

async fn enroll(device: &mut Device, root: &LoadedRoot) -> Result<How, DeviceError> {
    let document = root.bytes();
    let total_bytes = u32::try_from(document.len()).unwrap_or(u32::MAX);
    for (number, piece) in document.chunks(MAX_PIECE_BYTES).enumerate() {
        let offset = number.saturating_mul(MAX_PIECE_BYTES);
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let answer = device.ask(Request::Offer { total_bytes, offset, bytes: piece }).await?;
        answer.reply().map_err(DeviceError::Refused)?;
    }
    let answer = device.ask(Request::Enroll).await?;
    let Reply::Done(how) = answer.reply().map_err(DeviceError::Refused)? else {
        return Err(DeviceError::OutOfTurn("enroll"));
    };
    Ok(how)
}
