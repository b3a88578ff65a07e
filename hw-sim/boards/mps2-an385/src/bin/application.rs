//! The application: serves its line, and behaves as its settings say.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::singleton;
use cortex_m_rt::{entry, exception};
use firmware_protocol::boot::Start;
use firmware_protocol::start::Handover;
use mps2_an385::board::Mps2Board;
use mps2_an385::checks::Checks;
use mps2_an385::clock::Clock;
use mps2_an385::flash::FileFlash;
use mps2_an385::layout::{SETTINGS, area, layout};
use mps2_an385::serve::{Memory, serve, tick};
use mps2_an385::settings::{Behaviour, Settings};
use mps2_an385::uart::Uart;
use mps2_an385::{retained, watchdog};

/// The tick feeds the watchdog: what no program should do.
static FEEDS: AtomicBool = AtomicBool::new(false);

#[entry]
fn main() -> ! {
    let (Some(handover), Ok(layout)) = (retained::take_handover(), layout()) else {
        retained::reset_behind_fault()
    };
    let place = match handover.start {
        Start::Slot(slot) => area(&layout, slot, SETTINGS),
        Start::Recovery => retained::reset_behind_fault(),
    };
    let settings = Settings::read(&mut FileFlash::connect(), place);
    tick();
    match settings.behaviour {
        Behaviour::Healthy => run(layout, settings, handover, |uart, frame| uart.send(frame)),
        Behaviour::Deaf => run(layout, settings, handover, |_, _| {}),
        Behaviour::Hangs => hang(|| {}),
        Behaviour::NeverPolls => hang(watchdog::feed),
        Behaviour::FeedsFromInterrupt => {
            FEEDS.store(true, Ordering::Relaxed);
            hang(|| {})
        }
        Behaviour::Unknown => retained::reset_behind_fault(),
        Behaviour::Crashes => {
            let mut clock = Clock::start();
            let started_ms = clock.now_ms();
            while clock.now_ms() < started_ms + 1_000 {}
            cortex_m::asm::udf()
        }
    }
}

fn run(
    layout: firmware_protocol::layout::Layout,
    settings: Settings,
    handover: Handover,
    send: impl FnMut(&mut Uart, &[u8]),
) -> ! {
    let Some(memory) = singleton!(: Memory = Memory::new()) else { retained::reset_behind_fault() };
    let board = Mps2Board::new(Checks::new(settings.supply_mv));
    serve(memory, (FileFlash::for_engine(), layout), board, handover, send)
}

fn hang(mut meanwhile: impl FnMut()) -> ! {
    loop {
        meanwhile();
    }
}

#[exception]
fn SysTick() {
    if FEEDS.load(Ordering::Relaxed) {
        watchdog::feed();
    }
}
