//! The first serial port: an interrupt puts what arrives into a queue, the main loop takes it out.

use core::cell::RefCell;
use core::task::Waker;

use cortex_m::interrupt::{self, Mutex};
use heapless::Deque;

use crate::clock;
use crate::interrupts::{self, UART_RECEIVED};
use crate::register::Register;

// SAFETY: addresses of AN385, "APB UART 0".
const DATA: Register = unsafe { Register::at(0x4000_4000) };
// SAFETY: as above.
const STATE: Register = unsafe { Register::at(0x4000_4004) };
// SAFETY: as above.
const CONTROL: Register = unsafe { Register::at(0x4000_4008) };
// SAFETY: as above.
const CLEAR: Register = unsafe { Register::at(0x4000_400c) };
// SAFETY: as above.
const DIVIDER: Register = unsafe { Register::at(0x4000_4010) };

/// In which the bytes of one call are on their way: the longest frame takes 25 milliseconds.
const SEND_MAX_MS: u32 = 150;
/// Looks at the line for each look at the clock.
const LOOKS: u32 = 64;
const TRANSMIT_FULL: u32 = 1;
const RECEIVED: u32 = 2;
/// Transmit, receive, and an interrupt when something has arrived.
const BOTH_WAYS: u32 = 0b1011;
const RECEIVE_INTERRUPT: u32 = 2;
/// 25 MHz / 921,600.
const DIVIDE_BY: u32 = 27;

static QUEUE: Mutex<RefCell<Deque<u8, 4096>>> = Mutex::new(RefCell::new(Deque::new()));

/// Who waits for something to arrive.
static WAITS: Mutex<RefCell<Option<Waker>>> = Mutex::new(RefCell::new(None));

/// Wakes `waker` once when something arrives from now on: for an executor, which does not look again and again.
pub fn wake_when_received(waker: &Waker) {
    interrupt::free(|free| WAITS.borrow(free).replace(Some(waker.clone())));
}

/// Sleeps until something arrives or anything else interrupts, unless something waits to be taken. With interrupts held back a
/// byte cannot come between the look and the sleep; it ends the sleep all the same.
pub fn sleep() {
    interrupt::free(|free| {
        if QUEUE.borrow(free).borrow().is_empty() {
            cortex_m::asm::wfi();
        }
    });
}

/// Whether something waits to be taken.
#[must_use]
pub fn has_received() -> bool {
    interrupt::free(|free| !QUEUE.borrow(free).borrow().is_empty())
}

/// The port; there is one.
#[derive(Debug)]
pub struct Uart {
    /// The line took nothing the last time: it is not waited for again before it takes something.
    is_stuck: bool,
}

impl Uart {
    /// Starts it, 921,600 bits per second where a line has a pace.
    #[must_use]
    pub fn start() -> Self {
        DIVIDER.write(DIVIDE_BY);
        CONTROL.write(BOTH_WAYS);
        interrupts::enable(UART_RECEIVED);
        Self { is_stuck: false }
    }

    /// Moves what has arrived to the front of `buffer`; gives its length.
    pub fn receive(&mut self, buffer: &mut [u8]) -> usize {
        let mut taken = 0;
        for place in buffer {
            let byte = interrupt::free(|free| QUEUE.borrow(free).borrow_mut().pop_front());
            let Some(byte) = byte else { break };
            *place = byte;
            taken += 1;
        }
        if taken > 0 {
            // A byte that found no room waits in the port, whose interrupt is over.
            interrupts::raise(UART_RECEIVED);
        }
        taken
    }

    /// Sends `bytes`, and waits until the last one is on its way. Where the line takes nothing the rest is dropped, as if
    /// it had been lost: nobody who does not read keeps the program from its work.
    pub fn send(&mut self, bytes: &[u8]) {
        let began_ms = clock::count_ms();
        let mut bytes = bytes.iter();
        loop {
            for _ in 0..LOOKS {
                if STATE.read() & TRANSMIT_FULL == 0 {
                    self.is_stuck = false;
                    let Some(byte) = bytes.next() else { return };
                    DATA.write(u32::from(*byte));
                }
            }
            if self.is_stuck || clock::count_ms().wrapping_sub(began_ms) > SEND_MAX_MS {
                self.is_stuck = true;
                return;
            }
        }
    }
}

/// Takes what has arrived. A full queue keeps the interrupt out until there is room. QEMU then holds back what is to come; on
/// a line without hardware flow control it is lost, and the host sends it again.
pub(crate) fn on_received() {
    interrupt::free(|free| {
        let mut queue = QUEUE.borrow(free).borrow_mut();
        CLEAR.write(RECEIVE_INTERRUPT);
        while STATE.read() & RECEIVED != 0 {
            if queue.is_full() {
                interrupts::disable(UART_RECEIVED);
                break;
            }
            // Only the low byte holds data.
            let _ = queue.push_back(DATA.read().to_le_bytes()[0]);
        }
    });
    if let Some(waker) = interrupt::free(|free| WAITS.borrow(free).take()) {
        waker.wake();
    }
}
