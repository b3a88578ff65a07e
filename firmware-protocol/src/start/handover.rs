//! What the boot stage tells the image that it starts, and its bytes (BOOT.md, "Handover").

use crate::boot::{BootRow, ResetCause, Start};
use crate::frame::crc32c;
use crate::slot::SlotId;

/// First bytes of a handover.
const MAGIC: [u8; 4] = *b"NFH1";
/// In place of a deadline, outside a trial.
const NO_DEADLINE: u32 = u32::MAX;
const LONGEST_DEADLINE_MS: u32 = NO_DEADLINE - 1;

/// What the boot stage tells the image that it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handover {
    /// What was started.
    pub start: Start,
    /// Why.
    pub row: BootRow,
    /// Why the device reset.
    pub cause: ResetCause,
    /// Newest layout of the boot record that the boot stage knows: an image writes no field that would change
    /// what an older boot stage decides.
    pub record_version: u8,
    /// Until the trial's hardware deadline, in milliseconds; `None` outside a trial. A board that has
    /// a second timer starts it before the jump.
    pub deadline_ms: Option<u32>,
}

impl Handover {
    /// Length of its bytes.
    pub const BYTES: usize = 16;

    /// The bytes that a boot stage leaves in memory which survives the jump. Frozen: boot stage and image are of different age.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let start = match self.start {
            Start::Recovery => 0,
            Start::Slot(SlotId::A) => 1,
            Start::Slot(SlotId::B) => 2,
        };
        let [m0, m1, m2, m3] = MAGIC;
        let deadline_ms = self.deadline_ms.map_or(NO_DEADLINE, |ms| ms.min(LONGEST_DEADLINE_MS));
        let [d0, d1, d2, d3] = deadline_ms.to_le_bytes();
        let row = number(&BootRow::ALL, &self.row);
        let cause = number(&ResetCause::ALL, &self.cause);
        let front = [m0, m1, m2, m3, start, row, cause, self.record_version, d0, d1, d2, d3];
        let [c0, c1, c2, c3] = crc32c(&front).to_le_bytes();
        [m0, m1, m2, m3, start, row, cause, self.record_version, d0, d1, d2, d3, c0, c1, c2, c3]
    }

    /// Reads what a boot stage has left; `None` for anything else. An image that finds nothing was not started by its boot
    /// stage, and resets.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let (front, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c(front) != u32::from_le_bytes(*crc) {
            return None;
        }
        let &[m0, m1, m2, m3, start, row, cause, record_version, d0, d1, d2, d3] = front else {
            return None;
        };
        if [m0, m1, m2, m3] != MAGIC {
            return None;
        }
        let start = match start {
            0 => Start::Recovery,
            1 => Start::Slot(SlotId::A),
            2 => Start::Slot(SlotId::B),
            _ => return None,
        };
        let deadline_ms = u32::from_le_bytes([d0, d1, d2, d3]);
        Some(Self {
            start,
            row: *BootRow::ALL.get(usize::from(row).checked_sub(1)?)?,
            cause: *ResetCause::ALL.get(usize::from(cause).checked_sub(1)?)?,
            record_version,
            deadline_ms: (deadline_ms != NO_DEADLINE).then_some(deadline_ms),
        })
    }
}

/// The place of `one` in the list that is only ever appended to, counted from 1.
fn number<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let at = all.iter().position(|it| it == one).unwrap_or(0);
    u8::try_from(at).unwrap_or(u8::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL: Handover = Handover {
        start: Start::Slot(SlotId::B),
        row: BootRow::TrialArmed,
        cause: ResetCause::Watchdog,
        record_version: 2,
        deadline_ms: Some(0x0102_0304),
    };

    #[test]
    fn its_bytes_are_frozen() {
        let bytes =
            [b'N', b'F', b'H', b'1', 2, 2, 5, 2, 0x04, 0x03, 0x02, 0x01, 0x30, 0x8c, 0x73, 0x53];
        assert_eq!(TRIAL.to_bytes(), bytes);
        assert_eq!(Handover::from_bytes(&bytes), Some(TRIAL));
    }

    #[test]
    fn every_handover_is_read_as_it_was_written() {
        for start in [Start::Recovery, Start::Slot(SlotId::A), Start::Slot(SlotId::B)] {
            for row in BootRow::ALL {
                for cause in ResetCause::ALL {
                    for deadline_ms in [None, Some(0), Some(2_000), Some(u32::MAX - 1)] {
                        let one = Handover { start, row, cause, record_version: 7, deadline_ms };
                        assert_eq!(Handover::from_bytes(&one.to_bytes()), Some(one));
                    }
                }
            }
        }
    }

    /// Memory that came up anyhow starts nothing.
    #[test]
    fn what_is_damaged_in_any_bit_is_no_handover() {
        let whole = TRIAL.to_bytes();
        for at in 0..whole.len() * 8 {
            let mut bytes = whole;
            bytes[at / 8] ^= 1 << (at % 8);
            assert_eq!(Handover::from_bytes(&bytes), None, "bit {at}");
        }
        assert_eq!(Handover::from_bytes(&[0; 16]), None);
        assert_eq!(Handover::from_bytes(&[0xff; 16]), None);
    }

    #[test]
    fn numbers_that_nobody_writes_are_no_handover() {
        for (at, value) in [(4, 3), (5, 0), (5, 11), (6, 0), (6, 9)] {
            let mut bytes = TRIAL.to_bytes();
            bytes[at] = value;
            let crc = crc32c(&bytes[..12]).to_le_bytes();
            bytes[12..].copy_from_slice(&crc);
            assert_eq!(Handover::from_bytes(&bytes), None, "byte {at} is {value}");
        }
    }
}
