//! The keys that a command signs with, from their files to what signs: read before anything is asked or shown, opened
//! once what is to be signed has been shown.

use std::path::{Path, PathBuf};

use firmware_protocol::root::{PublicKey, RoleKeys};

use super::{PassphraseArgs, runtime};
use crate::cli::Context;
use crate::error::CommandError;
use crate::link::shell_word;
use crate::trust::{
    KeyError, NamedKey, ProgramSigner, PublicKeyFile, Signer, SignerError, SignerFile, hint,
    public_path,
};

/// A role of a root record that the keys have to be of.
#[derive(Debug, Clone, Copy)]
pub(super) struct OfRole<'a> {
    /// Its name.
    pub(super) role: &'static str,
    /// Its keys.
    pub(super) keys: &'a RoleKeys,
}

/// A key that was named, found to be one.
#[derive(Debug)]
pub(super) struct SigningKey<'a> {
    path: &'a Path,
    key: NamedKey,
}

impl<'a> SigningKey<'a> {
    /// Reads its file.
    ///
    /// # Errors
    /// When it is missing, open to others, or no key.
    pub(super) fn read(path: &'a Path) -> Result<Self, CommandError> {
        Ok(Self { path, key: NamedKey::read(path)? })
    }

    /// Reads the file of each.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_all(paths: &'a [PathBuf]) -> Result<Vec<Self>, CommandError> {
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Its public half, where that can be told before it is opened: of a key file by the `.pub` beside it.
    pub(super) fn public_key(&self) -> Option<PublicKey> {
        match &self.key {
            NamedKey::File(_) => {
                let beside = PublicKeyFile::open(&public_path(self.path)).ok()?;
                Some(beside.public_key)
            }
            NamedKey::Program(file) => Some(file.public().public_key),
        }
    }

    /// Asks for its passphrase, or says which program is to sign.
    ///
    /// # Errors
    /// When there is no passphrase, it is wrong, or the key is none of the role's.
    pub(super) fn unlock(
        &self,
        passphrase: PassphraseArgs,
        of_role: Option<OfRole<'_>>,
        context: &Context,
    ) -> Result<Box<dyn Signer>, CommandError> {
        let signer: Box<dyn Signer> = match &self.key {
            NamedKey::File(locked) => {
                let passphrase = passphrase.source().read(&self.path.display().to_string())?;
                Box::new(locked.unlock(&passphrase)?)
            }
            NamedKey::Program(file) => Box::new(Stoppable(file.signer().map_err(KeyError::from)?)),
        };
        refuse_other_role(self.path, &signer.public_key(), of_role)?;
        if let NamedKey::Program(file) = &self.key {
            announce(self.path, file, context);
        }
        Ok(signer)
    }
}

/// Unlocks each in its turn, once nothing that is known of any of them speaks against it.
///
/// # Errors
/// As [`SigningKey::unlock`].
pub(super) fn unlock_all(
    keys: &[SigningKey<'_>],
    passphrase: PassphraseArgs,
    of_role: Option<OfRole<'_>>,
    context: &Context,
) -> Result<Vec<Box<dyn Signer>>, CommandError> {
    for key in keys {
        if let Some(public_key) = key.public_key() {
            refuse_other_role(key.path, &public_key, of_role)?;
        }
    }
    keys.iter().map(|key| key.unlock(passphrase, of_role, context)).collect()
}

/// A program that signs, in a command that Ctrl-C still ends afterwards.
#[derive(Debug)]
struct Stoppable(ProgramSigner);

impl Signer for Stoppable {
    fn public_key(&self) -> PublicKey {
        self.0.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignerError> {
        runtime::stop_when_asked();
        self.0.sign(message)
    }
}

/// As those take them that sign.
pub(super) fn borrowed(signers: &[Box<dyn Signer>]) -> Vec<&dyn Signer> {
    signers.iter().map(AsRef::as_ref).collect()
}

/// A person who waits has to know for what.
pub(super) fn announce(path: &Path, file: &SignerFile, context: &Context) {
    context.output.progress(&format_args!(
        "{}: {} is to sign; it may wait for somebody.",
        path.display(),
        command_line(file.program()),
    ));
}

/// The same for evidence, before any device is reached.
pub(super) fn announce_evidence(path: &Path, file: &SignerFile, context: &Context) {
    context.output.progress(&format_args!(
        "{}: {} is to sign the evidence at the begin and at the end of each run; it may wait for somebody.",
        path.display(),
        command_line(file.program()),
    ));
}

/// A program and its arguments, as they are typed.
pub(super) fn command_line(program: &[String]) -> String {
    program.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ")
}

fn refuse_other_role(
    path: &Path,
    key: &PublicKey,
    of_role: Option<OfRole<'_>>,
) -> Result<(), CommandError> {
    match of_role.filter(|of| !of.keys.keys.contains(key)) {
        Some(OfRole { role, .. }) => {
            let hint = hint(key);
            Err(CommandError::NotOfRole { path: path.to_path_buf(), hint, role })
        }
        None => Ok(()),
    }
}
