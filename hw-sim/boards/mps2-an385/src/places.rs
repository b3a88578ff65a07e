//! Where a version runs, and the jump there.

use crate::map::{APPLICATION, APPLICATION_BYTES, RAM, RAM_BYTES};

/// The memory in which a version runs. For the boot stage only.
pub(crate) fn application() -> &'static mut [u8] {
    // SAFETY: no program runs there while the boot stage does, `build.rs` gives it to no other, and each borrow of it ends
    // before the next one begins (`loaded.rs`).
    unsafe { core::slice::from_raw_parts_mut(APPLICATION as *mut u8, APPLICATION_BYTES as usize) }
}

/// Whether the program that was copied begins with a vector table. A processor that finds no stack, or no code for a fault, locks
/// up: a real one until its watchdog resets it, and QEMU ends.
#[must_use]
pub fn can_be_entered() -> bool {
    let Some([stack, reset, maskless, fault, ..]) = application().as_chunks().0.get(..4) else {
        return false;
    };
    let (stack, code) = (u32::from_le_bytes(*stack), APPLICATION..APPLICATION + APPLICATION_BYTES);
    let has_stack = stack > RAM && stack <= RAM + RAM_BYTES && stack % 8 == 0;
    // Thumb code: the lowest bit is set.
    let is_code = |at: &[u8; 4]| {
        let at = u32::from_le_bytes(*at);
        at & 1 == 1 && code.contains(&at)
    };
    has_stack && [reset, maskless, fault].into_iter().all(is_code)
}

/// Leaves for the program at `place`, by its vector table.
pub fn jump(place: u32) -> ! {
    // SAFETY: the table is that of a program which was checked; interrupts that are due wait for it. The register is always
    // writable in privileged mode.
    unsafe {
        cortex_m::interrupt::disable();
        (*cortex_m::peripheral::SCB::PTR).vtor.write(place);
        cortex_m::asm::dsb();
        cortex_m::asm::isb();
        cortex_m::interrupt::enable();
        cortex_m::asm::bootload(place as *const u32)
    }
}
