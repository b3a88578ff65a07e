//! A client of the wire without the host's checks: what an attacker, a broken tool or an old laptop
//! would send.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use firmware_protocol::delegation::Actions;
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{
    self, Chunk, FromDevice, MAX_PIECE_BYTES, Reply, Request, RootStatus, Status, ToDevice,
    TrialTerms,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{
    Channel, FIRST, FIRST_BYTES, Initiator, LinkSecret, SECOND, TAG_BYTES, THIRD,
    THIRD_OVERHEAD_BYTES,
};
use rustix::fs::OFlags;

/// Longest wait for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks for bytes.
const LOOK: Duration = Duration::from_millis(2);
/// Silence after which a question is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// A raw link to a device.
pub struct Raw {
    framing: Framing,
    writer: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    decoder: Decoder<Vec<u8>>,
    /// Whole frames that nobody has looked at.
    frames: VecDeque<Vec<u8>>,
    channel: Option<Channel>,
    sequence: u32,
    session: u32,
    boot_nonce: u64,
    is_over: Arc<AtomicBool>,
    reading: Option<JoinHandle<()>>,
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

impl Raw {
    /// Connects to `host:port`.
    pub fn tcp(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LOOK)).unwrap();
        Self::new(Framing::Stream, stream.try_clone().unwrap(), Box::new(stream))
    }

    /// Connects to a device that was told to restart, once it runs another boot than `before`.
    #[track_caller]
    pub fn tcp_behind_reset(address: &str, before: u64) -> Self {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut raw = Self::tcp(address);
            if raw.ask_once(HELLO, nonce_of).is_some_and(|nonce| nonce != Ok(before)) {
                return raw;
            }
            thread::sleep(LOOK);
        }
        panic!("no other boot within {PATIENCE:?}");
    }

    /// Opens the serial port at `path`.
    pub fn serial(path: &Path) -> Self {
        let writer = File::options().write(true).open(path).unwrap();
        let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap();
        let reader = File::options().read(true).custom_flags(nonblocking).open(path).unwrap();
        Self::new(Framing::Serial, reader, Box::new(writer))
    }

    fn new(
        framing: Framing,
        mut reader: impl Read + Send + 'static,
        writer: Box<dyn Write + Send>,
    ) -> Self {
        let (sender, bytes) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        // A reader that outlived its link would take the next host's bytes.
        let reading = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !over.load(Ordering::SeqCst) {
                match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => drop(sender.send(buffer[..count].to_vec())),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LOOK),
                    Err(_) => break,
                }
            }
        });
        let decoder = Decoder::new(framing, vec![0; 65_536]);
        let reading = Some(reading);
        Self {
            framing,
            writer,
            bytes,
            decoder,
            frames: VecDeque::new(),
            channel: None,
            sequence: 0,
            session: 0,
            boot_nonce: 0,
            is_over,
            reading,
        }
    }

    /// Sends bytes as they are.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        // A device may hang up on garbage; what it does next is the test's business.
        let _ = self.writer.write_all(bytes);
    }

    /// Sends a whole frame.
    pub fn send_frame(&mut self, kind: Kind, payload: &[u8]) {
        let wire = self.frame(kind, payload);
        self.send_bytes(&wire);
    }

    /// A whole frame as it travels, sealed once the link is.
    pub fn frame(&mut self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let plain = Header { kind, sequence: self.sequence };
        let mut room = [payload, &[0; TAG_BYTES]].concat();
        let channel = self.channel.as_mut().filter(|_| kind.sealed().is_some());
        let (header, length) = match channel {
            Some(channel) => channel.seal(kind, &mut room, payload.len()).unwrap(),
            None => (plain, payload.len()),
        };
        let payload = &room[..length];
        let mut wire = vec![0; self.framing.wire_bytes(payload.len() + HEADER_BYTES)];
        let length = self.framing.encode(header, payload, &mut wire).unwrap();
        wire.truncate(length);
        wire
    }

    /// Asks until the device answers; gives what `take` makes of the answer.
    #[track_caller]
    pub fn ask<R>(
        &mut self,
        request: Request<'_>,
        take: impl Fn(Reply<'_>) -> R,
    ) -> Result<R, Refusal> {
        let (id, payload) = self.asking(request);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.send_frame(Kind::Message, &payload);
            if let Some(answer) = self.hear(id, &take) {
                return answer;
            }
        }
        panic!("no answer to {request:?} within {PATIENCE:?}");
    }

    /// Asks once; `None` when nothing is heard of it, as when the device lost its power.
    pub fn ask_once<R>(
        &mut self,
        request: Request<'_>,
        take: impl Fn(Reply<'_>) -> R,
    ) -> Option<Result<R, Refusal>> {
        let (id, payload) = self.asking(request);
        self.send_frame(Kind::Message, &payload);
        self.hear(id, &take)
    }

    /// A request in the session under an id of its own.
    fn asking(&self, request: Request<'_>) -> (u32, Vec<u8>) {
        let id = self.sequence + 1;
        let asked = ToDevice { id, session: self.session, request };
        let mut payload = [0; 2048];
        (id, message::encode(&asked, &mut payload).unwrap().to_vec())
    }

    fn hear<R>(
        &mut self,
        asked: u32,
        take: &impl Fn(Reply<'_>) -> R,
    ) -> Option<Result<R, Refusal>> {
        while let Some((_, payload)) = self.next_payload() {
            match message::decode(&payload) {
                Some(FromDevice::Reply { id, reply: Ok(Reply::Working { .. }) }) if id == asked => {
                }
                Some(FromDevice::Reply { id, reply }) if id == asked => {
                    return Some(reply.map(take));
                }
                _ => {}
            }
        }
        None
    }

    /// The next frame's kind and payload, opened if it is sealed; `None` behind a silence.
    fn next_payload(&mut self) -> Option<(Kind, Vec<u8>)> {
        loop {
            while let Some(mut frame) = self.frames.pop_front() {
                let Some((header, payload)) = Header::split_mut(&mut frame) else { continue };
                let opened = match (header.kind.opened(), &mut self.channel) {
                    (None, _) => Some((header.kind, payload)),
                    (Some(_), Some(channel)) => channel.open(header, payload),
                    (Some(_), None) => None,
                };
                if let Some((kind, payload)) = opened {
                    return Some((kind, payload.to_vec()));
                }
            }
            let bytes = self.bytes.recv_timeout(AGAIN).ok()?;
            let mut rest = bytes.as_slice();
            while let Some(unit) = self.decoder.feed(&mut rest) {
                if let Unit::Frame(frame) = unit {
                    self.frames.push_back(frame.to_vec());
                }
            }
        }
    }

    /// Seals the link as the host with this key, which shows this delegation or nothing; gives what it may do.
    #[track_caller]
    pub fn seal(&mut self, host: &LinkSecret, delegation: &[u8]) -> Result<Actions, Refusal> {
        // Drawn for this handshake as far as it matters here: no two are the same.
        static DRAWN: AtomicU64 = AtomicU64::new(1);
        let fresh = DRAWN.fetch_add(1, Ordering::Relaxed).to_le_bytes().repeat(4);
        let fresh = LinkSecret::new(fresh.try_into().unwrap());
        let mut first = [FIRST; 1 + FIRST_BYTES];
        let (initiator, _) = Initiator::begin(host, &fresh, &mut first[1..]).unwrap();
        let second = self.shake(&first, |kind, payload| {
            (kind == Kind::Handshake && payload.first() == Some(&SECOND)).then(|| payload.to_vec())
        });
        let mut third = vec![THIRD; 1 + THIRD_OVERHEAD_BYTES + delegation.len()];
        let joined = initiator.join(&second[1..], delegation, &mut third[1..]).unwrap();
        self.channel = Some(joined.channel);
        self.shake(&third, |_, payload| match message::decode(payload) {
            Some(FromDevice::Reply { id: 0, reply: Ok(Reply::Linked { actions }) }) => {
                Some(Ok(actions))
            }
            Some(FromDevice::Reply { id: 0, reply: Err(refusal) }) => Some(Err(refusal)),
            _ => None,
        })
    }

    /// Says a message of a handshake until it is answered.
    #[track_caller]
    fn shake<R>(&mut self, said: &[u8], take: impl Fn(Kind, &[u8]) -> Option<R>) -> R {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.send_frame(Kind::Handshake, said);
            while let Some((kind, payload)) = self.next_payload() {
                if let Some(answer) = take(kind, &payload) {
                    return answer;
                }
            }
        }
        panic!("a message of a handshake was not answered within {PATIENCE:?}");
    }

    /// Opens the session.
    #[track_caller]
    pub fn open_session(&mut self) {
        self.boot_nonce = self.ask(HELLO, nonce_of).unwrap();
        let session =
            self.ask(Request::OpenSession { take_over: true, trial_id: 0 }, |reply| match reply {
                Reply::Session { session, .. } => Some(session),
                _ => None,
            });
        self.session = session.unwrap().expect("a session");
    }

    /// The session's number; zero without one.
    pub const fn session(&self) -> u32 {
        self.session
    }

    /// Offers a signed document, piece by piece, and does nothing with it.
    #[track_caller]
    pub fn offer(&mut self, document: &[u8]) -> Result<(), Refusal> {
        let total_bytes = u32::try_from(document.len()).unwrap();
        for (index, bytes) in document.chunks(MAX_PIECE_BYTES).enumerate() {
            let offset = u32::try_from(index * MAX_PIECE_BYTES).unwrap();
            self.ask(Request::Offer { total_bytes, offset, bytes }, |_| ())?;
        }
        Ok(())
    }

    /// Offers a manifest and asks to stage it.
    #[track_caller]
    pub fn stage(&mut self, envelope: &[u8]) -> Result<(), Refusal> {
        self.offer(envelope)?;
        self.ask(Request::Stage { again: false }, |_| ())
    }

    /// What the record says.
    #[track_caller]
    pub fn status(&mut self) -> Status {
        let status = self.ask(Request::Status, |reply| match reply {
            Reply::Status(status) => Some(status),
            _ => None,
        });
        status.unwrap().expect("a status")
    }

    /// Which root record is in force.
    #[track_caller]
    pub fn root_status(&mut self) -> RootStatus {
        let status = self.ask(Request::RootStatus, |reply| match reply {
            Reply::RootStatus(status) => Some(status),
            _ => None,
        });
        status.unwrap().expect("a root record's status")
    }

    /// The boot that the session was opened in.
    pub const fn boot_nonce(&self) -> u64 {
        self.boot_nonce
    }

    /// Opens a trial of what is staged; gives its number.
    #[track_caller]
    pub fn open_trial(
        &mut self,
        bundle: Digest,
        plan: Digest,
        terms: TrialTerms,
    ) -> Result<u32, Refusal> {
        let opened = self.ask(Request::OpenTrial { bundle, plan, terms }, |reply| match reply {
            Reply::Trial { trial_id, .. } => Some(trial_id),
            _ => None,
        });
        opened.map(|trial_id| trial_id.expect("a trial"))
    }

    /// Sends a piece of a component, and waits for no acknowledgement.
    pub fn send_chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) {
        let chunk = Chunk { session: self.session, component, offset, bytes };
        let payload = [&chunk.head()[..], chunk.bytes].concat();
        self.send_frame(Kind::Chunk, &payload);
    }
}

const HELLO: Request<'static> =
    Request::Hello { min: message::PROTOCOL_MIN, current: message::PROTOCOL_CURRENT };

fn nonce_of(reply: Reply<'_>) -> u64 {
    match reply {
        Reply::Hello { boot_nonce, .. } => boot_nonce,
        other => panic!("no answer to a hello: {other:?}"),
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("framing", &self.framing).finish_non_exhaustive()
    }
}
