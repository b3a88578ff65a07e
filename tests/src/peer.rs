//! A device that is none: a TCP peer that answers by script.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{self, FromDevice, Reply, Request, ToDevice};
use firmware_protocol::refusal::Refusal;

/// What the peer does with everything that it hears.
#[derive(Debug, Clone)]
pub enum Script {
    /// Takes the connection and says nothing, ever.
    Silence,
    /// Sends these bytes whenever it hears something.
    Bytes(Vec<u8>),
    /// Ends the connection as soon as it hears something.
    HangUp,
    /// Speaks the wire, but answers every question with the answer to another one.
    OutOfTurn,
    /// Speaks a protocol version that no host knows yet.
    NewerProtocol,
    /// Takes up a protocol version that it was not offered.
    UnofferedVersion,
}

/// Listens until the process ends; gives its address as `-d` takes it.
pub fn start(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for host in listener.incoming().map_while(Result::ok) {
            let script = script.clone();
            thread::spawn(move || play(&script, host));
        }
    });
    format!("tcp:{address}")
}

fn play(script: &Script, mut host: TcpStream) {
    let mut decoder = Decoder::new(Framing::Stream, vec![0; 65_536]);
    let mut buffer = [0; 4096];
    let mut sequence = 0;
    while let Ok(count @ 1..) = host.read(&mut buffer) {
        match script {
            Script::Silence => {}
            Script::HangUp => return,
            Script::Bytes(bytes) => drop(host.write_all(bytes)),
            Script::OutOfTurn | Script::NewerProtocol | Script::UnofferedVersion => {
                let mut rest = &buffer[..count];
                while let Some(unit) = decoder.feed(&mut rest) {
                    let Unit::Frame(frame) = unit else { continue };
                    let Some((_, payload)) = Header::split(frame) else { continue };
                    let Some(asked) = message::decode::<ToDevice<'_>>(payload) else { continue };
                    sequence += 1;
                    let _ = host.write_all(&answer(script, &asked, sequence));
                }
            }
        }
    }
}

fn answer(script: &Script, asked: &ToDevice<'_>, sequence: u32) -> Vec<u8> {
    let reply = match (script, asked.request) {
        (Script::NewerProtocol, Request::Hello { .. }) => {
            Err(Refusal::ProtocolVersion { min: 7, current: 9 })
        }
        (Script::NewerProtocol, _) => Err(Refusal::Unknown { current: 9 }),
        (Script::UnofferedVersion, _) => Ok(hello(9)),
        (_, Request::Hello { .. }) => Ok(Reply::Offered { held_bytes: 3 }),
        _ => Ok(hello(1)),
    };
    let mut payload = [0; 512];
    let reply = FromDevice::Reply { id: asked.id, reply };
    let payload = message::encode(&reply, &mut payload).unwrap();
    let mut wire = vec![0; Framing::Stream.wire_bytes(payload.len() + HEADER_BYTES)];
    let header = Header { kind: Kind::Message, sequence };
    let length = Framing::Stream.encode(header, payload, &mut wire).unwrap();
    wire.truncate(length);
    wire
}

const fn hello(version: u8) -> Reply<'static> {
    Reply::Hello { version, max_frame_bytes: 4096, window_bytes: 4096, boot_nonce: 1 }
}
