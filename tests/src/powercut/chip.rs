//! The board of a device under test.

use firmware_protocol::device::{Board, BoardInfo, RandomFault};
use firmware_protocol::message::{CheckInfo, Reading};
use hw_sim::RandomFaults;

/// What the device under test is: releases are made for it.
pub(crate) const INFO: BoardInfo<'static> = BoardInfo {
    product: "demo",
    hardware: "board",
    revision: 1,
    serial: "SN-1",
    hardware_deadline: true,
};

#[derive(Debug)]
pub(super) struct Chip {
    boots: u64,
    drawn: u64,
    random: RandomFaults,
}

impl Chip {
    /// The board in boot number `boots`.
    pub(super) const fn new(boots: u64, random: RandomFaults) -> Self {
        Self { boots, drawn: 0, random }
    }
}

impl Board for Chip {
    fn info(&self) -> BoardInfo<'_> {
        INFO
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        if self.random.strikes() {
            return Err(RandomFault);
        }
        for byte in out {
            self.drawn += 1;
            let mixed = (self.boots << 20 ^ self.drawn).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            *byte = mixed.to_be_bytes()[0];
        }
        Ok(())
    }

    fn check_count(&self) -> u8 {
        0
    }

    fn check_info(&self, _index: u8) -> Option<CheckInfo<'_>> {
        None
    }

    fn start_check(&mut self, _index: u8, _now_ms: u64) {}

    fn poll_check(&mut self, _index: u8, _now_ms: u64) -> Option<Reading<'_>> {
        None
    }
}
