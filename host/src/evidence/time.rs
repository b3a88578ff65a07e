//! Points in time as a record writes them: UTC, RFC 3339, milliseconds.
//!
//! Nothing here reads a clock. A time outside the years 1970 to 9999 is moved to the nearer end: a
//! laptop with a dead clock battery still gets its evidence.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Formats `at` as `2026-11-22T20:46:40.000Z`.
pub(super) fn rfc3339(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(within_range(at)).to_string()
}

/// Formats `at` for a folder name that sorts by time: `20261122T204640Z`.
pub(super) fn compact(at: SystemTime) -> String {
    let seconds = humantime::format_rfc3339_seconds(within_range(at)).to_string();
    seconds.chars().filter(|character| !matches!(character, '-' | ':')).collect()
}

/// Reads what [`rfc3339`] wrote, in milliseconds since 1970.
pub(super) fn parse_unix_ms(text: &str) -> Option<u64> {
    let at = humantime::parse_rfc3339(text).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Formats milliseconds since 1970 as a UTC time to the second, such as `2026-11-22T20:46:40Z`.
#[must_use]
pub fn utc_from_unix_ms(at_unix_ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(at_unix_ms)).unwrap_or(UNIX_EPOCH);
    humantime::format_rfc3339_seconds(within_range(at)).to_string()
}

/// Formats seconds since 1970 in the same way.
#[must_use]
pub fn utc_from_unix_s(at_unix_s: u64) -> String {
    utc_from_unix_ms(at_unix_s.saturating_mul(1000))
}

/// `humantime` panics before 1970 and from the year 10000 on.
fn within_range(at: SystemTime) -> SystemTime {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH.checked_add(since_1970.min(LAST_TIME)).unwrap_or(UNIX_EPOCH)
}

/// 9999-12-31T23:59:59Z.
const LAST_TIME: Duration = Duration::from_secs(253_402_300_799);

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_millis(1_795_380_400_123);

    #[test]
    fn a_time_is_written_in_utc_and_read_back_to_the_millisecond() {
        let text = rfc3339(UNIX_EPOCH + AT);
        assert_eq!(text, "2026-11-22T20:46:40.123Z");
        assert_eq!(parse_unix_ms(&text), Some(1_795_380_400_123));
    }

    #[test]
    fn a_folder_time_has_no_character_that_a_file_system_refuses() {
        assert_eq!(compact(UNIX_EPOCH + AT), "20261122T204640Z");
    }

    #[test]
    fn a_clock_that_is_far_off_still_gives_a_time() {
        assert_eq!(rfc3339(UNIX_EPOCH - AT), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(UNIX_EPOCH + LAST_TIME * 2), "9999-12-31T23:59:59.000Z");
        assert_eq!(utc_from_unix_ms(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(utc_from_unix_s(253_402_300_800), "9999-12-31T23:59:59Z");
        assert_eq!(utc_from_unix_s(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(utc_from_unix_s(1_795_380_400), "2026-11-22T20:46:40Z");
    }

    #[test]
    fn a_time_that_is_no_time_is_none() {
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "1969-01-01T00:00:00Z"] {
            assert_eq!(parse_unix_ms(text), None, "{text}");
        }
    }
}
