//! A device on a real socket, told by script what to answer.

#![expect(clippy::wildcard_enum_match_arm, reason = "the script takes few requests apart")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::delegation::Actions;
use firmware_protocol::digest::Digest;
use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{self, FromDevice, LinkCounters, RootStatus, ToDevice};
use firmware_protocol::root::LifeCycle;
use firmware_protocol::sealed::{LinkKey, LinkSecret, Responder, SECOND, SECOND_BYTES, THIRD};
use firmware_protocol::slot::PerSlot;

use super::acquaint::{HostIdentity, Meets, Shows};
use super::reach::RETRY_MS;
use super::*;
use crate::session::Credentials;
use crate::trust::KnownDevices;

const BOOT: u64 = 7;

/// Downtime ends with the device's first answer, not with another host's leave to go on.
#[tokio::test]
async fn a_device_is_back_with_its_first_answer_though_another_host_holds_its_session() {
    const HELD: u64 = 4;
    let mut asked = 0;
    let mut device = device(move |request| match request {
        Request::OpenSession { .. } => {
            asked += 1;
            let held = Refusal::SessionHeld { idle_ms: 1 };
            if asked <= HELD { Err(held) } else { Ok(granted()) }
        }
        other => Ok(healthy(other)),
    });
    let opened = device.connect(60_000, None, true, &mut |_| {}).await.unwrap();
    let held_ms = device.now_ms().saturating_sub(opened.at_ms);
    assert!(held_ms >= HELD * RETRY_MS, "held off for {held_ms} ms, counted as downtime");
}

/// Nobody looks at the console while a device is waited for, and each connection brings more of it.
#[tokio::test]
async fn a_device_that_floods_its_console_and_hangs_up_again_and_again_does_not_fill_memory() {
    const TALK_BYTES: usize = 128 * 1_024;
    let talks = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&talks);
    let mut device = reached_at(move |listener| {
        let line = [b"\xff".repeat(399), b"\n".to_vec()].concat();
        while let Ok((mut host, _)) = listener.accept() {
            // What the host asks is taken, or the system would throw the talk away with the connection.
            assert_ne!(host.read(&mut [0; 4_096]).unwrap(), 0);
            let mut talk = |_| tell(&mut host, &FromDevice::Console(&line));
            (0..TALK_BYTES / line.len()).try_for_each(&mut talk).unwrap();
            heard.fetch_add(1, Ordering::Relaxed);
        }
    });
    device.connect(1_500, None, false, &mut |_| {}).await.unwrap_err();
    let talked = talks.load(Ordering::Relaxed);
    assert!(talked >= 6, "the device has talked {talked} times");
    let lines = device.take_console();
    let kept_bytes: usize = lines.iter().map(|line| line.text.len()).sum();
    assert!(kept_bytes <= 256 * 1_024, "{kept_bytes} bytes kept of {talked} talks");
    let note = lines.last().map(|line| line.text.as_str()).unwrap_or_default();
    assert!(note.contains("bytes of console text were dropped"), "{note}");
}

/// Both ranges come whole and in their place, and what flash does not give is no more than a word.
#[tokio::test]
async fn a_boot_record_is_read_to_its_end_and_unreadable_flash_costs_a_word_of_it() {
    const FIRST: usize = 1_536;
    let held: &'static [u8] = (0..4_096_u32).map(|at| (at % 251) as u8).collect::<Vec<_>>().leak();
    let mut device = device(move |request| {
        let Request::RecordBytes { offset, length } = request else { return Ok(healthy(request)) };
        let start = usize::try_from(offset).unwrap();
        let end = if start < FIRST { FIRST } else { held.len() };
        let bytes = &held[start..end.min(start + usize::from(length))];
        let is_bad = (start..start + bytes.len()).any(|at| (2_000..2_003).contains(&at));
        let total_bytes = u32::try_from(held.len()).unwrap();
        if is_bad { Err(Refusal::Flash) } else { Ok(Reply::RecordBytes { total_bytes, bytes }) }
    });
    device.connect(60_000, None, false, &mut |_| {}).await.unwrap();
    let record = device.record_bytes().await.unwrap();
    assert_eq!((record.first_range_bytes, record.unreadable_bytes), (FIRST, 32));
    let mut expected = held.to_vec();
    expected[1_984..2_016].fill(0xa5);
    assert!(record.bytes == expected);
}

#[tokio::test]
async fn a_device_that_does_not_know_of_wear_has_none_to_tell() {
    let mut device = device(|request| match request {
        Request::Wear => Err(Refusal::Unknown { current: 1 }),
        other => Ok(healthy(other)),
    });
    device.connect(60_000, None, false, &mut |_| {}).await.unwrap();
    assert_eq!(device.wear().await.unwrap(), None);
}

/// Whatever a device says of its record's length, this host keeps its memory and comes to an end.
#[tokio::test]
async fn a_boot_record_without_end_or_without_bytes_is_no_answer() {
    // Nor is one in pieces that do not end where a range could.
    for (total_bytes, bytes) in [(u32::MAX, &[0_u8; 64][..]), (4_096, &[]), (4_096, &[0])] {
        let mut device = device(move |request| match request {
            Request::RecordBytes { .. } => Ok(Reply::RecordBytes { total_bytes, bytes }),
            other => Ok(healthy(other)),
        });
        device.connect(60_000, None, false, &mut |_| {}).await.unwrap();
        let error = device.record_bytes().await.unwrap_err();
        assert!(matches!(error, DeviceError::OutOfTurn(_)), "{error}");
    }
}

/// The key was held against the serial number that the device gave then; under another number nobody has vouched for it.
#[tokio::test]
async fn a_device_that_takes_another_serial_number_under_the_same_key_is_not_the_one_that_was_met()
{
    let (own, other) = (LinkSecret::new([3; 32]).public(), LinkSecret::new([4; 32]).public());
    let mut device = reached_at(drop);
    device.opening.host = Some(host(&[("S1", own), ("S2", other)]));
    device.met = Some(("S1".to_owned(), own));
    device.is_as_met("S1").unwrap();
    let impostor = device.is_as_met("S2").unwrap_err();
    assert!(
        matches!(&impostor, DeviceError::Impostor { serial, identity, known }
            if serial == "S2" && *identity == own && *known == other),
        "{impostor}"
    );
    let stranger = device.is_as_met("S3").unwrap_err();
    assert!(
        matches!(&stranger, DeviceError::Stranger { serial: Some(serial), identity }
            if serial == "S3" && *identity == own),
        "{stranger}"
    );
}

/// Another known device is shown nothing either: within one run it stays the same one.
#[tokio::test]
async fn another_known_device_that_answers_in_the_middle_of_a_run_is_shown_nothing() {
    let (own, other) = (LinkSecret::new([3; 32]), LinkSecret::new([4; 32]));
    for (met, expected) in [(None, 1), (Some(("S1".to_owned(), own.public())), 0)] {
        let shown = Arc::new(AtomicUsize::new(0));
        let (answers, counted) = (other.clone(), Arc::clone(&shown));
        let mut device = reached_at(move |listener| shake_hands(&listener, &answers, &counted));
        device.opening.host = Some(host(&[("S1", own.public()), ("S2", other.public())]));
        device.met = met;
        let error = device.connect(3_000, None, false, &mut |_| {}).await.unwrap_err();
        assert_eq!(shown.load(Ordering::Relaxed), expected, "{error}");
        let is_stranger = matches!(&error, DeviceError::Stranger { identity, .. }
            if *identity == other.public());
        assert_eq!(is_stranger, expected == 0, "{error}");
    }
}

/// A host that knows these devices.
fn host(devices: &[(&str, LinkKey)]) -> HostIdentity {
    let folder = tempfile::tempdir().unwrap();
    let mut known = KnownDevices::read(&folder.path().join("known-devices.toml")).unwrap();
    for (serial, key) in devices {
        known.keep(serial, key).unwrap();
    }
    let credentials = Credentials {
        secret: LinkSecret::new([1; 32]),
        delegation: Vec::new(),
        devices: None,
        shown_to: None,
    };
    HostIdentity {
        credentials,
        known,
        meets: Meets::Known,
        shows: Shows::Needed,
        unshown: None,
        refused: None,
    }
}

/// Shakes hands as the device with this key until the host shows what it has, counts that, and hangs up for good.
fn shake_hands(listener: &TcpListener, own: &LinkSecret, shown: &AtomicUsize) {
    let (mut host, _) = listener.accept().unwrap();
    let mut decoder = Decoder::new(Framing::Stream, vec![0; 65_536]);
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = host.read(&mut buffer) {
        let mut rest = &buffer[..count];
        while let Some(unit) = decoder.feed(&mut rest) {
            let Unit::Frame(frame) = unit else { continue };
            let (_, payload) = Header::split(frame).unwrap();
            let (word, said) = payload.split_first().unwrap();
            if *word == THIRD {
                shown.fetch_add(1, Ordering::Relaxed);
                return;
            }
            let mut second = [SECOND; 1 + SECOND_BYTES];
            Responder::answer(own, &LinkSecret::new([9; 32]), said, &mut second[1..]).unwrap();
            let header = Header { kind: Kind::Handshake, sequence: 0 };
            host.write_all(&framed(header, &second)).unwrap();
        }
    }
}

fn device(
    answer: impl FnMut(Request<'_>) -> Result<Reply<'static>, Refusal> + Send + 'static,
) -> Device {
    reached_at(move |listener| play(&listener, answer))
}

fn reached_at(serve: impl FnOnce(TcpListener) + Send + 'static) -> Device {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || serve(listener));
    Device::new(Opening {
        address: Address::Tcp { host },
        start: LinkStart::new(None, 0),
        take_over: false,
        first_id: 1,
        host: None,
    })
}

fn play(
    listener: &TcpListener,
    mut answer: impl FnMut(Request<'_>) -> Result<Reply<'static>, Refusal>,
) {
    let (mut host, _) = listener.accept().unwrap();
    let mut decoder = Decoder::new(Framing::Stream, vec![0; 65_536]);
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = host.read(&mut buffer) {
        let mut rest = &buffer[..count];
        while let Some(unit) = decoder.feed(&mut rest) {
            let Unit::Frame(frame) = unit else { continue };
            let (_, payload) = Header::split(frame).unwrap();
            let asked: ToDevice<'_> = message::decode(payload).unwrap();
            let reply = FromDevice::Reply { id: asked.id, reply: answer(asked.request) };
            tell(&mut host, &reply).unwrap();
        }
    }
}

fn tell(host: &mut TcpStream, message: &FromDevice<'_>) -> std::io::Result<()> {
    let mut payload = [0; message::MAX_REPLY_BYTES];
    let payload = message::encode(message, &mut payload).unwrap();
    host.write_all(&framed(Header { kind: Kind::Message, sequence: 0 }, payload))
}

fn framed(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut wire = vec![0; Framing::Stream.wire_bytes(payload.len() + HEADER_BYTES)];
    let length = Framing::Stream.encode(header, payload, &mut wire).unwrap();
    wire.truncate(length);
    wire
}

const fn granted() -> Reply<'static> {
    Reply::Session { session: 1, taken_over: false, actions: Actions::ALL }
}

/// What a healthy device answers to whoever looks at it.
fn healthy(request: Request<'_>) -> Reply<'static> {
    match request {
        Request::RootStatus => {
            let digest = Digest([1; 32]);
            Reply::RootStatus(RootStatus { version: 1, digest, is_held: true, time_floor_s: 5 })
        }
        Request::Identify => Reply::Identity(Identity {
            product: "rover",
            hardware: "nav",
            revision: 1,
            serial: "S1",
            life_cycle: LifeCycle::Development,
            root_version: 1,
            running: Start::Slot(SlotId::A),
            bundle: None,
            version: None,
            boot_nonce: BOOT,
            reset_cause: ResetCause::PowerOn,
            hardware_deadline: true,
            areas: 0,
            checks: 0,
        }),
        Request::Status => Reply::Status(Status {
            active: Some(SlotId::A),
            slots: PerSlot::default(),
            trial: None,
            accept_floor: 0,
            row: BootRow::Confirmed,
            crash_left: 3,
            uptime_ms: 0,
            link: LinkCounters::default(),
            record_entries: 1,
            erases: 0,
        }),
        _ => Reply::Hello {
            version: 1,
            max_frame_bytes: 4_096,
            window_bytes: 8_192,
            boot_nonce: BOOT,
        },
    }
}
