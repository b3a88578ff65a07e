//! The attacks that the product has to stand (TESTING.md, "Attacks").
//!
//! A row is one attack: it prepares honestly, attacks through what everybody can reach (files, sockets, ports, the
//! program), and looks at the device's real state afterwards. Its twin is the very same attack on a product whose
//! defence is left out: there it has to succeed, else the row proves nothing about the defence.
//!
//! - [`switch`]: what a twin leaves out
//! - `stand_in`: the program without it, and only in builds that can leave anything out
//! - `row_NN_*`: the rows, one a file

pub mod row_01_arbitrary_install;
pub mod row_03_rollback;
pub mod row_09_wrong_hardware;
pub mod row_20_tampered_report;
pub mod row_25_glitch;
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
pub const ROWS: [&Row; 5] = [
    &row_01_arbitrary_install::ROW,
    &row_03_rollback::ROW,
    &row_09_wrong_hardware::ROW,
    &row_20_tampered_report::ROW,
    &row_25_glitch::ROW,
];
