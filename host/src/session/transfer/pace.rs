//! How long a transfer may take, and how long it may stand still (PROTOCOL.md, "Pace").
//!
//! A device that answers every question in time, and takes a byte now and then, is caught by no limit on one answer.

use super::{LinkTuning, Part, Progress, TransferError};

/// Slowest pace at which a device takes components where the line is faster, in bytes a second.
const SLOWEST_BYTES_PER_S: u64 = 1_024;
/// The share of a line's own pace that is enough on a slow one: one in so many parts.
const LINE_SHARE: u64 = 8;
/// Time besides that of the bytes, in microseconds: as long as one request may be worked on.
const WORK_US: u64 = 600_000_000;
/// Standstill that every device may have, in microseconds: longer than it takes to answer a question.
const STILL_US: u64 = 20_000_000;
/// Slowest flash that a block is erased and programmed in, in bytes a second.
const SLOWEST_FLASH_BYTES_PER_S: u64 = 4_096;

/// The clock of one transfer.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long it may take, in microseconds.
    limit_us: u64,
    began_us: Option<u64>,
    /// How long blocks may stand still, in microseconds.
    still_us: u64,
    /// Most bytes that have been in the device since it was last asked something that may take long.
    most_bytes: u64,
    moved_us: u64,
}

impl Pace {
    /// For these components on this link. A caller that has less time says how much.
    pub(super) fn new(parts: &[Part], tuning: LinkTuning, caller_us: Option<u64>) -> Self {
        let line_bytes_per_s = tuning.baud.map_or(u64::MAX, |baud| u64::from(baud) / 10);
        let slowest = (line_bytes_per_s / LINE_SHARE).clamp(1, SLOWEST_BYTES_PER_S);
        let total_bytes: u64 = parts.iter().map(|part| part.length).sum();
        let limit_us = WORK_US.saturating_add(time_us(total_bytes, slowest));
        let block_bytes = parts.iter().map(|part| u64::from(part.block_size)).max().unwrap_or(0);
        // Between two signs of progress a window may have to cross the line twice, and one block be written.
        let window_bytes =
            tuning.window_bytes.min(usize::try_from(tuning.device_window_bytes).unwrap_or(0));
        let still_us = STILL_US
            .saturating_add(time_us(block_bytes, SLOWEST_FLASH_BYTES_PER_S))
            .saturating_add(tuning.line_us(window_bytes).saturating_mul(2));
        Self {
            limit_us: caller_us.map_or(limit_us, |caller_us| limit_us.min(caller_us)),
            began_us: None,
            still_us,
            most_bytes: 0,
            moved_us: 0,
        }
    }

    /// Judges where the transfer is; `is_sending` while blocks are on their way and no request may take long.
    ///
    /// # Errors
    /// When it stands still, or is over its time.
    pub(super) fn judge(
        &mut self,
        now_us: u64,
        progress: Progress,
        is_sending: bool,
    ) -> Result<(), TransferError> {
        let began_us = *self.began_us.get_or_insert(now_us);
        if now_us.saturating_sub(began_us) >= self.limit_us {
            return Err(TransferError::TooSlow {
                taken_bytes: progress.done_bytes,
                total_bytes: progress.total_bytes,
                within_s: self.limit_us / 1_000_000,
            });
        }
        if !is_sending || progress.done_bytes > self.most_bytes {
            self.most_bytes = progress.done_bytes;
            self.moved_us = now_us;
        }
        let still_us = now_us.saturating_sub(self.moved_us);
        if still_us >= self.still_us {
            return Err(TransferError::Still {
                taken_bytes: progress.done_bytes,
                total_bytes: progress.total_bytes,
                still_s: still_us / 1_000_000,
            });
        }
        Ok(())
    }
}

/// Time that `bytes` take, in microseconds.
fn time_us(bytes: u64, bytes_per_s: u64) -> u64 {
    bytes.saturating_mul(1_000_000).checked_div(bytes_per_s).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part = Part { length: 24_000, block_size: 1_024 };

    fn tuning(baud: Option<u32>) -> LinkTuning {
        let (window_bytes, device_window_bytes) = (32_768, 8_192);
        LinkTuning { baud, chunk_bytes: 2_048, window_bytes, device_window_bytes }
    }

    fn sent(done_bytes: u64) -> Progress {
        Progress { total_bytes: 24_000, done_bytes, kept_bytes: 0, reading_back: false }
    }

    /// When a device that takes `step_bytes` every `step_us` is given up, and why.
    fn given_up(pace: &mut Pace, step_bytes: u64, step_us: u64) -> Option<(u64, TransferError)> {
        let (mut now_us, mut done_bytes) = (0, 0);
        while done_bytes < PART.length {
            if let Err(error) = pace.judge(now_us, sent(done_bytes), true) {
                return Some((now_us, error));
            }
            now_us += step_us;
            done_bytes += step_bytes;
        }
        None
    }

    #[test]
    fn a_byte_now_and_then_is_no_pace() {
        let mut pace = Pace::new(&[PART], tuning(None), None);
        let (at_us, error) = given_up(&mut pace, 1, 19_000_000).unwrap();
        assert!(matches!(error, TransferError::TooSlow { .. }), "{error}");
        assert!((623_000_000..660_000_000).contains(&at_us), "{at_us}");
        assert_eq!(
            error.to_string(),
            "the device is not done within 623 s: it has taken 33 of 24000 bytes"
        );
    }

    #[test]
    fn what_stands_still_is_given_up_long_before_that() {
        let mut pace = Pace::new(&[PART], tuning(None), None);
        let (at_us, error) = given_up(&mut pace, 0, 100_000).unwrap();
        assert!((20_000_000..21_000_000).contains(&at_us), "{at_us}");
        assert_eq!(
            error.to_string(),
            "the device has got no further than 0 of 24000 bytes for 20 s"
        );
    }

    /// One block of a mebibyte at 1200 baud: 2.4 hours of line, and minutes in which flash is erased.
    #[test]
    fn the_slowest_honest_lines_and_parts_have_their_time() {
        let part = Part { length: 1 << 20, block_size: 1 << 20 };
        let mut pace = Pace::new(&[part], tuning(Some(1_200)), None);
        let (line_us, erase_us) = ((1 << 20) * 8_400, 250_000_000);
        let total_bytes = part.length;
        let at =
            |done_bytes| Progress { total_bytes, done_bytes, kept_bytes: 0, reading_back: false };
        for done_bytes in (0..total_bytes).step_by(2_048) {
            pace.judge(done_bytes * 8_400, at(done_bytes), true).unwrap();
        }
        pace.judge(line_us + erase_us, at(total_bytes), true).unwrap();
    }

    /// A slot is hashed, or read back, for as long as the session lets one request be worked on.
    #[test]
    fn a_request_that_is_worked_on_is_no_standstill() {
        let mut pace = Pace::new(&[PART], tuning(None), None);
        for now_us in (0..590_000_000).step_by(1_000_000) {
            pace.judge(now_us, sent(24_000), false).unwrap();
        }
        pace.judge(605_000_000, sent(24_000), true).unwrap();
    }

    #[test]
    fn a_caller_that_has_less_time_is_heeded() {
        let mut pace = Pace::new(&[PART], tuning(None), Some(5_000_000));
        let (at_us, error) = given_up(&mut pace, 1, 1_000_000).unwrap();
        assert_eq!(at_us, 5_000_000, "{error}");
    }
}
