//! `noflake device confirm` and `rollback`: an operator decides on a trial that was held.

use firmware_protocol::message::Request;
use serde_json::json;

use crate::bench::{Opened, Progressed};
use crate::cli::Context;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, reach};
use crate::error::CommandError;
use crate::progress::Screen;

/// Make the trial that is running the confirmed version
#[derive(Debug, clap::Args)]
pub(super) struct ConfirmArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Give the open trial up; the device goes back to the confirmed version
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn confirm(args: &ConfirmArgs, context: &Context) -> Result<(), CommandError> {
    decide(&args.target, context, "confirmed", |trial_id, boot_nonce| Request::Confirm {
        trial_id,
        boot_nonce,
    })
}

pub(super) fn rollback(args: &RollbackArgs, context: &Context) -> Result<(), CommandError> {
    decide(&args.target, context, "rolled back", |trial_id, _| Request::Rollback { trial_id })
}

fn decide(
    target: &TargetArgs,
    context: &Context,
    word: &str,
    request: fn(u32, u64) -> Request<'static>,
) -> Result<(), CommandError> {
    let mut device = target.one(context, None)?;
    runtime::block_on(async {
        let Opened { facts, status, .. } = reach(&mut device, true).await?;
        let Some(trial) = status.trial else {
            return Err(CommandError::NoTrial { address: device.address().clone() });
        };
        let trial_id = u32::try_from(trial.trial_id).unwrap_or(u32::MAX);
        let answer = device.ask(request(trial_id, facts.boot_nonce)).await;
        let answer = answer.map_err(|source| at(&device, source))?;
        answer
            .reply()
            .map_err(|refusal| at(&device, crate::bench::DeviceError::Refused(refusal)))?;
        let not_boot = (word != "confirmed" && trial.is_running).then_some(facts.boot_nonce);
        let until_ms = device.now_ms().saturating_add(30_000);
        let mut progress =
            Screen::new(context.output.format()).device(&device.address().to_string());
        let mut tell = |waiting| progress.show(Progressed::Waiting(waiting));
        let after = device.connect(until_ms, not_boot, true, &mut tell).await;
        progress.finish();
        let after = after.map_err(|source| at(&device, source))?;
        device.close().await;
        let human = format!(
            "{}: trial {} {word}; version {} runs from {}.",
            device.address(),
            trial.trial_id,
            after.facts.version,
            after.facts.running
        );
        let machine = json!({
            "device": device.address().to_string(),
            "trial_id": trial.trial_id,
            "decision": word,
            "version": after.facts.version,
            "running": after.facts.running.to_string(),
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}
