//! Where a version runs, and the jump there.

use crate::map::{APPLICATION, APPLICATION_BYTES};

/// The memory in which a version runs. For the boot stage only.
pub(crate) fn application() -> &'static mut [u8] {
    // SAFETY: no program runs there while the boot stage does, `build.rs` gives it to no other, and each borrow of it ends
    // before the next one begins (`loaded.rs`).
    unsafe { core::slice::from_raw_parts_mut(APPLICATION as *mut u8, APPLICATION_BYTES as usize) }
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
