//! What ends a program that can no longer be trusted: a reset, which is charged to it.

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};

use crate::retained;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    retained::reset_behind_fault()
}

#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    retained::reset_behind_fault()
}
