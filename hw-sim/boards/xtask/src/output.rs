//! Standard output, whose reader may leave before the end: `cargo xtask board size | head`.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Something that was to be printed could not be, as on a full disk.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// Prints a line, like `println!`; a reader that has left misses it, and nothing else changes.
macro_rules! say {
    ($($line:tt)*) => { $crate::output::line(format_args!($($line)*)) };
}
pub(crate) use say;

/// What is behind [`say`].
pub(crate) fn line(line: fmt::Arguments<'_>) {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("{line}");
            IS_LOST.store(true, Ordering::Relaxed);
        }
        Ok(()) | Err(_) => {}
    }
}

/// Whether results are missing where they were to be.
pub(crate) fn is_lost() -> bool {
    IS_LOST.load(Ordering::Relaxed)
}
