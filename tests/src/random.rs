//! Seeded choices: one printed line replays them.

use std::env;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The seed of a test: `NOFLAKE_TEST_SEED`, or the test's own. Printed, so that a failure shows it.
#[expect(clippy::print_stderr, reason = "a seed that nobody sees replays nothing")]
pub fn seed(test: &str, own: u64) -> u64 {
    let named = env::var("NOFLAKE_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = named.unwrap_or(own);
    eprintln!(
        "{test}: seed {seed} (replay: NOFLAKE_TEST_SEED={seed} cargo test -p integration {test})"
    );
    seed
}

/// Numbers that follow from `seed`.
#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// Begins at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number from `least` up to, not including, `end`.
    pub fn between(&mut self, least: u64, end: u64) -> u64 {
        least + self.0.next_u64() % (end - least)
    }

    /// `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
