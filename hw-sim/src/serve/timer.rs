//! A timer that keeps a paced line's rhythm.
//!
//! Tokio's timers count in milliseconds, in which a line of 921,600 baud carries 92 bytes. A thread
//! that waits for a message or a time wakes within some tens of microseconds.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Such a wait is left to tokio: what it adds does not matter any more.
const COARSE: Duration = Duration::from_millis(20);
/// The thread only waits.
const STACK_BYTES: usize = 64 << 10;

/// Wakes one task at the times it asks for.
#[derive(Debug)]
pub(super) struct FineTimer {
    times: Sender<Instant>,
    woken: Arc<Notify>,
}

impl FineTimer {
    pub(super) fn new() -> io::Result<Self> {
        let (times, asked) = mpsc::channel::<Instant>();
        let woken = Arc::new(Notify::new());
        let notify = Arc::clone(&woken);
        let wait = move || {
            let mut next = None;
            loop {
                let received = match next {
                    None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
                    Some(at) => {
                        asked.recv_timeout(Instant::saturating_duration_since(&at, Instant::now()))
                    }
                };
                match received {
                    Ok(at) => next = Some(at),
                    Err(RecvTimeoutError::Timeout) => {
                        next = None;
                        notify.notify_one();
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        thread::Builder::new().name("sim-timer".to_owned()).stack_size(STACK_BYTES).spawn(wait)?;
        Ok(Self { times, woken })
    }

    /// Ends at `at`, or a little earlier when an earlier wait was given up: look at the clock.
    pub(super) async fn until(&self, at: Instant) {
        if at.saturating_duration_since(Instant::now()) > COARSE || self.times.send(at).is_err() {
            tokio::time::sleep_until(at.into()).await;
        } else {
            self.woken.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn short_waits_end_soon_after_their_time() {
        let timer = FineTimer::new().unwrap();
        let begun = Instant::now();
        for step in 1..=20_u32 {
            let at = begun + Duration::from_micros(300) * step;
            while Instant::now() < at {
                timer.until(at).await;
            }
        }
        assert!(begun.elapsed() >= Duration::from_millis(6));
        assert!(begun.elapsed() < Duration::from_millis(60), "{:?}", begun.elapsed());
    }
}
