//! The loop around the engine of recovery and application: carries out what the engine asks for.

use cortex_m::peripheral::scb::SystemHandler;
use cortex_m::peripheral::syst::SystClkSource;
use firmware_protocol::device::{Device, Effect, Served};
use firmware_protocol::flash::Flash;
use firmware_protocol::frame::Framing;
use firmware_protocol::layout::Layout;
use firmware_protocol::message::LEAST_FRAME_BYTES;
use firmware_protocol::start::Handover;

use crate::board::Mps2Board;
use crate::clock::Clock;
use crate::interrupts::LATER;
use crate::uart::{self, Uart};
use crate::{deadline, retained, watchdog};

/// Memory for blocks in flight: two of 8 KiB.
const WINDOW_BYTES: usize = 16 << 10;
const WIRE_BYTES: usize = Framing::Serial.wire_bytes(LEAST_FRAME_BYTES);
/// Longest frame, as the engine takes it: `LEAST_FRAME_BYTES`.
pub const FRAME_BYTES: u32 = {
    assert!(LEAST_FRAME_BYTES < 2_000);
    LEAST_FRAME_BYTES as u32
};

/// Memory of the engine and its line. One program has one.
pub struct Memory {
    window: [u8; WINDOW_BYTES],
    inbound: [u8; WIRE_BYTES],
    outbound: [u8; WIRE_BYTES],
}

impl Memory {
    /// Zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self { window: [0; WINDOW_BYTES], inbound: [0; WIRE_BYTES], outbound: [0; WIRE_BYTES] }
    }

    /// Window, inbound and outbound.
    pub const fn parts(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        (&mut self.window, &mut self.inbound, &mut self.outbound)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

/// Serves whoever is on the line, for as long as the program runs. What is said goes through `send`, which a sound program
/// gives to the line as it is.
pub fn serve<F: Flash>(
    memory: &mut Memory,
    (flash, layout): (F, Layout),
    board: Mps2Board,
    handover: Handover,
    mut send: impl FnMut(&mut Uart, &[u8]),
) -> ! {
    let mut clock = Clock::start();
    let now_ms = clock.now_ms();
    let (window, inbound, outbound) = memory.parts();
    let engine = Device::new(flash, board, layout, window, FRAME_BYTES, handover, now_ms);
    let mut served = Served::new(engine, Framing::Serial, inbound, outbound);
    let mut uart = Uart::start();
    // For whoever listens to the console.
    send(&mut uart, b"started\r\n");
    let mut buffer = [0; 256];
    let (mut from, mut to) = (0, 0);
    loop {
        if from == to {
            (from, to) = (0, uart.receive(&mut buffer));
        }
        let now_ms = clock.now_ms();
        let mut received = &buffer[from..to];
        let next = served.turn(now_ms, &mut received, |frame| send(&mut uart, frame));
        from = to - received.len();
        carry_out(next.effect);
        if next.wake_ms > now_ms && from == to {
            // Until something arrives, or the next tick of ten milliseconds.
            uart::sleep();
        }
    }
}

/// Does what the engine has asked for. Nothing else feeds the watchdog or puts the deadline off.
pub fn carry_out(effect: Effect) {
    match effect {
        Effect::Nothing => {}
        Effect::Feed { deadline_ms } => {
            watchdog::feed();
            deadline::set(deadline_ms);
        }
        Effect::Reset => retained::reset_as_requested(),
    }
}

/// Lets a tick wake the loop every ten milliseconds.
pub fn tick() {
    // SAFETY: the timer is nobody else's, and its priority is below the deadline's from now on.
    unsafe {
        let mut core = cortex_m::Peripherals::steal();
        core.SCB.set_priority(SystemHandler::SysTick, LATER);
        core.SYST.set_clock_source(SystClkSource::Core);
        core.SYST.set_reload(250_000 - 1);
        core.SYST.clear_current();
        core.SYST.enable_interrupt();
        core.SYST.enable_counter();
    }
}
