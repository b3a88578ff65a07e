//! A host in the virtual time of its device, as small as a test needs it.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of it")]

pub mod bundle;

use firmware_protocol::frame::{Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{self, FromDevice, Identity, Reply, Request, Status, ToDevice};
use hw_sim::{DeviceConfig, SERIAL_PORT, Scenario, SimDevice};

/// A host in the same virtual time: asks, and waits for the answer.
pub struct Host {
    pub device: SimDevice,
    pub now_us: u64,
    pub session: u32,
    port: usize,
    pub decoder: Decoder<Vec<u8>>,
    pub text: Vec<u8>,
    sequence: u32,
    pub trace: Vec<u8>,
}

impl Host {
    pub fn new(body: &str) -> Self {
        Self::on(SERIAL_PORT, DeviceConfig { scenario: scenario(body), ..config() })
    }

    pub fn on(port: usize, config: DeviceConfig) -> Self {
        let framing = if port == SERIAL_PORT { Framing::Serial } else { Framing::Stream };
        let device = SimDevice::new(config).unwrap();
        let decoder = Decoder::new(framing, vec![0; 4096]);
        Self {
            device,
            now_us: 0,
            session: 0,
            port,
            decoder,
            text: Vec::new(),
            sequence: 0,
            trace: Vec::new(),
        }
    }

    pub fn framing(&self) -> Framing {
        if self.port == SERIAL_PORT { Framing::Serial } else { Framing::Stream }
    }

    /// Sends a frame; gives its sequence number.
    pub fn send_frame(&mut self, kind: Kind, payload: &[u8]) -> u32 {
        self.sequence += 1;
        let header = Header { kind, sequence: self.sequence };
        let mut wire = vec![0; self.framing().wire_bytes(payload.len() + HEADER_BYTES)];
        let len = self.framing().encode(header, payload, &mut wire).unwrap();
        self.device.receive(self.port, &wire[..len], self.now_us);
        self.sequence
    }

    pub fn send(&mut self, request: Request<'_>) -> u32 {
        let id = self.sequence + 1;
        let asked = ToDevice { id, session: self.session, request };
        let mut payload = [0; 1100];
        let payload = message::encode(&asked, &mut payload).unwrap();
        self.send_frame(Kind::Message, payload)
    }

    /// Lets `ms` pass; gives what `take` makes of a message, as soon as it makes something.
    pub fn wait<R>(&mut self, ms: u64, take: impl Fn(FromDevice<'_>) -> Option<R>) -> Option<R> {
        let end_us = self.now_us + ms * 1000;
        while self.now_us < end_us {
            let next_us = self.device.next_wake_us().min(end_us);
            self.now_us = next_us;
            self.device.advance(next_us);
            let bytes = self.device.transmit(self.port);
            if !bytes.is_empty() {
                self.trace.extend(next_us.to_le_bytes());
                self.trace.extend(&bytes);
            }
            let mut rest = bytes.as_slice();
            while let Some(unit) = self.decoder.feed(&mut rest) {
                match unit {
                    Unit::Text(text) => self.text.extend(text),
                    Unit::Damaged(_) => {}
                    Unit::Frame(frame) => {
                        let (_, payload) = Header::split(frame).unwrap();
                        if let Some(taken) = take(message::decode(payload).unwrap()) {
                            return Some(taken);
                        }
                    }
                }
            }
        }
        None
    }

    pub fn pass(&mut self, ms: u64) {
        assert!(self.wait::<()>(ms, |_| None).is_none());
    }

    pub fn ask<R>(
        &mut self,
        request: Request<'_>,
        take: impl Fn(Reply<'_>) -> Option<R>,
    ) -> Option<R> {
        let asked = self.send(request);
        self.wait(200, |message| match message {
            FromDevice::Reply { id, reply: Ok(reply) } if id == asked => take(reply),
            FromDevice::Reply { .. } | FromDevice::Ack(_) | FromDevice::Console(_) => None,
        })
    }

    /// Asks for what has to succeed, however long the device works on it.
    pub fn demand<R>(&mut self, request: Request<'_>, take: impl Fn(Reply<'_>) -> Option<R>) -> R {
        self.attempt(request, take).unwrap()
    }

    /// Asks for what may fail: refused, or never answered because the device went away.
    pub fn attempt<R>(
        &mut self,
        request: Request<'_>,
        take: impl Fn(Reply<'_>) -> Option<R>,
    ) -> Result<R, String> {
        let asked = self.send(request);
        let answer = self.wait(10_000, |message| match message {
            FromDevice::Reply { id, reply } if id == asked => match reply {
                Ok(reply) => take(reply).map(Ok),
                Err(refusal) => Some(Err(format!("{request:?} was refused: {refusal}"))),
            },
            FromDevice::Reply { .. } | FromDevice::Ack(_) | FromDevice::Console(_) => None,
        });
        answer.unwrap_or_else(|| Err(format!("no answer to {request:?}")))
    }

    pub fn identify<R>(&mut self, take: impl Fn(Identity<'_>) -> R) -> Option<R> {
        self.ask(Request::Identify, |reply| match reply {
            Reply::Identity(identity) => Some(take(identity)),
            _ => None,
        })
    }

    pub fn status(&mut self) -> Option<Status> {
        self.ask(Request::Status, |reply| match reply {
            Reply::Status(status) => Some(status),
            _ => None,
        })
    }
}

pub fn scenario(body: &str) -> Scenario {
    Scenario::parse(&format!("schema = \"hwsim/1\"\n{body}"), "test.toml").unwrap()
}

pub fn config() -> DeviceConfig {
    DeviceConfig { seed: 11, ..DeviceConfig::default() }
}
