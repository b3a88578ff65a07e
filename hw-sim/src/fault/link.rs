//! Faults of links.

use serde::Deserialize;

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

const fn default_down_ms() -> u64 {
    1000
}
