//! What the tests of this crate share: flash in memory, a board that does what it is told, bundles
//! made on the spot, and a bench that speaks to a device one poll at a time.
#![allow(unreachable_pub, reason = "read by the modules beside it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a broken expectation has to stop them, and sizes here are small"
)]

pub mod bench;
pub mod bundle;
pub mod field;
pub mod flash;
pub mod handshake;
pub mod requests;
pub mod table;

use firmware_protocol::device::{Board, BoardInfo, RandomFault};
use firmware_protocol::flash::Range;
use firmware_protocol::layout::{Area, Layout, SlotLayout};
use firmware_protocol::message::{CheckGives, CheckInfo, CheckStatus, Reading};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::slot::PerSlot;

/// A small generator (splitmix64): seeds in, the same numbers out, everywhere.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    /// That many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// A board that does what the test says.
#[derive(Debug)]
pub struct ScriptBoard {
    pub rng: Rng,
    /// Bytes that the random source still gives before it fails.
    pub random_left: usize,
    pub polls_left: u32,
    pub checks_started: u32,
    pub hardware: String,
    pub revision: u32,
    /// The board's key for sealed links.
    pub identity: Option<LinkSecret>,
}

impl ScriptBoard {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng(seed),
            random_left: usize::MAX,
            polls_left: 0,
            checks_started: 0,
            hardware: "board".into(),
            revision: 3,
            identity: Some(LinkSecret::new([77; 32])),
        }
    }
}

impl Board for ScriptBoard {
    fn info(&self) -> BoardInfo<'_> {
        BoardInfo {
            product: "demo",
            hardware: &self.hardware,
            revision: self.revision,
            serial: "SN-1",
            hardware_deadline: true,
        }
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), RandomFault> {
        self.random_left = self.random_left.checked_sub(out.len()).ok_or(RandomFault)?;
        for byte in out {
            *byte = self.rng.next() as u8;
        }
        Ok(())
    }

    fn identity(&mut self) -> Option<LinkSecret> {
        self.identity.clone()
    }

    fn check_count(&self) -> u8 {
        1
    }

    fn check_info(&self, index: u8) -> Option<CheckInfo<'_>> {
        (index == 0).then_some(CheckInfo { name: "self-test", gives: CheckGives::Status })
    }

    fn start_check(&mut self, _index: u8, _now_ms: u64) {
        self.checks_started += 1;
        self.polls_left = 5;
    }

    fn poll_check(&mut self, _index: u8, _now_ms: u64) -> Option<Reading<'_>> {
        self.polls_left = self.polls_left.saturating_sub(1);
        let reading =
            Reading::Status { status: CheckStatus::Ok, detail: "fine".try_into().unwrap() };
        (self.polls_left == 0).then_some(reading)
    }
}

/// Two slots of `app` and `config` over erase blocks of 4 KiB.
pub fn layout() -> Layout {
    layout_of(PerSlot { a: slot_at(0x4_0000), b: slot_at(0x8_0000) }, 0x1000)
}

/// Record and root record in 4 KiB each, and these slots, over erase blocks of `block` bytes.
pub fn layout_of(slots: PerSlot<SlotLayout>, block: u32) -> Layout {
    let record = [range(0, 0x1000), range(0x1000, 0x1000)];
    let trust = [range(0x2000, 0x1000), range(0x3000, 0x1000)];
    let block_at = |address| Some(range(address / block * block, block));
    Layout::new(record, trust, slots, block_at).unwrap()
}

/// A slot that begins at `start`.
pub fn slot_at(start: u32) -> SlotLayout {
    SlotLayout {
        manifest: range(start, 0x2000),
        areas: [
            Area { name: "app".try_into().unwrap(), range: range(start + 0x2000, 0x1_0000) },
            Area { name: "config".try_into().unwrap(), range: range(start + 0x1_2000, 0x1000) },
        ]
        .into_iter()
        .collect(),
    }
}

pub fn range(start: u32, len_bytes: u32) -> Range {
    Range { start, len_bytes }
}
