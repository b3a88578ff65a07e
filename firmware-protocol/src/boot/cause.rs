//! Why a device started, and whose fault that was (BOOT.md, "Budgets by reset cause").

use serde::{Deserialize, Serialize};

/// Why the device started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResetCause {
    /// Power came on.
    PowerOn,
    /// Supply voltage dipped.
    BrownOut,
    /// The reset pin or button.
    Pin,
    /// The device reset itself on request, as its engine asked.
    Requested,
    /// The watchdog was not fed.
    Watchdog,
    /// The trial's hardware deadline passed.
    Deadline,
    /// A fault or lock-up.
    Crash,
    /// The hardware does not tell.
    Unknown,
}

impl ResetCause {
    /// Every cause.
    pub const ALL: [Self; 8] = [
        Self::PowerOn,
        Self::BrownOut,
        Self::Pin,
        Self::Requested,
        Self::Watchdog,
        Self::Deadline,
        Self::Crash,
        Self::Unknown,
    ];

    /// What a boot that ended so counts as.
    #[must_use]
    pub const fn blame(self) -> Blame {
        match self {
            Self::PowerOn | Self::BrownOut | Self::Pin => Blame::Power,
            Self::Requested => Blame::Nobody,
            Self::Watchdog | Self::Deadline | Self::Crash | Self::Unknown => Blame::Image,
        }
    }

    /// The cause in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOn => "power_on",
            Self::BrownOut => "brown_out",
            Self::Pin => "pin",
            Self::Requested => "requested",
            Self::Watchdog => "watchdog",
            Self::Deadline => "deadline",
            Self::Crash => "crash",
            Self::Unknown => "unknown",
        }
    }
}

/// Which budget a reset is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Somebody asked for it.
    Nobody,
    /// The supply, or a person.
    Power,
    /// The image that ran.
    Image,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence and scenarios hold these words: append only.
    #[test]
    fn every_cause_keeps_its_word() {
        assert_eq!(
            ResetCause::ALL.map(ResetCause::word),
            [
                "power_on",
                "brown_out",
                "pin",
                "requested",
                "watchdog",
                "deadline",
                "crash",
                "unknown"
            ]
        );
    }
}
