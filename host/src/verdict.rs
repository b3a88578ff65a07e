//! What a check, and a run, came to (promise P10: a verdict is honest).
//!
//! Errors of the bench never count against the device, a check that did not report is not a pass,
//! and a pass after a failure stays visible as `flaky`.

use core::fmt;

use serde::{Deserialize, Serialize};

/// How one attempt at a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptVerdict {
    /// The device met the expectation.
    Pass,
    /// Inside the limits but outside the marginal band's inner edge.
    Marginal,
    /// The device did not meet the expectation.
    Fail,
    /// The bench, the link or the tool failed; says nothing about the device.
    Error,
    /// No answer within the check's time limit; says nothing about the device by itself.
    Timeout,
    /// Too little was seen to judge.
    Inconclusive,
}

/// How a check ended, all attempts considered. Worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// Every attempt that counts passed.
    Pass,
    /// Left out for a stated reason.
    Skip,
    /// Passed inside the marginal band.
    Marginal,
    /// Passed after a failed attempt, which its severity allows.
    Flaky,
    /// Too little was seen to judge.
    Inconclusive,
    /// The bench, the link or the tool failed.
    Error,
    /// Planned and never reported.
    NotRun,
    /// The device failed it.
    Fail,
}

impl CheckVerdict {
    /// True when it keeps a blocker from being passed.
    #[must_use]
    pub const fn stands_against(self) -> bool {
        match self {
            Self::Pass | Self::Skip | Self::Marginal | Self::Flaky => false,
            Self::Inconclusive | Self::Error | Self::NotRun | Self::Fail => true,
        }
    }
}

/// How a whole run ended on one device. Best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunVerdict {
    /// Every planned check passed.
    Qualified,
    /// Committed, with deviations that are listed (marginal, flaky, a failed check of severity
    /// info).
    QualifiedWithDeviations,
    /// Not enough was seen to judge the device.
    Inconclusive,
    /// The bench, the link or the tool failed; no verdict on the device.
    Error,
    /// The device failed a planned check.
    Rejected,
}

impl AttemptVerdict {
    /// The word of plans and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Marginal => "marginal",
            Self::Fail => "fail",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Whether the attempt says nothing about the device: the bench, the link or the tool failed.
    #[must_use]
    pub const fn is_bench_fault(self) -> bool {
        matches!(self, Self::Error | Self::Timeout)
    }
}

impl CheckVerdict {
    /// The word of reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Skip => "skip",
            Self::Marginal => "marginal",
            Self::Flaky => "flaky",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::NotRun => "not_run",
            Self::Fail => "fail",
        }
    }
}

impl RunVerdict {
    /// The word of reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Qualified => "qualified",
            Self::QualifiedWithDeviations => "qualified_with_deviations",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Rejected => "rejected",
        }
    }

    /// Whether the trial may be confirmed.
    #[must_use]
    pub const fn allows_commit(self) -> bool {
        matches!(self, Self::Qualified | Self::QualifiedWithDeviations)
    }
}

impl fmt::Display for AttemptVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for RunVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_words_are_the_words_of_the_record() {
        for verdict in [CheckVerdict::NotRun, CheckVerdict::Flaky, CheckVerdict::Pass] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
        for verdict in [RunVerdict::QualifiedWithDeviations, RunVerdict::Rejected] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
        for verdict in [AttemptVerdict::Timeout, AttemptVerdict::Inconclusive] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{verdict}\""));
        }
    }

    #[test]
    fn only_a_qualified_run_allows_commit() {
        assert!(RunVerdict::QualifiedWithDeviations.allows_commit());
        for verdict in [RunVerdict::Inconclusive, RunVerdict::Error, RunVerdict::Rejected] {
            assert!(!verdict.allows_commit());
        }
    }
}
