//! The board's part of the vector table: which handler each interrupt has, in every program.

use crate::interrupts::{DUAL_TIMER, UART_RECEIVED};
use crate::{retained, uart};

/// A place of the vector table.
#[derive(Clone, Copy)]
pub union Vector {
    handler: unsafe extern "C" fn(),
    empty: usize,
}

const EMPTY: Vector = Vector { empty: 0 };

unsafe extern "C" fn uart_received() {
    uart::on_received();
}

unsafe extern "C" fn deadline_passed() {
    retained::reset_at_deadline();
}

/// Handlers of the board's interrupts, by number. Nothing lets those through that have none.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [Vector; 16] = {
    let mut table = [EMPTY; 16];
    table[UART_RECEIVED.index()] = Vector { handler: uart_received };
    table[DUAL_TIMER.index()] = Vector { handler: deadline_passed };
    table
};
