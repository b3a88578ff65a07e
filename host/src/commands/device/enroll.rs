//! `noflake device enroll`: gives a device in factory state its root record, or an enrolled one the next.

use firmware_protocol::message::How;
use firmware_protocol::refusal::Refusal;
use serde_json::json;

use crate::bench::{Device, DeviceError, Meets, Opened, Shows};
use crate::cli::Context;
use crate::commands::root::RootArgs;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, in_session};
use crate::error::CommandError;
use crate::trust::{Hex, LoadedRoot};

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
    // A simulated device is made anew for this command: it must begin in factory state. A root record is proven by its own
    // signatures; a delegation only takes the device over from another host.
    let mut device = args.target.one_for((Meets::Strangers, Shows::Wanted), context, None)?;
    runtime::block_on(async {
        let mut interrupts = runtime::interrupts();
        let enrol = async |device: &mut Device, opened: Opened| {
            let before = device.root_version().await.map_err(|source| at(device, source))?;
            // Whoever enrols a new device is where nobody else is: the key it proves there is its own.
            if before.is_none() {
                device.keep_known().map_err(|source| at(device, source))?;
            }
            let how = offer(device, &root).await?;
            Ok((opened.facts.serial, before, how))
        };
        let enrolled = in_session(&mut device, &mut interrupts, context, enrol).await?;
        let (serial, before, how) = enrolled;
        let version = root.record().claims().version;
        let (done, since) = in_words(how, before, version);
        let human = format!(
            "{}: device {serial} {done} root record {version} ({:.16}){since}.{}",
            device.address(),
            root.record().digest(),
            device.proven().map_or_else(String::new, |key| format!("\nIts key is {}.", Hex(&key))),
        );
        let machine = json!({
            "device": device.address().to_string(),
            "serial": serial,
            "root_version": version,
            "root_version_before": before,
            "root_digest": root.record().digest().to_string(),
            "root_how": machine_word(how, before, version),
            "found_done": how == How::FoundDone,
            "identity": device.proven().map(|key| Hex(&key).to_string()),
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}

/// Offers a root record, and says which one it would have to be where flash has lost the one in force.
pub(super) async fn offer(device: &mut Device, root: &LoadedRoot) -> Result<How, CommandError> {
    let refused = match device.enroll(root.bytes()).await {
        Err(DeviceError::Refused(refused @ Refusal::RootLost { .. })) => refused,
        offered => return offered.map_err(|source| at(device, source)),
    };
    match device.root_status().await.map_err(|source| at(device, source))? {
        Some(lost) => Err(CommandError::OtherRootLost {
            address: device.address().clone(),
            lost: (lost.version, lost.digest),
            named: (root.record().claims().version, root.record().digest()),
        }),
        None => Err(at(device, DeviceError::Refused(refused))),
    }
}

/// What was done with a root record, for programs.
pub(super) fn machine_word(how: How, before: Option<u32>, version: u32) -> &'static str {
    match (how, before) {
        (How::FoundDone, _) => "found_done",
        (How::Done | How::Resumed, Some(before)) if before == version => "restored",
        (How::Done | How::Resumed, _) => "taken",
    }
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
