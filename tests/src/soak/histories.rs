//! Deeds under several faults at once, one device at a time (`powercut::history`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hw_sim::FaultClass;

use crate::powercut::deed::DEEDS;
use crate::powercut::mixture::Mixture;
use crate::powercut::part::Part;
use crate::powercut::release::Releases;
use crate::powercut::sweep::{Failure, Sweep};
use crate::random::Random;

/// Histories of one deed on one part, before another is drawn.
const HISTORIES_PER_DEED: u32 = 64;

/// What many histories came to.
#[derive(Debug, Default)]
pub struct Histories {
    /// How many.
    pub count: u64,
    /// Faults that were to strike.
    pub faults: u64,
    /// How often each class of fault has struck.
    pub fired: BTreeMap<FaultClass, u64>,
    /// What went wrong, as shortly as it can be had.
    pub failures: Vec<Failure>,
}

impl Histories {
    /// Lives through histories until then. Each deed is drawn from the next of the seeds.
    pub fn live(&mut self, seeds: &AtomicU64, parts: &[Part], releases: &Releases, until: Instant) {
        while Instant::now() < until {
            let mut random = Random::new(seeds.fetch_add(1, Ordering::Relaxed));
            let part = &parts[index(&mut random, parts.len())];
            let deed = &DEEDS[index(&mut random, DEEDS.len())];
            let age = u32::try_from(random.between(0, u64::from(deed.ages))).unwrap_or(0);
            let sweep = Sweep { part, releases, deed, age, grain: deed.grain };
            self.live_through(&sweep, &mut random);
        }
    }

    fn live_through(&mut self, sweep: &Sweep<'_>, random: &mut Random) {
        let begun = Mixture::of(sweep).and_then(|mixture| Ok((mixture, sweep.origin()?)));
        let (mixture, origin) = match begun {
            Ok(begun) => begun,
            Err(violation) => return self.failures.push(sweep.failure(Vec::new(), violation)),
        };
        for _ in 0..HISTORIES_PER_DEED {
            let faults = mixture.draw(random);
            self.count += 1;
            self.faults += faults.len() as u64;
            let judged = sweep.court().try_history(&origin, &faults).and_then(|outcome| {
                for (class, count) in outcome.fired {
                    *self.fired.entry(class).or_default() += count;
                }
                outcome.judged
            });
            let Err(violation) = judged else { continue };
            let shortest = sweep.shortest(&faults, violation.invariant);
            let (faults, violation) = shortest.unwrap_or((faults, violation));
            self.failures.push(sweep.failure(faults, violation));
            // One of each deed says enough.
            break;
        }
    }

    /// Adds what others came to.
    pub fn add(&mut self, others: Self) {
        self.count += others.count;
        self.faults += others.faults;
        for (class, count) in others.fired {
            *self.fired.entry(class).or_default() += count;
        }
        self.failures.extend(others.failures);
    }
}

fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.between(0, length as u64)).unwrap_or(0)
}
