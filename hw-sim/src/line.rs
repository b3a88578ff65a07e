//! One direction of a link: bytes enter at a time, leave at the pace of the line, late, damaged or
//! never.
//!
//! The same model serves virtual and real time. Where the line is paced, byte `n` of a run of bytes
//! without a pause leaves exactly `n` byte times after the run began, however rarely the line is
//! asked; so its long-run rate is exact.

use std::collections::VecDeque;

use crate::clock::{Chance, NEVER_US, Purpose, US_PER_S, us};
use crate::fault::LinkFault;
use crate::stats::Fired;

/// Bytes are handed over in bursts of up to this time, so that nobody has to wake for each byte.
const BURST_US: u64 = 500;

/// What a line is.
#[derive(Debug, Clone, Default)]
pub(crate) struct LineSpec {
    /// Its rate, in bytes per second; zero is unlimited.
    pub(crate) rate: u64,
    /// Its faults.
    pub(crate) faults: Vec<LinkFault>,
}

/// One direction of a link.
#[derive(Debug)]
pub(crate) struct Line {
    rate: u64,
    delay_us: u64,
    drops: Strikes,
    flips: Strikes,
    disconnects: Vec<Disconnect>,
    down_until_us: u64,
    queue: VecDeque<u8>,
    runs: VecDeque<Run>,
    passed_bytes: u64,
    fired: Fired,
}

/// Bytes that entered without a pause between them.
#[derive(Debug)]
struct Run {
    start_us: u64,
    bytes: u64,
    taken: u64,
}

#[derive(Debug)]
struct Disconnect {
    after_bytes: u64,
    down_us: u64,
}

/// What came out of a line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) bytes: Vec<u8>,
    /// The cable was pulled behind these bytes.
    pub(crate) disconnected: bool,
}

impl Line {
    /// A line; `index` tells apart the lines of one device, whose damage is independent.
    pub(crate) fn new(spec: &LineSpec, seed: u64, index: u64) -> Self {
        let (mut drop_rate, mut flip_rate, mut delay_us) = (0.0, 0.0, 0_u64);
        let mut disconnects = Vec::new();
        for fault in &spec.faults {
            match *fault {
                LinkFault::Drop { rate, .. } => drop_rate += rate,
                LinkFault::Corrupt { rate, .. } => flip_rate += rate,
                LinkFault::Delay { delay_ms, .. } => {
                    delay_us = delay_us.saturating_add(us(delay_ms));
                }
                LinkFault::Disconnect { after_bytes, down_ms, .. } => {
                    disconnects.push(Disconnect { after_bytes, down_us: us(down_ms) });
                }
            }
        }
        let chance = |part| Chance::new(seed, Purpose::Line, index.saturating_mul(2) + part);
        Self {
            rate: spec.rate,
            delay_us,
            drops: Strikes::new(drop_rate, chance(0)),
            flips: Strikes::new(flip_rate, chance(1)),
            disconnects,
            down_until_us: 0,
            queue: VecDeque::new(),
            runs: VecDeque::new(),
            passed_bytes: 0,
            fired: Fired { delays: u64::from(delay_us > 0), ..Fired::default() },
        }
    }

    /// Bytes enter. Times never go back; an earlier one counts as the latest known.
    pub(crate) fn send(&mut self, bytes: &[u8], now_us: u64) {
        if bytes.is_empty() || now_us < self.down_until_us {
            return;
        }
        self.queue.extend(bytes);
        let len = bytes.len() as u64;
        let rate = self.rate;
        match self.runs.back_mut() {
            Some(run) if now_us < run.leaves_us(rate, run.bytes) => run.bytes += len,
            _ => self.runs.push_back(Run { start_us: now_us, bytes: len, taken: 0 }),
        }
    }

    /// Takes what has come out by `now_us`.
    pub(crate) fn receive(&mut self, now_us: u64) -> Arrived {
        let mut arrived = Arrived::default();
        while let Some(run) = self.runs.front_mut() {
            let due =
                run.due(self.rate, now_us.saturating_sub(self.delay_us), now_us >= self.delay_us);
            let fresh = due.saturating_sub(run.taken);
            run.taken = due;
            let finished = run.taken >= run.bytes;
            self.pass(fresh, now_us, &mut arrived);
            if arrived.disconnected {
                break;
            }
            if !finished {
                break;
            }
            self.runs.pop_front();
        }
        arrived
    }

    /// When the next bytes come out; [`NEVER_US`] when none are on the way.
    pub(crate) fn next_us(&self) -> u64 {
        let Some(run) = self.runs.front() else { return NEVER_US };
        let burst = (self.rate.saturating_mul(BURST_US) / US_PER_S).max(1);
        let until = run.taken.saturating_add(burst).min(run.bytes);
        run.leaves_us(self.rate, until).saturating_add(self.delay_us)
    }

    /// Bytes on the way.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Bytes on the way are lost, as when an end of the line loses power.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.runs.clear();
    }

    /// Takes the cable out until `until_us`.
    pub(crate) fn pull(&mut self, until_us: u64) {
        self.clear();
        self.down_until_us = self.down_until_us.max(until_us);
    }

    /// When the cable is in again.
    pub(crate) const fn down_until_us(&self) -> u64 {
        self.down_until_us
    }

    /// How often its faults have fired.
    pub(crate) fn fired(&self) -> Fired {
        self.fired.clone()
    }

    fn pass(&mut self, count: u64, now_us: u64, arrived: &mut Arrived) {
        let mut rest = count.min(self.queue.len() as u64);
        while rest > 0 && !arrived.disconnected {
            let clean = self.clean_bytes().min(rest);
            if clean > 0 {
                self.pass_clean(clean, &mut arrived.bytes);
            } else {
                self.pass_one(now_us, arrived);
            }
            rest -= clean.max(1);
        }
    }

    /// Bytes that come through before the next fault can strike.
    fn clean_bytes(&self) -> u64 {
        let ahead = |fault: &Disconnect| fault.after_bytes.checked_sub(self.passed_bytes + 1);
        let disconnect = self.disconnects.iter().filter_map(ahead).min().unwrap_or(u64::MAX);
        self.drops.gap.min(self.flips.gap / 8).min(disconnect)
    }

    fn pass_clean(&mut self, count: u64, into: &mut Vec<u8>) {
        let strikes = self.drops.strikes_within(count).or(self.flips.strikes_within(count * 8));
        debug_assert!(strikes.is_none(), "a fault within bytes that were counted as clean");
        self.passed_bytes = self.passed_bytes.saturating_add(count);
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.queue.len());
        let (front, back) = self.queue.as_slices();
        let from_front = count.min(front.len());
        into.extend_from_slice(&front[..from_front]);
        into.extend_from_slice(&back[..count - from_front]);
        self.queue.drain(..count);
    }

    fn pass_one(&mut self, now_us: u64, arrived: &mut Arrived) {
        let Some(byte) = self.queue.pop_front() else { return };
        self.passed_bytes = self.passed_bytes.saturating_add(1);
        if self.drops.strikes_within(1).is_some() {
            self.fired.dropped_bytes += 1;
        } else {
            arrived.bytes.push(self.damage(byte));
        }
        arrived.disconnected = self.is_pulled_here(now_us);
    }

    fn damage(&mut self, byte: u8) -> u8 {
        let mut byte = byte;
        let mut bit = 0;
        while let Some(ahead) = self.flips.strikes_within(8 - bit) {
            bit += ahead;
            byte ^= 1 << bit;
            bit += 1;
            self.fired.corrupted_bits += 1;
            if bit == 8 {
                break;
            }
        }
        byte
    }

    fn is_pulled_here(&mut self, now_us: u64) -> bool {
        let passed = self.passed_bytes;
        let Some(place) = self.disconnects.iter().position(|fault| fault.after_bytes == passed)
        else {
            return false;
        };
        let fault = self.disconnects.swap_remove(place);
        self.fired.disconnects += 1;
        self.pull(now_us.saturating_add(fault.down_us));
        true
    }
}

impl Run {
    /// When the first `count` bytes have left the sender.
    fn leaves_us(&self, rate: u64, count: u64) -> u64 {
        let sending_us = count.saturating_mul(US_PER_S).checked_div(rate);
        // A byte has left a moment after its time rounds down, so round up.
        let inexact = rate > 0 && !count.saturating_mul(US_PER_S).is_multiple_of(rate);
        self.start_us.saturating_add(sending_us.unwrap_or(0)).saturating_add(u64::from(inexact))
    }

    /// Bytes that have left the sender by `now_us`.
    fn due(&self, rate: u64, now_us: u64, begun: bool) -> u64 {
        let Some(elapsed_us) = now_us.checked_sub(self.start_us).filter(|_| begun) else {
            return self.taken;
        };
        if rate == 0 {
            return self.bytes;
        }
        let due = u128::from(elapsed_us) * u128::from(rate) / u128::from(US_PER_S);
        u64::try_from(due).unwrap_or(u64::MAX).min(self.bytes)
    }
}

/// Independent events of one rate, drawn as the gap to the next one: a line without faults costs
/// nothing.
#[derive(Debug)]
struct Strikes {
    rate: f64,
    /// Units that pass before the next strike.
    gap: u64,
    chance: Chance,
}

impl Strikes {
    fn new(rate: f64, chance: Chance) -> Self {
        let mut strikes = Self { rate: rate.clamp(0.0, 1.0), gap: 0, chance };
        strikes.draw();
        strikes
    }

    /// Lets up to `units` pass; gives how many did before a strike, if one came.
    fn strikes_within(&mut self, units: u64) -> Option<u64> {
        if self.gap >= units {
            self.gap -= units;
            return None;
        }
        let before = self.gap;
        self.draw();
        Some(before)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the float is not negative, and a cast that saturates is a gap that never ends"
    )]
    fn draw(&mut self) {
        self.gap = if self.rate <= 0.0 {
            u64::MAX
        } else if self.rate >= 1.0 {
            0
        } else {
            let share = 1.0 - self.chance.unit();
            (share.ln() / (-self.rate).ln_1p()) as u64
        };
    }
}

#[cfg(test)]
mod tests;
