//! A check: one claim about the device, with how it is retried and what its failure means.

use serde::Serialize;

use crate::measurement::{Limits, Pattern};

use super::SlotRole;

/// One planned check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Unique in the plan and stable: reports of two releases are compared by it.
    pub id: String,
    /// What is checked.
    pub kind: CheckKind,
    /// What a failure means.
    pub severity: Severity,
    /// When it is tried again.
    pub retry: Retry,
    /// Limit of one attempt.
    pub timeout_ms: u64,
    /// Line in the plan, from 1.
    pub line: u32,
    /// Requirements that the check covers.
    pub requirements: Vec<String>,
}

/// What a failed check means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The run is rejected and stops here (default).
    Blocker,
    /// The run is rejected, the other checks still run; a failure may be retried and then is flaky.
    Major,
    /// A deviation that is listed; never rejects. For a check that is being tried out.
    Info,
}

impl Severity {
    /// The word of plans and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Blocker => "blocker",
            Self::Major => "major",
            Self::Info => "info",
        }
    }
}

/// Attempt verdicts that a retry may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// The bench, the link or the tool failed.
    Error,
    /// No answer in time.
    Timeout,
    /// Too little was seen.
    Inconclusive,
    /// The device failed; never for a blocker, because a retried failure is no clean pass.
    Fail,
}

/// When and how often a check is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Verdicts that are retried; none by default.
    pub on: Vec<RetryOn>,
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// Pause before each further attempt.
    pub delay_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self { on: Vec::new(), max_attempts: 1, delay_ms: 0 }
    }
}

/// Status checks that a device must list, unless the plan says otherwise.
pub const SELFTEST_MIN_CHECKS: usize = 1;

/// What a check looks at, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckKind {
    /// The device says what the manifest and the label say: bundle digest, slot, version, product,
    /// hardware.
    Identity {
        /// What must be running, from the stage.
        role: SlotRole,
        /// Pattern of the serial number.
        serial_re: Option<Pattern>,
    },
    /// The slots are as this point of a deployment demands.
    Slot {
        /// What must be running, from the stage.
        role: SlotRole,
    },
    /// The boot into the trial was in time, for an expected cause, in few attempts.
    Boot {
        /// Limits on the time from reset to the first answer.
        ready: Option<TimeLimits>,
        /// Reset causes that are fine; any when empty.
        reset_cause: Vec<String>,
        /// Most boots it may have taken: the first, and one for every crash before it was ready.
        max_attempts: Option<u32>,
    },
    /// The status checks that the device itself carries.
    Selftest {
        /// Names to run; all when empty.
        only: Vec<String>,
        /// Status checks that the device must list at least.
        min_checks: usize,
    },
    /// One value that the device measures.
    Measure {
        /// Name of the device's check.
        source: String,
        /// Unit that the value must come in; empty for flags, text and counts.
        unit: String,
        /// Limits of the value.
        limits: Limits,
    },
    /// The console shows what it must and nothing that it must not.
    Log {
        /// Each occurs in some line.
        require: Vec<Pattern>,
        /// None occurs in any line.
        forbid: Vec<Pattern>,
        /// How long to watch; zero judges what the console showed so far.
        window_ms: u64,
    },
    /// The device keeps answering.
    Liveness {
        /// How long to watch.
        window_ms: u64,
        /// Pause between two questions.
        interval_ms: u64,
        /// Limits on the longest time without an answer.
        gap: Option<TimeLimits>,
        /// Least answers a second over the window.
        min_rate_hz: Option<f64>,
    },
    /// A program on the host ends as expected.
    Command {
        /// Program and arguments; no shell is involved. Never empty.
        argv: Vec<String>,
        /// Expected exit status.
        exit: i32,
        /// Pattern that standard output must show.
        stdout_re: Option<Pattern>,
    },
    /// The link to the device is good enough.
    Link {
        /// What is measured.
        metric: LinkMetric,
        /// Questions sent.
        count: u32,
        /// Pause between two questions.
        interval_ms: u64,
        /// Limits of the metric.
        limits: Limits,
    },
}

impl CheckKind {
    /// The word of plans and reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Identity { .. } => "identity",
            Self::Slot { .. } => "slot",
            Self::Boot { .. } => "boot",
            Self::Selftest { .. } => "selftest",
            Self::Measure { .. } => "measure",
            Self::Log { .. } => "log",
            Self::Liveness { .. } => "liveness",
            Self::Command { .. } => "command",
            Self::Link { .. } => "link",
        }
    }

    /// Time that one attempt takes even when all is well.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        match self {
            Self::Log { window_ms, .. } | Self::Liveness { window_ms, .. } => *window_ms,
            Self::Link { count, interval_ms, .. } => {
                u64::from(count.saturating_sub(1)).saturating_mul(*interval_ms)
            }
            Self::Identity { .. }
            | Self::Slot { .. }
            | Self::Boot { .. }
            | Self::Selftest { .. }
            | Self::Measure { .. }
            | Self::Command { .. } => 0,
        }
    }
}

/// Limits of a time, with the unit they are written in.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeLimits {
    /// Unit of the limits and of the measurement.
    pub unit: TimeUnit,
    /// The limits.
    pub limits: Limits,
}

/// Unit of a time that the host measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl TimeUnit {
    /// The symbol, as plans and reports write it.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }

    /// `time_us` in this unit.
    #[must_use]
    pub fn of_us(self, time_us: u64) -> f64 {
        // Exact: 2^53 us are 285 years.
        #[expect(clippy::cast_precision_loss, reason = "no run lasts 285 years")]
        let time_us = time_us as f64;
        match self {
            Self::Us => time_us,
            Self::Ms => time_us / 1e3,
            Self::S => time_us / 1e6,
        }
    }
}

/// What a link check measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMetric {
    /// Share of questions without an answer, in percent.
    Loss,
    /// Longest round trip.
    RttMax(TimeUnit),
    /// Median round trip.
    RttMedian(TimeUnit),
}

impl LinkMetric {
    /// The word of plans and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::RttMax(_) => "rtt_max",
            Self::RttMedian(_) => "rtt_median",
        }
    }

    /// The unit of its limits.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Loss => "%",
            Self::RttMax(unit) | Self::RttMedian(unit) => unit.symbol(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_in_each_unit() {
        let units = [TimeUnit::Us, TimeUnit::Ms, TimeUnit::S];
        let read = units.map(|unit| format!("{} {}", unit.of_us(1_500_000), unit.symbol()));
        assert_eq!(read, ["1500000 us", "1500 ms", "1.5 s"]);
    }

    #[test]
    fn a_link_check_takes_its_pauses_between_questions() {
        let kind = CheckKind::Link {
            metric: LinkMetric::Loss,
            count: 20,
            interval_ms: 100,
            limits: Limits::default(),
        };
        assert_eq!(kind.duration_ms(), 1_900);
    }
}
