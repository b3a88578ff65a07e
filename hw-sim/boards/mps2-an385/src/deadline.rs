//! The hardware deadline of a trial boot: a second timer, which only the engine's effect puts off.
//!
//! Its interrupt has the highest priority, so that neither a hanging main loop nor another interrupt keeps it from its reset. An image that
//! masks all interrupts gets past it: a part with a second watchdog does better, and docs/PORTING.md says so.

use crate::interrupts::{self, DUAL_TIMER};
use crate::register::Register;

// SAFETY: addresses of AN385, "APB dual timer", its first timer.
const LOAD: Register = unsafe { Register::at(0x4000_2000) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_2008) };
// SAFETY: as above.
const CLEAR: Register = unsafe { Register::at(0x4000_200c) };

/// One shot, 32 bits, a 256th of the clock, interrupt, enabled.
const ONCE: u32 = 0b1010_1011;

/// Resets the board in `ms` milliseconds; `None` never. At most twelve hours, the timer's longest; the engine puts it off long before.
pub fn set(ms: Option<u32>) {
    CONTROL.write(0);
    CLEAR.write(1);
    if let Some(ms) = ms {
        // 25 MHz / 256 are 3125 ticks in 32 ms.
        let ticks = u64::from(ms) * 3125 / 32;
        LOAD.write(u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
        CONTROL.write(ONCE);
        interrupts::enable(DUAL_TIMER);
    }
}
