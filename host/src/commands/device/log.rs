//! `noflake device log`: the device's console as it comes.

use humantime::parse_duration;
use serde_json::json;

use crate::bench::{Meets, Shows};
use crate::cli::Context;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, reach};
use crate::error::CommandError;
use crate::evidence::escape_text;

/// Most time between two looks, in milliseconds.
const LOOK_MS: u64 = 200;

/// Print the device's console as it comes, until Ctrl-C
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Stop after this long, such as 10s
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<std::time::Duration>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    // A device of the field sends its console to a host with a delegation only, where it is not on the wire anyway.
    let mut device = args.target.one_for((Meets::Known, Shows::Wanted), context, None)?;
    runtime::block_on(async {
        let mut interrupts = runtime::interrupts();
        // On a network link console text goes to the host that holds the session.
        tokio::select! {
            biased;
            _ = interrupts.changed() => {
                return Err(CommandError::Interrupted { address: device.address().clone() });
            }
            reached = reach(&mut device, true, context) => reached?,
        };
        let until_ms = args.duration.map(|duration| {
            let length_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            device.now_ms().saturating_add(length_ms)
        });
        let until = if args.duration.is_some() { "until the time is over" } else { "until Ctrl-C" };
        context.output.progress(&format_args!("listening to {} {until}", device.address()));
        loop {
            let now_ms = device.now_ms();
            let look_ms = now_ms.saturating_add(LOOK_MS).min(until_ms.unwrap_or(u64::MAX));
            let stopped = tokio::select! {
                biased;
                _ = interrupts.changed() => true,
                waited = device.wait_until(look_ms) => {
                    waited.map_err(|source| at(&device, source))?;
                    false
                }
            };
            for line in device.take_console() {
                let text = escape_text(&line.text);
                context.output.result(&text, &json!({ "at_ms": line.at_ms, "text": text }));
            }
            if stopped || until_ms.is_some_and(|until_ms| device.now_ms() >= until_ms) {
                device.close().await;
                return Ok(());
            }
        }
    })?
}
