//! A value that was seen, with its unit, and the limits it is held against.
//!
//! Not a verdict: [`Limits::judge`] says where a value lies, and the check that asked decides what
//! that means. Units are compared, never converted: a reading in another unit than the plan's is an
//! error of the bench, not a failure of the device.

mod limits;
mod pattern;

pub use limits::{LimitMismatch, Limits, Standing};
pub use pattern::Pattern;

use core::fmt;

use serde::{Deserialize, Serialize};

/// Something a device or the bench said, before anybody judges it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A yes or no.
    Flag(bool),
    /// A finite number in the unit of its [`Measurement`].
    Number(f64),
    /// Text as received; escape it before it meets a terminal or a report.
    Text(String),
}

impl Value {
    /// The kind of value, as an error names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "flag",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Flag(_) | Self::Number(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// One value with its name and unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured, such as `rail_3v3` or `ready_after`.
    pub name: String,
    /// The value.
    pub value: Value,
    /// Unit symbol as the plan writes it (`V`, `ms`, `s`, `%`); empty for a count, a flag or text.
    pub unit: String,
}

impl Measurement {
    /// A number in `unit`.
    pub fn number(name: impl Into<String>, number: f64, unit: impl Into<String>) -> Self {
        Self { name: name.into(), value: Value::Number(number), unit: unit.into() }
    }

    /// A word, which has no unit.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), value: Value::Text(text.into()), unit: String::new() }
    }
}

/// Writes `rail_3v3 = 3.31 V`.
impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.value)?;
        if self.unit.is_empty() { Ok(()) } else { write!(f, " {}", self.unit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_prints_its_unit_when_it_has_one() {
        assert_eq!(Measurement::number("rail", 3.3, "V").to_string(), "rail = 3.3 V");
        assert_eq!(Measurement::text("cause", "power_on").to_string(), "cause = power_on");
    }
}
