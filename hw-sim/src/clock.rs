//! Virtual time and seeded chance: microseconds since the simulation began, and random streams that
//! do not disturb one another.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Microseconds in one second.
pub(crate) const US_PER_S: u64 = 1_000_000;
/// A time that never comes.
pub(crate) const NEVER_US: u64 = u64::MAX;

/// Milliseconds as microseconds.
pub(crate) const fn us(ms: u64) -> u64 {
    ms.saturating_mul(1000)
}

/// What a stream of random numbers is for. Each purpose has a stream of its own, so that one more
/// fault in a scenario does not change what all the others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Purpose {
    /// The device's own random source.
    Board = 1,
    /// Noise of sensors.
    Sensors = 2,
    /// Torn flash operations.
    Tear = 3,
    /// Damage on links.
    Line = 4,
    /// What weak flash cells read as.
    Weak = 5,
    /// When the supply fails next, and how.
    Power = 6,
    /// The device's own key.
    Identity = 7,
    /// What a tap does to frames.
    Tap = 8,
}

/// A seeded stream of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    /// The stream of `seed` for one purpose; `index` tells apart several of the same purpose.
    pub(crate) fn new(seed: u64, purpose: Purpose, index: u64) -> Self {
        let mut key = [0; 32];
        let (seed_part, rest) = key.split_at_mut(8);
        let (index_part, purpose_part) = rest.split_at_mut(8);
        seed_part.copy_from_slice(&seed.to_le_bytes());
        index_part.copy_from_slice(&index.to_le_bytes());
        purpose_part.fill(purpose as u8);
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number below `end`; zero when `end` is zero.
    ///
    /// The modulo's bias is below 2^-32 for every range that occurs here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64().checked_rem(end).unwrap_or(0)
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    /// Fills `out`.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_from_its_seed_purpose_and_index_alone() {
        let draw = |seed, purpose, index| Chance::new(seed, purpose, index).below(u64::MAX);
        assert_eq!(draw(1, Purpose::Tear, 0), draw(1, Purpose::Tear, 0));
        assert_ne!(draw(1, Purpose::Tear, 0), draw(2, Purpose::Tear, 0));
        assert_ne!(draw(1, Purpose::Tear, 0), draw(1, Purpose::Line, 0));
        assert_ne!(draw(1, Purpose::Tear, 0), draw(1, Purpose::Tear, 1));
    }

    #[test]
    fn units_stay_within_their_interval() {
        let mut chance = Chance::new(7, Purpose::Sensors, 0);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&chance.unit())));
    }
}
