//! What a person writes to say whom devices are to believe (TRUST.md, "A new root record").
//!
//! Behind another root record it is a list of changes: what it leaves out stays as it was. Else a line that somebody
//! forgets would give a stolen delegation its force back, or make a device of the field one of a desk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use firmware_protocol::root::{
    CertificateNeed, Epochs, LifeCycle, Policy, PublicKey, RoleKeys, RootRecord,
};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use thiserror::Error;

use super::key_file::KeyError;
use super::public_file::{KeyRole, PublicKeyFile};
use super::root::{RootError, RootKeys, role_keys};
use crate::input;

/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A root record in a person's words; paths in it are relative to its folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootSpec {
    root: Option<RoleSpec>,
    release: Option<RoleSpec>,
    qualify: Option<RoleSpec>,
    operate: Option<RoleSpec>,
    #[serde(default)]
    epochs: EpochSpec,
    #[serde(default)]
    policy: PolicySpec,
    #[serde(skip)]
    path: PathBuf,
}

/// The keys of a role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoleSpec {
    /// Public halves.
    keys: Vec<PathBuf>,
    /// How many of them have to sign.
    threshold: u8,
}

/// The lowest epochs that count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EpochSpec {
    release: Option<u32>,
    qualify: Option<u32>,
    operate: Option<u32>,
}

/// What trials may ask for, and what bundles have to bring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySpec {
    life_cycle: Option<LifeCycleWord>,
    lowest_security_version: Option<u64>,
    max_security_step: Option<u64>,
    certificate: Option<CertificateWord>,
    certificate_level: Option<u8>,
    /// Of this root record alone: the next one does not set devices back once more.
    #[serde(default)]
    resets_time: bool,
    max_boots: Option<u16>,
    #[serde(default, deserialize_with = "duration")]
    max_boot: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    max_lease: Option<Duration>,
}

/// What a device lets whom do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LifeCycleWord {
    Development,
    Field,
}

/// When a certificate is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CertificateWord {
    Never,
    BeforeConfirm,
    BeforeStage,
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(de::Error::custom)
}

/// Why a spec makes no root record.
#[derive(Debug, Error)]
pub enum RootSpecError {
    /// The system refused.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not parse.
    #[error("{} does not say whom devices are to believe", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: toml::de::Error,
    },
    /// A public key file that cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key of another role.
    #[error("{} is a {} key, expected a {} key", path.display(), got.word(), expected.word())]
    Role {
        /// The file.
        path: PathBuf,
        /// What it is for.
        got: KeyRole,
        /// Where it is named.
        expected: KeyRole,
    },
    /// A first root record has none before it whose keys it could keep.
    #[error(
        "{} names no {} keys, and a first root record has to: --after FILE names the one before",
        path.display(), role.word()
    )]
    NoKeys {
        /// The file.
        path: PathBuf,
        /// The role.
        role: KeyRole,
    },
    /// A level that nothing is measured by.
    #[error(
        "policy.certificate_level is {level}, and no certificate is needed: policy.certificate says when one is"
    )]
    LevelOfNothing {
        /// The level.
        level: u8,
    },
    /// A time that a root record does not hold.
    #[error("{key} is longer than 49 days")]
    TooLong {
        /// The key of the line.
        key: &'static str,
    },
    /// Keys and thresholds make no sense together.
    #[error(transparent)]
    Root(#[from] RootError),
}

impl RootSpec {
    /// Reads the spec at `path`.
    ///
    /// # Errors
    /// When it is not readable, or does not parse.
    pub fn read(path: &Path) -> Result<Self, RootSpecError> {
        let failed = |source| RootSpecError::Read { path: path.to_path_buf(), source };
        let text = input::read_text(path, MAX_FILE_BYTES).map_err(failed)?;
        let spec = toml::from_str(&text)
            .map_err(|source| RootSpecError::Syntax { path: path.to_path_buf(), source })?;
        Ok(Self { path: path.to_path_buf(), ..spec })
    }

    /// The root record that it describes: the first one, or the one behind `after`, which it changes.
    ///
    /// # Errors
    /// When a key cannot be used, a value makes no sense, or a first one lacks keys.
    pub fn record(
        &self,
        after: Option<&RootRecord>,
        made_at_s: u64,
    ) -> Result<RootRecord, RootSpecError> {
        for (role, named) in [(KeyRole::Root, &self.root), (KeyRole::Release, &self.release)] {
            if after.is_none() && named.is_none() {
                return Err(RootSpecError::NoKeys { path: self.path.clone(), role });
            }
        }
        let before = after.cloned().unwrap_or_else(nothing);
        Ok(RootRecord {
            version: before.version.saturating_add(1),
            root: self.role(KeyRole::Root, self.root.as_ref(), before.root)?,
            release: self.role(KeyRole::Release, self.release.as_ref(), before.release)?,
            qualify: self.role(KeyRole::Qualify, self.qualify.as_ref(), before.qualify)?,
            operate: self.role(KeyRole::Operate, self.operate.as_ref(), before.operate)?,
            life_cycle: match self.policy.life_cycle {
                None => before.life_cycle,
                Some(LifeCycleWord::Development) => LifeCycle::Development,
                Some(LifeCycleWord::Field) => LifeCycle::Field,
            },
            policy: self.policy(before.policy)?,
            epochs: Epochs {
                release: self.epochs.release.unwrap_or(before.epochs.release),
                qualify: self.epochs.qualify.unwrap_or(before.epochs.qualify),
                operate: self.epochs.operate.unwrap_or(before.epochs.operate),
            },
            made_at_s,
            resets_time: self.policy.resets_time,
        })
    }

    /// The keys of a role. One that is written out without keys, with a threshold of zero, is nobody's from then on.
    fn role(
        &self,
        role: KeyRole,
        named: Option<&RoleSpec>,
        before: RoleKeys,
    ) -> Result<RoleKeys, RootSpecError> {
        let Some(named) = named else { return Ok(before) };
        let keys = named.keys.iter().map(|path| self.key(path, role));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Ok(role_keys(RootKeys { keys: &keys, threshold: named.threshold })?)
    }

    fn key(&self, path: &Path, expected: KeyRole) -> Result<PublicKey, RootSpecError> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(path);
        let PublicKeyFile { role: got, public_key } = PublicKeyFile::open(&path)?;
        if got == expected {
            Ok(public_key)
        } else {
            Err(RootSpecError::Role { path, got, expected })
        }
    }

    fn policy(&self, before: Policy) -> Result<Policy, RootSpecError> {
        let ms = |key, duration: Option<Duration>, before_ms| match duration {
            None => Ok(before_ms),
            Some(duration) => {
                u32::try_from(duration.as_millis()).map_err(|_| RootSpecError::TooLong { key })
            }
        };
        let named = &self.policy;
        Ok(Policy {
            lowest_security_version: named
                .lowest_security_version
                .unwrap_or(before.lowest_security_version),
            max_security_step: named.max_security_step.unwrap_or(before.max_security_step),
            certificate: self.certificate(before.certificate)?,
            max_boots: named.max_boots.unwrap_or(before.max_boots),
            max_boot_ms: ms("policy.max_boot", named.max_boot, before.max_boot_ms)?,
            max_lease_ms: ms("policy.max_lease", named.max_lease, before.max_lease_ms)?,
        })
    }

    /// When a certificate is needed, and of which level: each is as it was where it is not named.
    fn certificate(&self, before: CertificateNeed) -> Result<CertificateNeed, RootSpecError> {
        let level = self.policy.certificate_level;
        let when = self.policy.certificate.or(match before {
            CertificateNeed::Never => None,
            CertificateNeed::BeforeConfirm { .. } => Some(CertificateWord::BeforeConfirm),
            CertificateNeed::BeforeStage { .. } => Some(CertificateWord::BeforeStage),
        });
        let kept = level.or(before.level()).unwrap_or(0);
        match (when, level) {
            (Some(CertificateWord::BeforeConfirm), _) => {
                Ok(CertificateNeed::BeforeConfirm { level: kept })
            }
            (Some(CertificateWord::BeforeStage), _) => {
                Ok(CertificateNeed::BeforeStage { level: kept })
            }
            (Some(CertificateWord::Never) | None, None) => Ok(CertificateNeed::Never),
            (Some(CertificateWord::Never) | None, Some(level)) => {
                Err(RootSpecError::LevelOfNothing { level })
            }
        }
    }
}

/// What there is before a first root record: nobody's keys, and the usual policy.
fn nothing() -> RootRecord {
    RootRecord {
        version: 0,
        root: RoleKeys::default(),
        release: RoleKeys::default(),
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: 0,
        resets_time: false,
    }
}

#[cfg(test)]
mod tests;
