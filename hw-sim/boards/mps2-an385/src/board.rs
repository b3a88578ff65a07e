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
    serial: Serial,
}

/// A serial number: the file `serial`, eight characters.
#[derive(Debug)]
struct Serial([u8; 8]);

impl Mps2Board {
    /// The board, with these checks.
    #[must_use]
    pub fn new(checks: Checks) -> Self {
        let mut serial = *b"AN385-01";
        if let Ok(mut file) = File::open("serial\0") {
            let _ = file.read(&mut serial);
        }
        Self { checks, serial: Serial(serial) }
    }

    /// The checks, for the main loop to tell them what it sees.
    pub const fn checks_mut(&mut self) -> &mut Checks {
        &mut self.checks
    }
}

impl Board for Mps2Board {
    fn info(&self) -> BoardInfo<'_> {
        BoardInfo {
            product: "mps2-demo",
            hardware: "mps2-an385",
            revision: 1,
            serial: core::str::from_utf8(&self.serial.0).unwrap_or("unreadable"),
            hardware_deadline: true,
        }
    }

    /// The host's random bytes: the board has no source of its own, as its manual says. A part without one cannot be a device.
    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        let mut source = File::open("/dev/urandom\0").map_err(|_| RandomFault)?;
        source.read(out).map_err(|_| RandomFault)
    }

    /// Kept in `identity.bin`; made when it is first asked for.
    fn identity(&mut self) -> Option<LinkSecret> {
        let mut key = [0; 32];
        if File::open("identity.bin\0").and_then(|mut file| file.read(&mut key)).is_err() {
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
