//! A client of the wire without the host's checks: what an attacker, a broken tool or an old laptop
//! would send.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{
    self, Chunk, FromDevice, MAX_PIECE_BYTES, Reply, Request, ToDevice,
};
use firmware_protocol::refusal::Refusal;
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
    sequence: u32,
    session: u32,
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
        let reading = Some(reading);
        Self { framing, writer, bytes, decoder, sequence: 0, session: 0, is_over, reading }
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

    /// A whole frame as it travels.
    pub fn frame(&mut self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        self.sequence += 1;
        let header = Header { kind, sequence: self.sequence };
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
        while let Ok(bytes) = self.bytes.recv_timeout(AGAIN) {
            let mut rest = bytes.as_slice();
            while let Some(unit) = self.decoder.feed(&mut rest) {
                let Unit::Frame(frame) = unit else { continue };
                let Some((_, payload)) = Header::split(frame) else { continue };
                match message::decode(payload) {
                    Some(FromDevice::Reply { id, reply: Ok(Reply::Working { .. }) })
                        if id == asked => {}
                    Some(FromDevice::Reply { id, reply }) if id == asked => {
                        return Some(reply.map(take));
                    }
                    _ => {}
                }
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
