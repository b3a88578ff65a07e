//! `[plan]`, `[timeouts]` and `[policy]`: what a plan says about the whole run.

use serde::Serialize;
use thiserror::Error;

/// How much a plan asks for; part of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Enough to see that it runs.
    Smoke,
    /// What a bench checks at each change (default).
    Bench,
    /// What a release needs.
    Release,
    /// What the field needs.
    Field,
}

/// What a plan may be run against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppliesTo {
    /// The product; any when none.
    pub product: Option<String>,
    /// Hardware revisions; any when empty.
    pub hardware_rev: Vec<u32>,
}

/// A plan that is not for this device: a mistake of its user, not a failure of the device.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotApplicable {
    /// Another product.
    #[error(
        "plan applies to product {expected}, the device is product {got}; use the plan of {got}"
    )]
    Product {
        /// Product of the plan.
        expected: String,
        /// Product of the device.
        got: String,
    },
    /// Another hardware revision.
    #[error(
        "plan applies to hardware revisions {expected:?}, the device has revision {got}; use a \
            plan for it"
    )]
    HardwareRev {
        /// Revisions of the plan.
        expected: Vec<u32>,
        /// Revision of the device.
        got: u32,
    },
}

impl AppliesTo {
    /// Whether the plan is for this device; ask before the first stage.
    ///
    /// # Errors
    /// [`NotApplicable`] with what the plan is for.
    pub fn admit(&self, product: &str, hardware_rev: u32) -> Result<(), NotApplicable> {
        if let Some(expected) = self.product.as_ref().filter(|expected| *expected != product) {
            return Err(NotApplicable::Product {
                expected: expected.clone(),
                got: product.to_owned(),
            });
        }
        if self.hardware_rev.is_empty() || self.hardware_rev.contains(&hardware_rev) {
            return Ok(());
        }
        Err(NotApplicable::HardwareRev { expected: self.hardware_rev.clone(), got: hardware_rev })
    }
}

/// Time limits of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// The whole run; default 1 h. A run that takes longer ends in error.
    pub run_ms: u64,
    /// Until a device first answers; default 10 s: somebody stands there and waits.
    pub first_connect_ms: u64,
    /// Until a device that has answered does so again; default 60 s.
    pub connect_ms: u64,
    /// Without any sign of life while a check waits for the device; default 120 s. A check that waits
    /// longer ends in error.
    pub silence_ms: u64,
    /// The device goes back when no authenticated request renews it for so long; default 60 s.
    pub lease_ms: u64,
    /// The longest single trial boot; default 30 min.
    pub boot_max_ms: u64,
    /// Trial boots asked for; default 3. More than the root record's policy allows is refused.
    pub trial_boots: u16,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            run_ms: 3_600_000,
            first_connect_ms: 10_000,
            connect_ms: 60_000,
            silence_ms: 120_000,
            lease_ms: 60_000,
            boot_max_ms: 1_800_000,
            trial_boots: 3,
        }
    }
}

/// What happens to a device that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFail {
    /// It goes back to the old version (default).
    Rollback,
    /// It stays on trial for somebody to look at, within its lease.
    Hold,
}

/// What happens to a device that could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInconclusive {
    /// It goes back to the old version (default); the verdict stays inconclusive.
    Reject,
    /// It stays on trial for somebody to decide, within its lease.
    Hold,
}

/// What verdicts lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// After a rejected run.
    pub on_fail: OnFail,
    /// After an inconclusive run.
    pub on_inconclusive: OnInconclusive,
    /// Bench faults in a row, counted in attempts, that end the run in error; default 4.
    pub consecutive_error_limit: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            on_fail: OnFail::Rollback,
            on_inconclusive: OnInconclusive::Reject,
            consecutive_error_limit: 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_for_nothing_in_particular_admits_everything() {
        assert_eq!(AppliesTo::default().admit("rover", 7), Ok(()));
    }

    #[test]
    fn a_plan_for_another_product_or_revision_says_which() {
        let applies = AppliesTo { product: Some("rover".into()), hardware_rev: vec![2, 3] };
        assert_eq!(applies.admit("rover", 3), Ok(()));
        let error = applies.admit("lander", 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plan applies to product rover, the device is product lander; use the plan of lander"
        );
        let error = applies.admit("rover", 1).unwrap_err();
        assert!(error.to_string().contains("revisions [2, 3], the device has revision 1"));
    }
}
