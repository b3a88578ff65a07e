//! What noflake's programs on this board share: its hardware, its flash, its layout, and the loop around the engine.
//!
//! The board is the Cortex-M3 of Arm's MPS2 FPGA prototyping board with application note AN385, as QEMU emulates it. Where
//! QEMU has no part for what a real board has, a file of the host stands in, which the firmware reaches by semihosting:
//! `flash.bin` is the flash, `identity.bin` the place for the board's key. docs/PORTING.md goes through the files in order.
#![no_std]

pub mod board;
pub mod checks;
pub mod clock;
pub mod deadline;
pub mod faults;
pub mod file;
pub mod flash;
pub mod interrupts;
pub mod layout;
pub mod loaded;
/// The board's memory.
pub mod map;
pub mod measured;
pub mod places;
pub mod power_cut;
pub mod register;
pub mod retained;
pub mod serve;
pub mod settings;
pub mod uart;
pub mod vectors;
pub mod watchdog;
