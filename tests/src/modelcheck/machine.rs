//! The device: the real engine behind the real boot stage, on flash in memory, on the same clock as its host.

use std::sync::Arc;

use firmware_protocol::boot::{BootState, ResetCause, Start};
use firmware_protocol::device::{Device, Effect, Input, Next, Outgoing};
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{self, Chunk, FromDevice};
use firmware_protocol::start::{self, BootCheck, Handover};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;

use super::chip::{Chip, FIRST_NONCE, Verdict};
use super::memory::{Memory, Window};
use super::question::{Heard, Question};
use super::scene::Scene;
use super::witness::{Violation, Witness};
use crate::powercut::release::BLOCK_BYTES;

type Engine = Device<Window, Memory, Chip>;

/// A device that runs.
#[derive(Debug, Clone)]
pub struct Machine {
    engine: Engine,
    /// What the boot stage has started, and why.
    pub handover: Handover,
    /// Its record.
    pub record: Arc<BootState>,
    /// The host's clock, in milliseconds.
    pub now_ms: u64,
    began_ms: u64,
    /// The lease was renewed last, in milliseconds.
    renewed_ms: u64,
    /// The session that is open.
    session: Option<u32>,
    boots: u32,
    wake_ms: u64,
}

/// What came of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivered {
    /// This answer.
    Answer(Heard),
    /// The device works on something, or said nothing.
    Silence,
    /// Its power failed, as it was to.
    Cut,
}

/// A frame on its way: what it asks, under which number, in which session.
#[derive(Debug, Clone, Copy)]
pub struct Letter {
    /// What it asks.
    pub question: Question,
    /// The request's number.
    pub id: u32,
    /// The session that it names.
    pub session: u32,
}

impl Machine {
    /// A device with this flash, started.
    ///
    /// # Errors
    /// When it starts what it may not.
    pub fn start(
        flash: Memory,
        cause: ResetCause,
        now_ms: u64,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<Self, Violation> {
        Self::boot(flash, cause, now_ms, (0, 0), scene, witness)
    }

    fn boot(
        mut flash: Memory,
        cause: ResetCause,
        now_ms: u64,
        (boots, sessions): (u32, u32),
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<Self, Violation> {
        let before = scene.record(&flash).unwrap_or_default();
        let handover = start::boot(&mut flash, &scene.part.layout, cause, BootCheck::Full);
        let record = scene.record(&flash).unwrap_or_default();
        witness.started(&before, &record, &handover)?;
        let boots = boots + 1;
        let window = Window::new(MAX_ENVELOPE_BYTES);
        let chip = Chip::new(boots, sessions);
        let layout = scene.part.layout.clone();
        let engine = Device::new(flash, chip, layout, window, MAX_FRAME_BYTES, handover, now_ms);
        Ok(Self {
            engine,
            handover,
            record: Arc::new(record),
            now_ms,
            began_ms: now_ms,
            renewed_ms: now_ms,
            session: None,
            boots,
            wake_ms: now_ms,
        })
    }

    /// Starts anew.
    ///
    /// # Errors
    /// When it starts what it may not.
    pub fn restart(
        &mut self,
        cause: ResetCause,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<(), Violation> {
        let chip = self.engine.board_mut();
        let sessions = chip.sessions();
        let mut flash = self.engine.flash_mut().clone();
        flash.set_dying(None);
        *self = Self::boot(flash, cause, self.now_ms, (self.boots, sessions), scene, witness)?;
        Ok(())
    }

    /// Starts anew, and loses its power behind so many operations of the boot stage, then starts for good. False when
    /// the boot stage does less than that.
    ///
    /// # Errors
    /// When it starts what it may not.
    pub fn restart_twice(
        &mut self,
        cause: ResetCause,
        operations: u32,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<bool, Violation> {
        let mut flash = self.engine.flash_mut().clone();
        let before = flash.operations();
        flash.set_dying(Some(operations));
        start::boot(&mut flash, &scene.part.layout, cause, BootCheck::Full);
        if flash.operations() < before + operations {
            return Ok(false);
        }
        *self.engine.flash_mut() = flash;
        self.restart(ResetCause::PowerOn, scene, witness)?;
        Ok(true)
    }

    /// Delivers a frame and waits for what is said to it at once. With `cut_behind`, power fails behind so many
    /// operations of flash.
    ///
    /// # Errors
    /// When the device does what it may not.
    pub fn deliver(
        &mut self,
        letter: Letter,
        cut_behind: Option<u32>,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<Delivered, Violation> {
        let release = scene.new_release();
        let mut bytes = match letter.question {
            Question::Chunk { component, block } => {
                let payload = &release.payloads[usize::from(component)];
                let bytes = payload.chunks(BLOCK_BYTES as usize).nth(block as usize);
                let offset = u64::from(block * BLOCK_BYTES);
                let bytes = bytes.unwrap_or_default();
                let chunk = Chunk { session: letter.session, component, offset, bytes };
                frame(Kind::Chunk, letter.id, &[&chunk.head(), bytes].concat())
            }
            question => {
                let payload = question.bytes(letter.id, letter.session, release);
                frame(Kind::Message, letter.id, &payload)
            }
        };
        self.engine.flash_mut().set_dying(cut_behind);
        let asked = Some(letter.question);
        let mut input = Some(bytes.as_mut_slice());
        let mut answer = None;
        loop {
            let boot = self.boots;
            let said = self.poll(input.take(), asked, scene, witness)?;
            if boot != self.boots {
                break;
            }
            if self.engine.flash_mut().is_dead() {
                return Ok(Delivered::Cut);
            }
            if let Some(heard) = said {
                self.note_sign_of_life(letter, &heard);
                answer = Some(heard);
            }
            if answer.is_some() || self.wake_ms > self.now_ms {
                break;
            }
        }
        self.settle(asked, scene, witness)?;
        self.engine.flash_mut().set_dying(None);
        Ok(answer.map_or(Delivered::Silence, Delivered::Answer))
    }

    /// What is to be done at once is done.
    fn settle(
        &mut self,
        asked: Option<Question>,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<(), Violation> {
        while self.wake_ms <= self.now_ms {
            self.poll(None, asked, scene, witness)?;
        }
        Ok(())
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// When the device does what it may not.
    pub fn pass(
        &mut self,
        until_ms: u64,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<(), Violation> {
        while self.now_ms < until_ms {
            self.now_ms = self.wake_ms.max(self.now_ms + 1).min(until_ms);
            self.poll(None, None, scene, witness)?;
            self.settle(None, scene, witness)?;
        }
        Ok(())
    }

    fn poll(
        &mut self,
        frame: Option<&mut [u8]>,
        asked: Option<Question>,
        scene: &Scene,
        witness: &mut Witness,
    ) -> Result<Option<Heard>, Violation> {
        let mut out = Outgoing::default();
        let operations = self.engine.flash_mut().operations();
        let input = frame.map_or(Input::Nothing, |frame| Input::Frame { link: 0, frame });
        let Next { effect, wake_ms } = self.engine.poll(self.now_ms, input, &mut out);
        self.wake_ms = wake_ms;
        if self.engine.flash_mut().operations() != operations {
            let record = scene.record(self.engine.flash_mut()).unwrap_or_default();
            if record != *self.record {
                let nonce = self.nonce();
                witness.changed(&self.record, &record, asked, nonce, scene)?;
                self.record = Arc::new(record);
            }
        }
        if effect == Effect::Reset {
            self.restart(ResetCause::Requested, scene, witness)?;
            return Ok(None);
        }
        let payload = out.take().map(|(_, _, payload)| payload);
        Ok(payload.and_then(|payload| match message::decode(payload) {
            Some(FromDevice::Reply { reply, .. }) => Some(Heard::of(reply, self.now_ms)),
            Some(FromDevice::Ack(_) | FromDevice::Console(_)) | None => None,
        }))
    }

    fn note_sign_of_life(&mut self, letter: Letter, heard: &Heard) {
        if let Heard::Session(session) = heard {
            self.session = Some(*session);
        }
        let begins = matches!(heard, Heard::Session(_) | Heard::Trial(_));
        if begins || self.session == Some(letter.session) {
            self.renewed_ms = self.now_ms;
        }
        self.session = self.session.filter(|_| letter.question != Question::CloseSession);
    }

    /// Says how the check comes out that is run next.
    pub fn set_verdict(&mut self, verdict: Verdict) {
        self.engine.board_mut().verdict = verdict;
    }

    /// When the open trial ends by itself: by its lease, or by its longest boot.
    pub fn trial_ends_ms(&self) -> Option<u64> {
        let trial = self.record.trial?;
        let lease_ms = self.renewed_ms + u64::from(trial.lease_ms);
        let boot_ms = self.began_ms + u64::from(trial.boot_max_ms);
        Some(if self.runs_trial() { lease_ms.min(boot_ms) } else { lease_ms })
    }

    /// The image of the open trial runs.
    pub fn runs_trial(&self) -> bool {
        let slot = self.record.trial.filter(|trial| trial.entered).map(|trial| trial.slot);
        slot.is_some_and(|slot| self.handover.start == Start::Slot(slot))
    }

    /// The trial's boot that runs, if one does.
    pub fn trial_boot(&self) -> Option<(u32, u64)> {
        let trial = self.record.trial.filter(|_| self.runs_trial())?;
        Some((trial.trial_id, self.nonce()))
    }

    /// Starts so far.
    pub const fn boots(&self) -> u32 {
        self.boots
    }

    /// How long this boot has lasted, in milliseconds.
    pub const fn uptime_ms(&self) -> u64 {
        self.now_ms - self.began_ms
    }

    /// Flash as it is.
    pub fn flash(&mut self) -> &mut Memory {
        self.engine.flash_mut()
    }

    /// The engine, to be printed.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    fn nonce(&self) -> u64 {
        FIRST_NONCE + u64::from(self.boots)
    }
}

fn frame(kind: Kind, sequence: u32, payload: &[u8]) -> Vec<u8> {
    [&Header { kind, sequence }.to_bytes(), payload].concat()
}

/// Longest frame, in bytes.
const MAX_FRAME_BYTES: u32 = 1536;
