//! What scenarios do to a device, and how they look at it.

use firmware_protocol::digest::Digest;
use firmware_protocol::message::{MAX_PIECE_BYTES, Request, TrialTerms};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{RejectReason, SlotId, SlotState};

use super::bundles::{Bundles, Limits, Role};
use super::chance::Chance;
use super::durable::Durable;
use super::finding::{Stop, promised};
use super::unit::{Unit, UnitError};
use crate::bench::{Device, DeviceError, Opened, Staging};
use crate::bundle::VerifiedBundle;
use crate::driver::DriverError;
use crate::qualify::observation::{DeviceFacts, Where};
use crate::session::transfer::Staged;

/// Longest stage, in microseconds: what no usual device reaches.
const STAGE_US: u64 = 3_600_000_000;
/// Between two looks at a device that has to come back, in milliseconds.
const LOOK_MS: u64 = 200;
/// By which the suite's trials are judged: by nobody's plan.
const PLAN: Digest = Digest([0x5C; 32]);

/// A device under test, and what a scenario has to work with.
pub(super) struct Subject<'a, U> {
    pub(super) unit: &'a mut U,
    pub(super) bundles: &'a Bundles,
    pub(super) limits: Limits,
    pub(super) chance: Chance,
    /// The healthy version that is confirmed, as far as the suite knows.
    pub(super) home: Role,
    /// The floor behind what the suite has confirmed.
    pub(super) floor: u64,
}

/// A trial that is open, and the boot in which it was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    pub(super) id: u32,
    pub(super) role: Role,
    /// The slot on trial.
    pub(super) slot: SlotId,
    /// The boot behind which the trial's own comes.
    pub(super) boot: u64,
}

impl<'a, U: Unit> Subject<'a, U> {
    pub(super) fn device(&mut self) -> &mut Device {
        self.unit.device()
    }

    /// The bundle of a role that devices admit.
    pub(super) fn bundle(&self, role: Role) -> Result<&'a VerifiedBundle, Stop> {
        let bundles: &'a Bundles = self.bundles;
        bundles.verified(role).ok_or_else(|| Stop::NotChecked(format!("no bundle `{role}`")))
    }

    pub(super) fn until(&mut self, within_ms: u64) -> u64 {
        self.device().now_ms().saturating_add(within_ms)
    }

    /// Reaches the device and opens a session.
    pub(super) async fn meet(&mut self) -> Result<Opened, Stop> {
        let until_ms = self.until(self.limits.back_ms);
        Ok(self.device().connect(until_ms, None, true, &mut |_| {}).await?)
    }

    /// As [`Subject::meet`], where a device that does not answer has broken its promise: `behind` says behind what.
    pub(super) async fn meet_again(&mut self, behind: &str) -> Result<Opened, Stop> {
        let back_s = self.limits.back_ms.div_ceil(1_000);
        self.meet().await.map_err(|stop| match stop {
            Stop::Unit(UnitError::Device(error)) if is_silent(&error) => {
                Stop::Broken(format!("it does not answer for {back_s} s behind {behind}"))
            }
            stop @ (Stop::Broken(_)
            | Stop::NotChecked(_)
            | Stop::NotDefended(_)
            | Stop::Refused(_)
            | Stop::Bench(_)
            | Stop::Unit(_)) => stop,
        })
    }

    /// Reaches it in another boot than this one, and opens a session.
    pub(super) async fn meet_behind(&mut self, boot: u64) -> Result<Opened, Stop> {
        let until_ms = self.until(self.limits.back_ms);
        let opened = self.device().connect(until_ms, Some(boot), true, &mut |_| {}).await;
        let back_s = self.limits.back_ms.div_ceil(1_000);
        opened.map_err(|error| match error {
            error if is_silent(&error) => {
                Stop::Broken(format!("no other boot answers for {back_s} s behind a reset"))
            }
            error => error.into(),
        })
    }

    pub(super) async fn durable(&mut self) -> Result<Durable, Stop> {
        Durable::of(self.device()).await
    }

    /// Brings a bundle into the spare slot.
    pub(super) async fn stage(&mut self, role: Role) -> Result<Staged, Stop> {
        let bundle = self.bundle(role)?;
        let staging = self.staging().await?;
        Ok(self.device().stage(bundle, staging).await?)
    }

    /// Into which slot, now that the device was reached.
    pub(super) async fn staging(&mut self) -> Result<Staging, Stop> {
        let opened = self.meet().await?;
        let spare = spare(&opened.facts);
        Ok(Staging { spare, again: true, limit_us: STAGE_US })
    }

    /// Makes sure that the next stage of `next` has to write: another bundle lies in the spare slot, or a rejected one.
    pub(super) async fn spoil(&mut self) -> Result<(), Stop> {
        let floor = self.meet().await?.status.accept_floor;
        let others = [Role::Fails, Role::Hangs, Role::Crashes, Role::Deaf, Role::Base];
        let admits =
            |role: &Role| self.bundles.security_version(*role).is_some_and(|it| it >= floor);
        if let Some(other) = others.into_iter().find(admits) {
            self.stage(other).await?;
        } else {
            let trial = self.open(Role::Next, 1).await?;
            self.withdraw(&trial).await?;
        }
        Ok(())
    }

    /// Stages a bundle and opens a trial of it, for so many boots.
    pub(super) async fn open(&mut self, role: Role, boots: u16) -> Result<Trial, Stop> {
        let bundle = self.bundle(role)?.bundle().digest();
        let staged = self.stage(role).await?;
        let boot = self.device().identify().await?.boot_nonce;
        let Limits { lease_ms, boot_max_ms, .. } = self.limits;
        let few = u8::try_from(boots).unwrap_or(u8::MAX);
        let terms = TrialTerms { boots, crashes: few, power_failures: few, lease_ms, boot_max_ms };
        let id = self.device().open_trial(bundle, PLAN, terms).await?;
        Ok(Trial { id, role, slot: staged.slot, boot })
    }

    /// Opens a trial and sends the device into it, whatever becomes of that.
    pub(super) async fn send_on_trial(&mut self, role: Role) -> Result<Trial, Stop> {
        let trial = self.open(role, 1).await?;
        self.device().arm(trial.id, 1).await?;
        self.reset(trial.boot).await?;
        Ok(trial)
    }

    /// Opens a trial of a healthy version and sees it run.
    pub(super) async fn run_on_trial(&mut self, role: Role) -> Result<(Trial, DeviceFacts), Stop> {
        let trial = self.send_on_trial(role).await?;
        let facts = self.meet_behind(trial.boot).await?.facts;
        if slot_of(facts.running) != Some(trial.slot) {
            let why = format!("the trial of `{role}` did not start: {} runs", facts.running);
            return Err(Stop::Broken(why));
        }
        Ok((trial, facts))
    }

    pub(super) async fn reset(&mut self, boot_nonce: u64) -> Result<(), Stop> {
        self.plain(Request::Reset { boot_nonce }).await.map_err(Stop::from)
    }

    /// Asks for something that is done or refused.
    pub(super) async fn plain(&mut self, request: Request<'_>) -> Result<(), DeviceError> {
        let answer = self.device().ask(request).await?;
        answer.reply().map(|_| ()).map_err(DeviceError::Refused)
    }

    /// As [`Subject::plain`], for what has to be refused; `None` when it was not.
    pub(super) async fn refusal(&mut self, request: Request<'_>) -> Result<Option<Refusal>, Stop> {
        refused(self.plain(request).await)
    }

    /// Offers a document piece by piece.
    pub(super) async fn offer(&mut self, document: &[u8]) -> Result<(), DeviceError> {
        let total_bytes = u32::try_from(document.len()).unwrap_or(u32::MAX);
        for (index, bytes) in document.chunks(MAX_PIECE_BYTES).enumerate() {
            let offset = u32::try_from(index.saturating_mul(MAX_PIECE_BYTES)).unwrap_or(u32::MAX);
            self.plain(Request::Offer { total_bytes, offset, bytes }).await?;
        }
        Ok(())
    }

    /// Gives a trial up, by no fault of the bundle, and waits until the confirmed version runs.
    pub(super) async fn withdraw(&mut self, trial: &Trial) -> Result<(), Stop> {
        match refused(self.plain(Request::Withdraw { trial_id: trial.id }).await)? {
            // A trial of the version that was confirmed meanwhile is over, too.
            None | Some(Refusal::NoTrial | Refusal::WrongTrial { .. }) => {}
            Some(refusal) => return Err(DeviceError::Refused(refusal).into()),
        }
        self.back_from(trial, self.limits.back_ms).await?.map(drop).map_err(Stop::Broken)
    }

    /// Waits, without a word that would renew a lease, until the trial is over and the confirmed version runs; or says
    /// what there is instead.
    pub(super) async fn back_from(
        &mut self,
        trial: &Trial,
        within_ms: u64,
    ) -> Result<Result<Opened, String>, Stop> {
        let until_ms = self.until(within_ms);
        let mut seen = "it does not answer".to_owned();
        loop {
            let looked = self.device().connect(until_ms, None, false, &mut |_| {}).await;
            match looked {
                Ok(opened) => {
                    let running = slot_of(opened.facts.running);
                    if opened.status.trial.is_none() && running == Some(trial.slot.other()) {
                        return Ok(Ok(opened));
                    }
                    let open = if opened.status.trial.is_some() { "is open" } else { "is over" };
                    seen = format!("the trial {open}, and {} runs", opened.facts.running);
                }
                Err(error @ DeviceError::NotReached { .. }) => {
                    tracing::debug!(%error, "is not back");
                }
                Err(error) => return Err(error.into()),
            }
            if self.device().now_ms() >= until_ms {
                let role = trial.role;
                return Ok(Err(format!(
                    "{} s behind the trial of `{role}`: {seen}",
                    within_ms.div_ceil(1_000)
                )));
            }
            self.pause(LOOK_MS).await;
        }
    }

    /// Lets time pass without a word, where no session is open; on the same link, if there is one.
    pub(super) async fn pause(&mut self, pause_ms: u64) {
        let until_ms = self.until(pause_ms);
        if self.device().wait_until(until_ms).await.is_err() {
            self.unit.be_silent(pause_ms).await;
        }
    }

    /// Longest time that a trial lasts which nobody renews, until the confirmed version has to be back: what ends it may
    /// take 2 s more (BOOT.md, "Lease, boot limit, hardware deadline").
    pub(super) fn trial_life_ms(&self) -> u64 {
        u64::from(self.limits.lease_ms).saturating_add(2_000).saturating_add(self.limits.back_ms)
    }

    /// Holds what a slot holds against what was signed; says what differs.
    pub(super) async fn differs(
        &mut self,
        slot: SlotId,
        role: Role,
    ) -> Result<Option<String>, Stop> {
        let manifest = self.bundle(role)?.manifest();
        let areas = self.device().areas().await?;
        for (index, claims) in manifest.components.iter().enumerate() {
            let name = &claims.name;
            let Some(area) = areas.iter().position(|area| area == name) else {
                return Ok(Some(format!("the device has no area for {name}")));
            };
            let Some((_, signed)) = manifest.variant_for(index, slot) else {
                return Ok(Some(format!("`{role}` has no {name} for slot {slot}")));
            };
            let area = u8::try_from(area).unwrap_or(u8::MAX);
            let (digest, length, is_tail_blank) = self.device().hash(slot, area).await?;
            if (digest, length) != (signed.digest, signed.length) {
                return Ok(Some(format!("{name} in slot {slot} is not that of `{role}`")));
            }
            if !is_tail_blank {
                return Ok(Some(format!("slot {slot} is not erased behind {name}")));
            }
        }
        Ok(None)
    }

    /// Whether `role` is what runs, and all of it.
    pub(super) async fn runs_whole(&mut self, role: Role) -> Result<Result<(), String>, Stop> {
        let facts = self.device().identify().await?;
        let digest = self.bundle(role)?.bundle().digest();
        let Some(slot) = slot_of(facts.running) else {
            return Ok(Err("its recovery image runs".to_owned()));
        };
        if facts.bundle != Some(digest.0) {
            let version = facts.version;
            return Ok(Err(format!("version {version} runs, and not `{role}`")));
        }
        Ok(self.differs(slot, role).await?.map_or(Ok(()), Err))
    }
}

/// Whether it is the device that says nothing, over a link that opens.
fn is_silent(error: &DeviceError) -> bool {
    match error {
        DeviceError::NotReached { source, .. } => is_silent(source),
        DeviceError::OutOfTurn(_) | DeviceError::Driver(DriverError::NoAnswer { .. }) => true,
        DeviceError::Driver(_)
        | DeviceError::Refused(_)
        | DeviceError::DelegationRefused(_)
        | DeviceError::TooSlow { .. }
        | DeviceError::Version { .. }
        | DeviceError::Impostor { .. }
        | DeviceError::Stranger { .. }
        | DeviceError::Known(_)
        | DeviceError::Random(_)
        | DeviceError::Held(_) => false,
    }
}

/// What a request was refused with.
pub(super) fn refused(done: Result<(), DeviceError>) -> Result<Option<Refusal>, Stop> {
    let Err(error) = done else { return Ok(None) };
    match error.refusal() {
        Some(Refusal::Busy) | None => Err(error.into()),
        Some(refusal) => Ok(Some(refusal)),
    }
}

/// The slot that a stage goes into.
pub(super) fn spare(facts: &DeviceFacts) -> SlotId {
    slot_of(facts.running).map_or(SlotId::A, SlotId::other)
}

pub(super) const fn slot_of(running: Where) -> Option<SlotId> {
    match running {
        Where::SlotA => Some(SlotId::A),
        Where::SlotB => Some(SlotId::B),
        Where::Recovery => None,
    }
}

/// Why a slot was rejected, if it was.
pub(super) fn rejection(durable: &Durable, slot: SlotId) -> Option<RejectReason> {
    match durable.slots.get(slot) {
        SlotState::Rejected { reason, .. } => Some(*reason),
        SlotState::Empty
        | SlotState::Writing { .. }
        | SlotState::Staged { .. }
        | SlotState::Admitted { .. } => None,
    }
}

impl<U: Unit> Subject<'_, U> {
    /// Holds the record against the end of a trial: nothing else is confirmed, and its slot was given up, for `reason`
    /// where that is known.
    pub(super) async fn is_gone(
        &mut self,
        trial: &Trial,
        reason: Option<RejectReason>,
    ) -> Result<(), Stop> {
        let now = self.durable().await?;
        let home = trial.slot.other();
        promised(now.active == Some(home), || {
            format!("slot {home} is no longer the confirmed one")
        })?;
        let got = rejection(&now, trial.slot);
        let state = now.slots.get(trial.slot).word();
        promised(got.is_some(), || format!("slot {} is {state}, and not rejected", trial.slot))?;
        promised(reason.is_none() || got == reason, || {
            let expected = reason.map_or("", RejectReason::explanation);
            let got = got.map_or("", RejectReason::explanation);
            format!("the record says that {got}; expected: {expected}")
        })
    }
}
