//! The A/B protocol, host and device, explored exhaustively within stated bounds (TESTING.md, "Model check").
//!
//! Both sides are the product's own machines: the host's `Runner` with its plan, and the device's engine behind its boot
//! stage on flash in memory. Between two requests lies a state; every fate of the next request leads to another one. Each
//! new state is held to the promises, each new device also to what has to come of it.
//!
//! - [`scene`]: what is deployed, and onto what; [`memory`], [`chip`]: flash and board
//! - [`machine`]: the device; [`question`]: what it is asked
//! - [`errand`], [`transfer`]: how a host carries out what its machine asks for
//! - [`fate`], [`moves`]: what can happen
//! - [`state`], [`canonical`]: everything at one moment, and one number for what it means
//! - [`witness`], [`truth`], [`outlook`]: the promises: of each step, of what a host says, of each device
//! - [`mod@explore`]: all of it, nearest first; [`report`]: in words

pub mod canonical;
pub mod chip;
pub mod errand;
pub mod explore;
pub mod fate;
pub mod machine;
pub mod memory;
pub mod moves;
pub mod outlook;
pub mod question;
pub mod report;
pub mod scene;
pub mod state;
pub mod transfer;
pub mod truth;
pub mod witness;
