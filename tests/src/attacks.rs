//! The attacks that the product has to stand (TESTING.md, "Attacks").
//!
//! A row is one attack: it prepares honestly, attacks through what everybody can reach (files, sockets, ports, the
//! program), and looks at the device's real state afterwards. Its twin is the very same attack on a product whose
//! defence is left out: there it has to succeed, else the row proves nothing about the defence.
//!
//! - [`switch`]: what a twin leaves out
//! - `stand_in`: the program without it, and only in builds that can leave anything out
//! - `row_NN_*`: the rows, one a file

mod flood;
pub mod row_01_arbitrary_install;
pub mod row_02_counted_twice;
pub mod row_03_rollback;
pub mod row_04_interrupted_rollback;
pub mod row_05_never_confirmed;
pub mod row_06_freeze;
pub mod row_07_stale;
pub mod row_08_mix_and_match;
pub mod row_09_wrong_hardware;
pub mod row_10_endless_data;
pub mod row_11_slow_retrieval;
pub mod row_12_fast_forward;
pub mod row_13_operate_stolen;
pub mod row_14_release_stolen;
pub mod row_15_root_rotation;
pub mod row_16_replay;
pub mod row_17_hijack;
pub mod row_18_nonce_desync;
pub mod row_19_rogue_device;
pub mod row_20_tampered_report;
pub mod row_21_malicious_bundle;
pub mod row_22_bomb;
pub mod row_23_malicious_device;
pub mod row_24_check_then_use;
pub mod row_25_glitch;
pub mod row_26_readback;
pub mod row_27_log_denial;
#[cfg(feature = "planted")]
pub mod stand_in;
pub mod switch;

pub use self::switch::Switch;

/// An attack, and what stands in its way.
#[derive(Debug)]
pub struct Row {
    /// Its number in the table of attacks.
    pub number: u8,
    /// Its name there.
    pub name: &'static str,
    /// What is tried.
    pub attack: &'static str,
    /// What stands in its way.
    pub defence: &'static str,
    /// What its twin leaves out.
    pub switch: Switch,
    /// Tries it, and panics when it could not even be prepared.
    pub run: fn() -> Outcome,
}

/// How an attack ended, and what has been seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It got nothing.
    Refused(String),
    /// It got what it was after.
    Succeeded(String),
}

impl Row {
    /// Tries the attack on the product as it is.
    ///
    /// # Panics
    /// When it succeeds.
    pub fn assert_refused(&self) {
        if let Outcome::Succeeded(seen) = (self.run)() {
            panic!("row {}, {}: {seen}", self.number, self.name);
        }
    }
}

/// Every row, by its number.
pub const ROWS: [&Row; 27] = [
    &row_01_arbitrary_install::ROW,
    &row_02_counted_twice::ROW,
    &row_03_rollback::ROW,
    &row_04_interrupted_rollback::ROW,
    &row_05_never_confirmed::ROW,
    &row_06_freeze::ROW,
    &row_07_stale::ROW,
    &row_08_mix_and_match::ROW,
    &row_09_wrong_hardware::ROW,
    &row_10_endless_data::ROW,
    &row_11_slow_retrieval::ROW,
    &row_12_fast_forward::ROW,
    &row_13_operate_stolen::ROW,
    &row_14_release_stolen::ROW,
    &row_15_root_rotation::ROW,
    &row_16_replay::ROW,
    &row_17_hijack::ROW,
    &row_18_nonce_desync::ROW,
    &row_19_rogue_device::ROW,
    &row_20_tampered_report::ROW,
    &row_21_malicious_bundle::ROW,
    &row_22_bomb::ROW,
    &row_23_malicious_device::ROW,
    &row_24_check_then_use::ROW,
    &row_25_glitch::ROW,
    &row_26_readback::ROW,
    &row_27_log_denial::ROW,
];
