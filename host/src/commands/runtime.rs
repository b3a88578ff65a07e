//! The async runtime, started only by commands that reach devices, and the operator's wish to stop.

use std::future::Future;
use std::sync::Once;
use std::time::Duration;

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

/// From here on a wish to stop ends the process, once what is under way has had time to end by itself.
///
/// For commands without a runtime of their own: whoever has waited for such a wish once has taken it from the system, and
/// what the command does afterwards would be beyond Ctrl-C.
pub(super) fn stop_when_asked() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        std::thread::spawn(|| {
            // Without a runtime nothing has taken the wish from the system either.
            if block_on(platform::stop_signal()).is_ok() {
                std::thread::sleep(STOP_DELAY);
                std::process::exit(i32::from(crate::error::Exit::Interrupted.code()));
            }
        });
    });
}

/// A program that signs is given a second to end; then the command says so itself.
const STOP_DELAY: Duration = Duration::from_secs(3);
