//! Why a bundle file cannot be used.

use std::io;
use std::path::PathBuf;

use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::DecodeError;
use firmware_protocol::trust::{EnvelopeError, TrustError};
use thiserror::Error;

use super::container::FormatError;

/// Why a bundle file cannot be used.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The system refused.
    #[error("failed to read bundle {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, a pipe or a device: nothing that can be read at any offset.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Not laid out as a bundle.
    #[error("{} is not a whole bundle", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: FormatError,
    },
    /// Its envelope does not parse.
    #[error("{} holds no signed manifest", path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EnvelopeError,
    },
    /// Its manifest breaks the format.
    #[error("the manifest of {} cannot be used", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
    /// The keys that signed it are not the ones that count.
    #[error("bundle {} is not to be trusted", path.display())]
    Trust {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TrustError,
    },
    /// There is no payload with this number.
    #[error("bundle {} has no payload {index}", path.display())]
    NoPayload {
        /// The file.
        path: PathBuf,
        /// The number asked for.
        index: usize,
    },
    /// Payload bytes are not the signed ones.
    #[error("{what} in {} has digest {got:.16}, signed is {expected:.16}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which bytes.
        what: String,
        /// As signed.
        expected: Digest,
        /// As found.
        got: Digest,
    },
    /// The plan is not text.
    #[error("the plan in {} is not UTF-8 text", path.display())]
    PlanText {
        /// The file.
        path: PathBuf,
    },
}
