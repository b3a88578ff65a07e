//! The engine beside other tasks of embassy: it has a task of its own, which sleeps until something arrives or its time has come.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use cortex_m::interrupt::{self, Mutex};
use cortex_m::singleton;
use cortex_m_rt::exception;
use embassy_executor::Spawner;
use embassy_futures::select::select;
use embassy_futures::yield_now;
use embassy_time::{Instant, Timer};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use firmware_protocol::device::{Device, Served};
use firmware_protocol::frame::Framing;
use mps2_an385::board::Mps2Board;
use mps2_an385::checks::Checks;
use mps2_an385::clock::Clock;
use mps2_an385::flash::FileFlash;
use mps2_an385::layout::layout;
use mps2_an385::retained;
use mps2_an385::serve::{self, Memory};
use mps2_an385::settings::Settings;
use mps2_an385::uart::{self, Uart};

/// Whatever else the firmware does.
#[embassy_executor::task]
async fn work() -> ! {
    loop {
        Timer::after_millis(250).await;
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let (Some(handover), Ok(layout)) = (retained::take_handover(), layout()) else {
        retained::reset_behind_fault()
    };
    let Some(memory) = singleton!(: Memory = Memory::new()) else { retained::reset_behind_fault() };
    let Ok(work) = work() else { retained::reset_behind_fault() };
    serve::tick();
    spawner.spawn(work);
    let board = Mps2Board::new(Checks::new(Settings::default().supply_mv));
    let (window, inbound, outbound) = memory.parts();
    let (flash, frame_bytes) = (FileFlash::for_engine(), serve::FRAME_BYTES);
    let now_ms = Instant::now().as_millis();
    let engine = Device::new(flash, board, layout, window, frame_bytes, handover, now_ms);
    let mut served = Served::new(engine, Framing::Serial, inbound, outbound);
    let mut uart = Uart::start();
    let mut buffer = [0; 256];
    let (mut from, mut to) = (0, 0);
    loop {
        if from == to {
            (from, to) = (0, uart.receive(&mut buffer));
        }
        let now_ms = Instant::now().as_millis();
        let mut received = &buffer[from..to];
        let next = served.turn(now_ms, &mut received, |frame| uart.send(frame));
        from = to - received.len();
        serve::carry_out(next.effect);
        // The others have a turn behind each of the engine's.
        yield_now().await;
        if from == to && next.wake_ms > now_ms {
            select(received_something(), Timer::at(Instant::from_millis(next.wake_ms))).await;
        }
    }
}

async fn received_something() {
    poll_fn(|context| {
        uart::wake_when_received(context.waker());
        if uart::has_received() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Milliseconds, and whoever waits for one of them: the tick of ten milliseconds looks.
struct Ticker {
    clock: Mutex<RefCell<Option<Clock>>>,
    queue: Mutex<RefCell<Queue>>,
}

impl Driver for Ticker {
    fn now(&self) -> u64 {
        interrupt::free(|free| {
            self.clock.borrow(free).borrow_mut().get_or_insert_with(Clock::start).now_ms()
        })
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        interrupt::free(|free| {
            // Whether it is the next to be due matters to no tick.
            let _ = self.queue.borrow(free).borrow_mut().schedule_wake(at, waker);
        });
    }
}

embassy_time_driver::time_driver_impl!(static TICKER: Ticker = Ticker {
    clock: Mutex::new(RefCell::new(None)),
    queue: Mutex::new(RefCell::new(Queue::new())),
});

#[exception]
fn SysTick() {
    let now = TICKER.now();
    interrupt::free(|free| {
        // Wakes those whose time has come; when the next one is due matters to no tick.
        let _ = TICKER.queue.borrow(free).borrow_mut().next_expiration(now);
    });
}
