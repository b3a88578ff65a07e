//! P8 on sealed links: strangers by the thousand cost bounded memory and keep no honest session from its work.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use firmware_protocol::frame::{Framing, Header, Kind};
use integration::field::FieldOffice;
use integration::random::{Random, seed};
use integration::simulator::SimOptions;

/// Connections of strangers: the promise is about ten thousand.
const STRANGERS: u32 = 10_000;
/// Behind so many they come slowly: each connection uses up one of a machine's 28,000 ports for a minute.
const SLOW_BEHIND: u32 = 20_000;
/// Memory that the simulator may have taken more by then, in KiB: its allocator keeps some.
const MORE_KIB: u64 = 8 * 1024;

#[test]
fn ten_thousand_strangers_end_no_session_and_cost_no_memory() {
    let works = FieldOffice::new();
    let bundles = ["2.0.0", "3.0.0", "4.0.0"].map(|version| works.office.bundle(version, "r"));
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let (address, socket) = (device.address(), device.socket());
    let before_kib = device.resident_kib();
    let came = Arc::new(AtomicU32::new(0));
    let is_over = Arc::new(AtomicBool::new(false));
    let strangers: Vec<_> = (0..2)
        .map(|number| {
            let (socket, came, is_over) = (socket.clone(), Arc::clone(&came), Arc::clone(&is_over));
            let mut random = Random::new(seed("strangers", 20_261_129 + number));
            thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) || came.load(Ordering::SeqCst) < STRANGERS {
                    come(&socket, &mut random);
                    if came.fetch_add(1, Ordering::SeqCst) > SLOW_BEHIND {
                        thread::sleep(Duration::from_millis(20));
                    }
                }
            })
        })
        .collect();
    let mut beside = Vec::new();
    for bundle in &bundles {
        let before = came.load(Ordering::SeqCst);
        let _ = works.deploy(bundle, &address, "field.nfr", "t").code(0);
        beside.push(came.load(Ordering::SeqCst) - before);
    }
    is_over.store(true, Ordering::SeqCst);
    for stranger in strangers {
        stranger.join().unwrap();
    }
    let (came, after_kib) = (came.load(Ordering::SeqCst), device.resident_kib());
    println!(
        "{came} strangers, {beside:?} of them beside the deploys; resident {before_kib} KiB, then {after_kib}"
    );
    assert!(came >= STRANGERS);
    assert!(beside.iter().all(|strangers| *strangers > 0), "{beside:?}");
    assert!(after_kib <= before_kib + MORE_KIB, "{before_kib} KiB, then {after_kib} KiB");
    assert_eq!(works.office.site.running_version(&address), "4.0.0");
}

/// One connection that says something and goes.
fn come(socket: &str, random: &mut Random) {
    let Ok(mut stream) = TcpStream::connect(socket) else { return };
    // A read with a time limit waits for the system's own tick, which is several milliseconds.
    let _ = stream.set_nonblocking(true);
    let length = usize::try_from(random.between(1, 400)).unwrap_or(1);
    let mut payload = random.bytes(length);
    let kind = match random.between(0, 4) {
        0 => {
            payload = [&[1][..], &random.bytes(32)].concat();
            Kind::Handshake
        }
        1 => Kind::SealedMessage,
        2 => Kind::SealedChunk,
        _ => Kind::Message,
    };
    let mut wire = vec![0; Framing::Stream.wire_bytes(payload.len() + 5)];
    if let Ok(written) = Framing::Stream.encode(Header { kind, sequence: 0 }, &payload, &mut wire) {
        wire.truncate(written - usize::from(random.between(0, 3) == 0));
    }
    let _ = stream.write_all(&wire);
    thread::sleep(Duration::from_micros(300));
    let _ = stream.read(&mut [0; 256]);
    // Few of them stay, and say nothing: a host that waits for each would wait for long.
    if random.between(0, 2_000) == 0 {
        thread::sleep(Duration::from_secs(1));
    }
}
