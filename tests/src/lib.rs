//! Harness of the integration tests: the real `noflake` binary, its simulated devices on real ports,
//! a wire client without the host's manners, and a cable that can be cut.
//!
//! - [`site`]: a working folder with a root record, and bundles signed (rightly or wrongly) for it
//! - [`office`]: a folder with keys of several roles and passphrases, as people make them
//! - [`field`]: an office with delegations, and devices that take no change without
//! - [`cli`]: runs the binary and keeps what it said
//! - [`simulator`]: runs `noflake sim` and reads what the device's side has counted
//! - [`raw`]: speaks the wire as no honest host would; [`intruder`] installs by it what a device lets in
//! - [`trust`]: root records and delegations of fixed keys, without files
//! - [`proxy`]: a TCP cable that counts, listens, stalls and breaks
//! - [`peer`]: something at a device's address that is no device
//! - [`hostile`]: a device that is healthy but for one twist, and what a command owes whatever its device does
//! - [`flash`], [`source`], [`random`]: what the flash file holds, files, seeded choices
//! - [`powercut`], [`soak`]: devices under faults, all of them in turn or many by chance
//! - [`fuzz`]: everything that reads foreign bytes, fed with any
//! - [`modelcheck`]: host and device together, request by request
//! - [`conformance`]: the conformance suite on simulated devices
//! - [`attacks`]: the attacks that the product has to stand, each also without its defence
//! - [`tidy`]: reads sources as far as style can be told from them
//!
//! Every wait is bounded and ends in words. Nothing here asserts on how long a thing took: machines
//! that run tests are busy.
#![cfg(unix)]
#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a harness reports by panicking; clippy.toml excuses test functions, not their helpers"
)]

pub mod attacks;
pub mod bench;
pub mod cli;
pub mod conformance;
pub mod field;
pub mod flash;
pub mod fuzz;
pub mod hostile;
pub mod intruder;
pub mod modelcheck;
pub mod office;
pub mod peer;
pub mod powercut;
pub mod proxy;
pub mod random;
pub mod raw;
pub mod simulator;
pub mod site;
pub mod soak;
pub mod source;
pub mod tidy;
pub mod trust;
