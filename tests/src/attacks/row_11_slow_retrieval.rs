//! Row 11: strangers who begin and never end, a byte at a time, on every wire.

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::planted::Defence;
use firmware_protocol::sealed::{FIRST, FIRST_BYTES};

use super::{Outcome, Row, Switch};
use crate::field::FieldOffice;
use crate::random::Random;
use crate::simulator::SimOptions;

/// The row.
pub const ROW: Row = Row {
    number: 11,
    name: "slow retrieval",
    attack: "handshakes that are begun and never ended on the serial line and on both connections, and then a byte just \
             before each timeout, while an honest host deploys",
    defence: "a handshake has two seconds, and its wire comes behind the others afterwards; a connection that says \
              little gives way",
    switch: Switch::Defence(Defence::HandshakeTime),
    run,
};

/// A little less than a handshake is given.
const JUST_BEFORE: Duration = Duration::from_millis(1_900);
/// Before each stranger: the wire that enrolled has its turn again, and the first is the one on the wire that the honest
/// host does not use.
const ONE_BY_ONE: Duration = Duration::from_millis(500);
/// Between two looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);
/// Longest that the honest host may take.
const LIMIT: Duration = Duration::from_secs(8);

/// Where a stranger speaks.
enum Wire {
    Serial(PathBuf),
    Tcp(String),
    /// As TCP, and behind its one first message a byte at a time.
    Dripping(String),
}

fn run() -> Outcome {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let options = SimOptions { serial: true, ..SimOptions::tcp().factory() };
    let device = works.enrolled(&options);
    let is_over = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(AtomicU64::new(0));
    let wires =
        [Wire::Serial(device.port()), Wire::Tcp(device.socket()), Wire::Dripping(device.socket())];
    let mut strangers = Vec::new();
    for (number, wire) in (1..).zip(wires) {
        thread::sleep(ONE_BY_ONE);
        let (is_over, has_begun) = (Arc::clone(&is_over), Arc::clone(&begun));
        strangers.push(thread::spawn(move || {
            dawdle(&wire, &mut Random::new(number), &is_over, &has_begun);
        }));
        while begun.load(Ordering::SeqCst) < number {
            thread::sleep(LOOK);
        }
    }
    let since = Instant::now();
    let mut deploy = works.start_deploy(&bundle, &device.tcp_address(), "field.nfr", "t");
    while !deploy.has_ended() && since.elapsed() < LIMIT {
        thread::sleep(LOOK);
    }
    let took = since.elapsed();
    let ended = deploy.has_ended().then(|| deploy.wait());
    is_over.store(true, Ordering::SeqCst);
    for stranger in strangers {
        stranger.join().unwrap();
    }
    let runs = works.office.site.running_version(&device.tcp_address());
    let begun = begun.load(Ordering::SeqCst);
    match ended {
        Some(ended) if runs == "2.0.0" => {
            let _ = ended.code(0);
            Outcome::Refused(format!(
                "beside {begun} handshakes without an end the honest host was done in {} s: {runs} runs",
                took.as_secs()
            ))
        }
        Some(_) | None => Outcome::Succeeded(format!(
            "{begun} handshakes without an end: the honest host did not get in within {} s, {runs} still runs",
            LIMIT.as_secs()
        )),
    }
}

/// Begins a handshake, says a byte just before it is given up, and begins the next one.
fn dawdle(wire: &Wire, random: &mut Random, is_over: &AtomicBool, begun: &AtomicU64) {
    let mut writer: Option<Box<dyn Write>> = None;
    let mut next = Instant::now();
    while !is_over.load(Ordering::SeqCst) {
        if Instant::now() >= next {
            let drips = writer.is_some() && matches!(wire, Wire::Dripping(_));
            let said = if drips { vec![1] } else { first(wire, random) };
            match writer.get_or_insert_with(|| connect(wire)).write_all(&said) {
                Ok(()) if drips => {}
                Ok(()) => drop(begun.fetch_add(1, Ordering::SeqCst)),
                // Somebody else has the connection now: this stranger comes again.
                Err(_) => writer = None,
            }
            next = Instant::now() + JUST_BEFORE;
        }
        thread::sleep(LOOK);
    }
}

fn connect(wire: &Wire) -> Box<dyn Write> {
    match wire {
        Wire::Serial(port) => Box::new(File::options().write(true).open(port).unwrap()),
        Wire::Tcp(socket) | Wire::Dripping(socket) => Box::new(TcpStream::connect(socket).unwrap()),
    }
}

/// A first message as it travels.
fn first(wire: &Wire, random: &mut Random) -> Vec<u8> {
    let framing = match wire {
        Wire::Serial(_) => Framing::Serial,
        Wire::Tcp(_) | Wire::Dripping(_) => Framing::Stream,
    };
    let payload = [&[FIRST][..], &random.bytes(FIRST_BYTES)].concat();
    let mut bytes = vec![0; framing.wire_bytes(payload.len() + 5)];
    let header = Header { kind: Kind::Handshake, sequence: 0 };
    let written = framing.encode(header, &payload, &mut bytes).unwrap();
    bytes.truncate(written);
    bytes
}
