//! A key that signs, as a person names it: by its file, wherever the secret half is.

use std::path::Path;

use super::key_file::{KeyError, LockedKey};
use super::signer_file::SignerFile;

/// A key by its file: all that can be wrong with that is known before anybody is asked for anything.
#[derive(Debug)]
pub enum NamedKey {
    /// The file holds the secret half; a passphrase opens it.
    File(LockedKey),
    /// The file says which program signs.
    Program(SignerFile),
}

impl NamedKey {
    /// Reads the file at `path`; its name says which kind it is.
    ///
    /// # Errors
    /// When it, or what belongs to it, is missing, open to others, or not what it should be.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        if SignerFile::is_named(path) {
            SignerFile::read(path).map(Self::Program)
        } else {
            LockedKey::read(path).map(Self::File)
        }
    }
}
