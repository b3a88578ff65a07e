//! Somebody between host and device who takes frames out of the stream and puts them back as a script says.
//!
//! A pure machine: bytes of one way go in, bytes of the same way come out. Both framings; what is no frame (console
//! text, damage) passes as it came. Frames are counted for each way, from 1. Whatever a script leaves open follows
//! from the seed.

use firmware_protocol::frame::{Decoder, Framing, Header, Unit};

use crate::clock::{Chance, Purpose};

/// Longest unit that is taken apart; a longer one passes as it came.
const MAX_UNIT_BYTES: usize = 64 * 1024;

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From host to device.
    ToDevice,
    /// From device to host.
    ToHost,
}

/// A frame as it came, header and payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Where it was going.
    pub way: Way,
    /// Its bytes.
    pub frame: Vec<u8>,
}

/// What is done to frame number `at` of a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meddling {
    /// It never arrives.
    Drop {
        /// Its way.
        way: Way,
        /// Its number.
        at: u64,
    },
    /// It arrives so many times more.
    Repeat {
        /// Its way.
        way: Way,
        /// Its number.
        at: u64,
        /// How many times more.
        times: usize,
    },
    /// It and those behind it, so many in all, arrive together and in another order.
    Shuffle {
        /// Their way.
        way: Way,
        /// The number of the first.
        at: u64,
        /// How many there are.
        frames: u64,
    },
    /// A bit of it turns, and whatever guards it against noise is made to fit.
    Flip {
        /// Its way.
        way: Way,
        /// Its number.
        at: u64,
        /// The byte, counted from the one behind the frame's kind and again from there behind its end: what is of
        /// no kind is no frame.
        byte: usize,
    },
    /// Before it, others arrive: a recording of this connection, or of another one.
    Insert {
        /// Its way.
        way: Way,
        /// Its number.
        at: u64,
        /// What arrives, each frame with its header.
        frames: Vec<Vec<u8>>,
    },
}

impl Meddling {
    const fn place(&self) -> (Way, u64) {
        match *self {
            Self::Drop { way, at }
            | Self::Repeat { way, at, .. }
            | Self::Shuffle { way, at, .. }
            | Self::Flip { way, at, .. }
            | Self::Insert { way, at, .. } => (way, at),
        }
    }
}

/// The tap on one connection.
#[derive(Debug)]
pub struct Tap {
    framing: Framing,
    script: Vec<Meddling>,
    chance: Chance,
    to_device: Lane,
    to_host: Lane,
    heard: Vec<Heard>,
    struck: usize,
}

/// What a tap knows of one way.
#[derive(Debug)]
struct Lane {
    decoder: Decoder<Vec<u8>>,
    /// Bytes that have come since the last unit.
    raw: Vec<u8>,
    frames: u64,
    /// Frames that wait for the end of their window, as they will arrive.
    held: Vec<Vec<u8>>,
    /// The number of the last frame of that window.
    window_end: Option<u64>,
    /// What arrives before the next frame.
    put: Vec<u8>,
}

impl Tap {
    /// A tap that does what `script` says and records everything; an empty script only records.
    #[must_use]
    pub fn new(framing: Framing, script: Vec<Meddling>, seed: u64) -> Self {
        let lane = || Lane {
            decoder: Decoder::new(framing, vec![0; MAX_UNIT_BYTES]),
            raw: Vec::new(),
            frames: 0,
            held: Vec::new(),
            window_end: None,
            put: Vec::new(),
        };
        Self {
            framing,
            script,
            chance: Chance::new(seed, Purpose::Tap, 0),
            to_device: lane(),
            to_host: lane(),
            heard: Vec::new(),
            struck: 0,
        }
    }

    /// Takes bytes that have come and gives those that go on.
    pub fn pass(&mut self, way: Way, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = bytes;
        loop {
            let lane = self.lane(way);
            let before = rest;
            let unit = lane.decoder.feed(&mut rest);
            lane.raw.extend(before.iter().take(before.len().saturating_sub(rest.len())));
            let Some(unit) = unit else { return out };
            let frame = match unit {
                Unit::Frame(frame) => Some(frame.to_vec()),
                Unit::Text(_) | Unit::Damaged(_) => None,
            };
            let raw = std::mem::take(&mut lane.raw);
            match frame {
                Some(frame) => self.frame(way, &frame, raw, &mut out),
                None => out.extend(raw),
            }
        }
    }

    /// Lets a frame, header and payload, arrive before the next one of that way: one that was heard elsewhere a moment
    /// ago, or one that answers what was heard here.
    pub fn put(&mut self, way: Way, frame: &[u8]) {
        let wire = self.encode(frame);
        self.lane(way).put.extend(wire);
    }

    /// Gives what waits for its end and reads as a console's text; asked for after a silence, as
    /// [`Decoder::take_text`] is.
    pub fn idle(&mut self, way: Way) -> Vec<u8> {
        let lane = self.lane(way);
        if lane.decoder.take_text().is_some() { std::mem::take(&mut lane.raw) } else { Vec::new() }
    }

    /// Every frame so far, as it came.
    #[must_use]
    pub fn heard(&self) -> &[Heard] {
        &self.heard
    }

    /// Every frame of one way so far, as it came: what [`Meddling::Insert`] takes.
    #[must_use]
    pub fn recording(&self, way: Way) -> Vec<Vec<u8>> {
        let heard = self.heard.iter().filter(|heard| heard.way == way);
        heard.map(|heard| heard.frame.clone()).collect()
    }

    /// How many lines of the script have been carried out: a fault that has not struck proves nothing.
    #[must_use]
    pub const fn struck(&self) -> usize {
        self.struck
    }

    const fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::ToDevice => &mut self.to_device,
            Way::ToHost => &mut self.to_host,
        }
    }

    fn frame(&mut self, way: Way, frame: &[u8], raw: Vec<u8>, out: &mut Vec<u8>) {
        self.heard.push(Heard { way, frame: frame.to_vec() });
        let lane = self.lane(way);
        out.append(&mut lane.put);
        lane.frames += 1;
        let number = lane.frames;
        let mut copies = vec![raw];
        let script = std::mem::take(&mut self.script);
        for meddling in script.iter().filter(|meddling| meddling.place() == (way, number)) {
            match meddling {
                Meddling::Drop { .. } => copies.clear(),
                Meddling::Repeat { times, .. } => {
                    let again: Vec<_> = (0..*times).map(|_| self.encode(frame)).collect();
                    copies.extend(again);
                }
                Meddling::Flip { byte, .. } => copies = vec![self.flipped(frame, *byte)],
                Meddling::Insert { frames, .. } => {
                    out.extend(frames.iter().flat_map(|frame| self.encode(frame)));
                }
                Meddling::Shuffle { frames, .. } => {
                    self.lane(way).window_end =
                        Some(number.saturating_add(frames.saturating_sub(1)));
                    // It has struck once its window is full.
                    continue;
                }
            }
            self.struck += 1;
        }
        self.script = script;
        let lane = self.lane(way);
        let Some(end) = lane.window_end else {
            out.extend(copies.concat());
            return;
        };
        lane.held.extend(copies);
        if number >= end {
            lane.window_end = None;
            let held = std::mem::take(&mut lane.held);
            out.extend(self.shuffled(held).concat());
            self.struck += 1;
        }
    }

    fn flipped(&mut self, frame: &[u8], byte: usize) -> Vec<u8> {
        let mut frame = frame.to_vec();
        let behind_kind = frame.len().saturating_sub(1);
        let bit = self.chance.below(8);
        if let Some(byte) = byte.checked_rem(behind_kind).and_then(|at| frame.get_mut(1 + at)) {
            *byte ^= 1 << bit;
        }
        self.encode(&frame)
    }

    /// In an order that follows from the seed and is another one, unless there is but one.
    fn shuffled(&mut self, mut held: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let before = held.clone();
        for last in (1..held.len()).rev() {
            let other = self.chance.below(last as u64 + 1);
            held.swap(last, usize::try_from(other).unwrap_or(last));
        }
        if held == before && !held.is_empty() {
            held.rotate_left(1);
        }
        held
    }

    /// A frame, header and payload, as it travels; nothing for what is no frame.
    #[must_use]
    pub fn encode(&self, frame: &[u8]) -> Vec<u8> {
        let Some((header, payload)) = Header::split(frame) else { return Vec::new() };
        let mut wire = vec![0; self.framing.wire_bytes(frame.len())];
        let written = self.framing.encode(header, payload, &mut wire).unwrap_or(0);
        wire.truncate(written);
        wire
    }
}

#[cfg(test)]
mod tests;
