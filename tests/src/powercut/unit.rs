//! One device in memory and in virtual time; and what it has to be, followed along.

use std::collections::BTreeMap;

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::{Device, Effect, Input, Next, Outgoing};
use firmware_protocol::flash::{Guarded, TrapFlag as _};
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{self, Request};
use firmware_protocol::record::read_entry;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::start::{self, BootCheck, Handover};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use hw_sim::{Fault, FaultClass, FlashFault, Mishap, Mishaps, Reads, SimFlash, Tear, TrapLine};

use super::belief::{Belief, Resolved, Went};
use super::bytes::{Bytes, bytes_in};
use super::chip::Chip;
use super::client::{Offered, strange};
use super::heard::{Heard, Said};
use super::model::Model;
use super::part::Part;
use super::release::Releases;
use super::truth::{Truth, carries_newer, entry_in_force, slot_of};

/// Why a host gave up on what it was about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The part lost its power.
    PowerLost,
    /// The device has to start anew, for this reason.
    Reset(ResetCause),
    /// The device said no.
    Refused(Refusal),
    /// The device said something else than what was asked for, or nothing.
    Strange(String),
}

/// What runs on a part, and a host at its link.
#[derive(Debug)]
pub struct Unit<'a> {
    /// The part.
    pub part: &'a Part,
    /// What can be staged on it.
    pub releases: &'a Releases,
    /// What the device has to be.
    pub belief: Belief,
    /// What its slots held at its last start.
    pub held: [Bytes; 2],
    /// What a host did with it, line by line, if somebody wants to read it.
    pub story: Option<Vec<String>>,
    /// What strikes it sooner or later.
    pub faults: Vec<Fault>,
    power: Power,
    trap: TrapLine,
    mishaps: Mishaps,
    boots: u64,
    out: Outgoing,
    /// When the watchdog was fed last.
    fed_ms: u64,
    pub(super) now_ms: u64,
    pub(super) last: Next,
    pub(super) next_id: u32,
    pub(super) session: u32,
    pub(super) boot_nonce: u64,
    pub(super) offered: Option<Offered>,
}

type Engine = Device<Vec<u8>, Guarded<SimFlash, TrapLine>, Chip>;

/// Where the flash is.
#[derive(Debug)]
enum Power {
    /// In a device that runs.
    On(Box<Engine>, Handover),
    /// In a device that does not.
    Off(Box<SimFlash>),
}

impl<'a> Unit<'a> {
    /// A device without power, which has to be what `model` is.
    pub fn off(part: &'a Part, releases: &'a Releases, flash: SimFlash, model: Model) -> Self {
        Self {
            part,
            releases,
            belief: Belief::new(model),
            held: [Bytes::Blend; 2],
            story: None,
            faults: Vec::new(),
            trap: flash.trap_line(),
            power: Power::Off(Box::new(flash)),
            mishaps: Mishaps::default(),
            boots: 0,
            out: Outgoing::default(),
            fed_ms: 0,
            now_ms: 0,
            last: IDLE,
            next_id: 1,
            session: 0,
            boot_nonce: 0,
            offered: None,
        }
    }

    /// Some cells read differently each time: a start that meets them may not store what it decides.
    pub fn doubts_weak_cells(&self) -> bool {
        self.faults.iter().any(|fault| {
            let Fault::Flash { what: FlashFault::Cut(Tear::Weak { reads, .. }), .. } = fault else {
                return false;
            };
            matches!(reads, Reads::Each { .. })
        })
    }

    /// Erases may do nothing and say nothing: weak cells may stay where an engine has every reason not to look for
    /// them.
    pub fn doubts_erases(&self) -> bool {
        let is_silent =
            |fault: &Fault| matches!(fault, Fault::Flash { what: FlashFault::Silent, .. });
        self.faults.iter().any(is_silent)
    }

    /// Lets these happen to the device.
    pub fn set_mishaps(&mut self, mishaps: Mishaps) {
        self.mishaps = mishaps;
    }

    /// Nothing more happens to it.
    pub fn clear_mishaps(&mut self) {
        self.mishaps.clear();
    }

    /// What has happened to it.
    pub const fn mishaps(&self) -> &Mishaps {
        &self.mishaps
    }

    /// The part's flash, taken out.
    pub fn into_flash(self) -> SimFlash {
        self.power.into_flash()
    }

    /// The flash, whether or not the device runs.
    pub fn flash(&mut self) -> &mut SimFlash {
        match &mut self.power {
            Power::On(device, _) => device.flash_mut().get_mut(),
            Power::Off(flash) => flash,
        }
    }

    /// Starts what the boot stage finds.
    ///
    /// # Errors
    /// When power fails meanwhile, or the boot stage trips.
    pub fn start(&mut self, cause: ResetCause) -> Result<(), Stop> {
        let parked = Power::Off(Box::new(SimFlash::holding(self.part.spec.clone(), Vec::new())));
        let flash = std::mem::replace(&mut self.power, parked).into_flash();
        self.boots += 1;
        (self.now_ms, self.fed_ms) = (0, 0);
        (self.next_id, self.session) = (1, 0);
        self.last = IDLE;
        self.out = Outgoing::default();
        self.offered = None;
        self.mishaps.restart();
        self.trap.take();
        self.held = bytes_in(&flash, self.part, self.releases);
        let disturbed = disturbed(flash.fired());
        let astray = astray(flash.fired());
        let unread = unread(flash.fired());
        let [first, second] = self.part.layout.record();
        let is_of_record = |address: &u32| (first.start..second.end()).contains(address);
        let meets_weak_cells =
            self.doubts_weak_cells() && flash.weak_cells().keys().any(is_of_record);
        let mut flash = Guarded::new(flash, self.trap.clone());
        let handover = start::boot(&mut flash, &self.part.layout, cause, BootCheck::Full);
        let stop = if flash.get_mut().is_powered() {
            self.trap.take().then_some(Stop::Reset(ResetCause::Crash))
        } else {
            Some(Stop::PowerLost)
        };
        let is_unsure = disturbed != self::disturbed(flash.get_mut().fired());
        let has_gone_astray = astray != self::astray(flash.get_mut().fired());
        let behind = bytes_in(flash.get_mut(), self.part, self.releases);
        let went = match &stop {
            Some(_) => Went::CutShort,
            None if meets_weak_cells => Went::Unsteady,
            None if is_unsure => Went::Unsure,
            None => Went::Through,
        };
        self.power = if stop.is_some() {
            Power::Off(Box::new(flash.into_inner()))
        } else {
            let chip = Chip::new(self.boots, self.mishaps.random());
            let layout = self.part.layout.clone();
            let window = vec![0; MAX_ENVELOPE_BYTES];
            let device = Device::new(flash, chip, layout, window, MAX_FRAME_BYTES, handover, 0);
            Power::On(Box::new(device), handover)
        };
        let until = self.operations();
        self.belief.started(cause, self.held, went, until);
        // An operation of this start that went to another place may have made a slot whole before it was looked at.
        for (held, behind) in self.held.iter_mut().zip(behind) {
            if has_gone_astray && held.release().is_none() {
                *held = behind;
            }
        }
        if unread != self::unread(self.flash().fired()) {
            self.belief.obeyed_an_older_entry();
        }
        let runs = self.belief.model.runs;
        if self.story.is_some() {
            let part = self.part;
            let entry =
                entry_in_force(self.flash(), part).and_then(|(_, bytes)| read_entry(&bytes));
            let entry = entry.map_or("none".to_owned(), |(head, _)| head.sequence.to_string());
            self.tell(|| {
                format!("start ({}): {went:?}, to run {runs:?}; entry {entry}", cause.word())
            });
        }
        stop.map_or(Ok(()), Err)
    }

    /// Looks which of the states that it may be in the device is in.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn resolve(&mut self) -> Result<Resolved, Stop> {
        let truth = self.look()?;
        Ok(self.belief.resolve(truth, self.releases))
    }

    /// What it is seen to be.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn look(&mut self) -> Result<Truth, Stop> {
        let Power::On(_, handover) = &self.power else {
            return Err(Stop::PowerLost);
        };
        let runs = slot_of(handover.start);
        let status = match self.ask(Request::Status)? {
            Heard::Status(status) => *status,
            other => return strange(&other),
        };
        let root = self.root_version()?;
        let (part, releases) = (self.part, self.releases);
        let carries = self.belief.model.carries && carries_newer(self.flash(), part);
        let bytes = bytes_in(self.flash(), part, releases);
        let truth = Truth { root, status, runs, bytes, carries };
        self.tell(|| truth.in_words(releases));
        Ok(truth)
    }

    /// Adds a line to the story.
    pub(super) fn tell(&mut self, line: impl FnOnce() -> String) {
        let (operations, polls) = (self.operations(), self.mishaps.polls());
        if let Some(story) = &mut self.story {
            story.push(format!("operation {operations:>4}  call {polls:>5}  {}", line()));
        }
    }

    pub(super) fn operations(&mut self) -> u64 {
        self.flash().counters().operations
    }

    /// A millisecond passes.
    pub(super) fn step(&mut self) -> Result<Option<Said>, Stop> {
        self.now_ms += 1;
        self.poll(None)
    }

    /// A frame arrives.
    pub(super) fn frame(
        &mut self,
        kind: Kind,
        sequence: u32,
        payload: &[u8],
    ) -> Result<Option<Said>, Stop> {
        let mut frame = [&Header { kind, sequence }.to_bytes(), payload].concat();
        self.poll(Some(&mut frame))
    }

    fn poll(&mut self, frame: Option<&mut [u8]>) -> Result<Option<Said>, Stop> {
        let Power::On(device, _) = &mut self.power else {
            return Err(Stop::PowerLost);
        };
        let jumps = clock_faults(&self.mishaps);
        let clock_ms = match self.mishaps.before_poll(self.now_ms) {
            Mishap::Poll { clock_ms } => clock_ms,
            Mishap::Reset { cause } => return Err(Stop::Reset(cause)),
            Mishap::Hang => return Err(Stop::Reset(ResetCause::Watchdog)),
        };
        if jumps != clock_faults(&self.mishaps) {
            self.belief.clock_jumped();
        }
        let input = frame.map_or(Input::Nothing, |frame| Input::Frame { link: 0, frame });
        self.last = device.poll(clock_ms, input, &mut self.out);
        let wait_ms = self.last.wake_ms.saturating_sub(clock_ms);
        self.last.wake_ms = self.now_ms.saturating_add(wait_ms);
        if !device.flash_mut().get_mut().is_powered() {
            return Err(Stop::PowerLost);
        }
        if self.trap.take() {
            return Err(Stop::Reset(ResetCause::Crash));
        }
        if matches!(self.last.effect, Effect::Feed { .. }) {
            self.fed_ms = self.now_ms;
        } else if self.now_ms > self.fed_ms + WATCHDOG_MS {
            return Err(Stop::Reset(ResetCause::Watchdog));
        }
        let payload = self.out.take().map(|(_, _, payload)| payload);
        Ok(payload
            .map(|payload| Said::of(message::decode(payload).expect("a device says what decodes"))))
    }
}

impl Power {
    fn into_flash(self) -> SimFlash {
        match self {
            Self::On(device, _) => device.into_parts().0.into_inner(),
            Self::Off(flash) => *flash,
        }
    }
}

/// How many operations went to another place than they were meant for.
fn astray(fired: &BTreeMap<FaultClass, u64>) -> u64 {
    fired.get(&FaultClass::Misdirect).copied().unwrap_or(0)
}

/// How often flash did not do what it was told to.
pub(super) fn disturbed(fired: &BTreeMap<FaultClass, u64>) -> u64 {
    let classes = [FaultClass::Fail, FaultClass::Silent, FaultClass::Misdirect, FaultClass::Worn];
    classes.iter().filter_map(|class| fired.get(class)).sum()
}

fn unread(fired: &BTreeMap<FaultClass, u64>) -> Option<u64> {
    fired.get(&FaultClass::Unread).copied()
}

fn clock_faults(mishaps: &Mishaps) -> Option<u64> {
    mishaps.fired().get(&FaultClass::Clock).copied()
}

const IDLE: Next = Next { effect: Effect::Nothing, wake_ms: 0 };
const MAX_FRAME_BYTES: u32 = 1536;
/// How long an engine may go without feeding the watchdog.
const WATCHDOG_MS: u64 = 3_000;
