//! One decision that comes out wrong, as when somebody disturbs the processor that makes it.

#[cfg(feature = "planted")]
use core::sync::atomic::{AtomicU32, Ordering};

/// Passes a decision on, unless it is the one that comes out wrong.
#[cfg(feature = "planted")]
pub(crate) fn decided(holds: bool) -> bool {
    let number = MADE.fetch_add(1, Ordering::Relaxed).saturating_add(1);
    holds ^ (number == WRONG.load(Ordering::Relaxed))
}

/// Passes a decision on.
#[cfg(not(feature = "planted"))]
pub(crate) const fn decided(holds: bool) -> bool {
    holds
}

/// Lets the decision with this number come out wrong, counted from the first one of this process; zero for none.
#[cfg(feature = "planted")]
pub fn disturb(number: u32) {
    WRONG.store(number, Ordering::Relaxed);
}

/// Decisions that engines of this process have made.
#[cfg(feature = "planted")]
pub fn decisions() -> u32 {
    MADE.load(Ordering::Relaxed)
}

#[cfg(feature = "planted")]
static MADE: AtomicU32 = AtomicU32::new(0);
#[cfg(feature = "planted")]
static WRONG: AtomicU32 = AtomicU32::new(0);
