//! A register of the board: the one place where an address becomes one.

use core::ptr;

/// A 32-bit register.
#[derive(Debug, Clone, Copy)]
pub struct Register(usize);

impl Register {
    /// The register at `address`.
    ///
    /// # Safety
    /// The board has a register, or memory that nothing else uses, at this address, aligned to four bytes.
    #[must_use]
    pub const unsafe fn at(address: usize) -> Self {
        Self(address)
    }

    /// Reads it.
    #[must_use]
    pub fn read(self) -> u32 {
        // SAFETY: whoever made it vouches for the address.
        unsafe { ptr::read_volatile(self.0 as *const u32) }
    }

    /// Writes it.
    pub fn write(self, value: u32) {
        // SAFETY: whoever made it vouches for the address.
        unsafe { ptr::write_volatile(self.0 as *mut u32, value) }
    }
}
