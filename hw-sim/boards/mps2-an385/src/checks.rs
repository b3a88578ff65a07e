//! The on-device checks of this board. Each does one short step a call, so that the engine answers meanwhile.

mod flash;
mod ram;

use firmware_protocol::message::{CheckGives, CheckInfo, CheckStatus, Reading};

use crate::clock::{TICKS_IN_US, Ticks};
use crate::measured;

use self::flash::FlashCheck;
use self::ram::RamMarch;

/// What there is, in the order of its numbers: append only, plans name them.
const CHECKS: [CheckInfo<'static>; 6] = [
    CheckInfo { name: "ram", gives: CheckGives::Status },
    CheckInfo { name: "flash", gives: CheckGives::Status },
    CheckInfo { name: "clock_error", gives: CheckGives::Value { unit: "ppm" } },
    CheckInfo { name: "stack_used", gives: CheckGives::Value { unit: "B" } },
    CheckInfo { name: "supply", gives: CheckGives::Value { unit: "V" } },
    CheckInfo { name: "loop_latency", gives: CheckGives::Value { unit: "s" } },
];

/// How long the clocks are held against one another, in milliseconds.
const CLOCK_MS: u64 = 200;
/// How long the loop is watched, in milliseconds.
const LATENCY_MS: u64 = 100;

/// The checks.
#[derive(Debug)]
pub struct Checks {
    ticks: Ticks,
    supply_mv: u32,
    ram: RamMarch,
    flash: FlashCheck,
    began_ms: u64,
    began_ticks: u32,
    last_ticks: u32,
    longest_ticks: u32,
}

impl Checks {
    /// Checks whose sensor reads `supply_mv`.
    #[must_use]
    pub fn new(supply_mv: u32) -> Self {
        let ticks = Ticks::start();
        Self {
            ticks,
            supply_mv,
            ram: RamMarch::default(),
            flash: FlashCheck::default(),
            began_ms: 0,
            began_ticks: 0,
            last_ticks: 0,
            longest_ticks: 0,
        }
    }

    pub(crate) fn count(&self) -> u8 {
        u8::try_from(CHECKS.len()).unwrap_or(u8::MAX)
    }

    pub(crate) fn info(&self, index: u8) -> Option<CheckInfo<'_>> {
        CHECKS.get(usize::from(index)).copied()
    }

    pub(crate) fn start(&mut self, _index: u8, now_ms: u64) {
        (self.ram, self.flash) = (RamMarch::default(), FlashCheck::default());
        let ticks = self.ticks.now();
        (self.began_ms, self.began_ticks) = (now_ms, ticks);
        (self.last_ticks, self.longest_ticks) = (ticks, 0);
    }

    pub(crate) fn poll(&mut self, index: u8, now_ms: u64) -> Option<Reading<'_>> {
        let passed_ms = now_ms.saturating_sub(self.began_ms);
        match index {
            0 => self.ram.step().map(|found| status(found, "march C- over 64 KiB")),
            1 => self.flash.step().map(|found| status(found, "one block, erased and programmed")),
            2 => (passed_ms >= CLOCK_MS).then(|| self.clock_error(passed_ms)),
            3 => Some(value(i64::from(measured::stack_used_bytes()), 0, "B")),
            4 => Some(value(i64::from(self.supply_mv), -3, "V")),
            5 => self.loop_latency(passed_ms),
            _ => None,
        }
    }

    /// How far the engine's clock and the timer are apart.
    fn clock_error(&self, passed_ms: u64) -> Reading<'static> {
        let ticks = self.ticks.now().wrapping_sub(self.began_ticks);
        let (us, expected) =
            (i64::from(ticks / TICKS_IN_US), i64::try_from(passed_ms).unwrap_or(0) * 1_000);
        value((us - expected) * 1_000_000 / expected.max(1), 0, "ppm")
    }

    /// The longest time between two of its calls, while it is watched.
    fn loop_latency(&mut self, passed_ms: u64) -> Option<Reading<'static>> {
        let now = self.ticks.now();
        self.longest_ticks = self.longest_ticks.max(now.wrapping_sub(self.last_ticks));
        self.last_ticks = now;
        let us = i64::from(self.longest_ticks / TICKS_IN_US);
        (passed_ms >= LATENCY_MS).then(|| value(us, -6, "s"))
    }
}

const fn value(mantissa: i64, exponent: i8, unit: &'static str) -> Reading<'static> {
    Reading::Value { mantissa, exponent, unit }
}

fn status(is_sound: bool, detail: &str) -> Reading<'static> {
    let status = if is_sound { CheckStatus::Ok } else { CheckStatus::Fail };
    Reading::Status { status, detail: detail.try_into().unwrap_or_default() }
}
