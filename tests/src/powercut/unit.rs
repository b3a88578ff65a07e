//! One device and a host that speaks to it, in memory and in virtual time; and what the device has to be,
//! followed along.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::{
    Board, BoardInfo, Device, Effect, Input, Next, Outgoing, RandomFault,
};
use firmware_protocol::flash::{Guarded, TrapFlag as _};
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{
    self, CheckInfo, Chunk, FromDevice, Reading, Reply, Request, Status, ToDevice, TrialTerms,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::RejectReason;
use firmware_protocol::start::{self, BootCheck, Handover};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use hw_sim::{Mishap, Mishaps, RandomFaults, SimFlash, TrapLine};

use super::model::{Event, Model, Opening};
use super::part::Part;
use super::release::{BLOCK_BYTES, Release, Releases};
use super::truth::{Differs, Truth, bytes_in, slot_of};

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
    power: Power,
    trap: TrapLine,
    mishaps: Mishaps,
    now_ms: u64,
    last: Next,
    next_id: u32,
    session: u32,
    boot_nonce: u64,
    boots: u64,
    out: Outgoing,
    offered: Option<Offered>,
    /// What the device has to be.
    pub model: Model,
    /// What it may be instead behind its next start: changes that it was asked for and did not acknowledge.
    pub maybe: Vec<Model>,
    /// What has happened, if somebody wants to know.
    pub log: Option<Vec<Step>>,
}

/// Something that has happened, and up to which flash operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// Operations of the part when it was over.
    pub until: u64,
    /// What the device had to be before.
    pub before: Model,
    /// What it has to be now.
    pub after: Model,
}

/// What a device was found to be.
#[derive(Debug)]
pub struct Resolved {
    /// What was seen.
    pub truth: Truth,
    /// What is not as it may be, if anything.
    pub differs: Option<Differs>,
    /// Which of the states it may have been in, the first one being [`Unit::model`].
    pub place: usize,
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

/// The signed document that the device was given last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offered {
    Root(u32),
    Release(u8),
}

impl<'a> Unit<'a> {
    /// A device without power, which has to be what `model` is.
    pub fn off(part: &'a Part, releases: &'a Releases, flash: SimFlash, model: Model) -> Self {
        Self {
            part,
            releases,
            trap: flash.trap_line(),
            power: Power::Off(Box::new(flash)),
            mishaps: Mishaps::default(),
            now_ms: 0,
            last: Next { effect: Effect::Nothing, wake_ms: 0 },
            next_id: 1,
            session: 0,
            boot_nonce: 0,
            boots: 0,
            out: Outgoing::default(),
            offered: None,
            model,
            maybe: Vec::new(),
            log: None,
        }
    }

    /// Lets these happen to the device.
    pub fn set_mishaps(&mut self, mishaps: Mishaps) {
        self.mishaps = mishaps;
    }

    /// What has happened to it.
    pub const fn mishaps(&self) -> &Mishaps {
        &self.mishaps
    }

    /// The part's flash, taken out.
    pub fn into_flash(self) -> SimFlash {
        match self.power {
            Power::On(device, _) => device.into_parts().0.into_inner(),
            Power::Off(flash) => *flash,
        }
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
        let flash = match std::mem::replace(&mut self.power, parked) {
            Power::On(device, _) => device.into_parts().0.into_inner(),
            Power::Off(flash) => *flash,
        };
        self.boots += 1;
        (self.now_ms, self.next_id, self.session) = (0, 1, 0);
        self.last = Next { effect: Effect::Nothing, wake_ms: 0 };
        self.out = Outgoing::default();
        self.offered = None;
        self.mishaps.restart();
        self.trap.take();
        let bytes = bytes_in(&flash, self.part, self.releases);
        let mut flash = Guarded::new(flash, self.trap.clone());
        let handover = start::boot(&mut flash, &self.part.layout, cause, BootCheck::Full);
        let stop = if !flash.get_mut().is_powered() {
            Some(Stop::PowerLost)
        } else {
            self.trap.take().then_some(Stop::Reset(ResetCause::Crash))
        };
        if let Some(stop) = stop {
            self.power = Power::Off(Box::new(flash.into_inner()));
            self.started(Event::Started { cause, bytes }, false);
            return Err(stop);
        }
        let chip = Chip { boots: self.boots, drawn: 0, random: self.mishaps.random() };
        let layout = self.part.layout.clone();
        let window = vec![0; MAX_ENVELOPE_BYTES];
        let device = Device::new(flash, chip, layout, window, MAX_FRAME_BYTES, handover, 0);
        self.power = Power::On(Box::new(device), handover);
        self.started(Event::Started { cause, bytes }, true);
        Ok(())
    }

    /// Follows a start: every state that the device may have been in leads to another one. A start that was cut
    /// short may have stored what it had decided, or not.
    fn started(&mut self, event: Event, is_whole: bool) {
        let until = self.operations();
        let before: Vec<Model> =
            std::iter::once(self.model.clone()).chain(self.maybe.drain(..)).collect();
        let after: Vec<Model> = before.iter().map(|model| model.after(event)).collect();
        if let Some(log) = &mut self.log {
            let (before, after) = (before[0].clone(), after[0].clone());
            log.push(Step { until, before, after });
        }
        let mut all = if is_whole { after } else { [before, after].concat() };
        self.model = all.remove(0);
        for model in all {
            if model != self.model && !self.maybe.contains(&model) {
                self.maybe.push(model);
            }
        }
    }

    /// Looks which of the states that it may be in the device is in.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn resolve(&mut self) -> Result<Resolved, Stop> {
        let truth = self.look()?;
        let candidates = std::iter::once(&self.model).chain(&self.maybe);
        let fits = |model: &&Model| truth.differs(model, self.releases).is_none();
        let Some(place) = candidates.clone().position(|model| fits(&model)) else {
            let differs = truth.differs(&self.model, self.releases);
            return Ok(Resolved { truth, differs, place: 0 });
        };
        if let Some(model) = place.checked_sub(1).map(|place| self.maybe.swap_remove(place)) {
            self.model = model;
        }
        // A first record that is in doubt may still appear: nothing could be written in its place.
        if self.model.recorded {
            self.maybe.clear();
        }
        Ok(Resolved { truth, differs: None, place })
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
        Ok(Truth { root, status, runs, bytes: bytes_in(self.flash(), part, releases) })
    }

    /// Asks in the session and waits for the answer.
    pub fn ask(&mut self, request: Request<'_>) -> Result<Heard, Stop> {
        let event = self.event_of(request);
        let answer = self.exchange(request);
        match answer {
            Ok(heard) => {
                self.happened(event);
                Ok(heard)
            }
            Err(stop) => self.cut_short(event, stop),
        }
    }

    fn exchange(&mut self, request: Request<'_>) -> Result<Heard, Stop> {
        let id = self.next_id;
        self.next_id += 1;
        let mut bytes = [0; 1536];
        let payload = message::encode(&ToDevice { id, session: self.session, request }, &mut bytes);
        let payload = payload.unwrap().to_vec();
        let mut said = self.frame(Kind::Message, id, &payload)?;
        for _ in 0..MOST_POLLS {
            if let Some(Said::Reply(named, reply)) = said
                && named == id
            {
                return reply.map_err(Stop::Refused);
            }
            said = self.step()?;
        }
        Err(Stop::Strange(format!("no answer to {request:?}")))
    }

    /// What a request comes to when it is acknowledged.
    fn event_of(&self, request: Request<'_>) -> Event {
        let release = match self.offered {
            Some(Offered::Release(number)) => number,
            Some(Offered::Root(_)) | None => 0,
        };
        match request {
            Request::Enroll => match self.offered {
                Some(Offered::Root(version)) => Event::Enrolled(version),
                Some(Offered::Release(_)) | None => Event::Nothing,
            },
            Request::Stage { .. } => Event::Staging(release),
            Request::Finish => Event::Staged(release),
            Request::OpenTrial { bundle, terms, .. } => {
                self.releases.of(bundle).map_or(Event::Nothing, |of| opened(of, terms))
            }
            Request::Arm { boots, .. } => Event::Armed(boots),
            Request::Confirm { .. } => Event::Confirmed,
            Request::Rollback { .. } => Event::GivenUp(RejectReason::HostDecided),
            Request::Withdraw { .. } => Event::GivenUp(RejectReason::Withdrawn),
            _ => Event::Nothing,
        }
    }

    /// The device has acknowledged it; what it may have done before counts no more.
    pub fn happened(&mut self, event: Event) {
        let until = self.operations();
        let before = self.model.clone();
        self.model = before.after(event);
        if event != Event::Nothing {
            self.maybe.clear();
        }
        if let Some(log) = &mut self.log {
            log.push(Step { until, before, after: self.model.clone() });
        }
    }

    /// The device was asked for it, or was about to do it, and has not acknowledged it.
    fn cut_short<T>(&mut self, event: Event, stop: Stop) -> Result<T, Stop> {
        let refused = matches!(stop, Stop::Refused(refusal) if refusal != Refusal::Flash);
        if event != Event::Nothing && !refused {
            self.maybe.push(self.model.after(event));
        }
        Err(stop)
    }

    fn operations(&mut self) -> u64 {
        self.flash().counters().operations
    }

    /// Opens a session.
    pub fn open_session(&mut self) -> Result<(), Stop> {
        match self.ask(Request::Hello { min: 1, current: 1 })? {
            Heard::Hello(boot_nonce) => self.boot_nonce = boot_nonce,
            other => return strange(&other),
        }
        for _ in 0..MOST_TRIES {
            match self.ask(Request::OpenSession { take_over: true, trial_id: 0 }) {
                // A random source may fail for a while.
                Err(Stop::Refused(Refusal::NoRandom)) => {}
                Ok(Heard::Session(session)) => {
                    self.session = session;
                    // The nonce of a boot whose source had failed is drawn with the session.
                    if let Heard::Hello(boot_nonce) =
                        self.ask(Request::Hello { min: 1, current: 1 })?
                    {
                        self.boot_nonce = boot_nonce;
                    }
                    return Ok(());
                }
                Ok(other) => return strange(&other),
                Err(stop) => return Err(stop),
            }
        }
        Err(Stop::Refused(Refusal::NoRandom))
    }

    /// What the device says it is.
    pub fn status(&mut self) -> Result<Status, Stop> {
        match self.ask(Request::Status)? {
            Heard::Status(status) => Ok(*status),
            other => strange(&other),
        }
    }

    /// Version of the root record in force; zero for none.
    pub fn root_version(&mut self) -> Result<u32, Stop> {
        match self.ask(Request::Identify)? {
            Heard::Identity(root_version) => Ok(root_version),
            other => strange(&other),
        }
    }

    /// Names this boot.
    pub const fn boot_nonce(&self) -> u64 {
        self.boot_nonce
    }

    /// Hands a release's manifest over.
    pub fn offer_release(&mut self, number: u8) -> Result<(), Stop> {
        let releases = self.releases;
        self.offer(&releases.get(number).envelope)?;
        self.offered = Some(Offered::Release(number));
        Ok(())
    }

    /// Hands a root record over.
    pub fn offer_root(&mut self, version: u32) -> Result<(), Stop> {
        let releases = self.releases;
        self.offer(releases.root(version))?;
        self.offered = Some(Offered::Root(version));
        Ok(())
    }

    fn offer(&mut self, document: &[u8]) -> Result<(), Stop> {
        let total_bytes = u32::try_from(document.len()).unwrap();
        let mut offset = 0;
        for bytes in document.chunks(1024) {
            self.ask(Request::Offer { total_bytes, offset, bytes })?;
            offset += u32::try_from(bytes.len()).unwrap();
        }
        Ok(())
    }

    /// Sends the blocks of a component that are missing, by the block list; gives how many there were.
    pub fn send_missing(&mut self, release: &Release, component: u8) -> Result<u32, Stop> {
        let payload = &release.payloads[usize::from(component)];
        let opened = self.ask(Request::OpenComponent { index: component })?;
        if opened == Heard::WorthListing {
            let digests = release.block_list(usize::from(component));
            self.ask(Request::BlockList { first_block: 0, digests: &digests })?;
        }
        let (missing, bits) = match self.ask(Request::Missing { first_block: 0 })? {
            Heard::Missing(missing, bits) => (missing, bits),
            other => return strange(&other),
        };
        for (index, block) in payload.chunks(BLOCK_BYTES as usize).enumerate() {
            if bits[index / 8] >> (index % 8) & 1 == 1 {
                self.chunk(component, (index * BLOCK_BYTES as usize) as u64, block)?;
            }
        }
        Ok(missing)
    }

    /// Resets by request, and starts what comes.
    pub fn reset(&mut self) -> Result<(), Stop> {
        let boot_nonce = self.boot_nonce;
        match self.ask(Request::Reset { boot_nonce })? {
            Heard::Done => self.until_reset(1_000),
            other => strange(&other),
        }
    }

    /// The host says nothing for so long; the device may end a trial, and reset for that.
    pub fn fall_silent(&mut self, ms: u64) -> Result<(), Stop> {
        let event = match self.model.trial {
            Some(_) => Event::GivenUp(RejectReason::LeaseExpired),
            None => Event::Nothing,
        };
        let resets = self.model.proves;
        match self.pass(ms) {
            Ok(did_reset) if did_reset == resets && event != Event::Nothing => {
                self.happened(event);
                if did_reset { self.start(ResetCause::Requested) } else { Ok(()) }
            }
            Ok(false) => Ok(()),
            Ok(true) => Err(Stop::Strange("a reset that nobody asked for".to_owned())),
            Err(stop) => self.cut_short(event, stop),
        }
    }

    /// Lets time pass until the device resets itself, and starts what comes.
    pub fn until_reset(&mut self, within_ms: u64) -> Result<(), Stop> {
        if self.pass(within_ms)? {
            return self.start(ResetCause::Requested);
        }
        Err(Stop::Strange("no reset".to_owned()))
    }

    /// Lets time pass; true when the device asks for a reset before it is over.
    fn pass(&mut self, ms: u64) -> Result<bool, Stop> {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            self.step()?;
            if self.last.effect == Effect::Reset {
                return Ok(true);
            }
            self.now_ms = self.now_ms.max(self.last.wake_ms.min(self.now_ms + 100));
        }
        Ok(false)
    }

    fn chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) -> Result<(), Stop> {
        let chunk = Chunk { session: self.session, component, offset, bytes };
        let payload = [&chunk.head(), bytes].concat();
        let sequence = self.next_id;
        self.next_id += 1;
        self.frame(Kind::Chunk, sequence, &payload)?;
        let mut polls = 0;
        while self.last.wake_ms <= self.now_ms && polls < MOST_POLLS {
            self.step()?;
            polls += 1;
        }
        self.happened(Event::Nothing);
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Said>, Stop> {
        self.now_ms += 1;
        self.poll(None)
    }

    fn frame(&mut self, kind: Kind, sequence: u32, payload: &[u8]) -> Result<Option<Said>, Stop> {
        let frame = [&Header { kind, sequence }.to_bytes(), payload].concat();
        self.poll(Some(&frame))
    }

    fn poll(&mut self, frame: Option<&[u8]>) -> Result<Option<Said>, Stop> {
        let Power::On(device, _) = &mut self.power else {
            return Err(Stop::PowerLost);
        };
        let clock_ms = match self.mishaps.before_poll(self.now_ms) {
            Mishap::Poll { clock_ms } => clock_ms,
            Mishap::Reset { cause } => return Err(Stop::Reset(cause)),
            Mishap::Hang => return Err(Stop::Reset(ResetCause::Watchdog)),
        };
        let input = frame.map_or(Input::Nothing, |frame| Input::Frame { link: 0, frame });
        self.last = device.poll(clock_ms, input, &mut self.out);
        let wait_ms = self.last.wake_ms.saturating_sub(clock_ms);
        self.last.wake_ms = self.now_ms + wait_ms;
        if !device.flash_mut().get_mut().is_powered() {
            return Err(Stop::PowerLost);
        }
        if self.trap.take() {
            return Err(Stop::Reset(ResetCause::Crash));
        }
        let Some((_, _, payload)) = self.out.take() else { return Ok(None) };
        Ok(match message::decode(payload).expect("a device says what decodes") {
            FromDevice::Reply { id, reply } => Some(Said::Reply(id, reply.map(heard))),
            FromDevice::Ack(_) | FromDevice::Console(_) => Some(Said::Other),
        })
    }
}

const fn opened(release: &Release, terms: TrialTerms) -> Event {
    Event::Opened(Opening {
        release: release.number,
        security_version: release.security_version,
        retires: release.retires,
        crashes: terms.crashes,
        cuts: terms.power_failures,
        boots: terms.boots,
    })
}

/// What a device said.
enum Said {
    Reply(u32, Result<Heard, Refusal>),
    Other,
}

/// A reply, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// To a hello: this boot's nonce.
    Hello(u64),
    /// Version of the root record in force.
    Identity(u32),
    /// The state.
    Status(Box<Status>),
    /// The session's number.
    Session(u32),
    /// It is done.
    Done,
    /// A component is open whose area may hold blocks worth keeping.
    WorthListing,
    /// How many blocks are missing, and which.
    Missing(u32, Vec<u8>),
    /// Bytes of a document that are held.
    Offered,
    /// The trial's number.
    Trial(u32),
    /// Everything else.
    Other(String),
}

fn heard(reply: Reply<'_>) -> Heard {
    match reply {
        Reply::Hello { boot_nonce, .. } => Heard::Hello(boot_nonce),
        Reply::Identity(identity) => Heard::Identity(identity.root_version),
        Reply::Status(status) => Heard::Status(Box::new(status)),
        Reply::Session { session, .. } => Heard::Session(session),
        Reply::Component { worth_listing: true, .. } => Heard::WorthListing,
        Reply::Done(_)
        | Reply::Stage { .. }
        | Reply::Component { .. }
        | Reply::Listed { .. }
        | Reply::Staged { .. } => Heard::Done,
        Reply::Missing { missing, bits, .. } => Heard::Missing(missing, bits.to_vec()),
        Reply::Offered { .. } => Heard::Offered,
        Reply::Trial { trial_id, .. } => Heard::Trial(trial_id),
        other => Heard::Other(format!("{other:?}")),
    }
}

/// An answer out of turn.
pub fn strange<T>(heard: &Heard) -> Result<T, Stop> {
    Err(Stop::Strange(format!("{heard:?}")))
}

/// A board without checks; its random numbers follow from the count of boots.
#[derive(Debug)]
struct Chip {
    boots: u64,
    drawn: u64,
    random: RandomFaults,
}

impl Board for Chip {
    fn info(&self) -> BoardInfo<'_> {
        BoardInfo {
            product: "demo",
            hardware: "board",
            revision: 1,
            serial: "SN-1",
            hardware_deadline: true,
        }
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        if self.random.strikes() {
            return Err(RandomFault);
        }
        for byte in out {
            self.drawn += 1;
            let mixed = (self.boots << 20 ^ self.drawn).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            *byte = mixed.to_be_bytes()[0];
        }
        Ok(())
    }

    fn check_count(&self) -> u8 {
        0
    }

    fn check_info(&self, _index: u8) -> Option<CheckInfo<'_>> {
        None
    }

    fn start_check(&mut self, _index: u8, _now_ms: u64) {}

    fn poll_check(&mut self, _index: u8, _now_ms: u64) -> Option<Reading<'_>> {
        None
    }
}

const MAX_FRAME_BYTES: u32 = 1536;
/// More polls than any request takes.
const MOST_POLLS: u32 = 10_000;
/// More often than a random source fails here.
const MOST_TRIES: u32 = 8;
