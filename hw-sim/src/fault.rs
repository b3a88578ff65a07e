//! Faults as data: what strikes, where and when. Each place that carries one out counts how often it
//! has fired ([`crate::Fired`]), because a fault test whose fault never fired proves nothing.

use firmware_protocol::slot::SlotId;
use serde::Deserialize;

/// Power fails in the middle of one flash operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// The operation, program or erase, counted from 1 since the device was made or its state
    /// folder opened.
    pub at_operation: u64,
    /// How much of the operation still happens.
    pub tear: Tear,
}

/// What a power cut leaves of the operation that it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tear {
    /// The first bytes are as they should be, the others untouched.
    Behind {
        /// How many; the whole operation when there are fewer.
        bytes: u32,
    },
    /// As `Behind`, at a byte that follows from the seed.
    Seeded {
        /// The seed.
        seed: u64,
    },
    /// As `Behind`, and of the word that it would go on with, some bits.
    InWord {
        /// How many bytes are whole, at most; the word that holds the next one is torn.
        bytes: u32,
        /// Decides which bits.
        seed: u64,
    },
    /// Words in no order: some have happened, some have not. Of an erase, some bits of each byte.
    Scattered {
        /// Decides which.
        seed: u64,
    },
}

/// A fault of a link, in one direction or both.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum LinkFault {
    /// Bytes vanish. Serial only: TCP repairs it before anybody sees it.
    Drop {
        /// Share of the bytes that vanish, 0 to 1.
        rate: f64,
        /// Where.
        #[serde(default)]
        direction: Direction,
    },
    /// Bits flip. Serial only, as `Drop`.
    Corrupt {
        /// Bit error rate, 0 to 1.
        rate: f64,
        /// Where.
        #[serde(default)]
        direction: Direction,
    },
    /// Bytes arrive late.
    Delay {
        /// How late, in milliseconds.
        delay_ms: u64,
        /// Where.
        #[serde(default)]
        direction: Direction,
    },
    /// The cable is pulled once: what is on the way is lost. TCP connections end.
    Disconnect {
        /// After this many bytes have passed, counted in each of the directions named.
        after_bytes: u64,
        /// Until it is plugged in again, in milliseconds.
        #[serde(default = "default_down_ms")]
        down_ms: u64,
        /// Whose bytes count.
        #[serde(default)]
        direction: Direction,
    },
}

impl LinkFault {
    /// The direction that the fault is on.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        match self {
            Self::Drop { direction, .. }
            | Self::Corrupt { direction, .. }
            | Self::Delay { direction, .. }
            | Self::Disconnect { direction, .. } => *direction,
        }
    }
}

/// Directions of a link, as the device sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards the device.
    In,
    /// Away from it.
    Out,
    /// Each of the two, by itself.
    #[default]
    Both,
}

/// One bit of a component flips in flash, as by wear or radiation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlipFault {
    /// Slot it is in.
    pub slot: SlotId,
    /// Component it is in.
    pub component: String,
    /// Byte of the component's area, from 0.
    pub offset: u32,
    /// Bit of the byte, 0 to 7.
    pub bit: u8,
    /// When, in milliseconds since the simulation began.
    pub after_ms: u64,
}

const fn default_down_ms() -> u64 {
    1000
}
