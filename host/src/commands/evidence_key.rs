//! The key that signs the evidence of runs: opened before any device is reached, and used at the begin and the end of
//! each record at least.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::PassphraseArgs;
use super::signing::announce_evidence;
use crate::cli::Context;
use crate::error::CommandError;
use crate::evidence::{EvidenceError, EvidenceSigner, Pace, Recorder, RunFolder, SigningError};
use crate::trust::{KeyError, KeyRole, NamedKey, PublicKeyFile, public_path};

/// The key that a flag or the configuration names.
#[derive(Debug, clap::Args)]
pub(super) struct EvidenceKeyArgs {
    /// Key of the bench role that signs the evidence, a .key or .signer file [default: `trust.bench_key` of
    /// noflake.toml; without either the evidence is not signed]
    ///
    /// Its passphrase is asked for first, before that of --as. A program signs at the begin and at the end of each run,
    /// a key from a file behind each step as well.
    #[arg(long, value_name = "KEY")]
    sign: Option<PathBuf>,
}

/// What signs the evidence of a command's runs.
#[derive(Clone)]
pub(super) struct EvidenceKey {
    signer: EvidenceSigner,
    pace: Pace,
}

impl EvidenceKeyArgs {
    /// Opens the key, if one is named.
    ///
    /// # Errors
    /// When it cannot be used, or its public half says that it is for something else.
    pub(super) fn open(
        &self,
        passphrase: PassphraseArgs,
        context: &Context,
    ) -> Result<Option<EvidenceKey>, CommandError> {
        let named = match &self.sign {
            Some(key) => Some(key.clone()),
            None => context.config()?.trust.bench_key,
        };
        let Some(path) = named else { return Ok(None) };
        let key = NamedKey::read(&path)?;
        let beside = public_path(&path);
        if beside.exists() {
            refuse_other_role(&path, PublicKeyFile::open(&beside)?.role)?;
        }
        let (signer, pace): (EvidenceSigner, Pace) = match &key {
            NamedKey::File(locked) => {
                let passphrase = passphrase.source().read(&path.display().to_string())?;
                (Arc::new(locked.unlock(&passphrase)?), Pace::EachStep)
            }
            NamedKey::Program(file) => {
                announce_evidence(&path, file, context);
                (Arc::new(file.signer().map_err(KeyError::from)?), Pace::WhenAsked)
            }
        };
        Ok(Some(EvidenceKey { signer, pace }))
    }
}

impl EvidenceKey {
    /// Whether somebody may have to wait for a signature.
    pub(super) fn waits(&self) -> bool {
        self.pace == Pace::WhenAsked
    }

    /// Signs the begin of a record. Whoever does not sign here is found out before the device is reached.
    ///
    /// # Errors
    /// When there is no signature, or it cannot be kept.
    pub(super) async fn sign_begin(
        self,
        recorder: Recorder,
        folder: &RunFolder,
    ) -> Result<Recorder, CommandError> {
        let folder = folder.clone();
        let (recorder, signed) =
            apart(recorder, move |recorder| recorder.sign_with(&folder, self.signer, self.pace))
                .await?;
        signed.map_err(|error| match error {
            SigningError::Signer(error) => CommandError::Signer(error),
            SigningError::Write { path, source } => EvidenceError::Io { path, source }.into(),
        })?;
        Ok(recorder)
    }
}

/// Signs a record to its end, if it is signed at all.
///
/// # Errors
/// When there is no signature, or it cannot be kept: the record and its verdict stand as they are.
pub(super) async fn sign_end(recorder: Recorder) -> Result<(), CommandError> {
    let (_, signed) = apart(recorder, Recorder::sign_end).await?;
    Ok(signed?)
}

/// Refuses a key that is not for evidence.
///
/// # Errors
/// When it has another role.
pub(super) fn refuse_other_role(path: &Path, role: KeyRole) -> Result<(), CommandError> {
    if role == KeyRole::Bench {
        return Ok(());
    }
    let (expected, got) = (KeyRole::Bench.word(), role.word());
    Err(CommandError::WrongRole { path: path.to_path_buf(), expected, got })
}

/// On a thread of its own: a program that signs waits for somebody, and other devices' leases go on.
async fn apart<T: Send + 'static>(
    mut recorder: Recorder,
    work: impl FnOnce(&mut Recorder) -> T + Send + 'static,
) -> Result<(Recorder, T), CommandError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&mut recorder);
        (recorder, done)
    });
    done.await.map_err(CommandError::Task)
}
