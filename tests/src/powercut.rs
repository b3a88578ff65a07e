//! Power cuts, at every byte of every flash operation of every deed on many parts, and every other fault.
//!
//! A deed (stage, arm, confirm, ...) is done once on a part whose operations are traced. For every
//! operation, the flash as it was before it is torn at every byte: a cut's whole outcome, as a device
//! keeps nothing but its flash. On each of those the device starts again, is held to the
//! invariants, starts three times more, and a host then goes on to the deed's end.
//!
//! - [`part`]: flash parts and where everything lies on them
//! - [`release`]: root records and bundles
//! - [`model`]: what a device has to be, by the rules of BOOT.md and by nothing of the engine
//! - [`truth`]: what a device is seen to be, by its answers and by its flash's [`bytes`](mod@bytes)
//! - [`belief`]: what a device has to be, or may be, as things happen to it
//! - [`mod@unit`]: one device in memory and in virtual time, on its chip
//! - [`client`], [`heard`]: what a host asks it for, and what it says
//! - [`deed`]: what is cut, and what it leads to
//! - [`host`]: how a goal is reached from wherever a device is
//! - [`cut`]: where power fails, and what that leaves
//! - [`mod@path`]: what flash goes through meanwhile
//! - [`judge`]: the invariants; [`damage`]: what is left of them when flash was damaged
//! - [`disorder`]: every single fault that is no power cut
//! - [`history`]: a deed done under a list of faults; [`mixture`]: lists of them by chance
//! - [`sweep`]: every cut of a deed on a part; [`double`]: and every cut of the recovery from it
//! - [`shrink`]: the shortest list of faults that still breaks a promise
//! - [`crew`]: many sweeps at once; [`table`]: the figures

pub mod belief;
pub mod bytes;
pub(crate) mod chip;
pub mod client;
pub mod crew;
pub mod cut;
pub mod damage;
pub mod deed;
pub mod disorder;
pub mod double;
pub mod heard;
pub mod history;
pub mod host;
pub mod judge;
pub mod mixture;
pub mod model;
pub mod part;
pub mod path;
pub mod release;
pub mod shrink;
pub mod sweep;
pub mod table;
pub mod truth;
pub mod unit;
