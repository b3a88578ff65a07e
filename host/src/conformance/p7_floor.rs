//! P7, floors rise only at confirm, and never make a bootable slot unbootable.

use firmware_protocol::message::Request;
use firmware_protocol::slot::SlotState;

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::Subject;
use super::unit::Unit;

/// The floor behind a stage, in a trial, and behind its confirm.
pub(super) async fn floor_at_confirm<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let role = Role::Next;
    let claims = subject.bundle(role)?.manifest();
    let (raised, retires) = (claims.security_version, claims.retires_fallback);
    let floor = subject.meet().await?.status.accept_floor;
    promised(floor == subject.floor, || {
        format!("the floor is {floor}, and was {} before the trials of the suite", subject.floor)
    })?;
    if floor >= raised {
        let why = format!("the floor is at {floor} already, and `next` raises it to {raised} only");
        return Err(Stop::NotChecked(why));
    }
    let stays = |now: u64, when: &str| {
        promised(now == floor, || format!("{when} the floor is {now}, and was {floor}"))
    };
    subject.stage(role).await?;
    stays(subject.durable().await?.floor, "behind a stage")?;
    let (trial, facts) = subject.run_on_trial(role).await?;
    stays(subject.durable().await?.floor, "in a trial")?;
    let request = Request::Confirm { trial_id: trial.id, boot_nonce: facts.boot_nonce };
    subject.plain(request).await?;
    (subject.home, subject.floor) = (role, raised);
    let now = subject.durable().await?;
    promised(now.trial.is_none() && now.active == Some(trial.slot), || {
        "behind the confirm the trial is open, or its slot is not the confirmed one".to_owned()
    })?;
    promised(now.floor == raised, || {
        format!("behind the confirm the floor is {}, and not {raised}", now.floor)
    })?;
    let fallback = now.slots.get(trial.slot.other());
    promised(retires || matches!(fallback, SlotState::Admitted { .. }), || {
        format!("behind the confirm the fallback is {}, and not admitted", fallback.word())
    })
}
