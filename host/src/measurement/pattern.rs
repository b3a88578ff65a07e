//! A regular expression that remembers how it was written.

use core::fmt;

use regex_lite::Regex;
use serde::{Serialize, Serializer};

/// A compiled pattern; two are equal when they were written alike.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// What is wrong with `text` as a regular expression.
    pub fn new(text: &str) -> Result<Self, regex_lite::Error> {
        Regex::new(text).map(Self)
    }

    /// Whether the pattern occurs anywhere in `text`; anchor it with `^` and `$` to match all of
    /// it.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_anywhere_unless_anchored() {
        assert!(Pattern::new("panic").unwrap().is_match("kernel panic at 0"));
        assert!(!Pattern::new("^panic$").unwrap().is_match("kernel panic at 0"));
    }

    #[test]
    fn a_bad_pattern_is_an_error_and_not_a_pattern_that_never_matches() {
        assert!(Pattern::new("(").is_err());
    }

    #[test]
    fn patterns_are_equal_as_written() {
        assert_eq!(Pattern::new("a+").unwrap(), Pattern::new("a+").unwrap());
        assert_ne!(Pattern::new("a+").unwrap(), Pattern::new("aa*").unwrap());
    }
}
