//! P5, written is not running: what a device says of itself is what is.

use firmware_protocol::slot::SlotState;

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::p6_resumes::NO_OTHER;
use super::subject::{Subject, slot_of};
use super::unit::{Unit, UnitError};
use crate::bench::Opened;
use crate::qualify::observation::DeviceFacts;

/// A staged version is called staged, in this boot and the next.
pub(super) async fn staged_is_not_running<U: Unit>(
    subject: &mut Subject<'_, U>,
) -> Result<(), Stop> {
    let before = subject.meet().await?.facts;
    let staged = subject.stage(Role::Next).await?;
    let now = subject.device().identify().await?;
    is_same_version(&before, &now)?;
    promised(now.boot_nonce == before.boot_nonce, || "it has reset behind a stage".to_owned())?;
    subject.reset(now.boot_nonce).await?;
    let now = subject.meet_behind(before.boot_nonce).await?.facts;
    is_same_version(&before, &now)?;
    let state = *subject.durable().await?.slots.get(staged.slot);
    let expected = SlotState::Staged { bundle: staged.bundle };
    promised(state == expected, || {
        format!("behind a reset slot {} is {}, and not staged", staged.slot, state.word())
    })?;
    let home = subject.home;
    subject.runs_whole(home).await?.map_err(Stop::Broken)
}

/// The confirmed version, itself again behind a reset, a trial, and itself again.
pub(super) async fn tells_what_it_runs<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let Opened { facts, status, .. } = subject.meet().await?;
    let mut boots = vec![facts.boot_nonce];
    let home = subject.bundle(subject.home)?.bundle().digest();
    promised(facts.bundle == Some(home.0), || {
        format!("it names another bundle than `{}`", subject.home)
    })?;
    promised(status.active == Some(facts.running), || {
        format!("{} runs, and another slot is confirmed", facts.running)
    })?;
    subject.reset(facts.boot_nonce).await?;
    let again = subject.meet_behind(facts.boot_nonce).await?.facts;
    is_same_version(&facts, &again)?;
    boots.push(again.boot_nonce);
    let (trial, on_trial) = subject.run_on_trial(Role::Next).await?;
    boots.push(on_trial.boot_nonce);
    let next = subject.bundle(Role::Next)?.bundle().digest();
    promised(on_trial.bundle == Some(next.0), || {
        "on trial it names another bundle than `next`".to_owned()
    })?;
    subject.withdraw(&trial).await?;
    boots.push(subject.meet().await?.facts.boot_nonce);
    let count = boots.len();
    boots.sort_unstable();
    boots.dedup();
    promised(boots.len() == count, || "two boots have the same nonce".to_owned())
}

/// A slot that is written in part hashes as that.
pub(super) async fn tells_what_it_holds<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    subject.spoil().await?;
    let (bundle, staging) = (subject.bundle(Role::Next)?, subject.staging().await?);
    let (_, has_stopped) = subject.device().stage_in_part(bundle, staging, 0).await?;
    if !has_stopped {
        return Err(Stop::NotChecked(NO_OTHER.to_owned()));
    }
    let differs = match subject.differs(staging.spare, Role::Next).await {
        // What it cannot tell, it need not tell.
        Err(Stop::Unit(UnitError::Device(error))) if error.refusal().is_some() => return Ok(()),
        differs => differs?,
    };
    promised(differs.is_some(), || {
        format!("slot {} hashes as `next` before `next` was sent", staging.spare)
    })
}

fn is_same_version(before: &DeviceFacts, now: &DeviceFacts) -> Result<(), Stop> {
    promised(slot_of(now.running) == slot_of(before.running) && now.bundle == before.bundle, || {
        format!(
            "version {} runs from {}, though nothing was put on trial",
            now.version, now.running
        )
    })
}
