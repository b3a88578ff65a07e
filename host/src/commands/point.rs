//! One point on which trust is judged: whether it is good, why, and who can do something about it.

use std::fmt;

use serde_json::{Value, json};

/// A point.
pub(super) struct Point {
    about: &'static str,
    is_good: bool,
    says: String,
    remedy: Option<&'static str>,
}

impl Point {
    /// Nothing speaks against it.
    pub(super) const fn good(about: &'static str, says: String) -> Self {
        Self { about, is_good: true, says, remedy: None }
    }

    /// It is refused, until somebody does something.
    pub(super) const fn bad(about: &'static str, says: String, remedy: &'static str) -> Self {
        Self { about, is_good: false, says, remedy: Some(remedy) }
    }

    pub(super) const fn is_good(&self) -> bool {
        self.is_good
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "about": self.about, "good": self.is_good, "says": self.says, "remedy": self.remedy })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_good { "good" } else { "REFUSED" };
        write!(f, "{:<12}{word:<8} {}", self.about, self.says)?;
        match self.remedy {
            Some(remedy) => write!(f, "\n{:<20} {remedy}", ""),
            None => Ok(()),
        }
    }
}
