//! Delegations on the host: made, signed, read back (TRUST.md, "Delegations").

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use firmware_protocol::delegation::{Delegation, MAX_DELEGATION_BYTES, decode_delegation};
use firmware_protocol::root::RootRecord;
use firmware_protocol::trust::{BodyType, Envelope, EnvelopeError, verify_delegation};
use thiserror::Error;

use super::signer::Signer;
use super::statement::{Kind, StatementError};
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
    /// It was not made, or does not count under the root record.
    #[error(transparent)]
    Statement(#[from] StatementError),
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
    /// It fits no device.
    #[error("{what} {got:?} fits no device: {rule}")]
    Pattern {
        /// Of what.
        what: &'static str,
        /// What was named.
        got: String,
        /// Where a `*` means more than itself.
        rule: &'static str,
    },
    /// It does not fit into a handshake.
    #[error(
        "the delegation has {got} bytes, expected {MAX_DELEGATION_BYTES} at most: shorten its names"
    )]
    TooLong {
        /// Its length.
        got: usize,
    },
    /// It is about another key.
    #[error("delegation {} was made for another host's key", path.display())]
    OtherHost {
        /// The file.
        path: PathBuf,
    },
    /// It is over.
    #[error(
        "delegation {} ended {} ago, as this machine's clock says {}",
        path.display(),
        humantime::format_duration(Duration::from_secs(now_s.saturating_sub(*not_after_s))),
        utc(*now_s)
    )]
    Over {
        /// The file.
        path: PathBuf,
        /// Its last second.
        not_after_s: u64,
        /// Now, by this machine's clock.
        now_s: u64,
    },
    /// Somebody's clock is wrong.
    #[error("delegation {} was made {} from now, by this machine's clock", path.display(), humantime::format_duration(
        std::time::Duration::from_secs(made_at_s.saturating_sub(*now_s))))]
    Ahead {
        /// The file.
        path: PathBuf,
        /// When it was made, by the clock of whoever did.
        made_at_s: u64,
        /// Now, by this machine's clock.
        now_s: u64,
    },
}

/// A point in time for people; `humantime` knows no year beyond 9999.
fn utc(at_s: u64) -> String {
    const LAST_S: u64 = 253_402_300_799;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(at_s.min(LAST_S)))
        .to_string()
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
    let bytes =
        Kind::Delegation.sign(delegation, |body| decode_delegation(body).map(drop), signers)?;
    if bytes.len() > MAX_DELEGATION_BYTES {
        return Err(DelegationError::TooLong { got: bytes.len() });
    }
    Kind::Delegation.counts(
        verify_delegation(&bytes, root),
        delegation.epoch,
        root.epochs.operate,
    )?;
    Ok(bytes)
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
    let kind = Kind::Delegation;
    let envelope = Envelope::parse(bytes, BodyType::Delegation)
        .map_err(|source| StatementError::Trust { kind, source: source.into() })?;
    Ok(decode_delegation(envelope.body())
        .map_err(|source| StatementError::Rule { kind, source })?)
}

#[cfg(test)]
mod tests {
    use firmware_protocol::delegation::Actions;

    use super::super::root::{RootKeys, first_root, role_keys};
    use super::super::test_signer;
    use super::*;

    /// What one more signature makes too long for a handshake is not made.
    #[test]
    fn a_delegation_that_no_handshake_carries_is_not_made() {
        let signer = test_signer(1);
        let keys = [signer.public_key()];
        let one = RootKeys { keys: &keys, threshold: 1 };
        let root =
            RootRecord { operate: role_keys(one).unwrap(), ..first_root(one, one, 1).unwrap() };
        let made = |name_bytes| {
            let name = "n".repeat(name_bytes);
            let delegation = Delegation {
                host: [7; 32],
                name: &name,
                products: std::iter::once("rover").collect(),
                serials: std::iter::empty().collect(),
                actions: Actions::ALL,
                epoch: 0,
                not_after_s: 2,
                made_at_s: 1,
            };
            sign_delegation(&delegation, &[&signer], &root)
        };
        let short = made(500).unwrap().len();
        let longest = 500 + MAX_DELEGATION_BYTES - short;
        assert_eq!(made(longest).unwrap().len(), MAX_DELEGATION_BYTES);
        let refused = made(longest + 1);
        let Err(DelegationError::TooLong { got }) = refused else { panic!("made: {refused:?}") };
        assert_eq!(got, MAX_DELEGATION_BYTES + 1);
    }
}
