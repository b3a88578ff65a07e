//! Faults of the device while they wait for their time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use firmware_protocol::boot::ResetCause;

use super::class::{Counts, count};
use super::{DeviceFault, Fault, FaultClass};

/// What is to happen to a device, and what has happened.
///
/// Whoever calls an engine asks [`Mishaps::before_poll`] each time, and carries out what it says.
#[derive(Debug, Default)]
pub struct Mishaps {
    waiting: Vec<(u64, DeviceFault)>,
    polls: u64,
    /// How far the device's clock is off, in milliseconds.
    off_ms: i64,
    stopped_at_ms: Option<u64>,
    random: RandomFaults,
    fired: Counts,
}

/// What happens at a call of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The engine is called; its clock says this, in milliseconds.
    Poll {
        /// The time.
        clock_ms: u64,
    },
    /// The device resets instead.
    Reset {
        /// Why.
        cause: ResetCause,
    },
    /// The image hangs: its engine is not called again.
    Hang,
}

/// How often a random source still fails; a board has a copy of it.
#[derive(Debug, Clone, Default)]
pub struct RandomFaults {
    left: Arc<AtomicU32>,
    struck: Arc<AtomicU64>,
}

impl RandomFaults {
    /// True when the source fails now.
    #[must_use]
    pub fn strikes(&self) -> bool {
        let less = |left: u32| left.checked_sub(1);
        let strikes = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
        self.struck.fetch_add(u64::from(strikes), Ordering::Relaxed);
        strikes
    }
}

impl Mishaps {
    /// Those of `faults` that are the device's.
    #[must_use]
    pub fn of(faults: &[Fault]) -> Self {
        let of_device = |fault: &Fault| match *fault {
            Fault::Device { at_poll, what } => Some((at_poll, what)),
            Fault::Flash { .. } => None,
        };
        Self { waiting: faults.iter().filter_map(of_device).collect(), ..Self::default() }
    }

    /// What the device's board asks whenever it is to give random bytes.
    #[must_use]
    pub fn random(&self) -> RandomFaults {
        self.random.clone()
    }

    /// The engine is about to be called, `now_ms` after its start.
    pub fn before_poll(&mut self, now_ms: u64) -> Mishap {
        self.polls = self.polls.saturating_add(1);
        let polls = self.polls;
        while let Some(place) = self.waiting.iter().position(|(at, _)| *at <= polls) {
            let (_, what) = self.waiting.swap_remove(place);
            // A random source's faults strike when it is asked.
            if !matches!(what, DeviceFault::Random { .. }) {
                count(&mut self.fired, what.class());
            }
            match what {
                DeviceFault::Reset { cause } => return Mishap::Reset { cause },
                DeviceFault::Hang => return Mishap::Hang,
                DeviceFault::ClockJump { by_ms } => {
                    self.off_ms = self.off_ms.saturating_add(by_ms);
                }
                DeviceFault::ClockStop => self.stopped_at_ms = Some(now_ms),
                DeviceFault::Random { times } => self.random.left.store(times, Ordering::Relaxed),
            }
        }
        let now_ms = self.stopped_at_ms.unwrap_or(now_ms);
        Mishap::Poll { clock_ms: now_ms.saturating_add_signed(self.off_ms) }
    }

    /// The device has started anew: its clock is right again.
    pub const fn restart(&mut self) {
        self.off_ms = 0;
        self.stopped_at_ms = None;
    }

    /// Calls of the engine so far.
    #[must_use]
    pub const fn polls(&self) -> u64 {
        self.polls
    }

    /// The clock stands still.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped_at_ms.is_some()
    }

    /// Something has not happened yet.
    #[must_use]
    pub fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes back what has not happened yet.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.random.left.store(0, Ordering::Relaxed);
    }

    /// How often each class has fired.
    #[must_use]
    pub fn fired(&self) -> BTreeMap<FaultClass, u64> {
        let mut fired = self.fired.clone();
        let struck = self.random.struck.load(Ordering::Relaxed);
        if struck > 0 {
            fired.insert(FaultClass::Random, struck);
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mishaps(words: &[&str]) -> Mishaps {
        let faults: Vec<Fault> = words.iter().map(|word| word.parse().unwrap()).collect();
        Mishaps::of(&faults)
    }

    #[test]
    fn each_strikes_once_at_its_call() {
        let mut mishaps = mishaps(&["reset@2=crash", "hang@3", "cut@1:0"]);
        let polls: Vec<Mishap> = (0..4).map(|now_ms| mishaps.before_poll(now_ms)).collect();
        let reset = Mishap::Reset { cause: ResetCause::Crash };
        let poll = |clock_ms| Mishap::Poll { clock_ms };
        assert_eq!(polls, [poll(0), reset, Mishap::Hang, poll(3)]);
        assert_eq!(mishaps.fired().values().sum::<u64>(), 2);
    }

    #[test]
    fn a_clock_is_off_until_the_next_start() {
        let mut mishaps = mishaps(&["clock@2+1000", "clock@3-2000", "clock@4=stop"]);
        let mut clock = |now_ms| match mishaps.before_poll(now_ms) {
            Mishap::Poll { clock_ms } => clock_ms,
            other @ (Mishap::Reset { .. } | Mishap::Hang) => panic!("{other:?}"),
        };
        assert_eq!([clock(5000), clock(5001), clock(5002)], [5000, 6001, 4002]);
        assert_eq!([clock(5003), clock(5999)], [4003, 4003]);
        mishaps.restart();
        assert_eq!(mishaps.before_poll(7), Mishap::Poll { clock_ms: 7 });
        assert_eq!(mishaps.fired()[&FaultClass::Clock], 3);
    }

    #[test]
    fn a_random_source_fails_as_often_as_it_is_told_to() {
        let mut mishaps = mishaps(&["random@1*2"]);
        let random = mishaps.random();
        assert!(!random.strikes());
        mishaps.before_poll(0);
        assert!(mishaps.fired().is_empty(), "nobody has asked it");
        assert_eq!([random.strikes(), random.strikes(), random.strikes()], [true, true, false]);
        assert_eq!(mishaps.fired()[&FaultClass::Random], 2);
    }
}
