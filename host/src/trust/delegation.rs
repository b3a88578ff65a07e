//! Delegations on the host: made, signed, read back (TRUST.md, "Delegations").

use std::io;
use std::path::{Path, PathBuf};

use firmware_protocol::delegation::{Delegation, MAX_DELEGATION_BYTES, decode_delegation};
use firmware_protocol::manifest::DecodeError;
use firmware_protocol::root::RootRecord;
use firmware_protocol::trust::{
    BodyType, Envelope, EnvelopeError, MAX_ENVELOPE_BYTES, TrustError, verify_delegation,
};
use thiserror::Error;

use super::envelope::{EncodeError, seal};
use super::signer::Signer;
use crate::input;

/// Why a delegation is not made, or cannot be shown.
#[derive(Debug, Error)]
pub enum DelegationError {
    /// The system refused.
    #[error("failed to read delegation {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a delegation.
    #[error("{} is not a delegation", path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EnvelopeError,
    },
    /// It breaks a rule of the format.
    #[error("the delegation breaks the format")]
    Rule(#[source] DecodeError),
    /// More of something than the format takes.
    #[error("{got} {what} named, a delegation takes {limit} at most")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        got: usize,
        /// How many it takes.
        limit: usize,
    },
    /// It does not encode.
    #[error("failed to encode the delegation")]
    Encode(#[source] postcard::Error),
    /// It was not signed.
    #[error("failed to seal the delegation")]
    Seal(#[source] EncodeError),
    /// It does not fit into a handshake.
    #[error(
        "the delegation has {got} bytes, expected {MAX_DELEGATION_BYTES} at most: shorten its names"
    )]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// The root record does not vouch for it.
    #[error("the delegation is not signed by enough operate keys of the root record")]
    Trust(#[source] TrustError),
    /// Everything of its epoch was taken back.
    #[error("the delegation is of epoch {got}, the root record lets {lowest} and later count")]
    Epoch {
        /// The delegation's.
        got: u32,
        /// The root record's.
        lowest: u32,
    },
    /// It is about another key.
    #[error("delegation {} was made for another host's key", path.display())]
    OtherHost {
        /// The file.
        path: PathBuf,
    },
    /// It is over.
    #[error("delegation {} ended {} ago", path.display(), humantime::format_duration(
        std::time::Duration::from_secs(now_s.saturating_sub(*not_after_s))))]
    Over {
        /// The file.
        path: PathBuf,
        /// Its last second.
        not_after_s: u64,
        /// Now, by this machine's clock.
        now_s: u64,
    },
}

/// Signs a delegation; what comes back is what a device under `root` takes.
///
/// # Errors
/// When it breaks a rule of the format, a signer fails, or it is too long; when the signers do not meet the threshold
/// of the operate role, or its epoch is over.
pub fn sign_delegation(
    delegation: &Delegation<'_>,
    signers: &[&dyn Signer],
    root: &RootRecord,
) -> Result<Vec<u8>, DelegationError> {
    let mut buffer = vec![0; MAX_ENVELOPE_BYTES];
    let body =
        postcard::to_slice(delegation, &mut buffer).map_err(DelegationError::Encode)?.to_vec();
    decode_delegation(&body).map_err(DelegationError::Rule)?;
    let bytes = seal(BodyType::Delegation, &body, signers).map_err(DelegationError::Seal)?;
    if bytes.len() > MAX_DELEGATION_BYTES {
        return Err(DelegationError::TooLong { got: bytes.len() });
    }
    verify_delegation(&bytes, root).map_err(DelegationError::Trust)?;
    let (got, lowest) = (delegation.epoch, root.epochs.operate);
    if got < lowest { Err(DelegationError::Epoch { got, lowest }) } else { Ok(bytes) }
}

/// Reads the delegation at `path`: its envelope, as a device takes it.
///
/// # Errors
/// When the file is not readable, too long, or no delegation.
pub fn read_delegation(path: &Path) -> Result<Vec<u8>, DelegationError> {
    let limit = u64::try_from(MAX_DELEGATION_BYTES).unwrap_or(u64::MAX);
    let bytes = input::read(path, limit)
        .map_err(|source| DelegationError::Read { path: path.to_path_buf(), source })?;
    Envelope::parse(&bytes, BodyType::Delegation)
        .map_err(|source| DelegationError::Envelope { path: path.to_path_buf(), source })?;
    delegated(&bytes)?;
    Ok(bytes)
}

/// What a delegation says. Nobody has vouched for it yet.
///
/// # Errors
/// When its envelope does not hold one.
pub fn delegated(bytes: &[u8]) -> Result<Delegation<'_>, DelegationError> {
    let envelope = Envelope::parse(bytes, BodyType::Delegation)
        .map_err(|source| DelegationError::Trust(source.into()))?;
    decode_delegation(envelope.body()).map_err(DelegationError::Rule)
}
