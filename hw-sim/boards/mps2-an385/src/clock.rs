//! Milliseconds, and a faster timer of another part to hold them against.

use crate::register::Register;

// SAFETY: addresses of AN385, "FPGA I/O".
const COUNTER: Register = unsafe { Register::at(0x4002_8018) };
// SAFETY: as above.
const PRESCALE: Register = unsafe { Register::at(0x4002_801c) };
// SAFETY: addresses of AN385, "APB timer 0".
const TIMER_CONTROL: Register = unsafe { Register::at(0x4000_0000) };
// SAFETY: as above.
const TIMER_VALUE: Register = unsafe { Register::at(0x4000_0004) };
// SAFETY: as above.
const TIMER_RELOAD: Register = unsafe { Register::at(0x4000_0008) };

/// Ticks of the timer in a microsecond.
pub const TICKS_IN_US: u32 = 25;

/// Milliseconds, of which 32 bits are kept; they count once [`Clock::start`] was called.
pub(crate) fn count_ms() -> u32 {
    COUNTER.read()
}

/// The clock that the engine reckons with: counts on for as long as power is there.
#[derive(Debug)]
pub struct Clock {
    last: u32,
    wraps: u32,
}

impl Clock {
    /// Starts counting milliseconds.
    #[must_use]
    pub fn start() -> Self {
        PRESCALE.write(TICKS_IN_US * 1_000 - 1);
        Self { last: count_ms(), wraps: 0 }
    }

    /// Milliseconds; ask at least once in 49 days.
    pub fn now_ms(&mut self) -> u64 {
        let count = count_ms();
        self.wraps += u32::from(count < self.last);
        self.last = count;
        u64::from(self.wraps) << 32 | u64::from(count)
    }
}

/// A timer that counts through 32 bits, 25 times in a microsecond.
#[derive(Debug, Clone, Copy)]
pub struct Ticks(());

impl Ticks {
    /// Starts it.
    #[must_use]
    pub fn start() -> Self {
        TIMER_RELOAD.write(u32::MAX);
        TIMER_CONTROL.write(1);
        Self(())
    }

    /// Its count. The difference of two, wrapping, is the time between them, up to 171 seconds.
    #[must_use]
    pub fn now(self) -> u32 {
        u32::MAX - TIMER_VALUE.read()
    }
}
