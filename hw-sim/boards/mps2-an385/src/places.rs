//! Where programs run. `build.rs` links them there.

/// The recovery image, which nothing on the board writes.
pub const RECOVERY: u32 = 0x0008_0000;
/// Where the boot stage copies the version that it starts.
pub const APPLICATION: u32 = 0x0010_0000;
/// Room for it.
pub const APPLICATION_BYTES: u32 = 0x0008_0000;

/// Copies the running version from `read`, which fills a buffer from an offset on.
///
/// # Errors
/// What `read` gives.
pub fn load<E>(
    length: u32,
    mut read: impl FnMut(u32, &mut [u8]) -> Result<(), E>,
) -> Result<(), E> {
    let room = length.min(APPLICATION_BYTES) as usize;
    // SAFETY: no program runs there while the boot stage does, and `build.rs` gives it to no other.
    let place = unsafe { core::slice::from_raw_parts_mut(APPLICATION as *mut u8, room) };
    for (offset, piece) in (0..).step_by(4096).zip(place.chunks_mut(4096)) {
        read(offset, piece)?;
    }
    Ok(())
}

/// Leaves for the program at `place`, by its vector table.
pub fn jump(place: u32) -> ! {
    // SAFETY: interrupts that are due wait for the program's own table; the register is always writable in privileged mode.
    unsafe {
        cortex_m::interrupt::disable();
        (*cortex_m::peripheral::SCB::PTR).vtor.write(place);
        cortex_m::asm::dsb();
        cortex_m::interrupt::enable();
        cortex_m::asm::bootload(place as *const u32)
    }
}
