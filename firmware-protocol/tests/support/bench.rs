//! A host in memory: speaks to a device a poll at a time, and holds every poll to its bounds.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::device::{Device, Effect, Input, Next, Outgoing};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::Range;
use firmware_protocol::frame::{Header, Kind};
use firmware_protocol::layout::Layout;
use firmware_protocol::message::{
    self, Ack, Chunk, FromDevice, How, Reply, Request, Status, ToDevice, TrialTerms,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{Channel, Initiator, LinkSecret, TAG_BYTES, THIRD_OVERHEAD_BYTES};
use firmware_protocol::start::{self, BootCheck, Handover};

use super::bundle::{Bundle, root_record, signed_root};
use super::flash::RamFlash;
use super::{Rng, ScriptBoard, layout};

pub type Engine = Device<Vec<u8>, RamFlash, ScriptBoard>;
pub type Answer = Result<Reply<'static>, Refusal>;

pub const WINDOW_BYTES: usize = 16 * 1024;
/// Most a poll reads unless its request says otherwise: a step of hashing, and a page read back.
pub const READ_BOUND: u64 = 4096 + 1024;
pub const PLAN: Digest = Digest([9; 32]);
pub const TERMS: TrialTerms =
    TrialTerms { boots: 5, crashes: 2, power_failures: 3, lease_ms: 10_000, boot_max_ms: 60_000 };

pub struct Bench {
    pub device: Option<Engine>,
    pub layout: Layout,
    pub now_ms: u64,
    pub next_id: u32,
    pub sequence: u32,
    pub session: u32,
    pub boot_nonce: u64,
    pub acks: Vec<Ack>,
    pub handover: Handover,
    pub last: Next,
    /// Most bytes read by one poll so far.
    pub most_read: u64,
    out: Outgoing,
    /// The wire that the host is on.
    pub wire: u8,
    /// The host's end of the sealed link on it, if there is one.
    pub sealed: Option<Channel>,
    /// The host's key and delegation, for the sealed link that every session of it begins with.
    pub host: Option<(LinkSecret, Vec<u8>)>,
    /// What the device has said in handshakes.
    pub handshakes: Vec<Vec<u8>>,
    /// Where the host's keys come from.
    pub fresh: Rng,
}

impl Bench {
    /// A device in factory state, freshly powered.
    pub fn new() -> Self {
        Self::on(RamFlash::even(4096, 0xa_0000 / 4096), layout())
    }

    pub fn on(flash: RamFlash, layout: Layout) -> Self {
        Self::start(flash, ScriptBoard::new(5), layout, ResetCause::PowerOn, 0)
    }

    /// A device in factory state with a window of this length.
    pub fn with_window(window_bytes: usize) -> Self {
        let mut bench = Self::new();
        let (flash, board, _) = bench.device.take().unwrap().into_parts();
        let (layout, window) = (bench.layout.clone(), vec![0; window_bytes]);
        bench.device = Some(Device::new(flash, board, layout, window, 2048, bench.handover, 0));
        bench
    }

    fn start(
        mut flash: RamFlash,
        board: ScriptBoard,
        layout: Layout,
        cause: ResetCause,
        now_ms: u64,
    ) -> Self {
        let handover = start::boot(&mut flash, &layout, cause, BootCheck::Full);
        Self::run(flash, board, layout, handover, now_ms)
    }

    /// What the boot stage has started.
    fn run(
        flash: RamFlash,
        board: ScriptBoard,
        layout: Layout,
        handover: Handover,
        now_ms: u64,
    ) -> Self {
        let window = vec![0; WINDOW_BYTES];
        let device = Device::new(flash, board, layout.clone(), window, 2048, handover, now_ms);
        Self {
            device: Some(device),
            layout,
            now_ms,
            next_id: 1,
            sequence: 0,
            session: 0,
            boot_nonce: 0,
            acks: Vec::new(),
            handover,
            last: Next { effect: Effect::Nothing, wake_ms: 0 },
            most_read: 0,
            out: Outgoing::default(),
            wire: 0,
            sealed: None,
            host: None,
            handshakes: Vec::new(),
            fresh: Rng(99),
        }
    }

    pub fn device(&mut self) -> &mut Engine {
        self.device.as_mut().unwrap()
    }

    pub fn flash(&mut self) -> &mut RamFlash {
        self.device().flash_mut()
    }

    /// One poll, held to its bounds: at most one erase or program.
    pub fn poll(&mut self, input: Input<'_>) -> Option<FromDevice<'static>> {
        let before = (self.flash().mutations(), self.flash().read_bytes);
        let now_ms = self.now_ms;
        let device = self.device.as_mut().unwrap();
        self.last = device.poll(now_ms, input, &mut self.out);
        let mutated = self.flash().mutations() - before.0;
        assert!(mutated <= 1, "{mutated} flash mutations in one poll");
        self.most_read = self.most_read.max(self.flash().read_bytes - before.1);
        let (wire, header, payload) = self.out.take()?;
        let payload = payload.to_vec().leak();
        let payload = match header.kind {
            Kind::Message => {
                let is_plain = self.sealed.is_none() || wire != self.wire;
                assert!(is_plain, "a device spoke in plain sight beside a sealed link");
                payload
            }
            Kind::Handshake => {
                self.handshakes.push(payload.to_vec());
                return None;
            }
            Kind::SealedMessage if wire == self.wire => {
                self.sealed.as_mut()?.open(header, payload)?.1
            }
            other => panic!("a device said {other:?} on wire {wire}"),
        };
        Some(message::decode(payload).expect("a device says what decodes"))
    }

    /// As [`Bench::poll`], for an answer that nobody can open.
    pub fn poll_raw(&mut self, input: Input<'_>) -> Option<Kind> {
        let now_ms = self.now_ms;
        let device = self.device.as_mut().unwrap();
        self.last = device.poll(now_ms, input, &mut self.out);
        self.out.take().map(|(_, header, _)| header.kind)
    }

    /// Passes a frame to the device: sealed on the host's own wire, if that has a sealed link.
    pub fn frame(&mut self, link: u8, kind: Kind, payload: &[u8]) -> Option<FromDevice<'static>> {
        let mut frame = self.framed(link, kind, payload);
        self.poll(Input::Frame { link, frame: &mut frame })
    }

    /// The bytes of a frame, as [`Bench::frame`] passes them.
    pub fn framed(&mut self, link: u8, kind: Kind, payload: &[u8]) -> Vec<u8> {
        if let Some(channel) = self.sealed.as_mut().filter(|_| link == self.wire) {
            let mut sealed = [payload, &[0; TAG_BYTES]].concat();
            let (header, _) = channel.seal(kind, &mut sealed, payload.len()).unwrap();
            return [header.to_bytes().as_slice(), &sealed].concat();
        }
        let header = Header { kind, sequence: self.sequence };
        self.sequence += 1;
        [header.to_bytes().as_slice(), payload].concat()
    }

    /// Makes a sealed link of the host's wire; gives the device's first word on it.
    pub fn link(&mut self, host: &LinkSecret, delegation: &[u8]) -> Answer {
        let fresh = LinkSecret::new(self.fresh.bytes(32).try_into().unwrap());
        let mut first = [1; 33];
        let (initiator, _) = Initiator::begin(host, &fresh, &mut first[1..]).unwrap();
        self.sealed = None;
        self.handshakes.clear();
        // First messages close behind each other are passed over, and those behind a handshake that came to nothing.
        self.now_ms += 400;
        self.said_plain(&first)?;
        let second = self.handshakes.pop().expect("a second message");
        let mut third = vec![3; 1 + THIRD_OVERHEAD_BYTES + delegation.len()];
        let joined = initiator.join(&second[1..], delegation, &mut third[1..]).unwrap();
        assert_eq!(joined.peer, self.device().board_mut().identity.as_ref().unwrap().public());
        let (header, wire) = (Header { kind: Kind::Handshake, sequence: 0 }, self.wire);
        self.sealed = Some(joined.channel);
        let mut frame = [header.to_bytes().as_slice(), &third].concat();
        match self.poll(Input::Frame { link: wire, frame: &mut frame }) {
            Some(FromDevice::Reply { id: 0, reply }) => reply,
            other => panic!("{other:?}"),
        }
    }

    /// Passes a handshake's message; an error is a refusal in plain sight.
    fn said_plain(&mut self, payload: &[u8]) -> Result<(), Refusal> {
        let wire = self.wire;
        match self.frame(wire, Kind::Handshake, payload) {
            Some(FromDevice::Reply { id: 0, reply }) => reply.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Sends a request as exactly this id and session, and gives the first answer.
    pub fn send(&mut self, link: u8, id: u32, session: u32, request: Request<'_>) -> Answer {
        let mut bytes = [0; 2048];
        let asked = ToDevice { id, session, request };
        let payload = message::encode(&asked, &mut bytes).unwrap().to_vec();
        let mut said = self.frame(link, Kind::Message, &payload);
        for _ in 0..100_000 {
            match said {
                Some(FromDevice::Reply { id: named, reply }) if named == id => return reply,
                Some(FromDevice::Ack(ack)) => self.acks.push(ack),
                Some(_) | None => {}
            }
            said = self.step();
        }
        panic!("no answer to {request:?}");
    }

    /// A poll without input, at the time that the device asked for if work is under way.
    pub fn step(&mut self) -> Option<FromDevice<'static>> {
        self.now_ms = self.now_ms.saturating_add(1);
        self.poll(Input::Nothing)
    }

    /// Polls for as long as the device has work at once, and a bit longer: an entry of the record is written
    /// in a few steps.
    pub fn rest(&mut self) {
        for _ in 0..12 {
            self.poll(Input::Nothing);
        }
    }

    /// Sends a request in the session under a fresh id.
    pub fn ask(&mut self, request: Request<'_>) -> Answer {
        let id = self.next_id;
        self.next_id += 1;
        self.send(self.wire, id, self.session, request)
    }

    /// Says hello and opens the session.
    pub fn open_session(&mut self) -> &mut Self {
        if let Some((host, delegation)) = self.host.clone() {
            self.link(&host, &delegation).expect("a sealed link");
        }
        let hello = self.ask(Request::Hello { min: 1, current: 1 });
        let Ok(Reply::Hello { boot_nonce, .. }) = hello else { panic!("{hello:?}") };
        self.boot_nonce = boot_nonce;
        self.take_session()
    }

    /// Opens the session, whoever holds it.
    pub fn take_session(&mut self) -> &mut Self {
        let opened = self.ask(Request::OpenSession { take_over: true, trial_id: 0 });
        let Ok(Reply::Session { session, .. }) = opened else { panic!("{opened:?}") };
        self.session = session;
        self
    }

    pub fn offer(&mut self, document: &[u8]) -> &mut Self {
        let reply = self.try_offer(document);
        assert_eq!(reply, Ok(Reply::Offered { held_bytes: document.len() as u32 }));
        self
    }

    pub fn try_offer(&mut self, document: &[u8]) -> Answer {
        let total_bytes = document.len() as u32;
        let mut reply = Err(Refusal::Busy);
        for (index, bytes) in document.chunks(1024).enumerate() {
            let offset = index as u32 * 1024;
            reply = self.ask(Request::Offer { total_bytes, offset, bytes });
        }
        reply
    }

    /// A session on an enrolled device.
    pub fn enrolled() -> Self {
        let mut bench = Self::new();
        bench.open_session().offer(&signed_root(&root_record()));
        assert_eq!(bench.ask(Request::Enroll), Ok(Reply::Done(How::Done)));
        bench
    }

    pub fn stage(&mut self, bundle: &Bundle, again: bool) -> Answer {
        self.offer(&bundle.envelope).ask(Request::Stage { again })
    }

    pub fn chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) {
        let chunk = Chunk { session: self.session, component, offset, bytes };
        let payload = [&chunk.head(), bytes].concat();
        if let Some(FromDevice::Ack(ack)) = self.frame(self.wire, Kind::Chunk, &payload) {
            self.acks.push(ack);
        }
        while self.last.wake_ms <= self.now_ms {
            if let Some(FromDevice::Ack(ack)) = self.step() {
                self.acks.push(ack);
            }
        }
    }

    /// Sends the blocks of a component that are missing; gives how many there were.
    pub fn send_missing(&mut self, bundle: &Bundle, component: u8) -> u32 {
        let opened = self.ask(Request::OpenComponent { index: component });
        let Ok(Reply::Component { .. }) = opened else { panic!("{opened:?}") };
        let payload = &bundle.payloads[usize::from(component)];
        let asked = self.ask(Request::Missing { first_block: 0 });
        let Ok(Reply::Missing { missing, bits, .. }) = asked else { panic!("{asked:?}") };
        for (index, block) in payload.chunks(bundle.block_size as usize).enumerate() {
            if bits[index / 8] >> (index % 8) & 1 == 1 {
                for (piece, bytes) in block.chunks(512).enumerate() {
                    let at = index * bundle.block_size as usize + piece * 512;
                    self.chunk(component, at as u64, bytes);
                }
            }
        }
        missing
    }

    /// Stages a bundle, all the way.
    pub fn staged(&mut self, bundle: &Bundle) -> &mut Self {
        let reply = self.stage(bundle, false);
        assert!(matches!(reply, Ok(Reply::Stage { .. })), "{reply:?}");
        self.send_missing(bundle, 0);
        self.send_missing(bundle, 1);
        let reply = self.ask(Request::Finish);
        assert_eq!(reply, Ok(Reply::Staged { bundle: bundle.digest, how: How::Done }));
        self
    }

    /// The place of the record's newest entry, in a record all of whose places were used in turn.
    pub fn newest_place(&mut self) -> Range {
        let index = self.status().record_entries - 1;
        let record = self.layout.record();
        let places = record[0].len_bytes / 512;
        let range = record[(index / places % 2) as usize];
        Range { start: range.start + index % places * 512, len_bytes: 512 }
    }

    /// Fills the record's range with entries that arm and take it back, so that the next one needs the other
    /// range erased first.
    pub fn fill_record(&mut self, trial_id: u32) {
        let places = self.layout.record()[0].len_bytes / 512;
        for boots in (0..2).cycle() {
            if self.status().record_entries.is_multiple_of(places) {
                return;
            }
            assert!(self.ask(Request::Arm { trial_id, boots }).is_ok());
        }
    }

    /// Opens a trial and arms one boot; gives the trial's id.
    pub fn armed(&mut self, bundle: &Bundle, terms: TrialTerms) -> u32 {
        let opened = self.ask(Request::OpenTrial { bundle: bundle.digest, plan: PLAN, terms });
        let Ok(Reply::Trial { trial_id, .. }) = opened else { panic!("{opened:?}") };
        let armed = self.ask(Request::Arm { trial_id, boots: 1 });
        assert_eq!(armed, Ok(Reply::Trial { trial_id, armed: 1, how: How::Done }));
        trial_id
    }

    /// Resets by request and opens a session with what starts.
    pub fn reset(&mut self) -> &mut Self {
        let boot_nonce = self.boot_nonce;
        assert_eq!(self.ask(Request::Reset { boot_nonce }), Ok(Reply::Done(How::Done)));
        self.until_reset();
        self.restart(ResetCause::Requested).open_session()
    }

    /// Polls until the device asks for its reset.
    pub fn until_reset(&mut self) {
        for _ in 0..1000 {
            self.step();
            if self.last.effect == Effect::Reset {
                return;
            }
        }
        panic!("no reset");
    }

    /// What runs is gone; the boot stage starts what it finds.
    pub fn restart(&mut self, cause: ResetCause) -> &mut Self {
        self.restart_at(cause, 0)
    }

    /// The same boot, as if its image had only now come to begin the engine.
    pub fn restart_engine(&mut self) -> &mut Self {
        let (flash, board, _) = self.device.take().unwrap().into_parts();
        let started = Self::run(flash, board, self.layout.clone(), self.handover, self.now_ms);
        let (host, fresh) = (self.host.take(), self.fresh.clone());
        *self = Self { next_id: self.next_id, wire: self.wire, host, fresh, ..started };
        self
    }

    /// As [`Bench::restart`], on a clock that begins at `now_ms`.
    pub fn restart_at(&mut self, cause: ResetCause, now_ms: u64) -> &mut Self {
        let (mut flash, board, _) = self.device.take().unwrap().into_parts();
        flash.power_on();
        let (next_id, most_read) = (self.next_id, self.most_read);
        let started = Self::start(flash, board, self.layout.clone(), cause, now_ms);
        let (host, fresh) = (self.host.take(), self.fresh.clone());
        *self = Self { next_id, most_read, wire: self.wire, host, fresh, ..started };
        self
    }

    /// Stages, tries and confirms a bundle.
    pub fn confirmed(&mut self, bundle: &Bundle) -> &mut Self {
        self.staged(bundle);
        let trial_id = self.armed(bundle, TERMS);
        self.reset();
        let boot_nonce = self.boot_nonce;
        let reply = self.ask(Request::Confirm { trial_id, boot_nonce });
        assert_eq!(reply, Ok(Reply::Done(How::Done)));
        self
    }

    pub fn status(&mut self) -> Status {
        match self.ask(Request::Status) {
            Ok(Reply::Status(status)) => status,
            other => panic!("{other:?}"),
        }
    }
}

impl Bench {
    /// Sends a request and gives what the device says in that very poll.
    pub fn tell(&mut self, id: u32, request: Request<'_>) -> Option<FromDevice<'static>> {
        let mut bytes = [0; 2048];
        let asked = ToDevice { id, session: self.session, request };
        let payload = message::encode(&asked, &mut bytes).unwrap().to_vec();
        self.frame(0, Kind::Message, &payload)
    }

    /// As [`Bench::tell`], for an answer.
    pub fn send_once(&mut self, id: u32, request: Request<'_>) -> Option<Answer> {
        match self.tell(id, request) {
            Some(FromDevice::Reply { id: named, reply }) if named == id => Some(reply),
            Some(_) | None => None,
        }
    }

    /// Sends a whole component that has blocks of 1024 bytes.
    pub fn chunk_all(&mut self, component: u8, payload: &[u8]) {
        assert!(self.ask(Request::OpenComponent { index: component }).is_ok());
        for (block, bytes) in payload.chunks(1024).enumerate() {
            self.chunk(component, block as u64 * 1024, bytes);
        }
    }
}
