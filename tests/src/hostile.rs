//! A device that is a rogue: it answers as a healthy one does, but for one twist. On a real socket or a real PTY, against
//! the real `noflake`.

mod plausible;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{self, Ack, Chunk, FromDevice, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

pub use self::plausible::{BLOCK_BYTES, Plausible, record};

use crate::cli::{Ended, Running, noflake_binary};
use crate::site::Site;

/// Most memory that a command may take because of what a device says, in KiB.
pub const PEAK_KIB: u64 = 64 * 1024;
/// Console bytes in one message.
const CONSOLE_BYTES: usize = 400;
/// Wait for a host that does not read, before bytes are dropped as a line drops them.
const DROP_AFTER: Duration = Duration::from_millis(200);

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// A socket.
    Tcp,
    /// A serial port.
    Pty,
}

/// Both.
pub const PORTS: [Port; 2] = [Port::Tcp, Port::Pty];

/// What it has heard.
#[derive(Debug, Clone, Copy)]
pub enum Heard<'a> {
    /// A request.
    Request(ToDevice<'a>),
    /// A chunk, with the number of its frame.
    Chunk(u32, Chunk<'a>),
    /// Any other frame.
    Other(Kind),
}

/// What comes behind a twist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It answers as a healthy device would.
    AsUsual,
    /// Nothing.
    Nothing,
    /// It ends the connection.
    HangUp,
}

/// What it does in the place of an answer.
pub type Twist = Box<dyn FnMut(Heard<'_>, &Mouth, &mut Plausible) -> Then + Send>;

/// What it speaks with.
#[derive(Clone)]
pub struct Mouth {
    framing: Framing,
    writer: Arc<Mutex<Box<dyn Write + Send>>>,
    sequence: Arc<AtomicU32>,
}

impl Mouth {
    fn new(framing: Framing, writer: Box<dyn Write + Send>) -> Self {
        Self { framing, writer: Arc::new(Mutex::new(writer)), sequence: Arc::default() }
    }

    /// Sends bytes as they are; false once nobody is there to take them.
    pub fn bytes(&self, bytes: &[u8]) -> bool {
        let mut writer = self.writer.lock().unwrap();
        let (mut rest, begun) = (bytes, Instant::now());
        while !rest.is_empty() {
            match writer.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if begun.elapsed() > DROP_AFTER {
                        return true;
                    }
                    thread::sleep(Duration::from_millis(1));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// A frame as it travels.
    pub fn frame(&self, kind: Kind, payload: &[u8]) -> Vec<u8> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let mut wire = vec![0; self.framing.wire_bytes(payload.len() + HEADER_BYTES)];
        let length = self.framing.encode(Header { kind, sequence }, payload, &mut wire).unwrap();
        wire.truncate(length);
        wire
    }

    /// A message as it travels.
    pub fn message(&self, said: &FromDevice<'_>) -> Vec<u8> {
        let mut payload = [0; 1_024];
        let payload = message::encode(said, &mut payload).unwrap();
        self.frame(Kind::Message, payload)
    }

    /// Answers request `id`.
    pub fn reply(&self, id: u32, reply: Result<Reply<'_>, Refusal>) -> Then {
        self.bytes(&self.message(&FromDevice::Reply { id, reply }));
        Then::Nothing
    }

    /// Acknowledges.
    pub fn ack(&self, ack: Ack) -> Then {
        self.bytes(&self.message(&FromDevice::Ack(ack)));
        Then::Nothing
    }

    /// Console text as it travels here.
    pub fn console(&self, text: &[u8]) -> Vec<u8> {
        match self.framing {
            Framing::Serial => text.to_vec(),
            Framing::Stream => text
                .chunks(CONSOLE_BYTES)
                .flat_map(|piece| self.message(&FromDevice::Console(piece)))
                .collect(),
        }
    }

    /// Goes on sending what `next` gives, with a pause behind each, beside everything else, until nobody takes it.
    pub fn for_ever(&self, pause: Duration, mut next: impl FnMut() -> Vec<u8> + Send + 'static) {
        let mouth = self.clone();
        thread::spawn(move || {
            while mouth.bytes(&next()) {
                thread::sleep(pause);
            }
        });
    }

    /// Sends bytes one by one, each behind a pause, beside everything else.
    pub fn trickle(&self, bytes: Vec<u8>, pause: Duration) -> Then {
        let mouth = self.clone();
        thread::spawn(move || {
            bytes.chunks(1).all(|byte| {
                thread::sleep(pause);
                mouth.bytes(byte)
            })
        });
        Then::Nothing
    }

    /// Sends bytes behind a pause, beside everything else.
    pub fn later(&self, bytes: Vec<u8>, pause: Duration) -> Then {
        let mouth = self.clone();
        thread::spawn(move || {
            thread::sleep(pause);
            mouth.bytes(&bytes)
        });
        Then::Nothing
    }
}

/// Listens until the process ends; gives its address as `-d` takes it.
pub fn start(port: Port, device: Plausible, twist: Twist) -> String {
    let shared = Arc::new(Mutex::new((device, twist)));
    match port {
        Port::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            thread::spawn(move || {
                for host in listener.incoming().map_while(Result::ok) {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve_socket(&host, &shared));
                }
            });
            format!("tcp:{address}")
        }
        Port::Pty => {
            let (master, other_side, name) = open_pair();
            let reader = File::from(master);
            let mouth = Mouth::new(Framing::Serial, Box::new(reader.try_clone().unwrap()));
            thread::spawn(move || {
                // Kept open, so that hosts may come and go as on a real port.
                let _other_side = other_side;
                serve(reader, &mouth, &shared);
            });
            format!("serial:{name}?baud=3000000")
        }
    }
}

fn serve_socket(host: &TcpStream, shared: &Mutex<(Plausible, Twist)>) {
    let _ = host.set_nodelay(true);
    let mouth = Mouth::new(Framing::Stream, Box::new(host.try_clone().unwrap()));
    serve(host.try_clone().unwrap(), &mouth, shared);
    let _ = host.shutdown(std::net::Shutdown::Both);
}

fn serve(mut reader: impl Read, mouth: &Mouth, shared: &Mutex<(Plausible, Twist)>) {
    let mut decoder = Decoder::new(mouth.framing, vec![0; 65_536]);
    let mut buffer = [0; 4_096];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            Err(_) => return,
        };
        let mut rest = &buffer[..count];
        while let Some(unit) = decoder.feed(&mut rest) {
            let Unit::Frame(frame) = unit else { continue };
            let Some((header, payload)) = Header::split(frame) else { continue };
            let Some(heard) = heard(header, payload) else { continue };
            if turn(heard, mouth, &mut shared.lock().unwrap()) == Then::HangUp {
                return;
            }
        }
    }
}

fn heard(header: Header, payload: &[u8]) -> Option<Heard<'_>> {
    Some(match header.kind {
        Kind::Message => Heard::Request(message::decode(payload)?),
        Kind::Chunk => Heard::Chunk(header.sequence, Chunk::parse(payload)?),
        kind => Heard::Other(kind),
    })
}

fn turn(heard: Heard<'_>, mouth: &Mouth, (device, twist): &mut (Plausible, Twist)) -> Then {
    let then = twist(heard, mouth, device);
    match (then, heard) {
        (Then::AsUsual, Heard::Request(asked)) => {
            mouth.reply(asked.id, device.answer(asked.request))
        }
        (Then::AsUsual, Heard::Chunk(sequence, chunk)) => mouth.ack(device.take(sequence, &chunk)),
        (then, _) => then,
    }
}

fn open_pair() -> (OwnedFd, OwnedFd, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let other_side = open(name.as_c_str(), flags, Mode::empty()).unwrap();
    let mut modes = tcgetattr(&other_side).unwrap();
    modes.make_raw();
    tcsetattr(&other_side, OptionalActions::Now, &modes).unwrap();
    fcntl_setfl(&master, fcntl_getfl(&master).unwrap() | OFlags::NONBLOCK).unwrap();
    (master, other_side, name.to_string_lossy().into_owned())
}

/// True when the request is the one asked for.
pub fn asks(heard: Heard<'_>, is_it: impl Fn(&Request<'_>) -> bool) -> Option<u32> {
    match heard {
        Heard::Request(asked) if is_it(&asked.request) => Some(asked.id),
        Heard::Request(_) | Heard::Chunk(..) | Heard::Other(_) => None,
    }
}

/// What a command owes a person, whatever its device does.
#[derive(Debug)]
pub struct Outcome {
    /// What it said.
    pub ended: Ended,
    /// How long it took.
    pub took: Duration,
}

/// Runs `noflake` with `arguments` in `site`, and holds it against what it owes whatever its device does: an end within
/// `within`, memory within [`PEAK_KIB`], and not one character in what it says or leaves behind that could steer a
/// terminal, turn text around or command a CI.
#[track_caller]
pub fn run(what: &str, site: &Site, arguments: &[&str], within: Duration) -> Outcome {
    let mut command = Command::new(noflake_binary());
    command.args(arguments);
    run_command(what, site, command, within)
}

/// As [`run`], for a command that needs more than arguments.
#[track_caller]
pub fn run_command(what: &str, site: &Site, command: Command, within: Duration) -> Outcome {
    let begun = Instant::now();
    let mut command = Running::spawn(site.folder(), command, "");
    let status = format!("/proc/{}/status", command.id());
    let mut peak_kib = 0;
    while !command.has_ended() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        // Until it has become itself, its memory is this process's.
        let text = if text.starts_with("Name:\tnoflake\n") { text.as_str() } else { "" };
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        let said = command.stderr();
        assert!(begun.elapsed() < within, "{what}: not done in {within:?}: {said}");
        thread::sleep(Duration::from_millis(5));
    }
    let (ended, took) = (command.wait(), begun.elapsed());
    assert!(peak_kib < PEAK_KIB, "{what}: {peak_kib} KiB");
    let _ = ended.code.unwrap_or_else(|| panic!("{what}: ended by a signal: {ended:?}"));
    assert!(!ended.stderr.contains("panicked"), "{what}: {}", ended.stderr);
    assert_harmless(&format!("{what}: stdout"), &ended.stdout);
    assert_harmless(&format!("{what}: stderr"), &ended.stderr);
    for path in crate::source::files(&site.path("runs"), "") {
        let text = fs::read(&path).unwrap();
        let text = String::from_utf8(text).unwrap_or_else(|_| panic!("{}", path.display()));
        let name = path.file_name().unwrap_or_default().display();
        assert_steers_nothing(&format!("{what}: {name}"), &text);
    }
    Outcome { ended, took }
}

/// Holds output against terminals and CI runners.
#[track_caller]
pub fn assert_harmless(what: &str, text: &str) {
    assert_steers_nothing(what, text);
    for line in text.lines() {
        let commands = line.trim_start().starts_with("::") || line.contains("##vso[");
        assert!(!commands, "{what}: a command to a CI: {line:?}");
    }
}

/// The first character that steers a terminal or hides what is read, and where it stands.
pub fn steering(text: &str) -> Option<(char, usize)> {
    let steers = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.char_indices().find(|(_, it)| steers(*it)).map(|(at, it)| (it, at))
}

#[track_caller]
fn assert_steers_nothing(what: &str, text: &str) {
    if let Some((steers, at)) = steering(text) {
        let around: String = text[..at].chars().rev().take(60).collect();
        let around: String = around.chars().rev().collect();
        panic!("{what}: {steers:?} behind {around:?}");
    }
}
