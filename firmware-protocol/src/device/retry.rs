//! When the engine tries again to write what it wants to write by itself, on flash that fails.

/// Between a write that failed and the next try, in milliseconds. For the end of a trial always; for everything else
/// twice as long behind each one that fails as well, which bounds what failing flash costs in erases: each try may
/// erase a range of the record.
const RETRY_MS: u64 = 1_000;
/// Longest time between two such tries, in milliseconds: at 100,000 erases a block, the tries of three years.
const LONGEST_RETRY_MS: u64 = 1_024_000;

/// From when on it may try.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_field_names, reason = "units stand last")]
pub(super) struct Retries {
    /// The end of a trial: that is safety, and does not wait for what is not.
    end_at_ms: u64,
    /// Everything else.
    retry_at_ms: u64,
    /// How long that has waited last.
    waited_ms: u64,
}

impl Retries {
    pub(super) const fn may_end_trial(&self, now_ms: u64) -> bool {
        now_ms >= self.end_at_ms
    }

    pub(super) const fn may_write(&self, now_ms: u64) -> bool {
        now_ms >= self.retry_at_ms
    }

    /// The end of a trial was not stored.
    pub(super) const fn end_failed(&mut self, now_ms: u64) {
        self.end_at_ms = now_ms.saturating_add(RETRY_MS);
    }

    /// Something else was not stored.
    pub(super) fn write_failed(&mut self, now_ms: u64) {
        self.waited_ms = self.waited_ms.saturating_mul(2).clamp(RETRY_MS, LONGEST_RETRY_MS);
        self.retry_at_ms = now_ms.saturating_add(self.waited_ms);
    }

    /// Flash works: nothing has to wait any more.
    pub(super) fn worked(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a write that fails at `now_ms` to the next that may be tried, in milliseconds.
    fn wait_ms(retries: &mut Retries, now_ms: u64) -> u64 {
        retries.write_failed(now_ms);
        assert!(
            !retries.may_write(retries.retry_at_ms - 1) && retries.may_write(retries.retry_at_ms)
        );
        retries.retry_at_ms - now_ms
    }

    #[test]
    fn what_fails_again_waits_twice_as_long_up_to_a_limit_and_not_at_all_once_flash_works() {
        let mut retries = Retries::default();
        assert!(retries.may_write(0) && retries.may_end_trial(0));
        for exponent in 0..14 {
            let expected = (RETRY_MS << exponent).min(LONGEST_RETRY_MS);
            assert_eq!(wait_ms(&mut retries, 7_000), expected, "{exponent}");
        }
        assert!(retries.may_end_trial(0), "which does not wait for that");
        retries.end_failed(7_000);
        assert!(!retries.may_end_trial(7_999) && retries.may_end_trial(8_000));
        retries.end_failed(8_000);
        assert!(retries.may_end_trial(9_000), "a second, however often");
        retries.worked();
        assert!(retries.may_write(0) && retries.may_end_trial(0));
        assert_eq!(wait_ms(&mut retries, 0), RETRY_MS);
    }
}
