//! What the engine asks of this board: who it is, random bytes, its key, its checks.

use firmware_protocol::device::{Board, BoardInfo, RandomFault};
use firmware_protocol::message::{CheckInfo, Reading};
use firmware_protocol::sealed::LinkSecret;

use crate::checks::Checks;
use crate::file::File;

/// The board.
#[derive(Debug)]
pub struct Mps2Board {
    checks: Checks,
}

impl Mps2Board {
    /// The board, with these checks.
    #[must_use]
    pub const fn new(checks: Checks) -> Self {
        Self { checks }
    }
}

impl Board for Mps2Board {
    fn info(&self) -> BoardInfo<'_> {
        BoardInfo {
            product: "mps2-demo",
            hardware: "mps2-an385",
            revision: 1,
            // QEMU gives its boards no number of their own.
            serial: "AN385-01",
            hardware_deadline: true,
        }
    }

    /// The host's random bytes: the board has no source of its own, as its manual says. A part without one cannot be a device.
    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        let mut source = File::open("/dev/urandom\0").map_err(|_| RandomFault)?;
        source.read(out).map_err(|_| RandomFault)
    }

    /// Kept in `identity.bin`; made when it is first asked for. On flash it would stand behind a check value, so that a key that a
    /// power cut has left in the middle is told from one that is there.
    fn identity(&mut self) -> Option<LinkSecret> {
        let mut key = [0; 32];
        if let Ok(mut file) = File::open("identity.bin\0") {
            // A key that cannot be read is not replaced: it may be read the next time.
            file.read(&mut key).ok()?;
        } else {
            self.random(&mut key).ok()?;
            File::create("identity.bin\0").and_then(|mut file| file.write(&key)).ok()?;
        }
        Some(LinkSecret::new(key))
    }

    fn check_count(&self) -> u8 {
        self.checks.count()
    }

    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>> {
        self.checks.info(index)
    }

    fn start_check(&mut self, index: u8, now_ms: u64) {
        self.checks.start(index, now_ms);
    }

    fn poll_check(&mut self, index: u8, now_ms: u64) -> Option<Reading<'_>> {
        self.checks.poll(index, now_ms)
    }
}
