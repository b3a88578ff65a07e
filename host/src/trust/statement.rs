//! What certificates, delegations and bench resets have in common: a role of the root record signs them, and they are made only as a
//! device under that record takes them.

use firmware_protocol::manifest::DecodeError;
use firmware_protocol::trust::{BodyType, MAX_ENVELOPE_BYTES, TrustError};
use serde::Serialize;
use thiserror::Error;

use super::envelope::{EncodeError, seal};
use super::signer::Signer;

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bundle is qualified.
    Certificate,
    /// A host may do something.
    Delegation,
    /// A device may go below its floor.
    BenchReset,
}

impl Kind {
    /// What it is called.
    #[must_use]
    pub const fn document(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Delegation => "delegation",
            Self::BenchReset => "bench reset",
        }
    }

    /// Whose keys count.
    #[must_use]
    pub const fn role(self) -> &'static str {
        match self {
            Self::Certificate | Self::BenchReset => "qualify",
            Self::Delegation => "operate",
        }
    }

    const fn body_type(self) -> BodyType {
        match self {
            Self::Certificate => BodyType::Certificate,
            Self::Delegation => BodyType::Delegation,
            Self::BenchReset => BodyType::BenchReset,
        }
    }
}

/// Why a document is not made, or does not count.
#[derive(Debug, Error)]
pub enum StatementError {
    /// It breaks a rule of the format.
    #[error("the {} breaks the format", kind.document())]
    Rule {
        /// What it was to be.
        kind: Kind,
        /// The rule.
        source: DecodeError,
    },
    /// It does not encode.
    #[error("failed to encode the {}", kind.document())]
    Encode {
        /// What it was to be.
        kind: Kind,
        /// Why.
        source: postcard::Error,
    },
    /// It was not signed.
    #[error("failed to seal the {}", kind.document())]
    Seal {
        /// What it was to be.
        kind: Kind,
        /// Why.
        source: EncodeError,
    },
    /// The root record does not vouch for it.
    #[error("the {} is not signed by enough {} keys of the root record", kind.document(), kind.role())]
    Trust {
        /// What it says it is.
        kind: Kind,
        /// Why.
        source: TrustError,
    },
    /// Everything of its epoch was taken back.
    #[error("the {} is of epoch {got}, the root record lets {lowest} and later count", kind.document())]
    Epoch {
        /// What it says it is.
        kind: Kind,
        /// The document's.
        got: u32,
        /// The root record's.
        lowest: u32,
    },
}

impl Kind {
    /// Encodes and signs a document that keeps the rules of its format; nobody signs one that breaks them.
    pub(super) fn sign<T: Serialize>(
        self,
        claims: &T,
        keeps_rules: impl FnOnce(&[u8]) -> Result<(), DecodeError>,
        signers: &[&dyn Signer],
    ) -> Result<Vec<u8>, StatementError> {
        let kind = self;
        let mut buffer = vec![0; MAX_ENVELOPE_BYTES];
        let body = postcard::to_slice(claims, &mut buffer)
            .map_err(|source| StatementError::Encode { kind, source })?;
        keeps_rules(body).map_err(|source| StatementError::Rule { kind, source })?;
        seal(kind.body_type(), body, signers)
            .map_err(|source| StatementError::Seal { kind, source })
    }

    /// Says whether what was verified counts by its epoch.
    pub(super) fn counts<T>(
        self,
        verified: Result<T, TrustError>,
        got: u32,
        lowest: u32,
    ) -> Result<(), StatementError> {
        let kind = self;
        verified.map_err(|source| StatementError::Trust { kind, source })?;
        if got < lowest { Err(StatementError::Epoch { kind, got, lowest }) } else { Ok(()) }
    }
}
