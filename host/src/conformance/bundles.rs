//! The bundles that scenarios work with: `conformance.toml` and the files that it names.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use firmware_protocol::root::RootRecord;
use serde::Deserialize;
use thiserror::Error;

use crate::bundle::{Bundle, BundleError, VerifiedBundle};
use crate::input;

/// The only schema there is.
const SCHEMA: &str = "conformance/1";
/// Name of the file in its folder.
const FILE_NAME: &str = "conformance.toml";
const MAX_BYTES: u64 = 64 * 1024;

/// What a bundle is there for. Its name is its key in `conformance.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Healthy: what the suite begins with.
    Base,
    /// Healthy, newer, of a higher security version.
    Next,
    /// Fails a check of its own plan.
    Fails,
    /// Hangs, and feeds no watchdog.
    Hangs,
    /// Feeds the watchdog and never calls its engine.
    NeverPolls,
    /// Calls its engine and passes nothing on.
    Deaf,
    /// Crashes.
    Crashes,
    /// Hangs, and a timer interrupt goes on feeding the watchdog.
    FeedsFromInterrupt,
    /// For another product.
    OtherProduct,
    /// Signed by keys that are none of the root record's.
    Stranger,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 10] = [
        Self::Base,
        Self::Next,
        Self::Fails,
        Self::Hangs,
        Self::NeverPolls,
        Self::Deaf,
        Self::Crashes,
        Self::FeedsFromInterrupt,
        Self::OtherProduct,
        Self::Stranger,
    ];

    /// Its key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Next => "next",
            Self::Fails => "fails",
            Self::Hangs => "hangs",
            Self::NeverPolls => "never_polls",
            Self::Deaf => "deaf",
            Self::Crashes => "crashes",
            Self::FeedsFromInterrupt => "feeds_from_interrupt",
            Self::OtherProduct => "other_product",
            Self::Stranger => "stranger",
        }
    }

    /// It runs on trial: the device has to admit it.
    const fn runs(self) -> bool {
        !matches!(self, Self::OtherProduct | Self::Stranger)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// How long things may take, and how often they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Lease of the suite's trials, in milliseconds: longer than a version takes to start.
    pub lease_ms: u32,
    /// Longest boot of the suite's trials, in milliseconds.
    pub boot_max_ms: u32,
    /// Behind its time, in which a device has to be back, in milliseconds.
    pub back_ms: u64,
    /// Longest time for an answer while the device hashes or writes, in milliseconds.
    pub answer_ms: u64,
    /// Power cuts of each scenario that has some.
    pub cuts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { lease_ms: 5_000, boot_max_ms: 10_000, back_ms: 30_000, answer_ms: 1_000, cuts: 5 }
    }
}

impl Limits {
    fn problem(self) -> Option<(&'static str, String)> {
        let Self { lease_ms, boot_max_ms, back_ms, answer_ms, cuts } = self;
        // The host gives a sign of life every 700 ms.
        if lease_ms < 1_500 {
            return Some(("lease_ms", format!("expected at least 1500, got {lease_ms}")));
        }
        if boot_max_ms <= lease_ms {
            let problem = format!("expected more than lease_ms = {lease_ms}, got {boot_max_ms}");
            return Some(("boot_max_ms", problem));
        }
        let counts = [("back_ms", back_ms), ("answer_ms", answer_ms), ("cuts", u64::from(cuts))];
        let (key, _) = counts.into_iter().find(|(_, count)| *count == 0)?;
        Some((key, "expected at least 1, got 0".to_owned()))
    }
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: String,
    bundles: BTreeMap<Role, PathBuf>,
    #[serde(default)]
    limits: Limits,
}

/// Why the bundles of a folder cannot be used.
#[derive(Debug, Error)]
pub enum BundlesError {
    /// The file cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not TOML, or has keys or values that it cannot have.
    #[error("{} is not valid", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and key.
        source: Box<toml::de::Error>,
    },
    /// A value that does not do.
    #[error("{}: {key}: {problem}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The key at fault.
        key: String,
        /// What is expected, and what was found.
        problem: String,
    },
    /// A bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// The bundles of a folder.
#[derive(Debug)]
pub struct Bundles {
    verified: BTreeMap<Role, VerifiedBundle>,
    /// Signed by nobody whom the root record names.
    stranger: Option<Bundle>,
    limits: Limits,
}

impl Bundles {
    /// Reads `conformance.toml` in `folder`, and every bundle that it names.
    ///
    /// # Errors
    /// When one of them cannot be read, or is not what it is named for.
    pub fn read(folder: &Path, root: &RootRecord) -> Result<Self, BundlesError> {
        let path = folder.join(FILE_NAME);
        let text = input::read_text(&path, MAX_BYTES)
            .map_err(|source| BundlesError::Read { path: path.clone(), source })?;
        let file = parse(&text, &path)?;
        let mut bundles = Self { verified: BTreeMap::new(), stranger: None, limits: file.limits };
        for (role, name) in file.bundles {
            let bundle = Bundle::open(&folder.join(name))?;
            if role == Role::Stranger {
                bundles.stranger = Some(bundle);
            } else {
                bundles.verified.insert(role, bundle.verify(root)?);
            }
        }
        bundles.check(root).map_err(|(role, problem)| BundlesError::Rule {
            path,
            key: format!("bundles.{role}"),
            problem,
        })?;
        Ok(bundles)
    }

    /// How long things may take.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The bundle of a role, vouched for; none where none was given, nor for the stranger's.
    #[must_use]
    pub fn verified(&self, role: Role) -> Option<&VerifiedBundle> {
        self.verified.get(&role)
    }

    /// The bundle of a role, whoever has signed it.
    #[must_use]
    pub fn any(&self, role: Role) -> Option<&Bundle> {
        match role {
            Role::Stranger => self.stranger.as_ref(),
            Role::Base
            | Role::Next
            | Role::Fails
            | Role::Hangs
            | Role::NeverPolls
            | Role::Deaf
            | Role::Crashes
            | Role::FeedsFromInterrupt
            | Role::OtherProduct => self.verified(role).map(VerifiedBundle::bundle),
        }
    }

    /// Security version of a role's bundle.
    #[must_use]
    pub fn security_version(&self, role: Role) -> Option<u64> {
        self.verified(role).map(|bundle| bundle.manifest().security_version)
    }

    /// Each is what it is named for, as far as its manifest tells.
    fn check(&self, root: &RootRecord) -> Result<(), (Role, String)> {
        let claims = |role: Role| self.any(role).map(Bundle::unverified_manifest);
        let missing = |role: Role| (role, "expected a bundle, got none".to_owned());
        let base = claims(Role::Base).ok_or_else(|| missing(Role::Base))?;
        let next = claims(Role::Next).ok_or_else(|| missing(Role::Next))?;
        let (lowest, got) = (base.security_version, next.security_version);
        if got <= lowest {
            let problem =
                format!("expected a security version above {lowest}, that of base, got {got}");
            return Err((Role::Next, problem));
        }
        for role in Role::ALL {
            let Some(manifest) = claims(role) else { continue };
            let is_same = manifest.product == base.product;
            if is_same == (role == Role::OtherProduct) {
                let other = if is_same { "another product than" } else { "product" };
                let problem = format!("expected {other} {:?}, that of base", base.product);
                return Err((role, problem));
            }
            let got = manifest.security_version;
            if role.runs() && role != Role::Base && got < next.security_version {
                let least = next.security_version;
                let problem = format!(
                    "expected a security version of at least {least}, that of next, got {got}"
                );
                return Err((role, problem));
            }
        }
        match &self.stranger {
            Some(stranger) if stranger.check_signatures(root).is_ok() => Err((
                Role::Stranger,
                "expected a bundle that the root record does not trust".into(),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

fn parse(text: &str, path: &Path) -> Result<File, BundlesError> {
    let file: File = toml::from_str(text).map_err(|source| BundlesError::Syntax {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    let rule = |key: &str, problem: String| {
        Err(BundlesError::Rule { path: path.to_path_buf(), key: key.to_owned(), problem })
    };
    if file.schema != SCHEMA {
        return rule("schema", format!("expected {SCHEMA:?}, got {:?}", file.schema));
    }
    match file.limits.problem() {
        Some((key, problem)) => rule(&format!("limits.{key}"), problem),
        None => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<File, String> {
        let path = Path::new("conformance.toml");
        parse(text, path).map_err(|error| crate::causes::sentence(&error))
    }

    #[test]
    fn the_file_reads_as_the_manual_writes_it() {
        let text = "schema = \"conformance/1\"\n[bundles]\nbase = \"a.nfb\"\nnext = \"b.nfb\"\n\
                    never_polls = \"c.nfb\"\n[limits]\nlease_ms = 2000\n";
        let file = read(text).unwrap();
        assert_eq!(
            file.bundles.keys().map(|role| role.key()).collect::<Vec<_>>(),
            ["base", "next", "never_polls"]
        );
        assert_eq!(file.limits, Limits { lease_ms: 2_000, ..Limits::default() });
    }

    #[test]
    fn what_the_file_cannot_say_is_refused_with_its_key() {
        let with = |more: &str| format!("schema = \"conformance/1\"\n[bundles]\n{more}\n");
        for (text, words) in [
            (with("bse = \"a\""), "unknown variant `bse`"),
            (with("[limits]\nlease_s = 5"), "unknown field `lease_s`"),
            (with("[limits]\nlease_ms = 5"), "limits.lease_ms: expected at least 1500, got 5"),
            (with("[limits]\nboot_max_ms = 5000"), "limits.boot_max_ms: expected more than"),
            (with("[limits]\ncuts = 0"), "limits.cuts: expected at least 1, got 0"),
            ("schema = \"conformance/2\"\n[bundles]\n".to_owned(), "schema: expected"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
