//! Row 17: somebody in the middle of a sealed session, who loses, swaps and splices its frames and says some of their own.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Framing, Header, Kind};
use firmware_protocol::message::{self, FromDevice, Reply, Request, ToDevice};
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::LinkSecret;
use hw_sim::{Meddling, Tap, Way};

use super::{Outcome, Row, Switch};
use crate::cli::{self, Ended};
use crate::field::FieldOffice;
use crate::proxy::{At, Proxy};
use crate::raw::Raw;
use crate::simulator::{SimOptions, boots};

/// The row.
pub const ROW: Row = Row {
    number: 17,
    name: "hijack, MITM, reorder",
    attack: "on the cable of a deploy: frames lost, swapped, doubled, those of another live session among them and the \
             other way round, and plain words of the attacker's own on the same connection, to the device and to the host",
    defence: "each frame opens under its own session's key and number only, and a field device takes changes from nobody \
              who is not sealed; a host whose link is sealed hears nothing else",
    switch: Switch::Defence(Defence::SealedOnly),
    run,
};

/// Flash that takes its time, so that there is one in which somebody may act.
const SLOW_FLASH: &str = "[flash]\nerase_us = 30000";
/// Frames of the host behind which the attacker speaks up: it is at work then.
const AT_WORK: usize = 8;
const LOOK: Duration = Duration::from_millis(2);
/// How often the attacker tries: a device at work is busy now and then.
const ROUNDS: u32 = 4;
/// Longest that the attacker waits for a word of the device.
const PATIENCE: Duration = Duration::from_secs(5);

type Wiretap = Arc<Mutex<Tap>>;

fn run() -> Outcome {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory().scenario(SLOW_FLASH));
    let [starts_before, ..] = boots(device.state());
    let cable = Proxy::start(&device.socket(), At::Nothing);

    // The other live session; a stranger may have one, too.
    let other = cable.tap_next(Tap::new(Framing::Stream, Vec::new(), 0));
    let mut raw = Raw::tcp(&cable.socket());
    raw.seal(&LinkSecret::new([66; 32]), &[]).unwrap();
    let honest = cable.tap_next(Tap::new(Framing::Stream, script(), 17));
    let deploy = works.start_deploy(&bundle, &cable.address(), "field.nfr", "t");
    let is_over = AtomicBool::new(false);
    let (refusals, forged, crossed, ended) = thread::scope(|scope| {
        let crossing = scope.spawn(|| cross_wire([&honest, &other], &is_over));
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                raw.send_frame(Kind::Message, &[0; 8]);
                thread::sleep(LOOK);
            }
        });
        let speaking = scope.spawn(|| speak_for_the_device(&honest, &is_over));
        let refusals = speak_up(&honest);
        let ended = deploy.wait();
        is_over.store(true, Ordering::SeqCst);
        (refusals, speaking.join().unwrap(), crossing.join().unwrap(), ended)
    });
    let status = works.office.site.status(&device.address());
    let runs = status["device"]["version"].as_str().unwrap_or_default().to_owned();
    let [starts, ..] = boots(device.state());
    if starts > starts_before {
        return Outcome::Succeeded(format!(
            "a plain Reset on the sealed session's connection has restarted the device in the middle of a deploy, which \
             ended with exit {}; {runs} runs",
            ended.code.unwrap_or(-1)
        ));
    }
    assert!(!works.office.site.runs().is_empty(), "a run that could have believed it");
    if is_believed(&works, &ended) {
        return Outcome::Succeeded(
            "the host has taken plain words on its sealed link for the device's".to_owned(),
        );
    }
    let struck = honest.lock().unwrap().struck();
    assert!(struck >= 4, "{struck} lines of the script");
    assert!(forged > 10, "{forged} plain words for the host");
    assert!(crossed.iter().all(|frames| *frames > 10), "{crossed:?} frames cross-wired");
    let retries = usize::from(ended.code != Some(0));
    if retries > 0 {
        let _ = works.deploy(&bundle, &device.address(), "field.nfr", "t").code(0);
    }
    let runs = works.office.site.running_version(&device.address());
    assert_eq!(runs, "2.0.0");
    let [starts, ..] = boots(device.state());
    assert_eq!(starts, starts_before, "slot A has not started again");
    Outcome::Refused(format!(
        "{struck} blows to the session's frames, {} frames of two sessions cross-wired, {refusals} plain requests refused, \
         {forged} plain words to the host unheard: the deploy committed behind {retries} retries, {runs} runs, the device restarted only into its trial",
        crossed[0] + crossed[1]
    ))
}

fn script() -> Vec<Meddling> {
    let (way, back) = (Way::ToDevice, Way::ToHost);
    vec![
        Meddling::Repeat { way, at: 3, times: 2 },
        Meddling::Drop { way, at: 5 },
        Meddling::Drop { way: back, at: 6 },
        Meddling::Shuffle { way, at: 12, frames: 4 },
        Meddling::Flip { way, at: 18, byte: 20 },
        Meddling::Flip { way: back, at: 14, byte: 20 },
    ]
}

/// What is said on one connection is said on the other one as well, both ways; gives how many frames of the honest one
/// were, and how many of the other one.
fn cross_wire(taps: [&Wiretap; 2], is_over: &AtomicBool) -> [usize; 2] {
    let mut heard = [0; 2];
    while !is_over.load(Ordering::SeqCst) {
        for (from, to) in [(0, 1), (1, 0)] {
            let news: Vec<_> = {
                let tap = taps[from].lock().unwrap();
                let news = tap.heard()[heard[from]..].to_vec();
                heard[from] = tap.heard().len();
                news
            };
            let mut tap = taps[to].lock().unwrap();
            for spoken in news {
                tap.put(spoken.way, &spoken.frame);
            }
        }
        thread::sleep(LOOK);
    }
    heard
}

/// Asks for a session and then for what ends one, in the open, again and again as one who is refused would; gives how many
/// refusals there were.
fn speak_up(tap: &Wiretap) -> usize {
    await_work(tap);
    let mut refusals = 0;
    for round in 0..ROUNDS {
        let first_id = 10 * round;
        let hello = Request::Hello { min: 1, current: 1 };
        let hello = ask(tap, first_id, 0, hello, |reply| match reply {
            Reply::Hello { boot_nonce, .. } => boot_nonce,
            _ => 0,
        });
        // The deploy is over, and the connection with it.
        let Some(Ok(boot_nonce)) = hello else { break };
        let open = Request::OpenSession { take_over: true, trial_id: 0 };
        let opened = ask(tap, first_id + 1, 0, open, |reply| match reply {
            Reply::Session { session, .. } => session,
            _ => 0,
        });
        let session = opened.and_then(Result::ok).unwrap_or(1);
        let asked = [
            Request::Confirm { trial_id: 1, boot_nonce },
            Request::Rollback { trial_id: 1 },
            Request::Reset { boot_nonce },
        ];
        let answers = (first_id + 2..).zip(asked);
        let answers = answers.map(|(id, request)| ask(tap, id, session, request, |_| ()));
        let answers: Vec<_> = answers.collect();
        refusals += answers.iter().filter(|answer| matches!(answer, Some(Err(_)))).count();
        if !matches!(answers.last(), Some(Some(Err(_)))) {
            break;
        }
    }
    refusals
}

/// A line of a console that no device has written: it is heard whatever the host has asked, so no number has to be guessed.
const FORGED: &str = "all checks passed, says somebody else";

/// Says it to the host in the open, as often as the host says something, until the deploy is over.
fn speak_for_the_device(tap: &Wiretap, is_over: &AtomicBool) -> usize {
    let mut said = 0;
    await_work(tap);
    let mut payload = [0; 128];
    let line = format!("{FORGED}\n");
    let payload = message::encode(&FromDevice::Console(line.as_bytes()), &mut payload).unwrap();
    while !is_over.load(Ordering::SeqCst) {
        let header = Header { kind: Kind::Message, sequence: u32::MAX };
        tap.lock().unwrap().put(Way::ToHost, &[&header.to_bytes()[..], payload].concat());
        said += 1;
        thread::sleep(LOOK);
    }
    said
}

/// Whether anything that the run has left, or said, has the forged line in it.
fn is_believed(works: &FieldOffice, ended: &Ended) -> bool {
    let files = works.office.site.runs().into_iter().flat_map(|run| fs::read_dir(run).unwrap());
    let mut texts = files.map(|file| fs::read(file.unwrap().path()).unwrap());
    let has = |text: &[u8]| String::from_utf8_lossy(text).contains(FORGED);
    has(ended.stdout.as_bytes()) || has(ended.stderr.as_bytes()) || texts.any(|text| has(&text))
}

fn await_work(tap: &Wiretap) {
    cli::wait_for("a host at work", || {
        (tap.lock().unwrap().recording(Way::ToDevice).len() >= AT_WORK).then_some(())
    });
}

/// Asks on somebody else's connection; `None` when no answer has come.
fn ask<R>(
    tap: &Wiretap,
    id: u32,
    session: u32,
    request: Request<'_>,
    take: impl Fn(Reply<'_>) -> R,
) -> Option<Result<R, Refusal>> {
    // An id that no honest host uses here.
    let id = id | 1 << 30;
    let mut payload = [0; 64];
    let asked = ToDevice { id, session, request };
    let payload = message::encode(&asked, &mut payload).unwrap();
    let header = Header { kind: Kind::Message, sequence: id };
    let since = Instant::now();
    tap.lock().unwrap().put(Way::ToDevice, &[&header.to_bytes()[..], payload].concat());
    while since.elapsed() < PATIENCE {
        for frame in tap.lock().unwrap().recording(Way::ToHost) {
            let Some((Header { kind: Kind::Message, .. }, payload)) = Header::split(&frame) else {
                continue;
            };
            match message::decode(payload) {
                Some(FromDevice::Reply { id: to, reply }) if to == id => {
                    return Some(reply.map(take));
                }
                _ => {}
            }
        }
        thread::sleep(LOOK);
    }
    None
}
