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
use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{
    self, Chunk, FromDevice, MAX_PIECE_BYTES, Reply, Request, ToDevice,
};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::{
    Channel, FIRST, FIRST_BYTES, Initiator, Joined, LinkSecret, SECOND, TAG_BYTES, THIRD,
    THIRD_OVERHEAD_BYTES,
};
use rustix::fs::OFlags;

use crate::random::Random;

/// Longest wait for an answer that must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks for bytes.
const LOOK: Duration = Duration::from_millis(2);
/// Silence after which a question is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// Handshakes so far: no two of a process draw the same key.
static HANDSHAKES: AtomicU64 = AtomicU64::new(0);

/// A raw link to a device.
pub struct Raw {
    framing: Framing,
    writer: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    decoder: Decoder<Vec<u8>>,
    /// Frames that have arrived and nobody has looked at.
    frames: VecDeque<(Header, Vec<u8>)>,
    sequence: u32,
    session: u32,
    sealed: Option<Channel>,
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
        Self {
            framing,
            writer,
            bytes,
            decoder,
            frames: VecDeque::new(),
            sequence: 0,
            session: 0,
            sealed: None,
            is_over,
            reading: Some(reading),
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

    /// A whole frame as it travels: sealed where the link is and its kind can be.
    pub fn frame(&mut self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let mut header = Header { kind, sequence: self.sequence };
        let mut payload = payload.to_vec();
        if let (Some(channel), Some(_)) = (&mut self.sealed, kind.sealed()) {
            let length = payload.len();
            payload.extend([0; TAG_BYTES]);
            (header, _) = channel.seal(kind, &mut payload, length).unwrap();
        }
        let mut wire = vec![0; self.framing.wire_bytes(payload.len() + HEADER_BYTES)];
        let length = self.framing.encode(header, &payload, &mut wire).unwrap();
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
        let id = self.sequence + 1;
        let asked = ToDevice { id, session: self.session, request };
        let mut payload = [0; 2048];
        let payload = message::encode(&asked, &mut payload).unwrap().to_vec();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            self.send_frame(Kind::Message, &payload);
            if let Some(answer) = self.hear(id, &take) {
                return answer;
            }
        }
        panic!("no answer to {request:?} within {PATIENCE:?}");
    }

    fn hear<R>(
        &mut self,
        asked: u32,
        take: &impl Fn(Reply<'_>) -> R,
    ) -> Option<Result<R, Refusal>> {
        while let Some((_, payload)) = self.next_frame() {
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

    /// The next frame that arrives, opened where the link is sealed; `None` behind a silence.
    fn next_frame(&mut self) -> Option<(Header, Vec<u8>)> {
        loop {
            while let Some((header, mut payload)) = self.frames.pop_front() {
                match &mut self.sealed {
                    None => return Some((header, payload)),
                    Some(channel) => {
                        if let Some((kind, text)) = channel.open(header, &mut payload) {
                            return Some((Header { kind, ..header }, text.to_vec()));
                        }
                    }
                }
            }
            let bytes = self.bytes.recv_timeout(AGAIN).ok()?;
            let mut rest = bytes.as_slice();
            while let Some(unit) = self.decoder.feed(&mut rest) {
                let Unit::Frame(frame) = unit else { continue };
                let Some((header, payload)) = Header::split(frame) else { continue };
                self.frames.push_back((header, payload.to_vec()));
            }
        }
    }

    /// Goes on in a sealed link, as the host with this key; gives what the device lets it do by the delegation that
    /// it shows.
    #[track_caller]
    pub fn seal(&mut self, host: &LinkSecret, delegation: &[u8]) -> Result<Actions, Refusal> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let Some(Joined { channel, .. }) = self.shake_hands(host, delegation) else { continue };
            self.sealed = Some(channel);
            let linked = self.hear(0, &|reply| match reply {
                Reply::Linked { actions } => Some(actions),
                _ => None,
            });
            if let Some(linked) = linked {
                return linked.map(|actions| actions.expect("a word about the link"));
            }
            self.sealed = None;
        }
        panic!("no sealed link within {PATIENCE:?}");
    }

    /// One try: first message, second, third.
    fn shake_hands(&mut self, host: &LinkSecret, delegation: &[u8]) -> Option<Joined> {
        let number = HANDSHAKES.fetch_add(1, Ordering::SeqCst);
        let fresh = LinkSecret::new(Random::new(number).bytes(32).try_into().unwrap());
        let mut first = [FIRST; 1 + FIRST_BYTES];
        let (initiator, _) = Initiator::begin(host, &fresh, &mut first[1..]).unwrap();
        self.send_frame(Kind::Handshake, &first);
        let mut third = vec![THIRD; 1 + THIRD_OVERHEAD_BYTES + delegation.len()];
        while let Some((header, payload)) = self.next_frame() {
            if header.kind == Kind::Handshake
                && let Some((&SECOND, second)) = payload.split_first()
                && let Some(joined) = initiator.join(second, delegation, &mut third[1..])
            {
                self.send_frame(Kind::Handshake, &third);
                return Some(joined);
            }
        }
        None
    }

    /// Opens the session.
    #[track_caller]
    pub fn open_session(&mut self) {
        let hello =
            Request::Hello { min: message::PROTOCOL_MIN, current: message::PROTOCOL_CURRENT };
        self.ask(hello, |_| ()).unwrap();
        let session =
            self.ask(Request::OpenSession { take_over: true, trial_id: 0 }, |reply| match reply {
                Reply::Session { session, .. } => Some(session),
                _ => None,
            });
        self.session = session.unwrap().expect("a session");
    }

    /// The session that it is in; zero before one was opened.
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

    /// Sends a piece of a component, and waits for no acknowledgement.
    pub fn send_chunk(&mut self, component: u8, offset: u64, bytes: &[u8]) {
        let chunk = Chunk { session: self.session, component, offset, bytes };
        let payload = [&chunk.head()[..], chunk.bytes].concat();
        self.send_frame(Kind::Chunk, &payload);
    }
}

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw").field("framing", &self.framing).finish_non_exhaustive()
    }
}
