//! What time it is, for the date of what is signed and for the end of what was.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, in seconds since 1970-01-01 UTC; zero by a clock that was set earlier.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
