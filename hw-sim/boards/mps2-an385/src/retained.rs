//! Memory that a reset leaves as it is, and that comes up as zeros: why the board resets, and what the boot stage tells.
//!
//! Parts with a register for the reset cause say most of this themselves, and so does the real board (SYSCON RSTINFO); QEMU has
//! none. Here everything that resets the board on purpose
//! leaves a word first. Nothing else is left but the watchdog, which leaves none.

use firmware_protocol::boot::ResetCause;
use firmware_protocol::start::Handover;

use crate::map::RETAINED;
use crate::register::Register;

// SAFETY: `build.rs` links no program to it, and the 32 bytes from here on have one purpose each.
const CAUSE: Register = unsafe { Register::at(RETAINED as usize) };
// SAFETY: as above.
const OPERATIONS: Register = unsafe { Register::at(RETAINED as usize + 4) };
// SAFETY: as above.
const WAS_ON: Register = unsafe { Register::at(RETAINED as usize + 8) };
// SAFETY: as above.
const OPEN: Register = unsafe { Register::at(RETAINED as usize + 12) };
// SAFETY: as above.
const HANDOVER: [Register; 4] = unsafe {
    [
        Register::at(RETAINED as usize + 0x10),
        Register::at(RETAINED as usize + 0x14),
        Register::at(RETAINED as usize + 0x18),
        Register::at(RETAINED as usize + 0x1c),
    ]
};

/// A program runs, and has not said that it resets.
const RUNNING: u32 = 0x5275_6e73;
const REQUESTED: u32 = 0x4173_6b65;
const DEADLINE: u32 = 0x4c61_7465;
const CRASH: u32 = 0x4d69_6e65;

/// Why the board started. From now on a reset without a word is the watchdog's.
#[must_use]
pub fn take_cause() -> ResetCause {
    let cause = match CAUSE.read() {
        RUNNING => ResetCause::Watchdog,
        REQUESTED => ResetCause::Requested,
        DEADLINE => ResetCause::Deadline,
        CRASH => ResetCause::Crash,
        0 if WAS_ON.read() == 0 => ResetCause::PowerOn,
        // Somebody has written here: that is charged to who ran, as a crash is.
        _ => ResetCause::Unknown,
    };
    CAUSE.write(RUNNING);
    WAS_ON.write(RUNNING);
    cause
}

/// Resets because the engine has asked for it.
pub fn reset_as_requested() -> ! {
    reset(REQUESTED)
}

/// Resets because a trial's time is up.
pub fn reset_at_deadline() -> ! {
    reset(DEADLINE)
}

/// Resets behind a fault.
pub fn reset_behind_fault() -> ! {
    reset(CRASH)
}

fn reset(cause: u32) -> ! {
    CAUSE.write(cause);
    cortex_m::peripheral::SCB::sys_reset()
}

/// The boot stage's word to the program that it starts.
pub fn leave(handover: &Handover) {
    let bytes = handover.to_bytes();
    for (register, word) in HANDOVER.iter().zip(bytes.as_chunks::<4>().0) {
        register.write(u32::from_le_bytes(*word));
    }
}

/// What the boot stage has left, once: a program that is started by anything else finds nothing.
#[must_use]
pub fn take_handover() -> Option<Handover> {
    let mut bytes = [0; Handover::BYTES];
    for (register, word) in HANDOVER.iter().zip(bytes.as_chunks_mut::<4>().0) {
        *word = register.read().to_le_bytes();
        register.write(0);
    }
    Handover::from_bytes(&bytes)
}

/// Notes the file that this program has open ([`crate::file::File::number`]).
pub fn leave_open(number: u32) {
    OPEN.write(number);
}

/// The file that the program before has left open.
#[must_use]
pub fn left_open() -> u32 {
    OPEN.read()
}

/// Number of the next flash operation since power came on.
#[must_use]
pub fn next_operation() -> u32 {
    let number = OPERATIONS.read();
    OPERATIONS.write(number.wrapping_add(1));
    number
}
