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
use firmware_protocol::slot::PerSlot;

use super::reach::RETRY_MS;
use super::*;

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
    let mut wire = vec![0; Framing::Stream.wire_bytes(payload.len() + HEADER_BYTES)];
    let header = Header { kind: Kind::Message, sequence: 0 };
    let length = Framing::Stream.encode(header, payload, &mut wire).unwrap();
    host.write_all(&wire[..length])
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
