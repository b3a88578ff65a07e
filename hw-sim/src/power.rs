//! A supply that fails at random: when, and what it leaves of the operation that it strikes.

use std::str::FromStr;

use thiserror::Error;

use crate::clock::{Chance, Purpose};
use crate::fault::{Fault, FlashFault, Reads, Tear};

/// Operations between two failures, on average, unless somebody says otherwise.
const EVERY: u64 = 200;
/// Longest operation that is torn at every byte, in bytes.
const LONGEST_BYTES: u64 = 4096;

/// How the supply is to fail: `random:SEED`, or `random:SEED:EVERY` for one failure in so many flash operations
/// on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCuts {
    seed: u64,
    every: u64,
}

/// Words that name no such supply.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected random:SEED or random:SEED:EVERY, got {text:?}")]
pub struct PowerCutsError {
    text: String,
}

impl PowerCuts {
    /// As often, and at other times: for device number `index` of several.
    #[must_use]
    pub const fn of_device(self, index: u16) -> Self {
        Self { seed: self.seed.wrapping_add(index as u64), ..self }
    }
}

impl FromStr for PowerCuts {
    type Err = PowerCutsError;

    fn from_str(text: &str) -> Result<Self, PowerCutsError> {
        let parse = || {
            let rest = text.strip_prefix("random:")?;
            let (seed, every) = match rest.split_once(':') {
                None => (rest, EVERY),
                Some((seed, every)) => (seed, every.parse().ok().filter(|every| *every > 0)?),
            };
            Some(Self { seed: seed.parse().ok()?, every })
        };
        parse().ok_or_else(|| PowerCutsError { text: text.to_owned() })
    }
}

/// The failures of a supply, one after the other.
#[derive(Debug)]
pub(crate) struct Failures {
    chance: Chance,
    every: u64,
}

impl Failures {
    pub(crate) fn new(cuts: PowerCuts) -> Self {
        Self { chance: Chance::new(cuts.seed, Purpose::Power, 0), every: cuts.every }
    }

    /// The next one, behind operation number `operation`.
    pub(crate) fn next(&mut self, operation: u64) -> Fault {
        let gap = self.chance.below(self.every.saturating_mul(2)).saturating_add(1);
        let seed = self.chance.below(1 << 32);
        // As many short tears as long ones: what decides is often written in a few bytes.
        let longest = LONGEST_BYTES >> self.chance.below(10);
        let bytes = u32::try_from(self.chance.below(longest)).unwrap_or(0);
        let weak = |from, reads| Tear::Weak { from, until: u32::MAX, reads };
        let what = match self.chance.below(8) {
            0 | 1 => FlashFault::Cut(Tear::Behind { bytes }),
            2 => FlashFault::Cut(Tear::InWord { bytes, seed }),
            3 => FlashFault::Cut(Tear::Scattered { seed }),
            4 => FlashFault::Cut(weak(bytes, Reads::NewFirst)),
            5 => FlashFault::Cut(weak(bytes, Reads::OldFirst)),
            6 => FlashFault::Cut(weak(bytes, Reads::Each { seed })),
            _ => {
                let access = u32::try_from(self.chance.below(40)).unwrap_or(0).saturating_add(1);
                FlashFault::BrownOut { bytes, access }
            }
        };
        Fault::Flash { at_operation: operation.saturating_add(gap), what }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fault::FaultClass;

    #[test]
    fn a_supply_is_named_by_its_seed_and_how_often_it_fails() {
        assert_eq!("random:7".parse(), Ok(PowerCuts { seed: 7, every: EVERY }));
        assert_eq!("random:7:50".parse(), Ok(PowerCuts { seed: 7, every: 50 }));
        for text in ["", "random", "random:", "random:x", "random:1:0", "random:1:2:3", "7"] {
            let error = text.parse::<PowerCuts>().unwrap_err();
            assert!(error.to_string().ends_with(&format!("got {text:?}")), "{error}");
        }
    }

    #[test]
    fn failures_come_as_often_as_asked_for_in_every_kind_and_follow_from_their_seed() {
        let draw = |seed| {
            let mut failures = Failures::new(PowerCuts { seed, every: 100 });
            let mut operation = 0;
            let faults = (0..400).map(|_| {
                let fault = failures.next(operation);
                if let Fault::Flash { at_operation, .. } = fault {
                    assert!(at_operation > operation);
                    operation = at_operation;
                }
                fault
            });
            let faults: Vec<Fault> = faults.collect();
            (faults, operation)
        };
        let (faults, operations) = draw(5);
        assert_eq!(draw(5).0, faults);
        assert_ne!(draw(6).0, faults);
        assert!((30_000..50_000).contains(&operations), "{operations}");
        let classes: BTreeSet<FaultClass> = faults.iter().map(Fault::class).collect();
        let all = FaultClass::ALL.into_iter().filter(|class| class.cuts_power());
        assert!(all.eq(classes), "every kind of failure");
    }
}
