//! Row 16: a whole session, recorded and played again.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::message::{Reply, Request};
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use hw_sim::{Meddling, Tap, Way};

use super::{Outcome, Row, Switch};
use crate::cli;
use crate::field::FieldOffice;
use crate::flash;
use crate::proxy::{At, Proxy};
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator, boots};
use crate::site::{QUICK_PLAN, Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 16,
    name: "command and confirm replay",
    attack: "a recorded deploy, played again to the same device, to another one, behind a restart, and in the sessions of \
             other deploys; on a plain link the confirm of an earlier boot of the trial",
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
        let boot_nonce = boot_nonce(&mut Raw::tcp(&device.socket()));
        Self { boot_nonce, flash: flash::whole(device.state()) }
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
    let confirmed = old_confirm();
    if confirmed.is_ok() {
        return Outcome::Succeeded("a confirm of an earlier boot has ended a trial".to_owned());
    }
    assert_eq!(confirmed, Err(Refusal::WrongBoot));
    Outcome::Refused(format!(
        "{frames} frames of a deploy on {} links, played to their device, to another one and behind a restart: the same boot, \
         same flash to the byte; the next deploy took no harm from them, nor from {struck} frames of its own said twice; on a \
         plain link the confirm of an earlier boot is refused in the next one",
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

fn boot_nonce(raw: &mut Raw) -> u64 {
    let hello = Request::Hello { min: 1, current: 1 };
    let said = raw.ask(hello, |reply| match reply {
        Reply::Hello { boot_nonce, .. } => boot_nonce,
        _ => 0,
    });
    said.unwrap()
}

/// What a confirm comes to that was right in one boot of a trial, and is said again in the next one, by whoever has the
/// plain link then.
fn old_confirm() -> Result<(), Refusal> {
    let site = Site::new();
    let scenario = "[[image]]\nversion = \"1.1.0\"\nfails = [\"clock\"]\n";
    let device = Simulator::start(&site, &SimOptions::tcp().scenario(scenario));
    let plan = QUICK_PLAN.replace("lease = \"4s\"", "lease = \"60s\"");
    let plan = format!("{plan}\n[policy]\non_fail = \"hold\"\n");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan));
    let _ = site.deploy(&bundle, &device.address()).code(1).says("held on trial");
    let mut raw = Raw::tcp(&device.socket());
    let boot_nonce = boot_nonce(&mut raw);
    raw.open_session();
    let trial_id = raw.ask(Request::Status, |reply| match reply {
        Reply::Status(status) => status.trial.map_or(0, |trial| trial.trial_id),
        _ => 0,
    });
    let trial_id = trial_id.unwrap();
    raw.ask(Request::Arm { trial_id, boots: 1 }, |_| ()).unwrap();
    raw.ask(Request::Reset { boot_nonce }, |_| ()).unwrap();
    cli::wait_for("the next boot of the trial", || {
        (boots(device.state()) == [1, 2, 0]).then_some(())
    });
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    raw.ask(Request::Confirm { trial_id, boot_nonce }, |_| ())
}
