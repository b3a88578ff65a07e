//! The host's end of the wire, as a pure machine: requests and chunks in, bytes out, and back.
//!
//! It numbers and frames what goes out, asks again until an answer comes or patience ends, and tells
//! which chunks have arrived. It owns no link and reads no clock; the caller drains
//! [`Session::poll_transmit`] and [`Session::poll_event`] after every call that may have filled them,
//! and calls [`Session::handle_timeout`] at [`Session::deadline_us`].

mod reading;
mod sealing;
pub mod transfer;

use std::collections::VecDeque;

use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{
    self, Ack, Chunk, FromDevice, MAX_REQUEST_BYTES, Reply, Request, ToDevice,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::LinkSecret;

pub use self::reading::{Reading, TooSlow};
pub use self::sealing::{Credentials, LinkRefused, Linked};
use self::sealing::{Outcome, Sealing};

/// Longest unit that a host takes from a device, in bytes: longer ones are passed over.
const MAX_UNIT_BYTES: usize = 2_048;
/// First wait for an answer before asking again, in microseconds.
const FIRST_RETRY_US: u64 = 300_000;
/// Longest time that a request that hashes or checks may be worked on, in microseconds: hashing 256 MiB on a slow part.
const MAX_WORKING_US: u64 = 600_000_000;
/// Longest time that one may be worked on that only stores something, in microseconds: a few erases of the slowest blocks.
const MAX_STORING_US: u64 = 60_000_000;
/// Longest wait before asking again, in microseconds.
const LAST_RETRY_US: u64 = 1_500_000;
/// Wait before a device that was busy is asked anew, in microseconds.
const BUSY_PAUSE_US: u64 = 200_000;
/// Time after which a device that is still busy is believed to stay so, in microseconds.
const MAX_BUSY_US: u64 = 10_000_000;

/// How the host asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Silence after which a request is given up, in microseconds.
    pub silence_us: u64,
    /// Longest time that a request that hashes or checks may be worked on, in microseconds.
    pub work_us: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { silence_us: 8_000_000, work_us: MAX_WORKING_US }
    }
}

/// A device's answer, as received.
#[derive(Debug, Clone)]
pub struct Answer {
    payload: Vec<u8>,
    /// From the first time the question was sent, in microseconds.
    pub took_us: u64,
    /// How often it was sent.
    pub sent: u32,
}

impl Answer {
    /// What the device replied.
    ///
    /// # Errors
    /// The device's refusal.
    pub fn reply(&self) -> Result<Reply<'_>, Refusal> {
        match message::decode(&self.payload) {
            Some(FromDevice::Reply { reply, .. }) => reply,
            // Only payloads that decoded as a reply become answers.
            Some(FromDevice::Ack(_) | FromDevice::Console(_)) | None => Err(Refusal::Malformed),
        }
    }
}

/// Something the caller should know.
#[derive(Debug, Clone)]
pub enum Event {
    /// The open request is answered.
    Answer(Answer),
    /// The open request was given up: nothing came back.
    NoAnswer,
    /// The handshake is over: everything is sealed from now on, or the device refuses this host.
    Linked(Result<Linked, LinkRefused>),
    /// Chunks have arrived, or there is room for more.
    Ack(Ack),
    /// Console text, as received; escape it before it is shown.
    Console(Vec<u8>),
}

/// What the link has carried, as the host counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes handed to the link.
    pub sent_bytes: u64,
    /// Component bytes among them, repeated ones included.
    pub payload_bytes: u64,
    /// Bytes that came from the link.
    pub received_bytes: u64,
    /// Units that arrived damaged.
    pub damaged: u64,
    /// Requests that were sent again.
    pub repeated_requests: u64,
}

impl Traffic {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_add(other.sent_bytes),
            payload_bytes: self.payload_bytes.saturating_add(other.payload_bytes),
            received_bytes: self.received_bytes.saturating_add(other.received_bytes),
            damaged: self.damaged.saturating_add(other.damaged),
            repeated_requests: self.repeated_requests.saturating_add(other.repeated_requests),
        }
    }
}

/// The host's end of one connection to one device.
#[derive(Debug)]
pub struct Session {
    framing: Framing,
    decoder: Decoder<Vec<u8>>,
    sealing: Sealing,
    sequence: u32,
    next_id: u32,
    entered: u32,
    patience: Patience,
    open: Option<OpenRequest>,
    transmit: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    traffic: Traffic,
}

#[derive(Debug)]
struct OpenRequest {
    id: u32,
    /// How long the device may say that it works on it; a question is not worked on.
    work_us: u64,
    payload: Vec<u8>,
    first_us: u64,
    /// When the device last gave a sign that it works on it.
    alive_us: u64,
    retry_us: u64,
    wait_us: u64,
    sent: u32,
    /// Since when the device has been busy with something else, if it was.
    busy_us: Option<u64>,
}

/// What an answer means for the request that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is worked on.
    Working,
    /// It was not begun: something else is worked on.
    Busy,
    /// That is the answer.
    Answered,
}

impl Session {
    /// A session on a fresh link. `first_id` should differ between runs, so that a device does not
    /// take a new question for an old one.
    #[must_use]
    pub fn new(framing: Framing, first_id: u32, patience: Patience) -> Self {
        Self {
            framing,
            decoder: Decoder::new(framing, vec![0; MAX_UNIT_BYTES]),
            sealing: Sealing::default(),
            sequence: 0,
            next_id: first_id,
            entered: 0,
            patience,
            open: None,
            transmit: VecDeque::new(),
            events: VecDeque::new(),
            traffic: Traffic::default(),
        }
    }

    /// What the link has carried so far.
    #[must_use]
    pub const fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Waits for answers so long from now on.
    pub const fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    /// All further requests are made in this session of the device.
    pub const fn enter(&mut self, session: u32) {
        self.entered = session;
    }

    /// Bytes that one chunk adds to its data on the wire, at most.
    #[must_use]
    pub const fn wire_bytes(&self, data_bytes: usize) -> usize {
        let frame = data_bytes.saturating_add(message::CHUNK_HEAD_BYTES + HEADER_BYTES);
        self.framing.wire_bytes(frame.saturating_add(self.sealing.overhead_bytes()))
    }

    /// Bytes that sealing adds to a frame; none on a plain link.
    #[must_use]
    pub const fn sealing_bytes(&self) -> usize {
        self.sealing.overhead_bytes()
    }

    /// Begins the handshake of a sealed link; what it comes to is an event. Nothing travels in the open from here on, whatever
    /// comes of it. `fresh` is drawn for this handshake and used for no other.
    pub fn link(&mut self, now_us: u64, shown: &Credentials, fresh: &LinkSecret) {
        let said = self.sealing.begin(now_us, self.patience.silence_us, shown, fresh);
        match said {
            Some(said) => self.say(&said),
            None => self.events.push_back(Event::NoAnswer),
        }
    }

    /// Asks `request`; the answer comes as an event. One request is open at a time: a new one takes
    /// the place of the one before.
    pub fn ask(&mut self, now_us: u64, request: Request<'_>) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let mut bytes = [0; MAX_REQUEST_BYTES];
        let work_us = longest_work_us(&request, self.patience);
        let message = ToDevice { id, session: self.entered, request };
        let payload = message::encode(&message, &mut bytes).unwrap_or_default().to_vec();
        self.open = Some(OpenRequest {
            id,
            work_us,
            payload,
            first_us: now_us,
            alive_us: now_us,
            retry_us: now_us.saturating_add(FIRST_RETRY_US),
            wait_us: FIRST_RETRY_US,
            sent: 1,
            busy_us: None,
        });
        self.send_open();
    }

    /// Sends a piece of a component; gives the sequence number that its acknowledgement will name.
    pub fn send_chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) -> u32 {
        let chunk = Chunk { session: self.entered, component, offset, bytes };
        let payload = [&chunk.head(), bytes].concat();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.traffic.payload_bytes = self.traffic.payload_bytes.saturating_add(length);
        self.send(Kind::Chunk, &payload)
    }

    /// Takes bytes from the link.
    pub fn handle_bytes(&mut self, now_us: u64, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.traffic.received_bytes = self.traffic.received_bytes.saturating_add(length);
        let mut rest = bytes;
        let mut frames = Vec::new();
        while let Some(unit) = self.decoder.feed(&mut rest) {
            match unit {
                Unit::Frame(frame) => match Header::split(frame) {
                    Some((header, payload)) => frames.push((header, payload.to_vec())),
                    None => self.traffic.damaged += 1,
                },
                Unit::Text(text) => self.events.push_back(Event::Console(text.to_vec())),
                Unit::Damaged(_) => self.traffic.damaged += 1,
            }
        }
        for (header, payload) in frames {
            let outcome = self.sealing.hear(now_us, header, payload);
            self.carry_on(now_us, outcome);
        }
    }

    fn carry_on(&mut self, now_us: u64, outcome: Outcome) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Say(payload) => self.say(&payload),
            Outcome::Ended(linked) => self.events.push_back(Event::Linked(linked)),
            Outcome::Silence => self.events.push_back(Event::NoAnswer),
            Outcome::Message(payload) => self.take_message(now_us, payload),
            Outcome::Foreign => self.traffic.damaged += 1,
        }
    }

    /// When [`Session::handle_timeout`] is due.
    #[must_use]
    pub fn deadline_us(&self) -> Option<u64> {
        let open_us = |open: &OpenRequest| {
            open.retry_us.min(open.alive_us.saturating_add(self.patience.silence_us))
        };
        let open_us = self.open.as_ref().map(open_us);
        [open_us, self.sealing.deadline_us()].into_iter().flatten().min()
    }

    /// Asks again, or gives up, when it is time.
    pub fn handle_timeout(&mut self, now_us: u64) {
        let outcome = self.sealing.handle_timeout(now_us);
        self.carry_on(now_us, outcome);
        let silence_us = self.patience.silence_us;
        let Some(open) = &mut self.open else { return };
        if now_us >= open.alive_us.saturating_add(silence_us) {
            self.open = None;
            self.events.push_back(Event::NoAnswer);
        } else if now_us >= open.retry_us {
            open.wait_us = open.wait_us.saturating_mul(2).min(LAST_RETRY_US);
            open.retry_us = now_us.saturating_add(open.wait_us);
            open.sent = open.sent.saturating_add(1);
            self.traffic.repeated_requests += 1;
            self.send_open();
        }
    }

    /// Bytes for the link.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let bytes = self.transmit.pop_front()?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.traffic.sent_bytes = self.traffic.sent_bytes.saturating_add(length);
        Some(bytes)
    }

    /// Something the caller should know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Console text that no frame has followed yet; ask after a silence.
    pub fn flush_console(&mut self) {
        if let Some(text) = self.decoder.take_text() {
            let text = text.to_vec();
            self.events.push_back(Event::Console(text));
        }
    }

    fn send_open(&mut self) {
        if let Some(open) = self.open.take() {
            self.send(Kind::Message, &open.payload);
            self.open = Some(open);
        }
    }

    /// Says a message of a handshake.
    fn say(&mut self, payload: &[u8]) {
        let header = Header { kind: Kind::Handshake, sequence: self.sequence };
        self.sequence = self.sequence.wrapping_add(1);
        self.put(header, payload);
    }

    fn send(&mut self, kind: Kind, payload: &[u8]) -> u32 {
        let plain = Header { kind, sequence: self.sequence };
        self.sequence = self.sequence.wrapping_add(1);
        let Some((header, payload)) = self.sealing.seal(plain, payload) else {
            // Nothing goes out in the open: what was to be sent is lost, and given up in its time.
            return plain.sequence;
        };
        self.put(header, &payload);
        header.sequence
    }

    fn put(&mut self, header: Header, payload: &[u8]) {
        let mut out = vec![0; self.framing.wire_bytes(payload.len().saturating_add(HEADER_BYTES))];
        // The buffer has the length that the framing asks for, so there is always room.
        let written = self.framing.encode(header, payload, &mut out);
        out.truncate(written.unwrap_or(0));
        self.transmit.push_back(out);
    }

    fn take_message(&mut self, now_us: u64, payload: Vec<u8>) {
        match message::decode::<FromDevice<'_>>(&payload) {
            Some(FromDevice::Ack(ack)) => self.events.push_back(Event::Ack(ack)),
            Some(FromDevice::Console(text)) => {
                let text = text.to_vec();
                self.events.push_back(Event::Console(text));
            }
            Some(FromDevice::Reply { id, reply }) => {
                let standing = match reply {
                    Ok(Reply::Working { .. }) => Standing::Working,
                    Err(Refusal::Busy) => Standing::Busy,
                    Ok(_) | Err(_) => Standing::Answered,
                };
                self.take_reply(now_us, id, standing, payload);
            }
            None => self.traffic.damaged += 1,
        }
    }

    fn take_reply(&mut self, now_us: u64, id: u32, standing: Standing, payload: Vec<u8>) {
        // An answer to an earlier question, or a repeated one, is passed over.
        let Some(open) = self.open.as_mut().filter(|open| open.id == id) else { return };
        let busy_us = open.busy_us.unwrap_or(now_us);
        match standing {
            Standing::Working => {
                // A device that works for ever is as good as silent, and so is one that works on a question. Its word
                // ends no time of being busy then: the two in turn would go on for ever.
                if now_us.saturating_sub(open.first_us) < open.work_us {
                    open.busy_us = None;
                    open.alive_us = now_us;
                }
            }
            Standing::Busy
                if now_us.saturating_sub(busy_us) < MAX_BUSY_US
                    && now_us.saturating_sub(open.first_us) < open.work_us.max(MAX_BUSY_US) =>
            {
                open.busy_us = Some(busy_us);
                // Under a new id: the device may keep its answer to this one.
                open.renumber(self.next_id);
                self.next_id = self.next_id.wrapping_add(1);
                open.alive_us = now_us;
                open.retry_us = now_us.saturating_add(BUSY_PAUSE_US);
                open.wait_us = FIRST_RETRY_US;
            }
            Standing::Busy | Standing::Answered => {
                let took_us = now_us.saturating_sub(open.first_us);
                let answer = Answer { payload, took_us, sent: open.sent };
                self.open = None;
                self.events.push_back(Event::Answer(answer));
            }
        }
    }
}

/// How long a device may work on a request.
const fn longest_work_us(request: &Request<'_>, patience: Patience) -> u64 {
    let only_stores = matches!(
        request,
        Request::Enroll
            | Request::Certify
            | Request::Arm { .. }
            | Request::Reset { .. }
            | Request::Confirm { .. }
            | Request::Rollback { .. }
            | Request::Withdraw { .. }
    );
    match (request.may_take_long(), only_stores) {
        (true, true) => MAX_STORING_US,
        (true, false) => patience.work_us,
        (false, _) => 0,
    }
}

impl OpenRequest {
    /// Makes it a question of its own.
    fn renumber(&mut self, id: u32) {
        let mut bytes = [0; MAX_REQUEST_BYTES];
        let asked = message::decode::<ToDevice<'_>>(&self.payload);
        let asked = asked.and_then(|asked| message::encode(&ToDevice { id, ..asked }, &mut bytes));
        if let Some(payload) = asked {
            self.payload = payload.to_vec();
            self.id = id;
        }
    }
}

#[cfg(test)]
mod tests;
