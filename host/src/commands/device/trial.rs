//! `noflake device confirm` and `rollback`: an operator decides on a trial that was held.
//!
//! An answer is not yet the deed: what is printed is what the device says afterwards.

use std::path::PathBuf;

use firmware_protocol::digest::Digest;
use firmware_protocol::message::Request;
use serde_json::json;

use crate::bench::{Device, DeviceError, Opened, Progressed};
use crate::bundle::Bundle;
use crate::cli::Context;
use crate::commands::deployment::slots_in_words;
use crate::commands::runtime;
use crate::commands::target::{TargetArgs, at, in_session};
use crate::error::CommandError;
use crate::progress::Screen;
use crate::qualify::observation::{StatusFacts, TrialFacts, Where};
use crate::trust::CarriedCertificate;

/// Longest wait for the device to show what was decided: a reboot, and more, in milliseconds.
const SHOWN_MS: u64 = 30_000;

/// Make the trial that is running the confirmed version
#[derive(Debug, clap::Args)]
pub(super) struct ConfirmArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The bundle on trial, for a device that wants to see its certificate before it confirms
    #[arg(long, value_name = "BUNDLE")]
    bundle: Option<PathBuf>,
}

/// Give the open trial up; the device goes back to the confirmed version
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn confirm(args: &ConfirmArgs, context: &Context) -> Result<(), CommandError> {
    let bundle = args.bundle.as_deref().map(Bundle::open).transpose()?;
    let certificates = bundle.map(|bundle| bundle.certificates()).unwrap_or_default();
    decide(&args.target, context, (Decision::Confirm, &certificates))
}

pub(super) fn rollback(args: &RollbackArgs, context: &Context) -> Result<(), CommandError> {
    decide(&args.target, context, (Decision::RollBack, &[]))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Confirm,
    RollBack,
}

impl Decision {
    const fn word(self) -> &'static str {
        match self {
            Self::Confirm => "confirmed",
            Self::RollBack => "rolled back",
        }
    }

    const fn request(self, trial_id: u32, boot_nonce: u64) -> Request<'static> {
        match self {
            Self::Confirm => Request::Confirm { trial_id, boot_nonce },
            Self::RollBack => Request::Rollback { trial_id },
        }
    }

    /// Whether a device that runs `running` and has `after` on record shows the decision on `trial`.
    fn is_seen(self, trial: &TrialFacts, running: Where, after: &StatusFacts) -> bool {
        let expected = match self {
            Self::Confirm => Some(trial.slot),
            Self::RollBack => trial.slot.other(),
        };
        after.trial.is_none() && after.active == expected && Some(running) == expected
    }
}

fn decide(
    target: &TargetArgs,
    context: &Context,
    (decision, certificates): (Decision, &[CarriedCertificate]),
) -> Result<(), CommandError> {
    let mut device = target.one(context, None)?;
    let address = device.address().clone();
    runtime::block_on(async {
        let mut interrupts = runtime::interrupts();
        let deciding = async |device: &mut Device, opened: Opened| {
            show(device, &opened, certificates).await?;
            carry_out(device, opened, context, decision).await
        };
        let (trial, after) = in_session(&mut device, &mut interrupts, context, deciding).await?;
        let (running, version) = (after.facts.running, &after.facts.version);
        let slots = slots_in_words(&after.status);
        if decision == Decision::RollBack
            && after.status.trial.is_none()
            && running == Where::Recovery
        {
            return Err(CommandError::BackInRecovery { address, trial_id: trial.trial_id });
        }
        if !decision.is_seen(&trial, running, &after.status) {
            return Err(CommandError::NotSeen {
                address,
                trial_id: trial.trial_id,
                word: decision.word(),
                got: format!("version {version} runs from {running}; {slots}"),
            });
        }
        let human = format!(
            "{address}: trial {} {}; the device says: version {version} runs from {running}; {slots}.",
            trial.trial_id,
            decision.word(),
        );
        let machine = json!({
            "device": address.to_string(),
            "trial_id": trial.trial_id,
            "decision": decision.word(),
            "version": version,
            "running": running.to_string(),
            "active": after.status.active.map(|place| place.to_string()),
        });
        context.output.result(&human, &machine);
        Ok(())
    })?
}

/// Shows the device the best certificate of the plan that its trial runs by. Whether one is needed, and counts, it says when
/// it is asked to confirm.
async fn show(
    device: &mut Device,
    opened: &Opened,
    certificates: &[CarriedCertificate],
) -> Result<(), CommandError> {
    let plan = opened.status.trial.map(|trial| Digest(trial.plan));
    let fitting = certificates.iter().filter(|certificate| Some(certificate.plan) == plan);
    match fitting.max_by_key(|certificate| certificate.level) {
        Some(best) => device.certify(&best.bytes).await.map_err(|source| at(device, source)),
        None => Ok(()),
    }
}

/// Decides on the open trial; gives it, and the device as it is then.
async fn carry_out(
    device: &mut Device,
    opened: Opened,
    context: &Context,
    decision: Decision,
) -> Result<(TrialFacts, Opened), CommandError> {
    let Opened { facts, status, .. } = opened;
    let Some(trial) = status.trial else {
        return Err(CommandError::NoTrial { address: device.address().clone() });
    };
    let trial_id = u32::try_from(trial.trial_id).unwrap_or(u32::MAX);
    let answer = device.ask(decision.request(trial_id, facts.boot_nonce)).await;
    let answer = answer.map_err(|source| at(device, source))?;
    answer.reply().map_err(|refusal| at(device, DeviceError::Refused(refusal)))?;
    let reboots = decision == Decision::RollBack && trial.is_running;
    let not_boot = reboots.then_some(facts.boot_nonce);
    let until_ms = device.now_ms().saturating_add(SHOWN_MS);
    let mut progress = Screen::new(context.output.format()).device(&device.address().to_string());
    let mut tell = |waiting| progress.show(Progressed::Waiting(waiting));
    let after = device.connect(until_ms, not_boot, true, &mut tell).await;
    progress.finish();
    let after = after.map_err(|source| at(device, source))?;
    Ok((trial, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qualify::observation::{SlotFacts, SlotState};

    const TRIAL: TrialFacts = TrialFacts {
        slot: Where::SlotB,
        trial_id: 3,
        plan: [0; 32],
        armed: 0,
        boots_left: 1,
        crash_left: 1,
        power_left: 1,
        is_running: true,
    };

    fn after(active: Where, trial: Option<TrialFacts>) -> StatusFacts {
        let slot = SlotFacts { state: SlotState::Admitted, bundle: None, rejection: None };
        let slots = [slot, slot];
        StatusFacts { active: Some(active), slots, trial, accept_floor: 0, why: "" }
    }

    #[test]
    fn a_decision_counts_only_as_far_as_the_device_shows_it() {
        use Where::{Recovery, SlotA, SlotB};
        for (running, active, trial, confirmed, rolled_back) in [
            (SlotB, SlotB, None, true, false),
            (SlotA, SlotA, None, false, true),
            (SlotB, SlotA, Some(TRIAL), false, false),
            (SlotA, SlotA, Some(TRIAL), false, false),
            (SlotB, SlotA, None, false, false),
            (SlotA, SlotB, None, false, false),
            (Recovery, SlotA, None, false, false),
        ] {
            let after = after(active, trial);
            let seen = [Decision::Confirm, Decision::RollBack]
                .map(|decision| decision.is_seen(&TRIAL, running, &after));
            assert_eq!(seen, [confirmed, rolled_back], "{running}, {after:?}");
        }
    }
}
