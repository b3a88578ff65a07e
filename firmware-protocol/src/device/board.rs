//! What the firmware's author brings: the hardware, behind one small trait.

use thiserror::Error;

use crate::message::{CheckGives, CheckInfo, Reading};
use crate::sealed::LinkSecret;

/// Longest text of a board that travels, in bytes; the rest of a longer one is cut off, so that every
/// answer fits its frame.
pub const MAX_TEXT_BYTES: usize = 48;

/// What only the firmware's author knows about the hardware.
pub trait Board {
    /// Who the device is.
    fn info(&self) -> BoardInfo<'_>;

    /// Fills `out` with unpredictable bytes.
    ///
    /// # Errors
    /// When the source failed: the device then opens no session and proves no trial.
    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault>;

    /// The device's own X25519 key, for sealed links: made with the random source when it is first asked for, kept as long as
    /// the device lives, on no other device, and in none of the flash that noflake writes. `None` for a board that
    /// has no place for one: it has no sealed links, and cannot be enrolled for the field.
    fn identity(&mut self) -> Option<LinkSecret> {
        None
    }

    /// Number of on-device checks.
    fn check_count(&self) -> u8;

    /// Describes check `index`.
    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>>;

    /// Begins check `index`; returns at once. `now_ms` is the time since the engine began; it never goes
    /// back.
    fn start_check(&mut self, index: u8, now_ms: u64);

    /// Does one short step of the check that was begun; `Some` when it has ended. A check that a rollback or
    /// a reset cuts short is polled no more.
    fn poll_check(&mut self, index: u8, now_ms: u64) -> Option<Reading<'_>>;
}

/// Who a device is. Texts are said up to [`MAX_TEXT_BYTES`], and held against bundles whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardInfo<'a> {
    /// Product; bundles name it.
    pub product: &'a str,
    /// Hardware id; bundles name it.
    pub hardware: &'a str,
    /// Hardware revision; bundles give a range of them.
    pub revision: u32,
    /// Serial number.
    pub serial: &'a str,
    /// A timer of the hardware ends trial boots, whatever the image's loop does (PORTING.md, "In order", 5).
    pub hardware_deadline: bool,
}

/// The random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the random source failed")]
pub struct RandomFault;

/// The front of `text` that may travel, in whole characters.
pub(super) fn cut(text: &str) -> &str {
    let longest = text.len().min(MAX_TEXT_BYTES);
    (0..=longest).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

pub(super) fn bounded_info(info: CheckInfo<'_>) -> CheckInfo<'_> {
    let gives = match info.gives {
        CheckGives::Value { unit } => CheckGives::Value { unit: cut(unit) },
        CheckGives::Status => CheckGives::Status,
    };
    CheckInfo { name: cut(info.name), gives }
}

pub(super) fn bounded(reading: Reading<'_>) -> Reading<'_> {
    match reading {
        Reading::Value { mantissa, exponent, unit } => {
            Reading::Value { mantissa, exponent, unit: cut(unit) }
        }
        Reading::Status { status, detail } => Reading::Status { status, detail },
    }
}
