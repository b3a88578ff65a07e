//! The smallest application: copy it, and put your own hardware in place of this board's (docs/PORTING.md).
#![no_std]
#![no_main]

use cortex_m::singleton;
use cortex_m_rt::{entry, exception};
use firmware_protocol::device::{Board, BoardInfo, Device, Effect, RandomFault, Served};
use firmware_protocol::frame::Framing;
use firmware_protocol::message::{CheckGives, CheckInfo, LEAST_FRAME_BYTES, Reading};
use firmware_protocol::sealed::LinkSecret;
// Your drivers, your layout.
use mps2_an385::clock::Clock;
use mps2_an385::file::File;
use mps2_an385::flash::FileFlash;
use mps2_an385::layout::layout;
use mps2_an385::uart::{self, Uart};
use mps2_an385::{deadline, retained, serve, watchdog};

/// Memory for blocks in flight: at least two of the largest blocks of your bundles, and 4 KiB.
const WINDOW_BYTES: usize = 8 << 10;
/// One frame, as it travels on a serial line.
const WIRE_BYTES: usize = Framing::Serial.wire_bytes(LEAST_FRAME_BYTES);

/// What only you know about the hardware.
struct MyBoard;

impl Board for MyBoard {
    fn info(&self) -> BoardInfo<'_> {
        BoardInfo {
            // Bundles name both; a device takes no others.
            product: "mps2-demo",
            hardware: "mps2-an385",
            revision: 1,
            // From where your units keep it.
            serial: "AN385-01",
            // True for a timer that resets whatever this loop does: `deadline` below.
            hardware_deadline: true,
        }
    }

    /// A true random source. A board without one has no sessions.
    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        let mut source = File::open("/dev/urandom\0").map_err(|_| RandomFault)?;
        source.read(out).map_err(|_| RandomFault)
    }

    /// The device's own key, kept where no stage writes, on flash behind a check value; without one it cannot be enrolled for the
    /// field.
    fn identity(&mut self) -> Option<LinkSecret> {
        let mut key = [0; 32];
        if let Ok(mut file) = File::open("identity.bin\0") {
            // A key that cannot be read is not replaced: it may be read the next time.
            file.read(&mut key).ok()?;
        } else {
            self.random(&mut key).ok()?;
            File::create("identity.bin\0").and_then(|mut file| file.write(&key)).ok()?;
        }
        Some(LinkSecret::new(key))
    }

    /// What a plan can ask: append only, plans name them.
    fn check_count(&self) -> u8 {
        1
    }

    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>> {
        let gives = CheckGives::Value { unit: "V" };
        (index == 0).then_some(CheckInfo { name: "supply", gives })
    }

    fn start_check(&mut self, _index: u8, _now_ms: u64) {}

    /// A short step a call; `None` until there is a reading.
    fn poll_check(&mut self, _index: u8, _now_ms: u64) -> Option<Reading<'_>> {
        Some(Reading::Value { mantissa: 3300, exponent: -3, unit: "V" })
    }
}

#[entry]
fn main() -> ! {
    // Started by anything but the boot stage, there is nothing to say who runs.
    let Some(handover) = retained::take_handover() else { retained::reset_behind_fault() };
    let Ok(layout) = layout() else { retained::reset_behind_fault() };
    let window = singleton!(: [u8; WINDOW_BYTES] = [0; WINDOW_BYTES]);
    let lines = singleton!(: [[u8; WIRE_BYTES]; 2] = [[0; WIRE_BYTES]; 2]);
    let (Some(window), Some([inbound, outbound])) = (window, lines) else {
        retained::reset_behind_fault()
    };
    let mut clock = Clock::start();
    let mut uart = Uart::start();
    serve::tick();
    let engine = Device::new(
        FileFlash::for_engine(),
        MyBoard,
        layout,
        &mut window[..],
        serve::FRAME_BYTES,
        handover,
        clock.now_ms(),
    );
    let mut served = Served::new(engine, Framing::Serial, &mut inbound[..], &mut outbound[..]);
    uart.send(b"template: ready\r\n");
    let mut buffer = [0; 256];
    let (mut from, mut to) = (0, 0);
    loop {
        if from == to {
            (from, to) = (0, uart.receive(&mut buffer));
        }
        let now_ms = clock.now_ms();
        let mut received = &buffer[from..to];
        let next = served.turn(now_ms, &mut received, |frame| uart.send(frame));
        from = to - received.len();
        match next.effect {
            // Only this feeds: an image that hangs, or does everything but call the engine, comes back.
            Effect::Feed { deadline_ms } => {
                watchdog::feed();
                deadline::set(deadline_ms);
            }
            Effect::Reset => retained::reset_as_requested(),
            Effect::Nothing => {}
        }
        // Your own work goes here, in steps that are shorter than the watchdog.
        if next.wake_ms > now_ms && from == to {
            uart::sleep();
        }
    }
}

/// Wakes the loop.
#[exception]
fn SysTick() {}
