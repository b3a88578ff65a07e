//! Standard output, whose reader may leave before the end: `cargo xtask board size | head`.

use std::fmt;
use std::io::{self, Write as _};

/// Prints a line, like `println!`; a reader that has left misses it, and nothing else changes.
macro_rules! say {
    ($($line:tt)*) => { $crate::output::line(format_args!($($line)*)) };
}
pub(crate) use say;

/// What is behind [`say`].
pub(crate) fn line(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}
