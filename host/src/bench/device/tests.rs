//! A device on a real socket, told by script what to answer.

#![expect(clippy::wildcard_enum_match_arm, reason = "the script takes few requests apart")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use firmware_protocol::boot::{BootRow, ResetCause, Start};
use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::manifest::LifeCycle;
use firmware_protocol::message::{self, FromDevice, LinkCounters, ToDevice};
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

fn device(
    answer: impl FnMut(Request<'_>) -> Result<Reply<'static>, Refusal> + Send + 'static,
) -> Device {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    thread::spawn(move || play(&listener, answer));
    Device::new(Opening {
        address: Address::Tcp { host },
        start: LinkStart::new(None, 0),
        take_over: false,
        first_id: 1,
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
            say(&mut host, asked.id, answer(asked.request));
        }
    }
}

fn say(host: &mut TcpStream, id: u32, reply: Result<Reply<'_>, Refusal>) {
    let mut payload = [0; message::MAX_REPLY_BYTES];
    let payload = message::encode(&FromDevice::Reply { id, reply }, &mut payload).unwrap();
    let mut wire = vec![0; Framing::Stream.wire_bytes(payload.len() + HEADER_BYTES)];
    let header = Header { kind: Kind::Message, sequence: 0 };
    let length = Framing::Stream.encode(header, payload, &mut wire).unwrap();
    host.write_all(&wire[..length]).unwrap();
}

const fn granted() -> Reply<'static> {
    Reply::Session { session: 1, taken_over: false }
}

/// What a healthy device answers to whoever looks at it.
fn healthy(request: Request<'_>) -> Reply<'static> {
    match request {
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
