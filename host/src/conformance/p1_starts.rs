//! P1, always boots: a version that verifies runs, wherever power fails.

use firmware_protocol::message::Request;
use firmware_protocol::slot::{SlotId, SlotState};

use super::bundles::Role;
use super::finding::{Stop, promised};
use super::subject::{Subject, slot_of};
use super::unit::Unit;
use crate::bench::{Device, DeviceError, Opened};
use crate::session::transfer::Staged;

/// Boots of a trial that power fails in.
const BOOTS: u16 = 3;
/// Cuts that may come too late; each next one is placed before it.
const MAX_MISSED: u32 = 10;

/// What was deployed runs, and the record says so.
pub(super) async fn starts<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let Opened { facts, status, .. } = subject.meet().await?;
    let home = subject.home;
    subject.runs_whole(home).await?.map_err(Stop::Broken)?;
    promised(status.active == Some(facts.running), || {
        format!("{} runs, and the record has another slot confirmed", facts.running)
    })
}

/// Bytes of a host that is broken, or worse: what is not signed makes no slot that may run.
pub(super) async fn damaged_bytes<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let role = Role::Next;
    let (at, spare, told) = damaged(subject, role).await?;
    // What the host is told is no proof: the record is looked at, and the slot.
    subject.meet().await?;
    let state = *subject.durable().await?.slots.get(spare);
    let may_run = matches!(state, SlotState::Staged { .. } | SlotState::Admitted { .. });
    promised(told.is_err() && !may_run, || {
        format!("with a bit of byte {at} turned, slot {spare} is {}", state.word())
    })?;
    let staged = subject.stage(role).await?;
    let differs = subject.differs(staged.slot, role).await?;
    promised(differs.is_none(), || differs.unwrap_or_default())
}

/// Sends a bundle with a bit turned in a byte that the device asks for; gives the byte, the slot, and what the host was told.
async fn damaged<U: Unit>(
    subject: &mut Subject<'_, U>,
    role: Role,
) -> Result<(u64, SlotId, Result<Staged, DeviceError>), Stop> {
    let mut from = None;
    for _ in 0..2 {
        subject.spoil().await?;
        let (bundle, staging) = (subject.bundle(role)?, subject.staging().await?);
        let variant = bundle.manifest().variant_for(0, staging.spare);
        let length = variant.map_or(0, |(_, variant)| variant.length);
        let begin = from.unwrap_or_else(|| subject.chance.below(length));
        let (turned, told) = subject.device().stage_damaged(bundle, staging, begin).await;
        if let Some(at) = turned {
            return Ok((at, staging.spare, told));
        }
        // Behind that place it had all of it, unless it said otherwise.
        told?;
        subject.meet().await?;
        from = Some(0);
    }
    let why =
        "the device has every byte of `next` already, and asks for none that could be damaged";
    Err(Stop::NotChecked(why.to_owned()))
}

/// Power fails while the spare slot is written.
pub(super) async fn cut_stage<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let role = Role::Next;
    subject.spoil().await?;
    let begun = subject.unit.behind();
    subject.stage(role).await?;
    let mut cuts = Cuts::new(subject.unit.behind().saturating_sub(begun));
    while cuts.go_on(subject.limits.cuts) {
        subject.spoil().await?;
        let (bundle, staging) = (subject.bundle(role)?, subject.staging().await?);
        // How far it came is looked at afterwards, whatever the host was told.
        let deed = async |device: &mut Device| drop(device.stage(bundle, staging).await);
        let Some(place) = cuts.strike(subject, deed).await? else { continue };
        subject.meet_again(&place).await?;
        let home = subject.home;
        let whole = subject.runs_whole(home).await?;
        whole.map_err(|why| Stop::Broken(format!("behind {place} {why}")))?;
        let staged = subject.stage(role).await?;
        let differs = subject.differs(staged.slot, role).await?;
        promised(differs.is_none(), || {
            format!("staged again behind {place}: {}", differs.unwrap_or_default())
        })?;
    }
    cuts.have_struck()
}

/// Power fails between the word that starts a trial and its first answer.
pub(super) async fn cut_trial<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let (trial, begun) = armed(subject).await?;
    subject.reset(trial.boot).await?;
    subject.meet_behind(trial.boot).await?;
    let mut cuts = Cuts::new(subject.unit.behind().saturating_sub(begun));
    subject.withdraw(&trial).await?;
    while cuts.go_on(subject.limits.cuts) {
        let (trial, _) = armed(subject).await?;
        let (boot, until_ms) = (trial.boot, subject.until(subject.limits.back_ms));
        let deed = async |device: &mut Device| {
            drop(device.ask(Request::Reset { boot_nonce: boot }).await);
            drop(device.connect(until_ms, Some(boot), false, &mut |_| {}).await);
        };
        let struck = cuts.strike(subject, deed).await?;
        let place = struck.unwrap_or_else(|| "the reset".to_owned());
        let facts = subject.meet_again(&place).await?.facts;
        let role =
            if slot_of(facts.running) == Some(trial.slot) { Role::Next } else { subject.home };
        let whole = subject.runs_whole(role).await?;
        whole.map_err(|why| Stop::Broken(format!("behind {place} {why}")))?;
        subject.withdraw(&trial).await?;
    }
    cuts.have_struck()
}

/// Power fails while a trial is confirmed.
pub(super) async fn cut_confirm<U: Unit>(subject: &mut Subject<'_, U>) -> Result<(), Stop> {
    let role = Role::Next;
    let (trial, facts) = subject.run_on_trial(role).await?;
    let begun = subject.unit.behind();
    let request = Request::Confirm { trial_id: trial.id, boot_nonce: facts.boot_nonce };
    subject.plain(request).await?;
    subject.home = role;
    let mut cuts = Cuts::new(subject.unit.behind().saturating_sub(begun));
    while cuts.go_on(subject.limits.cuts) {
        let (trial, facts) = subject.run_on_trial(role).await?;
        let request = Request::Confirm { trial_id: trial.id, boot_nonce: facts.boot_nonce };
        let deed = async |device: &mut Device| drop(device.ask(request).await);
        let struck = cuts.strike(subject, deed).await?;
        let place = struck.unwrap_or_else(|| "the confirm".to_owned());
        let status = subject.meet_again(&place).await?.status;
        let whole = subject.runs_whole(role).await?;
        whole.map_err(|why| Stop::Broken(format!("behind {place} {why}")))?;
        let is_confirmed = status.active.and_then(slot_of) == Some(trial.slot);
        promised(!(is_confirmed && status.trial.is_some()), || {
            format!("behind {place} the trial is confirmed, and open as well")
        })?;
        if !is_confirmed {
            subject.withdraw(&trial).await?;
        }
    }
    cuts.have_struck()
}

/// A trial that is armed, and what lies behind the device then.
async fn armed<U: Unit>(
    subject: &mut Subject<'_, U>,
) -> Result<(super::subject::Trial, u64), Stop> {
    let trial = subject.open(Role::Next, BOOTS).await?;
    subject.device().arm(trial.id, 1).await?;
    Ok((trial, subject.unit.behind()))
}

/// Cuts in a deed whose length is known.
struct Cuts {
    length: u64,
    struck: u32,
    missed: u32,
}

impl Cuts {
    const fn new(length: u64) -> Self {
        Self { length, struck: 0, missed: 0 }
    }

    /// Whether one more is to be made.
    const fn go_on(&self, cuts: u32) -> bool {
        self.struck < cuts && self.missed < MAX_MISSED
    }

    /// Does the deed with a cut somewhere in it; gives the place in words, if it has struck.
    async fn strike<U: Unit>(
        &mut self,
        subject: &mut Subject<'_, U>,
        deed: impl AsyncFnOnce(&mut Device),
    ) -> Result<Option<String>, Stop> {
        let (so_far, seed) = (subject.chance.below(self.length), subject.chance.next());
        if !subject.unit.cut(so_far, seed, deed).await? {
            // Where the measure is time, the same deed may be shorter than it was.
            self.length = self.length.min(so_far);
            self.missed = self.missed.saturating_add(1);
            return Ok(None);
        }
        self.struck = self.struck.saturating_add(1);
        let (length, measure) = (self.length, subject.unit.measure());
        Ok(Some(format!("a power cut after {so_far} of {length} {measure}")))
    }

    /// A cut that has not struck shows nothing.
    fn have_struck(&self) -> Result<(), Stop> {
        if self.struck > 0 {
            return Ok(());
        }
        Err(Stop::NotChecked("no power cut came before its deed had ended".to_owned()))
    }
}
