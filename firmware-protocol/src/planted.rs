//! What tests break on purpose, to prove that they notice it (feature `planted`).
//!
//! - [`Mistake`]: the engine does something wrong, as a product has shipped or a test has missed it
//! - [`Defence`]: engine or host leaves out what stands between an attack and its aim
//! - `disturb`: one decision of an engine comes out wrong
//!
//! Without the feature every question is answered with no at compile time, and nothing of this is in a
//! binary. With it, a process makes at most one of the mistakes and leaves out at most one of the defences.

mod decision;
mod defence;
mod mistake;

pub(crate) use self::decision::decided;
#[cfg(feature = "planted")]
pub use self::decision::{decisions, disturb};
pub use self::defence::Defence;
#[cfg(feature = "planted")]
pub use self::defence::switch_off;
pub use self::mistake::Mistake;
#[cfg(feature = "planted")]
pub use self::mistake::plant;

// Programs for people refuse it themselves, see `IS_PLANTABLE`; no firmware has to remember that.
#[cfg(all(feature = "planted", target_os = "none"))]
compile_error!("`planted` makes mistakes on purpose: it is refused on a device");

/// Whether engines of this build can be told to make mistakes; a program for people refuses to be one.
pub const IS_PLANTABLE: bool = cfg!(feature = "planted");
