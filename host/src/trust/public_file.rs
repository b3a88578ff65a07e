//! The readable file that holds a key's public half.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use firmware_protocol::root::PublicKey;
use pkcs8::DecodePublicKey as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::hex::{Hex, parse_hex};
use super::hint::hint;
use super::key_file::KeyError;
use super::signer_file;
use crate::input;

/// What a key is for (TRUST.md, "Roles").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// Signs root records.
    Root,
    /// Signs manifests.
    Release,
    /// Signs certificates.
    Qualify,
    /// Signs delegations.
    Operate,
    /// Signs the evidence of runs; no device knows it.
    Bench,
    /// Signs nothing: a host proves by it, on a sealed link, who it is.
    Host,
}

impl KeyRole {
    /// The role in one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Release => "release",
            Self::Qualify => "qualify",
            Self::Operate => "operate",
            Self::Bench => "bench",
            Self::Host => "host",
        }
    }

    /// What its keys are.
    #[must_use]
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::Root | Self::Release | Self::Qualify | Self::Operate | Self::Bench => "ed25519",
            Self::Host => "x25519",
        }
    }
}

/// The public half of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKeyFile {
    /// What the key is for.
    pub role: KeyRole,
    /// The key.
    pub public_key: PublicKey,
}

/// Why a public key file cannot be used.
#[derive(Debug, Error)]
pub enum PublicFileError {
    /// The system refused.
    #[error("failed to read it")]
    Read(#[source] io::Error),
    /// Not the text of a public key file.
    #[error("it is not a noflake public key file")]
    Syntax(#[source] toml::de::Error),
    /// A value does not make sense.
    #[error("{key} is {got:?}, expected {expected}")]
    Value {
        /// The key of the line.
        key: &'static str,
        /// Its value.
        got: String,
        /// What would be right.
        expected: String,
    },
    /// Not what other tools write for a public key.
    #[error("it is not the PEM of an Ed25519 public key (BEGIN PUBLIC KEY), nor 64 hex digits")]
    NotPem,
    /// What noflake itself writes, where the file of another tool is expected.
    #[error(
        "it is a public key file of noflake, expected the PEM of an Ed25519 public key (BEGIN PUBLIC KEY) or 64 hex digits"
    )]
    NotForeign,
    /// A key under which anybody can sign.
    #[error("its public key is weak: anybody could sign under it")]
    Weak,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    algorithm: String,
    role: KeyRole,
    public_key: String,
    hint: String,
}

impl PublicKeyFile {
    /// The hint that stands before this key's signatures.
    #[must_use]
    pub fn hint(&self) -> String {
        hint(&self.public_key)
    }

    /// The text of the file.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!(
            "# Public half of a noflake key: not secret, safe to pass on.\n\
             algorithm = \"{}\"\nrole = \"{}\"\npublic_key = \"{}\"\nhint = \"{}\"\n",
            self.role.algorithm(),
            self.role.word(),
            Hex(&self.public_key),
            self.hint(),
        )
    }

    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it is not readable, not a public key file, or its key is weak.
    pub(super) fn read(path: &Path) -> Result<Self, PublicFileError> {
        let text = input::read_text(path, MAX_FILE_BYTES).map_err(PublicFileError::Read)?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, PublicFileError> {
        let text: Text = toml::from_str(text).map_err(PublicFileError::Syntax)?;
        let wrong = |key, got: &str, expected: &str| PublicFileError::Value {
            key,
            got: got.to_owned(),
            expected: expected.to_owned(),
        };
        if text.algorithm != text.role.algorithm() {
            return Err(wrong("algorithm", &text.algorithm, text.role.algorithm()));
        }
        let public_key = parse_hex(&text.public_key)
            .ok_or_else(|| wrong("public_key", &text.public_key, "64 hex digits"))?;
        if text.role != KeyRole::Host {
            refuse_weak(&public_key)?;
        }
        let file = Self { role: text.role, public_key };
        if text.hint == file.hint() {
            Ok(file)
        } else {
            Err(wrong("hint", &text.hint, &file.hint()))
        }
    }
}

/// The public key that a person names: 64 hex digits, or the PEM file that other tools make (RFC 8410).
///
/// # Errors
/// When it is neither.
pub fn read_public_key(named: &str) -> Result<PublicKey, KeyError> {
    if let Some(key) = parse_hex(named) {
        return Ok(key);
    }
    let path = Path::new(named);
    let failed = |source| KeyError::Public { path: path.to_path_buf(), source };
    let text = input::read_text(path, MAX_FILE_BYTES)
        .map_err(|source| failed(PublicFileError::Read(source)))?;
    VerifyingKey::from_public_key_pem(&text).map(|key| key.to_bytes()).map_err(|_| {
        match PublicKeyFile::parse(&text) {
            Ok(_) => failed(PublicFileError::NotForeign),
            Err(_) => failed(PublicFileError::NotPem),
        }
    })
}

/// Refuses keys of small order, and bytes that are no key at all.
pub(super) fn refuse_weak(key: &PublicKey) -> Result<(), PublicFileError> {
    let strong = VerifyingKey::from_bytes(key).is_ok_and(|key| !key.is_weak());
    if strong { Ok(()) } else { Err(PublicFileError::Weak) }
}

/// `name.key` and `name.signer` have their public half in `name.pub`.
#[must_use]
pub fn public_path(key: &Path) -> PathBuf {
    let is_key = |extension: &OsStr| extension == "key" || extension == signer_file::EXTENSION;
    if key.extension().is_some_and(is_key) {
        key.with_extension("pub")
    } else {
        let mut name = key.as_os_str().to_owned();
        name.push(".pub");
        PathBuf::from(name)
    }
}

const MAX_FILE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::super::signer::{Signer, tests::signer};
    use super::*;

    fn example() -> PublicKeyFile {
        PublicKeyFile { role: KeyRole::Release, public_key: signer(1).public_key() }
    }

    #[test]
    fn a_public_file_comes_back_as_it_went_in() {
        assert_eq!(PublicKeyFile::parse(&example().to_text()).unwrap(), example());
    }

    #[test]
    fn a_weak_key_and_a_wrong_hint_are_refused() {
        let mut weak = example();
        weak.public_key = [0; 32];
        assert!(matches!(PublicKeyFile::parse(&weak.to_text()), Err(PublicFileError::Weak)));
        let text = example().to_text().replace(&example().hint(), "0000000000000000");
        let error = PublicKeyFile::parse(&text).unwrap_err().to_string();
        assert_eq!(error, format!("hint is \"0000000000000000\", expected {}", example().hint()));
    }

    #[test]
    fn the_public_half_stands_beside_its_key() {
        assert_eq!(public_path(Path::new("a/release.key")), Path::new("a/release.pub"));
        assert_eq!(public_path(Path::new("a/release.signer")), Path::new("a/release.pub"));
        assert_eq!(public_path(Path::new("a/v1.2")), Path::new("a/v1.2.pub"));
    }

    /// The key of RFC 8410, section 10.1.
    #[test]
    fn a_public_key_is_read_as_other_tools_write_it() {
        let hex = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                   -----END PUBLIC KEY-----\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, pem).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(read_public_key(path).unwrap(), read_public_key(hex).unwrap());
        std::fs::write(path, pem.replace("PUBLIC", "PRIVATE")).unwrap();
        let error = read_public_key(path).unwrap_err();
        assert!(
            matches!(error, KeyError::Public { source: PublicFileError::NotPem, .. }),
            "{error}"
        );
    }
}
