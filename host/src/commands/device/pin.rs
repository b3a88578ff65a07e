//! `noflake device pin`: gets to know a device by the key that it proves to have.

use firmware_protocol::sealed::LinkKey;
use serde_json::json;

use crate::bench::{DeviceError, Meets, Shows};
use crate::cli::Context;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, reach};
use crate::error::CommandError;
use crate::evidence::escape_text;
use crate::trust::{Hex, parse_hex};

/// Get to know a device: keep the key that it proves to have, so that no other one passes for it
///
/// Whoever made the device, or enrolled it, knows its key. Name that with --identity. Without, the key is shown and nothing is kept.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// The device's key, as whoever enrolled it has told you
    #[arg(long, value_name = "HEX", value_parser = identity)]
    identity: Option<LinkKey>,
}

fn identity(hex: &str) -> Result<LinkKey, String> {
    parse_hex(hex).ok_or_else(|| "expected 64 hex digits".to_owned())
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let mut device = args.target.one_for((Meets::Strangers, Shows::KeptBack), context, None)?;
    if device.opening().host.is_none() {
        let (what, flag, key) = ("host key", "--as", "trust.host_key");
        return Err(CommandError::NotNamed { what, flag, key });
    }
    let opened = runtime::block_on(reach(&mut device, false, context))??;
    let serial = opened.facts.serial;
    let Some(proven) = device.proven() else {
        return Err(at(&device, DeviceError::OutOfTurn("handshake")));
    };
    if args.identity != Some(proven) {
        let identity = proven;
        let unlike = args.identity.map(|known| DeviceError::Impostor {
            serial: serial.clone(),
            identity,
            known,
        });
        return Err(at(
            &device,
            unlike.unwrap_or(DeviceError::Stranger { serial: Some(serial), identity }),
        ));
    }
    device.keep_known().map_err(|source| at(&device, source))?;
    let human = format!(
        "{}: device {} is known from now on by key {}.",
        device.address(),
        escape_text(&serial),
        Hex(&proven)
    );
    let machine = json!({
        "device": device.address().to_string(),
        "serial": serial,
        "identity": Hex(&proven).to_string(),
    });
    context.output.result(&human, &machine);
    Ok(())
}
