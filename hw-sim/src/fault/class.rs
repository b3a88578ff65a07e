//! Classes of faults: what is counted apart.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A class of faults of flash, power and device (SIMULATOR.md, "Faults").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// Power fails behind a byte of an operation.
    Cut,
    /// ... inside a word.
    Torn,
    /// ... with the operation's words in no order.
    Scatter,
    /// ... and leaves cells that read one way today and the other way tomorrow.
    Weak,
    /// Power fails, returns for a moment and fails again.
    BrownOut,
    /// An operation fails and says so.
    Fail,
    /// An operation fails and says nothing.
    Silent,
    /// An operation is done elsewhere.
    Misdirect,
    /// A bit keeps its value.
    Stuck,
    /// A block fails to erase.
    Worn,
    /// A bit turns by itself.
    Flip,
    /// A word becomes unreadable by itself.
    Ecc,
    /// Reads fail for a while.
    Unread,
    /// A write-once word was programmed a second time, and is unreadable.
    WriteOnce,
    /// A read of an unreadable word trapped.
    Trap,
    /// The device resets by itself.
    Reset,
    /// The image hangs.
    Hang,
    /// The clock jumps or stands still.
    Clock,
    /// The random source fails.
    Random,
}

impl FaultClass {
    /// Every class.
    pub const ALL: [Self; 19] = [
        Self::Cut,
        Self::Torn,
        Self::Scatter,
        Self::Weak,
        Self::BrownOut,
        Self::Fail,
        Self::Silent,
        Self::Misdirect,
        Self::Stuck,
        Self::Worn,
        Self::Flip,
        Self::Ecc,
        Self::Unread,
        Self::WriteOnce,
        Self::Trap,
        Self::Reset,
        Self::Hang,
        Self::Clock,
        Self::Random,
    ];

    /// Its name in figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Torn => "torn",
            Self::Scatter => "scatter",
            Self::Weak => "weak",
            Self::BrownOut => "brown_out",
            Self::Fail => "fail",
            Self::Silent => "silent",
            Self::Misdirect => "misdirect",
            Self::Stuck => "stuck",
            Self::Worn => "worn",
            Self::Flip => "flip",
            Self::Ecc => "ecc",
            Self::Unread => "unread",
            Self::WriteOnce => "write_once",
            Self::Trap => "trap",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Clock => "clock",
            Self::Random => "random",
        }
    }

    /// Power fails.
    #[must_use]
    pub const fn cuts_power(self) -> bool {
        matches!(self, Self::Cut | Self::Torn | Self::Scatter | Self::Weak | Self::BrownOut)
    }
}

impl fmt::Display for FaultClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often each class has fired.
pub(crate) type Counts = BTreeMap<FaultClass, u64>;

/// Counts one more.
pub(crate) fn count(counts: &mut Counts, class: FaultClass) {
    let fired = counts.entry(class).or_default();
    *fired = fired.saturating_add(1);
}
