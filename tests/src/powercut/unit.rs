//! One device and a host that speaks to it, in memory and in virtual time.

use firmware_protocol::boot::{ResetCause, Start};
use firmware_protocol::device::{
    Board, BoardInfo, Device, Effect, Input, Next, Outgoing, RandomFault,
};
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::message::{
    self, CheckInfo, Chunk, FromDevice, Reading, Reply, Request, Status, ToDevice,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::start::{self, BootCheck, Handover};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use hw_sim::SimFlash;

use super::part::Part;
use super::release::{BLOCK_BYTES, Release};

/// Why a host gave up on what it was about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The part lost its power.
    PowerLost,
    /// The device said no.
    Refused(Refusal),
    /// The device said something else than what was asked for.
    Strange(String),
}

/// What runs on a part, and a host at its link.
#[derive(Debug)]
pub struct Unit<'a> {
    part: &'a Part,
    device: Option<Device<Vec<u8>, SimFlash, Chip>>,
    /// What the boot stage told the image.
    pub handover: Handover,
    now_ms: u64,
    last: Next,
    next_id: u32,
    session: u32,
    /// Names this boot.
    pub boot_nonce: u64,
    boots: u64,
    out: Outgoing,
}

impl<'a> Unit<'a> {
    /// Starts a device on what `flash` holds.
    pub fn start(part: &'a Part, flash: SimFlash, cause: ResetCause, boots: u64) -> Self {
        let mut flash = flash;
        let handover = start::boot(&mut flash, &part.layout, cause, BootCheck::Full);
        let device = Device::new(
            flash,
            Chip { boots, drawn: 0 },
            part.layout.clone(),
            vec![0; MAX_ENVELOPE_BYTES],
            MAX_FRAME_BYTES,
            handover,
            0,
        );
        Self {
            part,
            device: Some(device),
            handover,
            now_ms: 0,
            last: Next { effect: Effect::Nothing, wake_ms: 0 },
            next_id: 1,
            session: 0,
            boot_nonce: 0,
            boots,
            out: Outgoing::default(),
        }
    }

    /// The part's flash, taken out.
    pub fn into_flash(mut self) -> SimFlash {
        self.device.take().unwrap().into_parts().0
    }

    /// The flash while the device runs.
    pub fn flash(&mut self) -> &mut SimFlash {
        self.device.as_mut().unwrap().flash_mut()
    }

    /// Whether the image in this unit runs in the slot on trial.
    pub fn runs(&self) -> Start {
        self.handover.start
    }

    /// Starts the device anew on what its flash holds, as if nothing had been.
    pub fn reload(&mut self, part: &'a Part) {
        let bytes = self.flash().contents().to_vec();
        let flash = SimFlash::holding(part.spec.clone(), bytes);
        *self = Self::start(part, flash, ResetCause::Requested, self.boots + 1);
    }

    /// Lets the device reset as it has asked for, and starts what comes.
    pub fn restart(&mut self, cause: ResetCause) {
        let flash = self.device.take().unwrap().into_parts().0;
        let boots = self.boots + 1;
        *self = Self::start(self.part, flash, cause, boots);
    }

    /// Asks in the session and waits for the answer.
    pub fn ask(&mut self, request: Request<'_>) -> Result<Heard, Stop> {
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

    /// Opens a session.
    pub fn open_session(&mut self) -> Result<(), Stop> {
        match self.ask(Request::Hello { min: 1, current: 1 })? {
            Heard::Hello(boot_nonce) => self.boot_nonce = boot_nonce,
            other => return strange(&other),
        }
        match self.ask(Request::OpenSession { take_over: true, trial_id: 0 })? {
            Heard::Session(session) => self.session = session,
            other => return strange(&other),
        }
        Ok(())
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

    /// Hands a signed document over.
    pub fn offer(&mut self, document: &[u8]) -> Result<(), Stop> {
        let total_bytes = u32::try_from(document.len()).unwrap();
        let mut offset = 0;
        for bytes in document.chunks(1024) {
            self.ask(Request::Offer { total_bytes, offset, bytes })?;
            offset += u32::try_from(bytes.len()).unwrap();
        }
        Ok(())
    }

    /// Sends the blocks of a component that are missing; gives how many there were.
    pub fn send_missing(&mut self, release: &Release, component: u8) -> Result<u32, Stop> {
        self.ask(Request::OpenComponent { index: component })?;
        let (missing, bits) = match self.ask(Request::Missing { first_block: 0 })? {
            Heard::Missing(missing, bits) => (missing, bits),
            other => return strange(&other),
        };
        let payload = &release.payloads[usize::from(component)];
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

    /// Lets time pass, as far as the device does not reset.
    pub fn pass(&mut self, ms: u64) -> Result<(), Stop> {
        match self.until_reset(ms) {
            Err(Stop::Strange(_)) => Ok(()),
            ended => ended,
        }
    }

    /// Lets time pass until the device resets itself, and starts what comes.
    pub fn until_reset(&mut self, within_ms: u64) -> Result<(), Stop> {
        let end_ms = self.now_ms + within_ms;
        while self.now_ms < end_ms {
            self.step()?;
            if self.last.effect == Effect::Reset {
                self.restart(ResetCause::Requested);
                return Ok(());
            }
            self.now_ms = self.now_ms.max(self.last.wake_ms);
        }
        Err(Stop::Strange("no reset".to_owned()))
    }

    fn chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) -> Result<(), Stop> {
        let chunk = Chunk { session: self.session, component, offset, bytes };
        let payload = [&chunk.head(), bytes].concat();
        let sequence = self.next_id;
        self.next_id += 1;
        self.frame(Kind::Chunk, sequence, &payload)?;
        while self.last.wake_ms <= self.now_ms {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Said>, Stop> {
        self.now_ms += 1;
        self.poll(Input::Nothing)
    }

    fn frame(&mut self, kind: Kind, sequence: u32, payload: &[u8]) -> Result<Option<Said>, Stop> {
        let frame = [&Header { kind, sequence }.to_bytes(), payload].concat();
        self.poll(Input::Frame { link: 0, frame: &frame })
    }

    fn poll(&mut self, input: Input<'_>) -> Result<Option<Said>, Stop> {
        let device = self.device.as_mut().unwrap();
        self.last = device.poll(self.now_ms, input, &mut self.out);
        if !device.flash_mut().is_powered() {
            return Err(Stop::PowerLost);
        }
        let Some((_, _, payload)) = self.out.take() else { return Ok(None) };
        Ok(match message::decode(payload).expect("a device says what decodes") {
            FromDevice::Reply { id, reply } => Some(Said::Reply(id, reply.map(heard))),
            FromDevice::Ack(_) | FromDevice::Console(_) => Some(Said::Other),
        })
    }
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
        Reply::Done(_) | Reply::Stage { .. } | Reply::Component { .. } | Reply::Staged { .. } => {
            Heard::Done
        }
        Reply::Missing { missing, bits, .. } => Heard::Missing(missing, bits.to_vec()),
        Reply::Offered { .. } => Heard::Offered,
        Reply::Trial { trial_id, .. } => Heard::Trial(trial_id),
        other => Heard::Other(format!("{other:?}")),
    }
}

fn strange<T>(heard: &Heard) -> Result<T, Stop> {
    Err(Stop::Strange(format!("{heard:?}")))
}

/// A board without checks; its random numbers follow from the count of boots.
#[derive(Debug)]
struct Chip {
    boots: u64,
    drawn: u64,
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
