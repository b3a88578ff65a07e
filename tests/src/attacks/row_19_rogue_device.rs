//! Row 19: a device that says that it is another one, and somebody in between with a key of their own.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use firmware_protocol::frame::{Decoder, Framing, Header, Kind, Unit};
use firmware_protocol::message::Request;
use firmware_protocol::planted::Defence;
use firmware_protocol::sealed::{FIRST, LinkSecret, Responder, SECOND, SECOND_BYTES, THIRD};
use hw_sim::{Tap, Way};

use super::{Outcome, Row, Switch};
use crate::field::FieldOffice;
use crate::proxy::{At, Proxy};
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};

/// The row.
pub const ROW: Row = Row {
    number: 19,
    name: "rogue device",
    attack: "a clone with the device's serial number and root record and a key of its own; somebody in between who answers \
             with a key of their own",
    defence: "a host knows the keys of its devices, and says nothing to whoever proves another one",
    switch: Switch::Defence(Defence::KnownDevices),
    run,
};

/// Longest that the one in between waits for a host's word.
const LIMIT: Duration = Duration::from_secs(8);

fn run() -> Outcome {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    works.enrolled(&SimOptions::tcp().factory()).kill();

    // The root record is no secret: who has it enrols what they like under it.
    let options = SimOptions { seed: 666, ..SimOptions::tcp().state("clone").factory() };
    let clone = Simulator::start(&works.office.site, &options);
    enroll(&works, &clone);
    let cable = Proxy::start(&clone.socket(), At::Nothing);
    let tap = cable.tap_next(Tap::new(Framing::Stream, Vec::new(), 0));
    let fooled = works.deploy(&bundle, &cable.address(), "field.nfr", "t");
    let said = tap.lock().unwrap().recording(Way::ToDevice);
    let (runs, got) = (works.office.site.running_version(&clone.address()), clone.payload_bytes());
    let shown = said.iter().filter(|frame| says_third(frame)).count();

    let (address, delegation) = in_between();
    let deploy = works.start_deploy(&bundle, &address, "field.nfr", "t");
    let stolen = delegation.recv_timeout(LIMIT).ok();
    if stolen.is_none() {
        let _ = deploy.wait().code(5).says("what answers is not known here");
    } else {
        deploy.kill();
    }
    let own = fs::read(works.office.site.path("t.nfd")).unwrap();
    let has_delegation = stolen.as_ref() == Some(&own);
    if runs == "2.0.0" || got > 0 || shown > 0 || has_delegation {
        return Outcome::Succeeded(format!(
            "the host deployed to the clone with exit {}: it has {got} bytes of the bundle and runs {runs}; the one in \
             between has the delegation: {has_delegation}",
            fooled.code.unwrap_or(-1)
        ));
    }
    let _ = fooled.code(5).says("this is not the device");
    Outcome::Refused(format!(
        "the clone and the one in between: exit 5 behind {} frames of a handshake's begin and a question in the open; no delegation, no byte of the \
         bundle",
        said.len()
    ))
}

fn enroll(works: &FieldOffice, clone: &Simulator) {
    let record = fs::read(works.office.site.path("field.nfr")).unwrap();
    let mut raw = Raw::tcp(&clone.socket());
    raw.open_session();
    raw.offer(&record).unwrap();
    raw.ask(Request::Enroll, |_| ()).unwrap();
}

/// Whether a frame is a handshake's third message, which carries the delegation.
fn says_third(frame: &[u8]) -> bool {
    let split = Header::split(frame);
    split.is_some_and(|(header, payload)| {
        header.kind == Kind::Handshake && payload.first() == Some(&THIRD)
    })
}

/// Answers the first host that comes with a key of its own; gives its address, and then what that host shows.
fn in_between() -> (String, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp:{}", listener.local_addr().unwrap());
    let (sender, shown) = mpsc::channel();
    thread::spawn(move || {
        let host = listener.accept().unwrap().0;
        if let Some(delegation) = meet(host) {
            let _ = sender.send(delegation);
        }
    });
    (address, shown)
}

/// One handshake as a device would answer it; what the host says in its end.
fn meet(mut host: TcpStream) -> Option<Vec<u8>> {
    let (own, fresh) = (LinkSecret::new([67; 32]), LinkSecret::new([68; 32]));
    let (mut decoder, mut buffer) = (Decoder::new(Framing::Stream, vec![0; 4_096]), [0; 4_096]);
    let mut responder = None;
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        let read = host.read(&mut buffer).ok().filter(|read| *read > 0)?;
        let mut rest = &buffer[..read];
        while let Some(unit) = decoder.feed(&mut rest) {
            let Unit::Frame(frame) = unit else { continue };
            match (Header::split(frame)?.1.split_first()?, &responder) {
                ((&FIRST, first), _) => {
                    let mut second = [SECOND; 1 + SECOND_BYTES];
                    let answer = Responder::answer(&own, &fresh, first, &mut second[1..]);
                    responder = answer.map(|(responder, _)| responder);
                    let header = Header { kind: Kind::Handshake, sequence: 0 };
                    let answer = [&header.to_bytes()[..], &second].concat();
                    let wire = Tap::new(Framing::Stream, Vec::new(), 0).encode(&answer);
                    host.write_all(&wire).ok()?;
                }
                ((&THIRD, third), Some(responder)) => {
                    let mut said = [0; 1_024];
                    let joined = responder.join(third, &mut said)?;
                    return Some(said[..joined.written].to_vec());
                }
                _ => {}
            }
        }
    }
    None
}
