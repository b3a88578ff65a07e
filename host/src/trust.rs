//! Keys, signatures and root records on the host's side (TRUST.md).
//!
//! A key lives in an encrypted file, or elsewhere, where a program signs with it; its public half is in a readable
//! file beside the one or the other. Everything that signs does so through [`Signer`]. Whether a signature
//! counts is decided by [`firmware_protocol::trust`] alone, on host and device alike.

mod bench_reset;
mod certificate;
mod delegation;
mod draft;
mod envelope;
mod files;
mod hex;
mod hint;
mod host_key;
mod key_file;
mod known_devices;
mod named_key;
mod passphrase;
mod program;
mod public_file;
mod root;
mod root_spec;
mod signer;
mod signer_file;
mod statement;

pub use bench_reset::sign_bench_reset;
pub use certificate::{
    CarriedCertificate, CertificateError, certified_hardware, fitting_certificate, sign_certificate,
};
pub use delegation::{DelegationError, delegated, read_delegation, sign_delegation};
pub use draft::{RootDraft, Signed};
pub use envelope::{EncodeError, seal};
pub use files::{Secrecy, WriteError, refuse_taken, replace_file, write_new_file};
pub use hex::{Hex, parse_hex};
pub use hint::{hint, hints};
pub use key_file::{KeyError, LockedKey, create_key, public_path, refuse_taken_key};
pub use known_devices::{Acquaintance, KnownDevices, KnownDevicesError};
pub use named_key::NamedKey;
pub use passphrase::{Passphrase, PassphraseError, PassphraseSource};
pub use program::{ProgramError, ProgramSigner};
pub use public_file::{KeyRole, PublicFileError, PublicKeyFile, read_public_key};
pub use root::{LoadedRoot, RootError, RootKeys, first_root, read_root, sign_root};
pub use root_spec::{RootSpec, RootSpecError};
pub use signer::{FileSigner, Signer, SignerError, holds_strictly};
pub use signer_file::{SignerFile, SignerFileError};
pub use statement::{Kind, StatementError};

#[cfg(test)]
pub(crate) use signer::tests::signer as test_signer;
