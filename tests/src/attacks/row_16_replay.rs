//! Row 16: a whole session, recorded and played again.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::message::{Reply, Request};
use firmware_protocol::planted::Defence;
use hw_sim::{Meddling, Tap, Way};

use super::{Outcome, Row, Switch};
use crate::field::FieldOffice;
use crate::flash;
use crate::proxy::{At, Proxy};
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};

/// The row.
pub const ROW: Row = Row {
    number: 16,
    name: "command and confirm replay",
    attack: "a recorded deploy, played again to the same device, to another one, behind a restart, and in the sessions of \
             other deploys",
    defence: "every handshake has new keys and every session a new number, so what was sealed under others opens \
              nowhere; a reset and a confirm name their boot besides",
    switch: Switch::Defence(Defence::FreshKeys),
    run,
};

/// Behind a frame: a device that works on one does not hear the next.
const PAUSE: Duration = Duration::from_millis(6);
/// Behind one of a handshake: they are counted by the second.
const HANDSHAKE_PAUSE: Duration = Duration::from_millis(120);
/// Connections that one deploy makes at most.
const CONNECTIONS: usize = 4;

/// What a device is, in its flash and in its boot.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    boot_nonce: u64,
    flash: Vec<u8>,
}

impl Standing {
    fn of(device: &Simulator) -> Self {
        let hello = Request::Hello { min: 1, current: 1 };
        let boot_nonce = Raw::tcp(&device.socket()).ask(hello, |reply| match reply {
            Reply::Hello { boot_nonce, .. } => boot_nonce,
            _ => 0,
        });
        Self { boot_nonce: boot_nonce.unwrap(), flash: flash::whole(device.state()) }
    }
}

fn run() -> Outcome {
    let works = FieldOffice::new();
    let bundles = ["2.0.0", "3.0.0"].map(|version| works.office.bundle(version, "r"));
    let _ = works.delegate("t", &[]).code(0);
    let options = SimOptions::tcp().factory();
    let device = works.enrolled(&options);
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let taps = record(&cable);
    let _ = works.deploy(&bundles[0], &cable.address(), "field.nfr", "t").code(0);
    let recordings: Vec<_> = taps.iter().map(recording).filter(|it| !it.is_empty()).collect();
    let frames: usize = recordings.iter().map(Vec::len).sum();
    assert!(recordings.len() > 1, "one connection for each boot");

    let mut breach = replayed(&device, &recordings).map(|what| format!("to its device: {what}"));
    device.kill();
    let device = Simulator::start(&works.office.site, &options);
    let restarted = || replayed(&device, &recordings);
    breach = breach.or_else(|| restarted().map(|what| format!("behind a restart: {what}")));
    if let Some(breach) = breach {
        let runs = works.office.site.running_version(&device.address());
        return Outcome::Succeeded(format!(
            "the recorded deploy, played again {breach}, and nobody has asked for it; {runs} runs"
        ));
    }
    let elsewhere = SimOptions { seed: 8, ..options }
        .state("other")
        .scenario("[device]\nserial = \"SIM-0002\"");
    let other = works.enrolled(&elsewhere);
    if let Some(breach) = replayed(&other, &recordings) {
        return Outcome::Succeeded(format!(
            "the recorded deploy, played to another device: {breach}"
        ));
    }

    // Into an honest session: the recording before its fifth frame, and each of its own frames twice.
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let taps = [cable.tap_next(Tap::new(Framing::Stream, again(&recordings), 0))];
    let _ = works.deploy(&bundles[1], &cable.address(), "field.nfr", "t").code(0);
    let struck = taps[0].lock().unwrap().struck();
    assert!(struck > 10, "{struck} lines of the script");
    Outcome::Refused(format!(
        "{frames} frames of a deploy on {} links, played to their device, to another one and behind a restart: the same boot, \
         same flash to the byte; the next deploy took no harm from them, nor from {struck} frames of its own said twice",
        recordings.len()
    ))
}

fn record(cable: &Proxy) -> Vec<Arc<Mutex<Tap>>> {
    (0..CONNECTIONS).map(|_| cable.tap_next(Tap::new(Framing::Stream, Vec::new(), 0))).collect()
}

fn recording(tap: &Arc<Mutex<Tap>>) -> Vec<Vec<u8>> {
    tap.lock().unwrap().recording(Way::ToDevice)
}

/// Plays each link's frames on a connection of its own; says what that did, if it did anything.
fn replayed(device: &Simulator, recordings: &[Vec<Vec<u8>>]) -> Option<String> {
    let before = Standing::of(device);
    for recording in recordings {
        let mut raw = Raw::tcp(&device.socket());
        let encoder = Tap::new(Framing::Stream, Vec::new(), 0);
        for frame in recording {
            raw.send_bytes(&encoder.encode(frame));
            let is_handshake =
                Header::split(frame).is_some_and(|(header, _)| header.kind == Kind::Handshake);
            thread::sleep(if is_handshake { HANDSHAKE_PAUSE } else { PAUSE });
        }
    }
    let after = Standing::of(device);
    if after == before {
        return None;
    }
    let changed = after.flash.iter().zip(&before.flash).filter(|(now, then)| now != then).count();
    let restarted =
        if after.boot_nonce == before.boot_nonce { "in the same boot" } else { "restarted" };
    Some(format!("{changed} bytes of its flash are others, {restarted}"))
}

/// Every recorded frame in front of the fifth one, and the first hundred frames twice.
fn again(recordings: &[Vec<Vec<u8>>]) -> Vec<Meddling> {
    let way = Way::ToDevice;
    let insert = Meddling::Insert { way, at: 5, frames: recordings.concat() };
    (1..100).map(|at| Meddling::Repeat { way, at, times: 1 }).chain([insert]).collect()
}
