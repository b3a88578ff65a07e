//! One point on which trust is judged: whether it is good, why, and who can do something about it.

use std::fmt;

use serde_json::{Value, json};

/// A point.
pub(super) struct Point {
    about: &'static str,
    standing: Standing,
    says: String,
    remedy: Option<&'static str>,
}

/// What there is to say about it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Good,
    Unknown,
    Refused,
}

impl Point {
    /// Nothing speaks against it.
    pub(super) const fn good(about: &'static str, says: String) -> Self {
        Self { about, standing: Standing::Good, says, remedy: None }
    }

    /// Nobody can tell from here.
    pub(super) const fn unknown(about: &'static str, says: String) -> Self {
        Self { about, standing: Standing::Unknown, says, remedy: None }
    }

    /// Nobody can tell from here, and somebody can do something about that.
    pub(super) const fn unsure(about: &'static str, says: String, remedy: &'static str) -> Self {
        Self { about, standing: Standing::Unknown, says, remedy: Some(remedy) }
    }

    /// It is refused, until somebody does something.
    pub(super) const fn bad(about: &'static str, says: String, remedy: &'static str) -> Self {
        Self { about, standing: Standing::Refused, says, remedy: Some(remedy) }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.standing == Standing::Refused
    }

    /// Who can do what about it.
    pub(super) const fn remedy(&self) -> Option<&'static str> {
        self.remedy
    }

    pub(super) fn to_json(&self) -> Value {
        let good = match self.standing {
            Standing::Good => Some(true),
            Standing::Unknown => None,
            Standing::Refused => Some(false),
        };
        json!({ "about": self.about, "good": good, "says": self.says, "remedy": self.remedy })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.standing {
            Standing::Good => "good",
            Standing::Unknown => "unknown",
            Standing::Refused => "REFUSED",
        };
        write!(f, "{:<12}{word:<8} {}", self.about, self.says)?;
        match self.remedy {
            Some(remedy) => write!(f, "\n{:<20} {remedy}", ""),
            None => Ok(()),
        }
    }
}
