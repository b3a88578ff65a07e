//! On-device checks as they travel: what they are, and what they found.

use heapless::String;
use serde::{Deserialize, Serialize};

/// One on-device check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it gives.
    pub gives: CheckGives<'a>,
}

/// What an on-device check gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckGives<'a> {
    /// A value in this unit.
    Value {
        /// Unit symbol.
        unit: &'a str,
    },
    /// A status.
    Status,
}

/// What an on-device check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading<'a> {
    /// `mantissa` times ten to the `exponent`, in `unit`: exact, and without floating point.
    Value {
        /// Digits.
        mantissa: i64,
        /// Power of ten.
        exponent: i8,
        /// Unit symbol.
        unit: &'a str,
    },
    /// A status with a word of explanation.
    Status {
        /// The status.
        status: CheckStatus,
        /// Explanation, possibly empty.
        detail: String<48>,
    },
}

/// Status of an on-device check. Append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Not as it should be, and usable.
    Warn,
    /// Not as it should be.
    Fail,
    /// The check itself did not work.
    Error,
    /// The value is too old to be judged.
    Stale,
}
