//! Root records on the host: made, signed, read back (TRUST.md, "Root record").

use std::io;
use std::path::{Path, PathBuf};

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::DecodeError;
use firmware_protocol::root::{
    Epochs, LifeCycle, Policy, PublicKey, RoleKeys, RootRecord, decode_root,
};
use firmware_protocol::trust::{
    BodyType, HINT_BYTES, MAX_ENVELOPE_BYTES, TrustError, Verified, verify_first_root,
};
use thiserror::Error;

use super::envelope::{EncodeError, seal};
use super::hex::Hex;
use super::public_file::refuse_weak;
use super::signer::Signer;
use crate::input;

/// A root record read from a file, with the bytes a device is given.
#[derive(Debug, Clone)]
pub struct LoadedRoot {
    bytes: Vec<u8>,
    record: Verified<RootRecord>,
}

impl LoadedRoot {
    /// The envelope, as it stood in the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says; its own root keys signed it.
    #[must_use]
    pub const fn record(&self) -> &Verified<RootRecord> {
        &self.record
    }
}

/// Why a root record was not made or cannot be used.
#[derive(Debug, Error)]
pub enum RootError {
    /// The system refused.
    #[error("failed to read root record {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not signed by itself, or not a root record.
    #[error("{} is not a root record that can be trusted", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// More keys than a role takes.
    #[error("{got} keys for one role, a root record takes 5 at most")]
    TooManyKeys {
        /// Keys given.
        got: usize,
    },
    /// A key under which anybody can sign.
    #[error("a key of the root record is weak: anybody could sign under it")]
    WeakKey,
    /// Keys and thresholds make no sense together.
    #[error("the root record cannot be satisfied")]
    Rule(#[source] DecodeError),
    /// It does not encode.
    #[error("failed to encode the root record")]
    Encode(#[source] postcard::Error),
    /// It was not signed.
    #[error("failed to seal the root record")]
    Seal(#[source] EncodeError),
    /// A key that decides nothing here.
    #[error("key {} is no root key of this root record, nor of the one before", Hex(hint))]
    NotAHolder {
        /// Its hint.
        hint: [u8; HINT_BYTES],
    },
    /// Devices take root records one by one.
    #[error("{}", not_next(*version, *before))]
    NotNext {
        /// Number of the record.
        version: u32,
        /// Number of the one that it was to follow.
        before: u32,
    },
    /// Copies of different root records.
    #[error("these are two root records, {this:.16} and {other:.16}, and no copies of one")]
    OtherRecord {
        /// Digest of the first.
        this: Digest,
        /// Digest of the other.
        other: Digest,
    },
    /// The signatures do not make it valid.
    #[error("the signed root record does not verify")]
    Unmet(#[source] TrustError),
}

/// The keys of one role, and how many of them must sign.
#[derive(Debug, Clone, Copy)]
pub struct RootKeys<'a> {
    /// The keys.
    pub keys: &'a [PublicKey],
    /// How many must sign.
    pub threshold: u8,
}

/// Writes down version 1 of a root record, with the default trial policy.
///
/// # Errors
/// When a key is weak, or the keys do not fit their threshold.
pub fn first_root(
    root: RootKeys<'_>,
    release: RootKeys<'_>,
    made_at_s: u64,
) -> Result<RootRecord, RootError> {
    Ok(RootRecord {
        version: 1,
        root: role_keys(root)?,
        release: role_keys(release)?,
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s,
        resets_time: false,
    })
}

/// Signs `record`; what comes back is what a file holds and a device is enrolled with.
///
/// # Errors
/// When the record breaks a rule, a signer fails, or the signers do not meet its own threshold.
pub fn sign_root(record: &RootRecord, signers: &[&dyn Signer]) -> Result<Vec<u8>, RootError> {
    let body = encode_root(record)?;
    let bytes = seal(BodyType::Root, &body, signers).map_err(RootError::Seal)?;
    verify_first_root(&bytes).map_err(RootError::Unmet)?;
    Ok(bytes)
}

/// What of a root record is signed.
///
/// # Errors
/// When it breaks a rule of the format.
pub(super) fn encode_root(record: &RootRecord) -> Result<Vec<u8>, RootError> {
    let body = postcard::to_stdvec(record).map_err(RootError::Encode)?;
    decode_root(&body).map_err(RootError::Rule)?;
    Ok(body)
}

/// Reads the root record at `path` and verifies it under its own root keys.
///
/// # Errors
/// When the file is not readable, too long, or not a root record signed by its own keys.
pub fn read_root(path: &Path) -> Result<LoadedRoot, RootError> {
    let failed = |source| RootError::Read { path: path.to_path_buf(), source };
    let limit = u64::try_from(MAX_ENVELOPE_BYTES).unwrap_or(u64::MAX);
    let bytes = input::read(path, limit).map_err(failed)?;
    let record = verify_first_root(&bytes)
        .map_err(|source| RootError::Trust { path: path.to_path_buf(), source })?;
    Ok(LoadedRoot { bytes, record })
}

fn not_next(version: u32, before: u32) -> String {
    match version.checked_sub(1) {
        Some(0) | None => {
            format!("root record {version} follows no other, --after names root record {before}")
        }
        Some(expected) => format!(
            "root record {version} follows root record {expected}, --after names root record {before}"
        ),
    }
}

pub(super) fn role_keys(role: RootKeys<'_>) -> Result<RoleKeys, RootError> {
    for key in role.keys {
        refuse_weak(key).map_err(|_| RootError::WeakKey)?;
    }
    let keys = heapless::Vec::from_slice(role.keys)
        .map_err(|_| RootError::TooManyKeys { got: role.keys.len() })?;
    Ok(RoleKeys { keys, threshold: role.threshold })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::signer::tests::signer;
    use super::*;

    fn record(root: &[PublicKey], threshold: u8) -> Result<RootRecord, RootError> {
        let release = [signer(9).public_key()];
        first_root(
            RootKeys { keys: root, threshold },
            RootKeys { keys: &release, threshold: 1 },
            1_700_000_000,
        )
    }

    #[test]
    fn a_signed_root_record_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.nfr");
        let (one, two) = (signer(1), signer(2));
        let record = record(&[one.public_key(), two.public_key()], 2).unwrap();
        fs::write(&path, sign_root(&record, &[&one, &two]).unwrap()).unwrap();
        assert_eq!(*read_root(&path).unwrap().record().claims(), record);
    }

    #[test]
    fn too_few_signers_and_impossible_thresholds_are_refused() {
        let one = signer(1);
        let two_needed = record(&[one.public_key(), signer(2).public_key()], 2).unwrap();
        assert!(matches!(sign_root(&two_needed, &[&one, &one]), Err(RootError::Unmet(_))));
        let impossible = record(&[one.public_key()], 2).unwrap();
        assert!(matches!(sign_root(&impossible, &[&one]), Err(RootError::Rule(_))));
        assert!(matches!(record(&[[0; 32]], 1), Err(RootError::WeakKey)));
    }

    #[test]
    fn an_endless_root_file_is_refused_at_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.nfr");
        fs::write(&path, vec![0; MAX_ENVELOPE_BYTES + 1]).unwrap();
        assert!(matches!(read_root(&path), Err(RootError::Read { .. })));
    }
}
