//! What a plan asks of a trial, and what the policy of a root record lets it ask for.

use std::fmt;
use std::time::Duration;

use firmware_protocol::root::{Policy, RootRecord};
use thiserror::Error;

use super::Timeouts;

/// One thing that a plan asks of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    term: Term,
    amount: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Term {
    Boots,
    Lease,
    BootMax,
}

/// Everything that a root record limits, in the order in which a device looks at it.
#[must_use]
pub const fn asked(boots: u16, lease_ms: u64, boot_max_ms: u64) -> [Asked; 3] {
    [
        Asked { term: Term::Boots, amount: boots as u64 },
        Asked { term: Term::Lease, amount: lease_ms },
        Asked { term: Term::BootMax, amount: boot_max_ms },
    ]
}

impl Asked {
    /// Names it for a device that takes no more than `limit` of it.
    #[must_use]
    pub fn over(self, limit: u32) -> Option<String> {
        let limit = u64::from(limit);
        (self.amount > limit).then(|| {
            let (key, policy_key) = (self.term.key(), self.term.policy_key());
            let (got, limit) = (self.term.in_words(self.amount), self.term.in_words(limit));
            format!("{key} = {got}, the device's root record allows {policy_key} = {limit} at most")
        })
    }

    /// How much it is.
    #[must_use]
    pub const fn amount(self) -> u64 {
        self.amount
    }

    const fn limit(self, policy: &Policy) -> u64 {
        match self.term {
            Term::Boots => policy.max_boots as u64,
            Term::Lease => policy.max_lease_ms as u64,
            Term::BootMax => policy.max_boot_ms as u64,
        }
    }
}

impl Term {
    /// What a plan calls it.
    const fn key(self) -> &'static str {
        match self {
            Self::Boots => "trial_boots",
            Self::Lease => "lease",
            Self::BootMax => "boot_max",
        }
    }

    /// What the policy of a root record calls its limit.
    const fn policy_key(self) -> &'static str {
        match self {
            Self::Boots => "max_boots",
            Self::Lease => "max_lease",
            Self::BootMax => "max_boot",
        }
    }

    fn in_words(self, amount: u64) -> String {
        match self {
            Self::Boots => amount.to_string(),
            Self::Lease | Self::BootMax => {
                humantime::format_duration(Duration::from_millis(amount)).to_string()
            }
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.term.key(), self.term.in_words(self.amount))
    }
}

/// A plan asks for more than a root record allows.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the plan asks for {}", self.in_words())]
pub struct AsksTooMuch {
    version: u32,
    /// Each with its limit.
    over: Vec<(Asked, u64)>,
}

impl AsksTooMuch {
    /// Who can do something about it.
    pub const NEXT: &str = "who builds asks for less in [timeouts] of the plan, or whoever holds the root signs a record \
                            that allows more";

    fn in_words(&self) -> String {
        let each = self.over.iter().map(|(Asked { term, amount }, limit)| {
            let (got, limit) = (term.in_words(*amount), term.in_words(*limit));
            let (key, policy_key, version) = (term.key(), term.policy_key(), self.version);
            format!("{key} = {got}, root record {version} allows {policy_key} = {limit} at most")
        });
        each.collect::<Vec<_>>().join("; and for ")
    }
}

impl Timeouts {
    /// What a trial is asked for.
    #[must_use]
    pub const fn asked(&self) -> [Asked; 3] {
        asked(self.trial_boots, self.lease_ms, self.boot_max_ms)
    }

    /// Whether devices under this root record open a trial on these terms: ask before anything is staged.
    ///
    /// # Errors
    /// [`AsksTooMuch`] with everything that they would refuse.
    pub fn allowed_by(&self, root: &RootRecord) -> Result<(), AsksTooMuch> {
        let over: Vec<(Asked, u64)> = self
            .asked()
            .into_iter()
            .map(|asked| (asked, asked.limit(&root.policy)))
            .filter(|(asked, limit)| asked.amount > *limit)
            .collect();
        if over.is_empty() { Ok(()) } else { Err(AsksTooMuch { version: root.version, over }) }
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::root::{Epochs, LifeCycle, RoleKeys};

    use super::*;

    #[test]
    fn each_limit_of_a_policy_is_held_against_its_own_key_of_a_plan() {
        let root = RootRecord {
            version: 7,
            root: RoleKeys::default(),
            release: RoleKeys::default(),
            qualify: RoleKeys::default(),
            operate: RoleKeys::default(),
            life_cycle: LifeCycle::Development,
            policy: Policy {
                max_boots: 4,
                max_boot_ms: 60_000,
                max_lease_ms: 5_000,
                ..Policy::default()
            },
            epochs: Epochs::default(),
            made_at_s: 0,
            resets_time: false,
        };
        let fits = Timeouts {
            trial_boots: 4,
            boot_max_ms: 60_000,
            lease_ms: 5_000,
            ..Timeouts::default()
        };
        assert_eq!(fits.allowed_by(&root), Ok(()));
        for (asks, says) in [
            (
                Timeouts { trial_boots: 5, ..fits.clone() },
                "trial_boots = 5, root record 7 allows max_boots = 4 at most",
            ),
            (
                Timeouts { lease_ms: 5_001, ..fits.clone() },
                "lease = 5s 1ms, root record 7 allows max_lease = 5s at most",
            ),
            (
                Timeouts { boot_max_ms: 90_000, lease_ms: 6_000, ..fits.clone() },
                "lease = 6s, root record 7 allows max_lease = 5s at most; and for boot_max = 1m 30s, root record 7 \
                 allows max_boot = 1m at most",
            ),
        ] {
            let error = asks.allowed_by(&root).unwrap_err();
            assert_eq!(error.to_string(), format!("the plan asks for {says}"));
        }
    }

    /// The host knows what it asked for, where the device says two numbers.
    #[test]
    fn a_devices_limit_is_named_by_what_was_asked() {
        let [boots, lease, _] = asked(3, 1_200_000, 60_000);
        assert_eq!(boots.over(3), None);
        let said = lease.over(600_000).unwrap();
        assert_eq!(said, "lease = 20m, the device's root record allows max_lease = 10m at most");
    }
}
