//! P3, losing the host means rollback: the device owns the lease.

use firmware_protocol::slot::RejectReason;

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::{Subject, slot_of};
use super::unit::Unit;

/// Nobody says a word behind the start of the trial.
pub(super) async fn silence<U: Unit>(subject: &mut Subject<'_, U>, role: Role) -> Result<(), Stop> {
    let trial = subject.send_on_trial(role).await?;
    // A version that passes nothing on has its lease from its start.
    if role == Role::Next {
        let facts = subject.meet_behind(trial.boot).await?.facts;
        promised(slot_of(facts.running) == Some(trial.slot), || {
            format!("the trial did not start: {} runs", facts.running)
        })?;
    }
    subject.unit.hang_up();
    subject.unit.be_silent(u64::from(subject.limits.lease_ms)).await;
    let within_ms = subject.trial_life_ms();
    subject.back_from(&trial, within_ms).await?.map_err(Stop::Broken)?;
    subject.is_gone(&trial, Some(RejectReason::LeaseExpired)).await
}

/// Nobody says a word while a trial is open and the confirmed version runs.
pub(super) async fn paused_trial<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let trial = subject.open(Role::Next, 1).await?;
    subject.unit.hang_up();
    subject.unit.be_silent(u64::from(subject.limits.lease_ms)).await;
    let within_ms = subject.trial_life_ms();
    subject.back_from(&trial, within_ms).await?.map_err(Stop::Broken)?;
    subject.is_gone(&trial, Some(RejectReason::LeaseExpired)).await
}
