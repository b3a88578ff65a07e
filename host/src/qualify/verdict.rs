//! From attempts to a check's verdict, from checks to the run's (promise P10: a verdict is honest).
//!
//! Two rules carry the rest. A failure that was seen stays visible whatever was seen after it. And
//! a run is rejected only by a failure of the device: what the bench broke, or nobody saw, makes a
//! run error or inconclusive, never rejected, and never qualified either.

use crate::plan::Severity;
use crate::verdict::{AttemptVerdict, CheckVerdict, RunVerdict};

/// Judges a check by its attempts, in the order they were made.
#[must_use]
pub fn check_verdict(severity: Severity, attempts: &[AttemptVerdict]) -> CheckVerdict {
    let has_failed = attempts.contains(&AttemptVerdict::Fail);
    match attempts.last() {
        None => CheckVerdict::NotRun,
        Some(AttemptVerdict::Pass | AttemptVerdict::Marginal) if has_failed => match severity {
            // Plans do not retry a failed blocker; should it happen, it is no clean pass.
            Severity::Blocker => CheckVerdict::Fail,
            Severity::Major | Severity::Info => CheckVerdict::Flaky,
        },
        Some(_) if has_failed => CheckVerdict::Fail,
        Some(AttemptVerdict::Pass) => CheckVerdict::Pass,
        Some(AttemptVerdict::Marginal) => CheckVerdict::Marginal,
        Some(AttemptVerdict::Inconclusive) => CheckVerdict::Inconclusive,
        Some(AttemptVerdict::Error | AttemptVerdict::Timeout) => CheckVerdict::Error,
        Some(AttemptVerdict::Fail) => CheckVerdict::Fail,
    }
}

/// Judges a run by its checks; the worst one decides. A run without checks is inconclusive.
#[must_use]
pub fn run_verdict(checks: impl IntoIterator<Item = (Severity, CheckVerdict)>) -> RunVerdict {
    let weights = checks.into_iter().map(|(severity, verdict)| weight(severity, verdict));
    weights.max().unwrap_or(RunVerdict::Inconclusive)
}

/// The verdict of a run with this one check.
#[must_use]
pub const fn weight(severity: Severity, verdict: CheckVerdict) -> RunVerdict {
    match (severity, verdict) {
        (_, CheckVerdict::Pass) | (Severity::Info, CheckVerdict::Skip) => RunVerdict::Qualified,
        (Severity::Info, _)
        | (_, CheckVerdict::Marginal | CheckVerdict::Skip)
        | (Severity::Major, CheckVerdict::Flaky) => RunVerdict::QualifiedWithDeviations,
        (_, CheckVerdict::Inconclusive | CheckVerdict::NotRun) => RunVerdict::Inconclusive,
        (_, CheckVerdict::Error) => RunVerdict::Error,
        (_, CheckVerdict::Fail) | (Severity::Blocker, CheckVerdict::Flaky) => RunVerdict::Rejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVERITIES: [Severity; 3] = [Severity::Blocker, Severity::Major, Severity::Info];
    const CHECKS: [CheckVerdict; 8] = [
        CheckVerdict::Pass,
        CheckVerdict::Skip,
        CheckVerdict::Marginal,
        CheckVerdict::Flaky,
        CheckVerdict::Inconclusive,
        CheckVerdict::Error,
        CheckVerdict::NotRun,
        CheckVerdict::Fail,
    ];
    const ATTEMPTS: [AttemptVerdict; 6] = [
        AttemptVerdict::Pass,
        AttemptVerdict::Marginal,
        AttemptVerdict::Fail,
        AttemptVerdict::Error,
        AttemptVerdict::Timeout,
        AttemptVerdict::Inconclusive,
    ];

    #[test]
    fn a_failed_attempt_never_becomes_a_clean_pass() {
        for attempts in vectors(&ATTEMPTS, 4).filter(|a| a.contains(&AttemptVerdict::Fail)) {
            let of = |severity| check_verdict(severity, &attempts);
            assert_eq!(of(Severity::Blocker), CheckVerdict::Fail, "{attempts:?}");
            for severity in SEVERITIES {
                let is_visible = matches!(of(severity), CheckVerdict::Fail | CheckVerdict::Flaky);
                assert!(is_visible, "{severity:?} {attempts:?}");
            }
        }
    }

    #[test]
    fn a_check_fails_only_after_a_failed_attempt() {
        for attempts in vectors(&ATTEMPTS, 4).filter(|a| !a.contains(&AttemptVerdict::Fail)) {
            for severity in SEVERITIES {
                let verdict = check_verdict(severity, &attempts);
                assert!(
                    !matches!(verdict, CheckVerdict::Fail | CheckVerdict::Flaky),
                    "{attempts:?}"
                );
            }
        }
    }

    #[test]
    fn a_check_passes_only_by_its_last_attempt() {
        for attempts in vectors(&ATTEMPTS, 4) {
            if check_verdict(Severity::Major, &attempts) == CheckVerdict::Pass {
                assert_eq!(attempts.last(), Some(&AttemptVerdict::Pass));
            }
        }
        assert_eq!(check_verdict(Severity::Info, &[]), CheckVerdict::NotRun);
    }

    #[test]
    fn a_run_is_rejected_exactly_when_a_blocker_or_major_check_failed() {
        for checks in runs() {
            let has_failure = checks.iter().any(|(severity, verdict)| match severity {
                Severity::Blocker => matches!(verdict, CheckVerdict::Fail | CheckVerdict::Flaky),
                Severity::Major => *verdict == CheckVerdict::Fail,
                Severity::Info => false,
            });
            assert_eq!(
                run_verdict(checks.clone()) == RunVerdict::Rejected,
                has_failure,
                "{checks:?}"
            );
        }
    }

    #[test]
    fn a_run_is_qualified_exactly_when_every_check_passed_or_was_a_skipped_info() {
        for checks in runs() {
            let is_clean = checks.iter().all(|check| {
                matches!(check, (_, CheckVerdict::Pass) | (Severity::Info, CheckVerdict::Skip))
            });
            assert_eq!(
                run_verdict(checks.clone()) == RunVerdict::Qualified,
                is_clean,
                "{checks:?}"
            );
        }
    }

    #[test]
    fn a_check_that_did_not_report_never_lets_a_run_commit_unless_it_is_info() {
        let silent = [CheckVerdict::NotRun, CheckVerdict::Error, CheckVerdict::Inconclusive];
        for checks in runs() {
            let is_silent = checks
                .iter()
                .any(|(severity, verdict)| *severity != Severity::Info && silent.contains(verdict));
            assert!(!(is_silent && run_verdict(checks.clone()).allows_commit()), "{checks:?}");
        }
    }

    #[test]
    fn another_check_never_makes_a_run_better_and_order_does_not_matter() {
        for checks in runs() {
            let (whole, shorter) = (run_verdict(checks.clone()), checks.split_last().unwrap().1);
            if !shorter.is_empty() {
                assert!(run_verdict(shorter.iter().copied()) <= whole, "{checks:?}");
            }
            assert_eq!(run_verdict(checks.iter().rev().copied()), whole, "{checks:?}");
        }
    }

    #[test]
    fn a_failed_info_check_is_a_deviation() {
        let checks =
            [(Severity::Info, CheckVerdict::Fail), (Severity::Blocker, CheckVerdict::Pass)];
        assert_eq!(run_verdict(checks), RunVerdict::QualifiedWithDeviations);
    }

    #[test]
    fn a_run_without_checks_is_inconclusive() {
        assert_eq!(run_verdict([]), RunVerdict::Inconclusive);
    }

    /// Every run of one to three checks: 24 + 24^2 + 24^3.
    fn runs() -> impl Iterator<Item = Vec<(Severity, CheckVerdict)>> {
        let all: Vec<_> =
            SEVERITIES.iter().flat_map(|s| CHECKS.map(|verdict| (*s, verdict))).collect();
        vectors(&all, 3).collect::<Vec<_>>().into_iter()
    }

    /// Every vector of one to `longest` of `items`.
    fn vectors<T: Copy>(items: &[T], longest: u32) -> impl Iterator<Item = Vec<T>> {
        (1..=longest).flat_map(move |length| {
            (0..items.len().pow(length)).map(move |number| {
                (0..length)
                    .map(|digit| items[number / items.len().pow(digit) % items.len()])
                    .collect()
            })
        })
    }
}
