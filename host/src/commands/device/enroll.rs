//! `noflake device enroll`: gives a device in factory state its root record, or an enrolled one the next.

use firmware_protocol::message::How;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::LifeCycle;
use serde_json::json;

use super::first_record;
use crate::bench::{Device, DeviceError, Meets, Opened, Shows};
use crate::cli::Context;
use crate::commands::root::RootArgs;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, in_session};
use crate::error::CommandError;
use crate::link::Address;
use crate::trust::{Acquaintance, Hex, LoadedRoot};

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
                first_record::refuse_in_vain(device, &opened.facts, &root)?;
                device.keep_known().map_err(|source| at(device, source))?;
            }
            let how = offer(device, &root).await?;
            Ok((opened.facts, before, how))
        };
        let enrolled = in_session(&mut device, &mut interrupts, context, enrol).await?;
        let (facts, before, how) = enrolled;
        let version = root.record().claims().version;
        let (done, since) = in_words(how, before, version);
        let human = format!(
            "{}: device {} (product {}) {done} root record {version} ({:.16}){since}.{}{}",
            device.address(),
            facts.serial,
            facts.product,
            root.record().digest(),
            its_key(&device, root.record().claims().life_cycle),
            what_does_not_last(&device, args.root.older_in_config(version, context)),
        );
        let machine = json!({
            "device": device.address().to_string(),
            "serial": facts.serial,
            "product": facts.product,
            "root_version": version,
            "root_version_before": before,
            "root_digest": root.record().digest().to_string(),
            "root_how": machine_word(how, before, version),
            "found_done": how == How::FoundDone,
            "identity": device.proven().map(|key| Hex(&key).to_string()),
            "known": device.acquaintance().map(|it| it == Acquaintance::Known),
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}

/// By which key the device is known from now on, and whether it is known here.
fn its_key(device: &Device, life_cycle: LifeCycle) -> String {
    let Some(key) = device.proven() else {
        return match life_cycle {
            LifeCycle::Field => {
                "\nOn a plain link nobody sees its key: a host that does not know it yet needs noflake device pin."
                    .to_owned()
            }
            LifeCycle::Factory | LifeCycle::Development => String::new(),
        };
    };
    let key = Hex(&key);
    match device.acquaintance() {
        Some(Acquaintance::Known) => format!("\nIts key is {key}, by which it is known here."),
        Some(Acquaintance::Unknown | Acquaintance::Other(_)) | None => format!(
            "\nIts key is {key}, and it is not known here: compare that with what whoever enrolled it was told, then \
             noflake device pin --identity {key} keeps it."
        ),
    }
}

/// What of it later commands do not go by.
fn what_does_not_last(device: &Device, older_in_config: Option<u32>) -> String {
    let device = match device.address() {
        Address::Simulated { .. } => {
            "\nThis device lives in this command, and ends with it: noflake sim makes one that stays."
        }
        Address::Serial { .. } | Address::Tcp { .. } => "",
    };
    let config = older_in_config
        .map(|older| format!("\nnoflake.toml still names root record {older}: set trust.root."));
    format!("{device}{}", config.unwrap_or_default())
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
