//! The CMSDK watchdog: two seconds behind the last feed it raises the non-maskable interrupt, two seconds later it resets.
//!
//! Nothing answers the interrupt but a loop, so that an image which cannot be trusted any more does nothing until the reset: its
//! longest step is far shorter than the first two seconds. They are so many because an emulator's time goes on while the computer
//! is too busy for it.

use crate::register::Register;

// SAFETY: addresses of AN385, "APB watchdog".
const LOAD: Register = unsafe { Register::at(0x4000_8000) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_8008) };
// SAFETY: as above.
const CLEAR: Register = unsafe { Register::at(0x4000_800c) };
// SAFETY: as above.
const LOCK: Register = unsafe { Register::at(0x4000_8c00) };

const KEY: u32 = 0x1acc_e551;
/// Half of the time until the reset, at 25 MHz.
const HALF_TICKS: u32 = 50_000_000;
const INTERRUPT_AND_RESET: u32 = 3;

/// Starts it. Nothing here stops it again.
pub fn start() {
    LOCK.write(KEY);
    LOAD.write(HALF_TICKS);
    CONTROL.write(INTERRUPT_AND_RESET);
    LOCK.write(0);
}

/// Begins its time anew.
pub fn feed() {
    LOCK.write(KEY);
    CLEAR.write(1);
    LOCK.write(0);
}
