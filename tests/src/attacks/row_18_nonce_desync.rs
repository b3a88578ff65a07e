//! Row 18: sealed frames that are none, thrown into a session to put its numbers out of step.

use std::fs::File;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::planted::Defence;
use firmware_protocol::sealed::MAX_FRAMES;
use hw_sim::{Meddling, Tap, Way};

use super::{Outcome, Row, Switch};
use crate::cli::Running;
use crate::field::FieldOffice;
use crate::proxy::{At, Proxy};
use crate::random::{Random, seed};
use crate::simulator::SimOptions;

/// The row.
pub const ROW: Row = Row {
    number: 18,
    name: "nonce desync",
    attack: "forged sealed frames with numbers far ahead before every frame of a deploy, both ways on TCP, and all through \
             another one on the serial line",
    defence: "a frame that does not open changes nothing, not even a counter",
    switch: Switch::Defence(Defence::FailedOpening),
    run,
};

/// Frames of a connection that have a forged one before them, each way.
const FRAMES: u64 = 400;
/// Connections that a deploy makes at most.
const CONNECTIONS: usize = 12;
/// Between two forged frames on the serial line.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest that a deploy may take.
const LIMIT: Duration = Duration::from_secs(15);

fn run() -> Outcome {
    let mut random = Random::new(seed("row_18_nonce_desync", 1818));
    let works = FieldOffice::new();
    let bundles = ["2.0.0", "3.0.0"].map(|version| works.office.bundle(version, "r"));
    let _ = works.delegate("t", &[]).code(0);
    let options = SimOptions { serial: true, ..SimOptions::tcp().factory() };
    let device = works.enrolled(&options);

    let cable = Proxy::start(&device.socket(), At::Nothing);
    let taps: Vec<_> = (0..CONNECTIONS)
        .map(|_| cable.tap_next(Tap::new(Framing::Stream, script(&mut random), 0)))
        .collect();
    let mut deploy = works.start_deploy(&bundles[0], &cable.address(), "field.nfr", "t");
    let is_done = ends_within(&mut deploy, || ());
    drop(deploy);
    let forged: usize = taps.iter().map(|tap| tap.lock().unwrap().struck()).sum();
    let runs = works.office.site.running_version(&device.tcp_address());
    if runs != "2.0.0" {
        return Outcome::Succeeded(format!(
            "{forged} forged frames: the deploy came to nothing within {} s (ended: {is_done}), {runs} still runs",
            LIMIT.as_secs()
        ));
    }
    assert!(forged > 50, "{forged} forged frames");

    let mut line = File::options().write(true).open(device.port()).unwrap();
    let mut also = 0;
    let mut deploy = works.start_deploy(&bundles[1], &device.address(), "field.nfr", "t");
    let is_done = ends_within(&mut deploy, || {
        line.write_all(&wire(Framing::Serial, &forgery(&mut random))).unwrap();
        also += 1;
    });
    drop(deploy);
    let runs = works.office.site.running_version(&device.tcp_address());
    if runs != "3.0.0" {
        return Outcome::Succeeded(format!(
            "{also} forged frames on the serial line: the deploy came to nothing (ended: {is_done}), {runs} runs"
        ));
    }
    Outcome::Refused(format!(
        "{forged} forged frames among those of a deploy on TCP, {also} on the serial line: both deploys committed"
    ))
}

/// Whether a deploy comes to an end in time; `meanwhile` is done over and over until then.
fn ends_within(deploy: &mut Running, mut meanwhile: impl FnMut()) -> bool {
    let since = Instant::now();
    while !deploy.has_ended() && since.elapsed() < LIMIT {
        meanwhile();
        thread::sleep(PAUSE);
    }
    deploy.has_ended()
}

/// A forged frame before every one.
fn script(random: &mut Random) -> Vec<Meddling> {
    let places = (1..=FRAMES).flat_map(|at| [(Way::ToDevice, at), (Way::ToHost, at)]);
    places.map(|(way, at)| Meddling::Insert { way, at, frames: vec![forgery(random)] }).collect()
}

/// A frame that looks sealed and opens nowhere, far ahead of any that will be sent.
fn forgery(random: &mut Random) -> Vec<u8> {
    let kind = if random.between(0, 2) == 0 { Kind::SealedMessage } else { Kind::SealedChunk };
    let sequence = MAX_FRAMES - 1 - u32::try_from(random.between(0, 1_000)).unwrap();
    let length = usize::try_from(random.between(17, 200)).unwrap();
    [&Header { kind, sequence }.to_bytes()[..], &random.bytes(length)].concat()
}

fn wire(framing: Framing, frame: &[u8]) -> Vec<u8> {
    Tap::new(framing, Vec::new(), 0).encode(frame)
}
