//! One deployment on one device: the machine, the device and the record, joined.

use std::time::{Duration, SystemTime};

use firmware_protocol::delegation::Action;
use firmware_protocol::digest::Digest;
use firmware_protocol::message::{How, Request, TrialTerms};
use thiserror::Error;
use tokio::sync::watch;

use super::certificate::ShownCertificate;
use super::command;
use super::device::{Device, DeviceError, Waiting};
use super::facts::{place, slot_of};
use super::failed::failed;
use super::refused;
use super::source::BundleSource;
use super::transfer::{Staging, transfer};
use crate::bundle::VerifiedBundle;
use crate::driver::DriverError;
use crate::evidence::{Entry, EvidenceError, Recorder, Step};
use crate::qualify::observation::{Ask, ConsoleLine, Seen, Where};
use crate::qualify::runner::{Act, ComponentHash, Ended, Runner, Saw, StagedFacts, StopWhy, Terms};
use crate::session::transfer::Progress;

/// Power failures during the trial before the device gives it up.
const POWER_FAILURES: u8 = 5;

/// What one run works with.
#[derive(Debug)]
pub struct RunSetup<'a> {
    /// The bundle.
    pub bundle: &'a VerifiedBundle,
    /// The certificate of it that the device is shown, if there is one: its envelope.
    pub certificate: Option<Vec<u8>>,
    /// The device.
    pub device: Device,
    /// The machine.
    pub runner: Runner,
    /// The record, its start already written.
    pub recorder: &'a mut Recorder,
    /// How often the operator has asked to stop.
    pub interrupts: watch::Receiver<u32>,
}

/// Something a person may want to see while it happens.
#[derive(Debug, Clone, Copy)]
pub enum Progressed<'a> {
    /// An event, as it goes on record.
    Entry(&'a Entry),
    /// The device is still waited for.
    Waiting(Waiting),
    /// How far a transfer has come.
    Transfer {
        /// How far.
        progress: Progress,
        /// When, in milliseconds.
        at_ms: u64,
    },
}

/// The evidence of a run is not whole.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct RunError(#[from] EvidenceError);

impl From<RunError> for EvidenceError {
    fn from(error: RunError) -> Self {
        error.0
    }
}

/// Runs until the machine ends; gives how, and what went wrong with the evidence.
pub async fn run(
    setup: RunSetup<'_>,
    show: &mut dyn FnMut(Progressed<'_>),
) -> (Ended, Option<RunError>) {
    let RunSetup { bundle, certificate, mut device, mut runner, recorder, mut interrupts } = setup;
    let mut certificate = ShownCertificate::new(certificate);
    let began = (SystemTime::now(), device.now_ms());
    let mut lost: Option<EvidenceError> = None;
    loop {
        hear(&mut runner, &mut device);
        match runner.poll(device.now_ms()) {
            Act::Record { at_ms, entry } => {
                if let Entry::StepStart(Step::Phase(phase)) = &*entry {
                    tracing::debug!(phase = phase.name(), at_ms, "enters");
                }
                show(Progressed::Entry(&entry));
                if lost.is_none()
                    && let Err(error) = recorder.append(*entry, wall_time(began, at_ms))
                {
                    let reason = format!("no more evidence: {}", error.in_short());
                    lost = Some(error);
                    runner.stop(device.now_ms(), StopWhy::NoEvidence { reason });
                }
            }
            Act::End(ended) => {
                device.close().await;
                let entry = Entry::RunEnd(Box::new(ended.end.clone()));
                show(Progressed::Entry(&entry));
                if lost.is_none() {
                    lost = recorder.append(entry, wall_time(began, device.now_ms())).err();
                }
                return (*ended, lost.map(RunError));
            }
            act @ (Act::Connect { .. }
            | Act::Look { .. }
            | Act::HashSlot { .. }
            | Act::Stage { .. }
            | Act::OpenTrial { .. }
            | Act::Arm { .. }
            | Act::Reset { .. }
            | Act::Ask(_)
            | Act::WaitUntil { .. }
            | Act::Confirm { .. }
            | Act::Rollback { .. }) => {
                tracing::debug!(at_ms = device.now_ms(), ?act, "does");
                device.work_until(runner.deadline_ms());
                let saw = tokio::select! {
                    biased;
                    Ok(()) = interrupts.changed() => None,
                    saw = perform(&mut device, bundle, &mut certificate, act, show) => Some(saw),
                };
                let now_ms = device.now_ms();
                match saw {
                    Some(saw) => {
                        tracing::debug!(at_ms = now_ms, ?saw, "saw");
                        hear(&mut runner, &mut device);
                        runner.observe(now_ms, saw);
                    }
                    None => runner.stop(now_ms, StopWhy::Operator),
                }
            }
        }
    }
}

fn hear(runner: &mut Runner, device: &mut Device) {
    let lines = device.take_console();
    let lines = lines.into_iter().map(|line| ConsoleLine { at_ms: line.at_ms, text: line.text });
    runner.hear(device.heard_ms(), lines.collect());
}

fn wall_time((began, began_ms): (SystemTime, u64), at_ms: u64) -> SystemTime {
    began + Duration::from_millis(at_ms.saturating_sub(began_ms))
}

async fn perform(
    device: &mut Device,
    bundle: &VerifiedBundle,
    certificate: &mut ShownCertificate,
    act: Act,
    show: &mut dyn FnMut(Progressed<'_>),
) -> Saw {
    if matches!(act, Act::Stage { .. } | Act::OpenTrial { .. } | Act::Confirm { .. })
        && let Err(error) = certificate.show(device).await
    {
        return failed(&error, bundle);
    }
    let done = match act {
        Act::Connect { until_ms, not_boot } => {
            connect(device, until_ms, not_boot, true, show).await
        }
        Act::Look { until_ms } => connect(device, until_ms, None, false, show).await,
        Act::HashSlot { slot } => hash_slot(device, bundle, slot).await,
        Act::Stage { slot, again, until_ms } => {
            stage(device, bundle, slot, (again, until_ms), show).await
        }
        Act::OpenTrial { plan, terms } => open_trial(device, bundle, Digest(plan), terms).await,
        Act::Arm { trial_id, boots } => {
            device.arm(wire_id(trial_id), boots).await.map(|()| Saw::Done)
        }
        Act::Reset { boot_nonce } => plain(device, Request::Reset { boot_nonce }).await,
        Act::Confirm { trial_id, boot_nonce } => {
            plain(device, Request::Confirm { trial_id: wire_id(trial_id), boot_nonce }).await
        }
        Act::Rollback { trial_id, blames_bundle: true } => {
            plain(device, Request::Rollback { trial_id: wire_id(trial_id) }).await
        }
        Act::Rollback { trial_id, blames_bundle: false } => {
            plain(device, Request::Withdraw { trial_id: wire_id(trial_id) }).await
        }
        Act::Ask(ask) => return answer(device, bundle, ask).await,
        Act::WaitUntil { at_ms } => device.wait_until(at_ms).await.map(|()| Saw::Done),
        Act::Record { .. } | Act::End(_) => Ok(Saw::Done),
    };
    done.unwrap_or_else(|error| match (error.refusal(), failed(&error, bundle)) {
        (Some(refusal), Saw::Refused { reason, is_stale, next }) => {
            let behind = certificate.behind(refusal);
            let behind =
                behind.map_or(String::new(), |own| format!("; it refused the bundle's: {own}"));
            Saw::Refused { reason: format!("{reason}{behind}"), is_stale, next }
        }
        (_, saw) => saw,
    })
}

async fn connect(
    device: &mut Device,
    until_ms: u64,
    not_boot: Option<u64>,
    session: bool,
    show: &mut dyn FnMut(Progressed<'_>),
) -> Result<Saw, DeviceError> {
    let mut tell = |waiting| show(Progressed::Waiting(waiting));
    let opened = device.connect(until_ms, not_boot, session, &mut tell).await?;
    // A device that has lost its root record believes no delegation: the loss is what stands in the way.
    let is_told_of_loss = not_boot.is_none() && opened.facts.root_is_lost;
    if session && !is_told_of_loss {
        device.may(Action::ALL)?;
    }
    Ok(Saw::Connected {
        facts: Box::new(opened.facts),
        status: Box::new(opened.status),
        at_ms: opened.at_ms,
    })
}

/// Ids on the wire have 32 bits, and so has every id that came from there.
fn wire_id(trial_id: u64) -> u32 {
    u32::try_from(trial_id).unwrap_or(u32::MAX)
}

async fn plain(device: &mut Device, request: Request<'_>) -> Result<Saw, DeviceError> {
    let answer = device.ask(request).await?;
    answer.reply().map(|_| Saw::Done).map_err(DeviceError::Refused)
}

async fn open_trial(
    device: &mut Device,
    bundle: &VerifiedBundle,
    plan: Digest,
    terms: Terms,
) -> Result<Saw, DeviceError> {
    let terms = TrialTerms {
        boots: terms.boots,
        crashes: terms.crashes,
        power_failures: POWER_FAILURES,
        lease_ms: terms.lease_ms,
        boot_max_ms: terms.boot_max_ms,
    };
    match device.open_trial(bundle.bundle().digest(), plan, terms).await {
        Ok(trial_id) => Ok(Saw::Trial { trial_id: u64::from(trial_id) }),
        Err(DeviceError::Refused(refusal)) if let Some(reason) = refused::terms(refusal, terms) => {
            Ok(Saw::Refused { reason, is_stale: false, next: refused::next(refusal) })
        }
        Err(error) => Err(error),
    }
}

async fn hash_slot(
    device: &mut Device,
    bundle: &VerifiedBundle,
    slot: Where,
) -> Result<Saw, DeviceError> {
    let areas = device.areas().await?;
    let mut hashes = Vec::new();
    for (component, claims) in bundle.manifest().components.iter().enumerate() {
        let Some(slot) = slot_of(slot) else { break };
        let area = areas.iter().position(|area| *area == claims.name);
        let expected = bundle.manifest().variant_for(component, slot);
        let matches = match (area.and_then(|area| u8::try_from(area).ok()), expected) {
            (Some(area), Some((_, variant))) => {
                let (digest, length, tail_blank) = device.hash(slot, area).await?;
                digest == variant.digest && length == variant.length && tail_blank
            }
            _ => false,
        };
        hashes.push(ComponentHash { name: claims.name.clone(), matches });
    }
    Ok(Saw::Hashes(hashes))
}

async fn stage(
    device: &mut Device,
    bundle: &VerifiedBundle,
    slot: Where,
    (again, until_ms): (bool, u64),
    show: &mut dyn FnMut(Progressed<'_>),
) -> Result<Saw, DeviceError> {
    let Some(spare) = slot_of(slot) else {
        return Err(DeviceError::OutOfTurn("stage: no slot to stage into"));
    };
    let mut source = match BundleSource::new(bundle, spare) {
        Ok(source) => source,
        Err(error) => {
            let next = "take the bundle for this hardware; nothing was written";
            return Ok(Saw::Refused { reason: error.to_string(), is_stale: false, next });
        }
    };
    let began_ms = device.now_ms();
    let before = (device.traffic().payload_bytes, device.status().await?.link.payload_bytes);
    let limit_us = until_ms.saturating_sub(began_ms).saturating_mul(1_000);
    let staging = Staging { spare, again, limit_us };
    let mut report = |progress: Progress, at_ms: u64| {
        show(Progressed::Transfer { progress, at_ms });
    };
    let staged = transfer(device, bundle, &mut source, staging, &mut report).await?;
    let after = (device.traffic().payload_bytes, device.status().await?.link.payload_bytes);
    Ok(Saw::Staged(StagedFacts {
        slot: place(staged.slot),
        is_found_done: staged.how == How::FoundDone,
        is_resumed: staged.how == How::Resumed,
        total_bytes: staged.total_bytes,
        kept_bytes: staged.kept_bytes,
        sent_bytes: after.0.saturating_sub(before.0),
        device_bytes: after.1.saturating_sub(before.1),
        took_ms: device.now_ms().saturating_sub(began_ms),
    }))
}

/// Answers what a check asks. Trouble of link or host is an answer too.
async fn answer(device: &mut Device, bundle: &VerifiedBundle, ask: Ask) -> Saw {
    let seen = match ask {
        Ask::Identify => device.identify().await.map(Seen::Facts),
        Ask::Status => {
            device.status().await.map(|status| Seen::Status(super::facts::status_facts(&status)))
        }
        Ask::ListChecks => device.checks().await.map(Seen::Checks),
        Ask::RunCheck { name } => device.run_check(&name).await,
        Ask::Ping => device.ping().await.map(|rtt_us| Seen::Pong { rtt_us }),
        Ask::Command { argv, timeout_ms } => {
            return command_with_lease(device, bundle, &argv, timeout_ms).await;
        }
    };
    match seen {
        Ok(seen) => Saw::Seen(seen),
        Err(DeviceError::Driver(DriverError::NoAnswer { .. })) => Saw::Seen(Seen::NoAnswer),
        Err(error) => {
            let saw = failed(&error, bundle);
            match saw {
                Saw::Lost { reason, .. } => Saw::Seen(Seen::LinkError { reason }),
                Saw::Refused { reason, is_stale: false, .. } => Saw::Seen(Seen::Refused { reason }),
                Saw::Refused { .. }
                | Saw::NotMet { .. }
                | Saw::Connected { .. }
                | Saw::Hashes(_)
                | Saw::Staged(_)
                | Saw::Trial { .. }
                | Saw::Done
                | Saw::Seen(_) => saw,
            }
        }
    }
}

/// Runs a program of the host while the device's lease is kept.
async fn command_with_lease(
    device: &mut Device,
    bundle: &VerifiedBundle,
    argv: &[String],
    timeout_ms: u64,
) -> Saw {
    let program = command::run(argv, timeout_ms);
    if device.is_simulated() {
        // Virtual time stands still while a program of the real world runs.
        return Saw::Seen(program.await);
    }
    tokio::pin!(program);
    loop {
        let until_ms = device.now_ms().saturating_add(500);
        tokio::select! {
            biased;
            seen = &mut program => return Saw::Seen(seen),
            waited = device.wait_until(until_ms) => {
                if let Err(error) = waited {
                    return failed(&error, bundle);
                }
                tokio::task::yield_now().await;
            }
        }
    }
}
