//! Semantic versions (semver.org 2.0.0) in bounded memory, without build metadata.

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use heapless::String;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest pre-release tag, in bytes.
pub const PRE_RELEASE_BYTES: usize = 24;

/// `major.minor.patch` with an optional pre-release tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version {
    /// Changes that break users.
    pub major: u32,
    /// Additions.
    pub minor: u32,
    /// Repairs.
    pub patch: u32,
    /// Dot-separated identifiers after the hyphen; empty for a release.
    pub pre: String<PRE_RELEASE_BYTES>,
}

impl Version {
    /// A release version.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch, pre: String::new() }
    }
}

/// Text that is not a version this format can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "not a version: expected MAJOR.MINOR.PATCH or MAJOR.MINOR.PATCH-TAG (no build metadata, tag of \
     at most {PRE_RELEASE_BYTES} letters, digits, dots and hyphens)"
)]
pub struct VersionError;

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, parse_pre(pre)?),
            None => (text, String::new()),
        };
        let mut numbers = core.split('.').map(parse_number);
        let (Some(major), Some(minor), Some(patch), None) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return Err(VersionError);
        };
        Ok(Self { major: major?, minor: minor?, patch: patch?, pre })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if self.pre.is_empty() { Ok(()) } else { write!(f, "-{}", self.pre) }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    /// Precedence of semver 2.0.0, section 11.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(other.major, other.minor, other.patch))
            .then_with(|| compare_pre(&self.pre, &other.pre))
    }
}

fn parse_number(text: &str) -> Result<u32, VersionError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if !plain || leading_zero {
        return Err(VersionError);
    }
    text.parse().map_err(|_| VersionError)
}

fn parse_pre(text: &str) -> Result<String<PRE_RELEASE_BYTES>, VersionError> {
    let fits = text.split('.').all(|identifier| {
        let letters = identifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let leading_zero = identifier.len() > 1
            && identifier.starts_with('0')
            && identifier.bytes().all(|byte| byte.is_ascii_digit());
        !identifier.is_empty() && letters && !leading_zero
    });
    if !fits {
        return Err(VersionError);
    }
    String::try_from(text).map_err(|_| VersionError)
}

fn compare_pre(left: &str, right: &str) -> Ordering {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let mut lefts = left.split('.');
    let mut rights = right.split('.');
    loop {
        match (lefts.next(), rights.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(one), Some(two)) => {
                let order = compare_identifier(one, two);
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

fn compare_identifier(left: &str, right: &str) -> Ordering {
    match (left.parse::<u64>(), right.parse::<u64>()) {
        (Ok(one), Ok(two)) => one.cmp(&two),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    /// The chain of semver 2.0.0, section 11.4, in order.
    #[test]
    fn precedence_follows_the_semver_example() {
        let chain = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "2.0.0",
        ];
        for pair in chain.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{} before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn text_comes_back_as_it_went_in() {
        for text in ["0.0.0", "1.2.3", "4294967295.0.1", "1.0.0-rc.1", "1.0.0-a-b.0"] {
            assert_eq!(version(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        let wrong = [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3-a..b",
            "1.2.3-01",
            "1.2.3+build",
            "v1.2.3",
            "1.2.x",
            "4294967296.0.0",
            "1.2.3-abcdefghijklmnopqrstuvwxyz",
            "-1.2.3",
        ];
        for text in wrong {
            assert!(text.parse::<Version>().is_err(), "{text:?} was taken");
        }
    }
}
