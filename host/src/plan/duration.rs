//! Durations as a plan writes them: text with a unit.

use std::time::Duration;

/// Longest duration of a plan: 30 days in milliseconds. Fits the u32 of the wire with room to
/// spare.
pub(super) const DURATION_MAX_MS: u64 = 30 * 24 * 3600 * 1000;

/// What a duration looks like, for messages.
pub(super) const DURATION_FORM: &str =
    "a duration with its unit, such as \"500ms\", \"60s\" or \"4h\"";

/// Reads a duration as milliseconds.
///
/// # Errors
/// Why the text is no usable duration, as the rest of a sentence.
pub(super) fn parse_ms(text: &str) -> Result<u64, String> {
    let duration: Duration = humantime::parse_duration(text)
        .map_err(|_| format!("must be {DURATION_FORM}, got \"{text}\""))?;
    let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!("is \"{text}\", the finest step is 1 ms"));
    }
    match duration_ms {
        0 => Err("is zero; give it at least 1 ms or leave the key out for its default".to_owned()),
        1..=DURATION_MAX_MS => Ok(duration_ms),
        _ => Err(format!("is \"{text}\", the longest duration of a plan is 30 days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_milliseconds() {
        assert_eq!(parse_ms("250ms"), Ok(250));
        assert_eq!(parse_ms("1m 30s"), Ok(90_000));
        assert_eq!(parse_ms("30days"), Ok(DURATION_MAX_MS));
    }

    #[test]
    fn zero_too_long_too_fine_and_unitless_durations_are_refused() {
        for text in ["0s", "31days", "100us", "60", "", "soon", "-1s"] {
            assert!(parse_ms(text).is_err(), "{text} was taken");
        }
    }
}
