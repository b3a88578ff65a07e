//! How long a reading of many answers may take (PROTOCOL.md, "Pace").
//!
//! Each answer has a limit of its own, and a device that stays just below it, answer for answer, would be listened to for
//! days: a boot record comes in thousands of pieces.

use core::fmt;

/// Time for the first answers, in microseconds: longer than a device may be busy before one.
const FIRST_US: u64 = 20_000_000;
/// Time that every answer adds, in microseconds, besides what the line needs.
const EACH_US: u64 = 1_000_000;
/// Longest reading, in microseconds, besides what the line needs.
const LONGEST_US: u64 = 600_000_000;
/// Bytes of a question and its answer on the line, the longest ones with their frames.
const EXCHANGE_BYTES: u64 = 640;

/// The clock of one reading.
#[derive(Debug)]
pub struct Reading {
    began_us: u64,
    answers: u64,
    line_us: u64,
}

/// A device has answered, and too slowly to be listened to any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSlow {
    /// Answers that came.
    pub answers: u64,
    /// The time there was for them, in seconds.
    pub within_s: u64,
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answers, within_s } = self;
        write!(f, "{answers} answers within {within_s} s")
    }
}

impl Reading {
    /// Begins at `now_us`, over a line of this rate where there is one.
    #[must_use]
    pub fn new(now_us: u64, baud: Option<u32>) -> Self {
        let bits = EXCHANGE_BYTES.saturating_mul(10 * 1_000_000);
        let line_us = baud.and_then(|baud| bits.checked_div(u64::from(baud))).unwrap_or(0);
        Self { began_us: now_us, answers: 0, line_us }
    }

    /// Counts an answer that came at `now_us`.
    ///
    /// # Errors
    /// When it and those before it took too long.
    pub const fn count(&mut self, now_us: u64) -> Result<(), TooSlow> {
        self.answers = self.answers.saturating_add(1);
        let paced_us = FIRST_US.saturating_add(self.answers.saturating_mul(EACH_US));
        let paced_us = if paced_us < LONGEST_US { paced_us } else { LONGEST_US };
        let limit_us = paced_us.saturating_add(self.answers.saturating_mul(self.line_us));
        if now_us.saturating_sub(self.began_us) < limit_us {
            return Ok(());
        }
        Err(TooSlow { answers: self.answers, within_s: limit_us / 1_000_000 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which answer is one too many, when each takes `each_us`.
    fn too_many(baud: Option<u32>, each_us: u64) -> Option<u64> {
        let mut reading = Reading::new(5, baud);
        (1..=100_000).find(|answer| reading.count(5 + answer * each_us).is_err())
    }

    #[test]
    fn answers_just_below_the_patience_with_one_are_not_waited_for_long() {
        assert_eq!(too_many(None, 7_900_000), Some(3));
        let mut reading = Reading::new(0, None);
        assert_eq!(reading.count(21_000_000), Err(TooSlow { answers: 1, within_s: 21 }));
    }

    #[test]
    fn answers_at_a_second_each_end_behind_ten_minutes() {
        assert_eq!(too_many(None, 990_000), Some(607));
    }

    /// A record of 64 KiB over a satellite, one of 4 MiB over a network, one of 64 KiB at 1200 baud.
    #[test]
    fn honest_devices_far_away_or_on_slow_lines_are_read_to_the_end() {
        assert!(too_many(None, 900_000).is_none_or(|answer| answer > 65_536 / 255));
        assert!(too_many(None, 30_000).is_none_or(|answer| answer > (4 << 20) / 255));
        assert!(too_many(Some(1_200), 4_000_000).is_none_or(|answer| answer > 65_536 / 255));
    }
}
