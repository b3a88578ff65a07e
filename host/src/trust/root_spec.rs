//! What a person writes to say whom devices are to believe (TRUST.md, "A new root record").

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
use super::root::{RootError, RootKeys, first_root, role_keys};
use crate::input;

/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A root record in a person's words; paths in it are relative to its folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootSpec {
    root: RoleSpec,
    release: RoleSpec,
    qualify: Option<RoleSpec>,
    operate: Option<RoleSpec>,
    #[serde(default)]
    epochs: EpochSpec,
    #[serde(default)]
    policy: PolicySpec,
    #[serde(skip)]
    folder: PathBuf,
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
    release: u32,
    qualify: u32,
    operate: u32,
}

/// What trials may ask for, and what bundles have to bring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicySpec {
    #[serde(default)]
    life_cycle: LifeCycleWord,
    lowest_security_version: Option<u64>,
    max_security_step: Option<u64>,
    certificate: Option<CertificateWord>,
    certificate_level: Option<u8>,
    #[serde(default)]
    resets_time: bool,
    max_boots: Option<u16>,
    #[serde(default, deserialize_with = "duration")]
    max_boot: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    max_lease: Option<Duration>,
}

/// What a device lets whom do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LifeCycleWord {
    #[default]
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
        Ok(Self { folder: path.parent().unwrap_or(Path::new("")).to_path_buf(), ..spec })
    }

    /// The root record that it describes: the first one, or the one behind `after`.
    ///
    /// # Errors
    /// When a key cannot be used, or the keys do not fit their thresholds.
    pub fn record(
        &self,
        after: Option<&RootRecord>,
        made_at_s: u64,
    ) -> Result<RootRecord, RootSpecError> {
        let root = self.keys(&self.root, KeyRole::Root)?;
        let release = self.keys(&self.release, KeyRole::Release)?;
        let first = first_root(
            RootKeys { keys: &root, threshold: self.root.threshold },
            RootKeys { keys: &release, threshold: self.release.threshold },
            made_at_s,
        )?;
        let version = after.map_or(1, |after| after.version.saturating_add(1));
        let EpochSpec { release, qualify, operate } = self.epochs;
        Ok(RootRecord {
            version,
            qualify: self.optional(self.qualify.as_ref(), KeyRole::Qualify)?,
            operate: self.optional(self.operate.as_ref(), KeyRole::Operate)?,
            life_cycle: match self.policy.life_cycle {
                LifeCycleWord::Development => LifeCycle::Development,
                LifeCycleWord::Field => LifeCycle::Field,
            },
            epochs: Epochs { release, qualify, operate },
            policy: self.policy(first.policy)?,
            resets_time: self.policy.resets_time,
            ..first
        })
    }

    /// A role that need not be used.
    fn optional(&self, spec: Option<&RoleSpec>, role: KeyRole) -> Result<RoleKeys, RootSpecError> {
        let Some(spec) = spec else { return Ok(RoleKeys::default()) };
        let keys = self.keys(spec, role)?;
        Ok(role_keys(RootKeys { keys: &keys, threshold: spec.threshold })?)
    }

    fn keys(&self, role: &RoleSpec, expected: KeyRole) -> Result<Vec<PublicKey>, RootSpecError> {
        let keys = role.keys.iter().map(|path| {
            let path = self.folder.join(path);
            let PublicKeyFile { role: got, public_key } = PublicKeyFile::open(&path)?;
            if got == expected {
                Ok(public_key)
            } else {
                Err(RootSpecError::Role { path, got, expected })
            }
        });
        keys.collect()
    }

    fn policy(&self, usual: Policy) -> Result<Policy, RootSpecError> {
        let ms = |key, duration: Option<Duration>, usual_ms| match duration {
            None => Ok(usual_ms),
            Some(duration) => {
                u32::try_from(duration.as_millis()).map_err(|_| RootSpecError::TooLong { key })
            }
        };
        let level = self.policy.certificate_level.unwrap_or(0);
        Ok(Policy {
            lowest_security_version: self
                .policy
                .lowest_security_version
                .unwrap_or(usual.lowest_security_version),
            max_security_step: self.policy.max_security_step.unwrap_or(usual.max_security_step),
            certificate: match self.policy.certificate {
                None => usual.certificate,
                Some(CertificateWord::Never) => CertificateNeed::Never,
                Some(CertificateWord::BeforeConfirm) => CertificateNeed::BeforeConfirm { level },
                Some(CertificateWord::BeforeStage) => CertificateNeed::BeforeStage { level },
            },
            max_boots: self.policy.max_boots.unwrap_or(usual.max_boots),
            max_boot_ms: ms("policy.max_boot", self.policy.max_boot, usual.max_boot_ms)?,
            max_lease_ms: ms("policy.max_lease", self.policy.max_lease, usual.max_lease_ms)?,
        })
    }
}
