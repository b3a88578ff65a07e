//! P2, nothing unproven becomes permanent: every trial that is not confirmed ends.

use firmware_protocol::message::Request;
use firmware_protocol::slot::RejectReason;

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::{Subject, Trial, slot_of};
use super::unit::{Deployed, Unit};
use crate::bench::Opened;
use crate::qualify::observation::DeviceFacts;

/// A healthy version on trial, kept alive by a host that never decides.
pub(super) async fn unconfirmed<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let (trial, _) = subject.run_on_trial(Role::Next).await?;
    let until_ms = subject.until(u64::from(subject.limits.boot_max_ms));
    // The device may be gone before: that is looked at below.
    drop(subject.device().wait_until(until_ms).await);
    returns(subject, &trial, subject.limits.back_ms.saturating_add(2_000)).await?;
    subject.is_gone(&trial, Some(RejectReason::BootLimit)).await
}

/// A confirm that does not name this trial and this boot.
pub(super) async fn wrong_boot<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let (trial, DeviceFacts { boot_nonce, .. }) = subject.run_on_trial(Role::Next).await?;
    for (trial_id, boot_nonce, what) in [
        (trial.id, trial.boot, "the boot before"),
        (trial.id, boot_nonce ^ 1, "a boot that never was"),
        (trial.id.wrapping_add(1), boot_nonce, "a trial that never was"),
    ] {
        let refusal = subject.refusal(Request::Confirm { trial_id, boot_nonce }).await?;
        promised(refusal.is_some(), || format!("it confirms for {what}"))?;
    }
    let now = subject.durable().await?;
    promised(now.trial == Some(trial.id) && now.active == Some(trial.slot.other()), || {
        "refused confirms have changed what is confirmed".to_owned()
    })?;
    subject.withdraw(&trial).await
}

/// A trial that may have more boots, and was armed for one.
pub(super) async fn armed_once<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let trial = subject.open(Role::Next, 3).await?;
    let boot = boot_of(subject, &trial, 1).await?;
    subject.reset(boot).await?;
    let Opened { facts, status, .. } = subject.meet_behind(boot).await?;
    promised(slot_of(facts.running) == Some(trial.slot.other()), || {
        "armed for one boot, the trial runs in a second one".to_owned()
    })?;
    let open = status.trial.map(|open| open.armed);
    promised(open == Some(0), || {
        "behind its one armed boot the trial is armed or over".to_owned()
    })?;
    subject.withdraw(&trial).await
}

/// A trial that may have two boots, and was armed for both.
pub(super) async fn boots_counted<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let trial = subject.open(Role::Next, 2).await?;
    let mut boot = boot_of(subject, &trial, 2).await?;
    subject.reset(boot).await?;
    let facts = subject.meet_behind(boot).await?.facts;
    promised(slot_of(facts.running) == Some(trial.slot), || {
        "armed for two boots, the trial runs in one only".to_owned()
    })?;
    // More than it was allowed in all.
    let refusal = subject.refusal(Request::Arm { trial_id: trial.id, boots: 1 }).await?;
    promised(refusal.is_some(), || "a third boot can be armed of two".to_owned())?;
    boot = facts.boot_nonce;
    subject.reset(boot).await?;
    returns(subject, &trial, subject.limits.back_ms).await?;
    subject.is_gone(&trial, Some(RejectReason::BootsSpent)).await
}

/// Arms so many boots and sees the first; gives its nonce.
async fn boot_of<U: Unit>(
    subject: &mut Subject<'_, U>,
    trial: &Trial,
    boots: u8,
) -> Result<u64, Stop> {
    subject.device().arm(trial.id, boots).await?;
    subject.reset(trial.boot).await?;
    let facts = subject.meet_behind(trial.boot).await?.facts;
    promised(slot_of(facts.running) == Some(trial.slot), || {
        format!("the trial did not start: {} runs", facts.running)
    })?;
    Ok(facts.boot_nonce)
}

/// A version that fails a check of its own plan, deployed whole.
pub(super) async fn fails<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    match subject.unit.deploy(Role::Fails).await? {
        Deployed::RolledBack => {}
        Deployed::Runs => {
            let why = "it is confirmed: has its plan a check that it fails?";
            return Err(Stop::Broken(why.to_owned()));
        }
        Deployed::Refused { why } => return Err(Stop::Refused(why)),
        Deployed::Otherwise { why } => return Err(Stop::Bench(why)),
    }
    subject.meet_again("the rollback").await?;
    let home = subject.home;
    subject.runs_whole(home).await?.map_err(Stop::Broken)
}

/// A version that is ended by the device, whatever it does.
pub(super) async fn ends<U: Unit>(subject: &mut Subject<'_, U>, role: Role) -> Result<(), Stop> {
    let facts = subject.meet().await?.facts;
    let trial = subject.send_on_trial(role).await?;
    let life_ms = subject.trial_life_ms();
    let deadline = if facts.watchdog_hardware { "a" } else { "no" };
    let back = subject.back_from(&trial, life_ms).await?;
    let back =
        back.map_err(|why| format!("{why}; it says that it has {deadline} hardware deadline"));
    back.map_err(Stop::Broken)?;
    subject.is_gone(&trial, None).await
}

/// A version that nothing but a deadline in hardware can end: no device is bound to have one that an image cannot reach.
pub(super) async fn feeds_from_interrupt<U: Unit>(
    subject: &mut Subject<'_, U>,
) -> Result<(), Stop> {
    match ends(subject, Role::FeedsFromInterrupt).await {
        Err(Stop::Broken(why)) => Err(Stop::NotDefended(why)),
        ended => ended,
    }
}

async fn returns<U: Unit>(
    subject: &mut Subject<'_, U>,
    trial: &Trial,
    within_ms: u64,
) -> Result<(), Stop> {
    subject.back_from(trial, within_ms).await?.map(drop).map_err(Stop::Broken)
}
