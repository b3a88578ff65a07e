//! The async runtime, started only by commands that reach devices, and the operator's wish to stop.

use std::future::Future;

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::error::CommandError;
use crate::platform;

/// Runs `work` to its end on this thread.
///
/// # Errors
/// When the runtime cannot be started.
pub(super) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(CommandError::Runtime)?;
    Ok(LocalSet::new().block_on(&runtime, work))
}

/// Counts how often the operator has asked to stop: Ctrl-C, the signal that ends a service, or the end of
/// the terminal.
///
/// The first asks nicely, the second does not wait for the device, the third ends the process: by
/// then nothing is left to say, and the device's lease does the rest.
pub(super) fn interrupts() -> watch::Receiver<u32> {
    let (sender, receiver) = watch::channel(0);
    tokio::task::spawn_local(async move {
        for count in 1..=3 {
            platform::stop_signal().await;
            if sender.send(count).is_err() || count == 3 {
                std::process::exit(i32::from(crate::error::Exit::Interrupted.code()));
            }
        }
    });
    receiver
}
