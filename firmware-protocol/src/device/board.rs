//! What the firmware's author brings: the hardware, behind one small trait.

use thiserror::Error;

use crate::message::{CheckInfo, Reading};

/// What only the firmware's author knows about the hardware.
pub trait Board {
    /// Who the device is.
    fn info(&self) -> BoardInfo<'_>;

    /// Fills `out` with unpredictable bytes.
    ///
    /// # Errors
    /// When the source failed: the device then opens no session and proves no trial.
    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault>;

    /// Number of on-device checks.
    fn check_count(&self) -> u8;

    /// Describes check `index`.
    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>>;

    /// Begins check `index`; returns at once.
    fn start_check(&mut self, index: u8, now_ms: u64);

    /// Does one short step of the check that was begun; `Some` when it has ended.
    fn poll_check(&mut self, index: u8, now_ms: u64) -> Option<Reading<'_>>;
}

/// Who a device is.
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
    /// A timer that the image cannot stop ends trial boots.
    pub hardware_deadline: bool,
}

/// The random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the random source failed")]
pub struct RandomFault;
