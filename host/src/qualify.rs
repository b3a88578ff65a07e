//! Runs a plan against one device: pure machines from plan to verdict.
//!
//! Nothing here reaches a device or reads a clock. A machine is asked with `poll(now_ms, ..)` what
//! it wants next, and told with `observe(now_ms, ..)` what was seen; whoever drives it owns link,
//! clock and console. So the same run replays from a record, and a device behind another protocol
//! only needs another driver.

pub mod check_run;
pub mod checks;
pub mod observation;
pub mod run;
pub mod runner;
pub mod verdict;
