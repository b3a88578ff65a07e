//! What a device and a host say to each other, and everything the device decides.
//!
//! Four layers, each using only those above it in this list:
//!
//! - L0 [`slot`], [`digest`], [`version`], [`curve`], [`flash`], [`frame`], [`planted`], `twice`
//! - L1 [`manifest`], [`boot`], [`refusal`], [`scan`], [`sealed`]
//! - L2 [`message`], [`trust`], `stored`, [`record`], [`layout`], [`receiver`], [`start`]
//! - L3 [`device`]
//!
//! The crate needs no allocator, no clock and no I/O. Time is an argument in milliseconds since
//! the device started; bytes come in and go out through slices; reset, watchdog and jump are values
//! that the caller carries out. So the same engine runs on a microcontroller, in the simulator and,
//! thousands of times faster than real time, in tests.
//!
//! Nothing here panics on any input from the wire, a file or flash: indexing and unchecked
//! arithmetic are compile errors outside tests.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)
)]

#[cfg(test)]
extern crate std;

pub mod bench_reset;
pub mod boot;
pub mod certificate;
pub mod curve;
pub mod delegation;
pub mod device;
pub mod digest;
pub mod flash;
pub mod frame;
pub mod layout;
pub mod manifest;
pub mod message;
pub mod planted;
pub mod receiver;
pub mod record;
pub mod refusal;
pub mod root;
pub mod scan;
pub mod sealed;
pub mod slot;
pub mod start;
mod stored;
pub mod trust;
mod twice;
pub mod version;
