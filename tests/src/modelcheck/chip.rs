//! The board of a device whose one check comes out as it is told to.

use firmware_protocol::device::{Board, BoardInfo, RandomFault};
use firmware_protocol::message::{CheckGives, CheckInfo, Reading};

use crate::powercut::chip::INFO;

/// First of the numbers that name boots: no other number in a state is as high.
pub const FIRST_NONCE: u64 = 0xB007_0000_0000_0000;
/// First of the numbers that name sessions.
pub const FIRST_SESSION: u32 = 0x5E00_0000;

/// How the check comes out that is run next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Within its limits.
    Pass,
    /// Outside.
    Fail,
    /// Not at all.
    Never,
}

/// The board.
#[derive(Debug, Clone)]
pub struct Chip {
    boot: u32,
    sessions: u32,
    /// What is said when the check is run.
    pub verdict: Verdict,
}

impl Chip {
    /// The board in this boot.
    pub const fn new(boot: u32, sessions: u32) -> Self {
        Self { boot, sessions, verdict: Verdict::Pass }
    }

    /// Sessions that were named so far, in this boot and before.
    pub const fn sessions(&self) -> u32 {
        self.sessions
    }
}

impl Board for Chip {
    fn info(&self) -> BoardInfo<'_> {
        INFO
    }

    /// Numbers that are drawn once each, so that they can be told apart.
    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        if let Ok(nonce) = <&mut [u8; 8]>::try_from(&mut *out) {
            *nonce = (FIRST_NONCE + u64::from(self.boot)).to_le_bytes();
        } else if let Ok(session) = <&mut [u8; 4]>::try_from(out) {
            self.sessions += 1;
            *session = (FIRST_SESSION + self.sessions).to_le_bytes();
        }
        Ok(())
    }

    fn check_count(&self) -> u8 {
        1
    }

    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>> {
        (index == 0).then_some(CheckInfo { name: "rail", gives: CheckGives::Value { unit: "V" } })
    }

    fn start_check(&mut self, _index: u8, _now_ms: u64) {}

    fn poll_check(&mut self, _index: u8, _now_ms: u64) -> Option<Reading<'_>> {
        let mantissa = match self.verdict {
            Verdict::Pass => 33,
            Verdict::Fail => 11,
            Verdict::Never => return None,
        };
        Some(Reading::Value { mantissa, exponent: -1, unit: "V" })
    }
}
