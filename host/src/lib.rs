//! Qualifies deployments on field devices: signs a bundle, stages it, boots it on trial, checks it,
//! and commits or rolls back.
//!
//! Layers, each using only those above it in this list, or to its right:
//!
//! - L0 [`mod@causes`], [`measurement`], [`verdict`], [`platform`], [`trust`], [`bundle`], [`link`]
//! - L1 [`session`], [`plan`], [`evidence`], [`boot_record`]
//! - L2 [`driver`], [`qualify`]
//! - L3 [`mod@bench`], [`report`], [`conformance`]
//! - L4 [`config`], [`error`], [`output`], [`progress`], [`trace`]
//! - L5 [`cli`], [`commands`]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic))]

pub mod bench;
pub mod boot_record;
pub mod bundle;
pub mod causes;
pub mod cli;
pub mod commands;
pub mod config;
pub mod conformance;
pub mod driver;
pub mod error;
pub mod evidence;
pub mod input;
pub mod link;
pub mod measurement;
pub mod output;
pub mod plan;
pub mod platform;
pub mod progress;
pub mod qualify;
pub mod report;
pub mod session;
pub mod trace;
pub mod trust;
pub mod verdict;
