//! One port of the device: a line in each direction, and the frames on them.

use firmware_protocol::frame::{CRC_BYTES, Decoder, Framing, HEADER_BYTES, Header, Kind, Unit};
use firmware_protocol::message::{CHUNK_HEAD_BYTES, Chunk};
use firmware_protocol::sealed::TAG_BYTES;

use crate::clock::NEVER_US;
use crate::fault::{Direction, LinkFault};
use crate::line::{Arrived, Line, LineSpec};
use crate::stats::{Fired, LinkStats};

/// A port.
#[derive(Debug)]
pub(super) struct Port {
    framing: Framing,
    inbound: Line,
    outbound: Line,
    decoder: Decoder<Vec<u8>>,
    /// Bytes that have arrived and wait for the image.
    heard: Vec<u8>,
    taken: usize,
    /// Bytes that have left and wait for the caller.
    left: Vec<u8>,
    hung_up: bool,
    pub(super) stats: LinkStats,
}

/// What a port is.
pub(super) struct PortSpec<'a> {
    pub(super) framing: Framing,
    /// In bytes per second; zero is unlimited.
    pub(super) rate: u64,
    pub(super) faults: &'a [LinkFault],
    pub(super) max_frame_bytes: u32,
}

impl Port {
    pub(super) fn new(spec: &PortSpec<'_>, seed: u64, index: u64, stats: LinkStats) -> Self {
        let line = |direction, line_index| {
            let on = |fault: &&LinkFault| applies(fault, direction, spec.framing);
            let faults = spec.faults.iter().filter(on).copied().collect();
            Line::new(&LineSpec { rate: spec.rate, faults }, seed, line_index)
        };
        let frame_bytes = usize::try_from(spec.max_frame_bytes).unwrap_or(usize::MAX);
        let buffer = vec![0; spec.framing.wire_bytes(frame_bytes) + CRC_BYTES];
        Self {
            framing: spec.framing,
            inbound: line(Direction::In, index * 2),
            outbound: line(Direction::Out, index * 2 + 1),
            decoder: Decoder::new(spec.framing, buffer),
            heard: Vec::new(),
            taken: 0,
            left: Vec::new(),
            hung_up: false,
            stats,
        }
    }

    /// Bytes enter the line towards the device.
    pub(super) fn receive(&mut self, bytes: &[u8], now_us: u64) {
        self.inbound.send(bytes, now_us);
    }

    /// Bytes on their way to the image.
    pub(super) fn backlog_bytes(&self) -> usize {
        self.inbound.backlog_bytes() + self.heard.len().saturating_sub(self.taken)
    }

    /// When the image has something to hear; a frame that waits is due at once.
    pub(super) fn heard_us(&self) -> u64 {
        if self.taken < self.heard.len() { 0 } else { self.inbound.next_us() }
    }

    /// When bytes next leave.
    pub(super) fn leaves_us(&self) -> u64 {
        self.outbound.next_us()
    }

    /// Takes the next whole frame that has arrived by `now_us`.
    pub(super) fn hear<R>(&mut self, now_us: u64, take: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.arrive(now_us);
        loop {
            let mut rest = self.heard.get(self.taken..)?;
            let unit = self.decoder.feed(&mut rest);
            self.taken = self.heard.len().saturating_sub(rest.len());
            match unit {
                Some(Unit::Frame(frame)) => {
                    count_frame(&mut self.stats, frame);
                    return Some(take(frame));
                }
                Some(Unit::Damaged(_)) => count(&mut self.stats.damaged_in, 1),
                Some(Unit::Text(_)) => {}
                None => {
                    self.heard.clear();
                    self.taken = 0;
                    return None;
                }
            }
        }
    }

    /// Lets bytes pass that no image listens to.
    pub(super) fn ignore(&mut self, now_us: u64) {
        self.arrive(now_us);
        count(&mut self.stats.unheard_bytes, self.heard.len().saturating_sub(self.taken));
        self.heard.clear();
        self.taken = 0;
    }

    /// Sends a frame. One that does not fit the link's framing cannot occur: the buffer is made for it.
    pub(super) fn say(&mut self, header: Header, payload: &[u8], now_us: u64) {
        let mut wire = vec![0; self.framing.wire_bytes(payload.len() + HEADER_BYTES)];
        if let Ok(len) = self.framing.encode(header, payload, &mut wire) {
            wire.truncate(len);
            self.outbound.send(&wire, now_us);
            count(&mut self.stats.frames_out, 1);
        }
    }

    /// Sends text between frames.
    pub(super) fn print(&mut self, text: &str, now_us: u64) {
        self.outbound.send(text.as_bytes(), now_us);
    }

    /// Lets bytes leave that are due.
    pub(super) fn leave(&mut self, now_us: u64) {
        let Arrived { bytes, disconnected } = self.outbound.receive(now_us);
        count(&mut self.stats.bytes_out, bytes.len());
        self.left.extend(bytes);
        if disconnected {
            self.unplug();
        }
    }

    /// Bytes that have left since the last call.
    pub(super) fn take_left(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.left)
    }

    /// True once after the device's end of a connection went away.
    pub(super) const fn take_hung_up(&mut self) -> bool {
        std::mem::replace(&mut self.hung_up, false)
    }

    /// The device's end stops: what it had not heard or said is lost.
    pub(super) fn stop(&mut self) {
        self.inbound.clear();
        self.outbound.clear();
        self.forget();
        self.hung_up = true;
    }

    /// A new connection begins.
    pub(super) fn restart(&mut self) {
        self.inbound.clear();
        self.outbound.clear();
        self.forget();
        self.left.clear();
        self.hung_up = false;
    }

    pub(super) fn fired(&self) -> Fired {
        self.inbound.fired().plus(self.outbound.fired())
    }

    fn arrive(&mut self, now_us: u64) {
        if self.inbound.next_us() == NEVER_US {
            return;
        }
        let Arrived { bytes, disconnected } = self.inbound.receive(now_us);
        count(&mut self.stats.bytes_in, bytes.len());
        self.heard.extend(bytes);
        if disconnected {
            self.unplug();
        }
    }

    /// One cable carries both directions.
    fn unplug(&mut self) {
        let until_us = self.inbound.down_until_us().max(self.outbound.down_until_us());
        self.inbound.pull(until_us);
        self.outbound.pull(until_us);
        if self.framing == Framing::Stream {
            self.forget();
        }
        self.hung_up = true;
    }

    fn forget(&mut self) {
        self.decoder.clear();
        self.heard.clear();
        self.taken = 0;
    }
}

/// TCP repairs what a wire loses or damages, so those faults are on serial lines only.
fn applies(fault: &LinkFault, direction: Direction, framing: Framing) -> bool {
    let here = fault.direction() == Direction::Both || fault.direction() == direction;
    let repaired = framing == Framing::Stream
        && matches!(fault, LinkFault::Drop { .. } | LinkFault::Corrupt { .. });
    here && !repaired
}

fn count_frame(stats: &mut LinkStats, frame: &[u8]) {
    count(&mut stats.frames_in, 1);
    let chunk_bytes = match Header::split(frame) {
        Some((Header { kind: Kind::Chunk, .. }, payload)) if Chunk::parse(payload).is_some() => {
            payload.len().checked_sub(CHUNK_HEAD_BYTES)
        }
        // A wire does not see into it.
        Some((Header { kind: Kind::SealedChunk, .. }, payload)) => {
            payload.len().checked_sub(CHUNK_HEAD_BYTES + TAG_BYTES)
        }
        Some(_) | None => None,
    };
    if let Some(chunk_bytes) = chunk_bytes {
        count(&mut stats.chunk_frames_in, 1);
        count(&mut stats.chunk_bytes_in, chunk_bytes);
    }
}

/// A counter goes on from a state folder's files, which may say anything.
fn count(counter: &mut u64, more: usize) {
    *counter = counter.saturating_add(u64::try_from(more).unwrap_or(u64::MAX));
}
