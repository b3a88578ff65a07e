//! The board's interrupts: their lines, and how one is let through (their handlers: `vectors.rs`).

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// A line of the interrupt controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line(u16);

/// The first serial port has received something.
pub const UART_RECEIVED: Line = Line(0);
/// The timer of [`crate::deadline`].
pub const DUAL_TIMER: Line = Line(10);

impl Line {
    /// Its place among the board's interrupts.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

// SAFETY: both are lines of this board.
unsafe impl InterruptNumber for Line {
    fn number(self) -> u16 {
        self.0
    }
}

/// Priority of everything but the deadline: lower than its own, which is the highest from reset on. Whoever lets an
/// exception of the processor through gives it this one, too.
pub const LATER: u8 = 0x80;

/// Lets an interrupt through.
pub fn enable(line: Line) {
    // SAFETY: its handler is in the table of `vectors.rs`, in every program; the deadline keeps the priority that it has from reset on.
    unsafe {
        if line != DUAL_TIMER {
            cortex_m::Peripherals::steal().NVIC.set_priority(line, LATER);
        }
        NVIC::unmask(line);
    }
}

/// Lets an interrupt through, and raises it.
pub fn raise(line: Line) {
    enable(line);
    NVIC::pend(line);
}

/// Keeps an interrupt out.
pub fn disable(line: Line) {
    NVIC::mask(line);
}
