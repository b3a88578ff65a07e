//! Long runs from seeds: single devices under several faults at once, and whole fleets in virtual time.
//!
//! - [`histories`]: a device, a deed, up to eight faults of any class
//! - [`fleet`]: the host's own runs against devices whose supply and lines fail

pub mod fleet;
pub mod histories;
