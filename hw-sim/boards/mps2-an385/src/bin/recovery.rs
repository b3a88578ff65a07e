//! The recovery image: what runs when no slot holds a version that verifies. The same engine, in a place that nothing writes.
#![no_std]
#![no_main]

use cortex_m::singleton;
use cortex_m_rt::{entry, exception};
use mps2_an385::board::Mps2Board;
use mps2_an385::checks::Checks;
use mps2_an385::flash::FileFlash;
use mps2_an385::layout::layout;
use mps2_an385::retained;
use mps2_an385::serve::{Memory, serve, tick};
use mps2_an385::settings::Settings;

#[entry]
fn main() -> ! {
    let (Some(handover), Ok(layout)) = (retained::take_handover(), layout()) else {
        retained::reset_behind_fault()
    };
    let Some(memory) = singleton!(: Memory = Memory::new()) else { retained::reset_behind_fault() };
    let board = Mps2Board::new(Checks::new(Settings::default().supply_mv));
    tick();
    serve(memory, (FileFlash::for_engine(), layout), board, handover, |uart, frame| {
        uart.send(frame)
    })
}

/// Wakes the loop.
#[exception]
fn SysTick() {}
