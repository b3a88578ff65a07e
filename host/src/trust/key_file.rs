//! Secret keys in files: PKCS#8 PEM, encrypted under a passphrase with scrypt and AES-256-CBC.
//!
//! A file that others can read is refused, and so are parameters that would cost more memory than
//! any honest file asks for.

use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use pkcs8::der::Decode;
use pkcs8::der::pem::PemLabel;
use pkcs8::pkcs5::pbes2::{Kdf, Parameters};
use pkcs8::pkcs5::{self, EncryptionScheme, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use thiserror::Error;
use zeroize::Zeroizing;

use super::files::{Secrecy, WriteError, write_new_file};
use super::host_key;
use super::passphrase::Passphrase;
use super::public_file::{self, KeyRole, PublicFileError, PublicKeyFile};
use super::signer::FileSigner;
use super::signer_file::{self, SignerFile, SignerFileError};
use crate::{input, platform};

pub use super::public_file::public_path;

/// Why a key file was not made or cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The system refused.
    #[error("failed to read key file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was not written.
    #[error("failed to make a key")]
    Write(#[source] WriteError),
    /// Others can read it.
    #[error("key file {} is open to others: its mode is {mode:04o}, expected 0600", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not what this tool writes.
    #[error("{} is not an encrypted key file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It is the half that everybody may have.
    #[error("{} is the public half of a key, expected the key", path.display())]
    IsPublic {
        /// The file.
        path: PathBuf,
        /// The file beside it that stands for the other half.
        secret: Option<PathBuf>,
    },
    /// It is the half that stays with its owner, or stands for it.
    #[error("{} is no public half of a key, expected {}", path.display(), public.display())]
    IsSecret {
        /// The file.
        path: PathBuf,
        /// Where the public half is, by its name.
        public: PathBuf,
    },
    /// The passphrase does not open it.
    #[error("wrong passphrase for key file {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// The public half beside it cannot be used.
    #[error("public key file {} cannot be used", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PublicFileError,
    },
    /// The file that says which program signs cannot be used.
    #[error(transparent)]
    Signer(#[from] SignerFileError),
    /// The system gave no random bytes.
    #[error("failed to get random bytes for a new key")]
    Random(#[source] getrandom::Error),
    /// The key could not be encrypted.
    #[error("failed to encrypt the new key")]
    Encrypt(#[source] pkcs8::Error),
}

/// Refuses a place that a key, or its public half, has already, before anybody thinks of a passphrase for a new one.
///
/// # Errors
/// When either file is there.
pub fn refuse_taken_key(path: &Path) -> Result<(), KeyError> {
    let beside = public_path(path);
    let taken = [path, &beside].into_iter().find(|path| path.exists());
    taken.map_or(Ok(()), |path| {
        Err(KeyError::Write(WriteError::Exists { path: path.to_path_buf() }))
    })
}

/// Makes a new key: `path` gets the secret half, encrypted, and [`public_path`] the public one.
///
/// # Errors
/// When either file exists, cannot be written, or the system gives no random bytes.
pub fn create_key(
    path: &Path,
    role: KeyRole,
    passphrase: &Passphrase,
) -> Result<PublicKeyFile, KeyError> {
    refuse_taken_key(path)?;
    let beside = public_path(path);
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *secret).map_err(KeyError::Random)?;
    let (pem, public_key) = match role {
        KeyRole::Host => host_key::encrypted(&secret, passphrase)?,
        KeyRole::Root | KeyRole::Release | KeyRole::Qualify | KeyRole::Operate | KeyRole::Bench => {
            let key = SigningKey::from_bytes(&secret);
            let plain = key.to_pkcs8_der().map_err(KeyError::Encrypt)?;
            (encrypt(plain.as_bytes(), passphrase)?, key.verifying_key().to_bytes())
        }
    };
    write_new_file(path, pem.as_bytes(), Secrecy::Secret).map_err(KeyError::Write)?;
    let public = PublicKeyFile { role, public_key };
    write_new_file(&beside, public.to_text().as_bytes(), Secrecy::Public)
        .map_err(KeyError::Write)?;
    Ok(public)
}

/// A secret key as its file holds it: all that can be wrong with it but its passphrase is known.
#[derive(Debug)]
pub struct LockedKey {
    path: PathBuf,
    document: SecretDocument,
}

impl LockedKey {
    /// Reads the key file at `path`; nobody is asked for a passphrase that opens nothing.
    ///
    /// # Errors
    /// When the file is missing, exposed to others, or not an encrypted key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let format = |reason| KeyError::Format { path: path.to_path_buf(), reason };
        if SignerFile::is_named(path) {
            return Err(format("it names a program, expected the key itself"));
        }
        if path.extension().is_some_and(|extension| extension == "pub") {
            let beside = ["key", signer_file::EXTENSION].map(|end| path.with_extension(end));
            let secret = beside.into_iter().find(|path| path.exists());
            return Err(KeyError::IsPublic { path: path.to_path_buf(), secret });
        }
        let pem = read_secret(path)?;
        let (label, document) =
            SecretDocument::from_pem(&pem).map_err(|_| format("it is not PEM text"))?;
        EncryptedPrivateKeyInfoRef::validate_pem_label(label)
            .map_err(|_| format("its PEM label is not ENCRYPTED PRIVATE KEY"))?;
        let locked = Self { path: path.to_path_buf(), document };
        if is_affordable(&locked.info()?.encryption_algorithm) {
            Ok(locked)
        } else {
            Err(format("expected scrypt with N up to 2^17, r up to 8 and p up to 16"))
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// When the passphrase is wrong, or the key is weak.
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<FileSigner, KeyError> {
        let plain = self.plain(passphrase)?;
        // One wrong passphrase in 256 leaves a padding that looks right; its key then does not decode.
        let wrong = |_| KeyError::WrongPassphrase { path: self.path.clone() };
        let key = SigningKey::from_pkcs8_der(plain.as_bytes()).map_err(wrong)?;
        public_file::refuse_weak(&key.verifying_key().to_bytes())
            .map_err(|source| KeyError::Public { path: self.path.clone(), source })?;
        Ok(FileSigner::new(key))
    }

    /// What it holds.
    pub(super) fn plain(&self, passphrase: &Passphrase) -> Result<SecretDocument, KeyError> {
        let wrong = |_| KeyError::WrongPassphrase { path: self.path.clone() };
        self.info()?.decrypt(passphrase.as_bytes()).map_err(wrong)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn info(&self) -> Result<EncryptedPrivateKeyInfoRef<'_>, KeyError> {
        let reason = "it is not PKCS#8";
        EncryptedPrivateKeyInfoRef::from_der(self.document.as_bytes())
            .map_err(|_| KeyError::Format { path: self.path.clone(), reason })
    }
}

impl PublicKeyFile {
    /// Reads the public key file at `path`.
    ///
    /// # Errors
    /// When it is missing, the other half of a key, not a public key file, or its key is weak.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let is_named = |end: &str| path.extension().is_some_and(|extension| extension == end);
        if is_named("key") || is_named(signer_file::EXTENSION) {
            return Err(KeyError::IsSecret { path: path.to_path_buf(), public: public_path(path) });
        }
        Self::read(path).map_err(|source| KeyError::Public { path: path.to_path_buf(), source })
    }
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_path_buf(), source };
    let file = input::open(path).map_err(failed)?;
    if let Some(mode) = platform::exposed_mode(&file).map_err(failed)? {
        return Err(KeyError::Exposed { path: path.to_path_buf(), mode });
    }
    input::text_from(file, MAX_FILE_BYTES).map(Zeroizing::new).map_err(failed)
}

/// The text of a key file that holds `plain`, the DER of a PKCS#8 private key.
pub(super) fn encrypt(
    plain: &[u8],
    passphrase: &Passphrase,
) -> Result<Zeroizing<String>, KeyError> {
    let mut salt = [0; 16];
    let mut iv = [0; 16];
    getrandom::fill(&mut salt).map_err(KeyError::Random)?;
    getrandom::fill(&mut iv).map_err(KeyError::Random)?;
    let broken = |_| KeyError::Encrypt(pkcs8::Error::ParametersMalformed);
    let cost = scrypt::Params::new(LOG_N, R, P).map_err(broken)?;
    let parameters = Parameters::generate_scrypt_aes256cbc(cost, &salt, iv)
        .map_err(|source: pkcs5::Error| KeyError::Encrypt(source.into()))?;
    PrivateKeyInfoRef::try_from(plain)
        .and_then(|info| info.encrypt_with_params(parameters, passphrase.as_bytes()))
        .and_then(|document| {
            Ok(document.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)?)
        })
        .map_err(KeyError::Encrypt)
}

/// Whether the file's own parameters stay within 128 MiB and are well formed, before any is used.
fn is_affordable(scheme: &EncryptionScheme) -> bool {
    let EncryptionScheme::Pbes2(Parameters { kdf: Kdf::Scrypt(cost), .. }) = scheme else {
        return false;
    };
    cost.cost_parameter.is_power_of_two()
        && (2..=1 << 17).contains(&cost.cost_parameter)
        && (1..=8).contains(&cost.block_size)
        && (1..=16).contains(&cost.parallelization)
}

/// Cost of scrypt for new keys: 32 MiB, some tenths of a second (OWASP password storage, scrypt).
const LOG_N: u8 = 15;
const R: u32 = 8;
const P: u32 = 3;
/// An honest key file has under 500 bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::signer::Signer as _;
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    fn open_key(path: &Path, passphrase: &Passphrase) -> Result<FileSigner, KeyError> {
        LockedKey::read(path)?.unlock(passphrase)
    }

    #[test]
    fn a_key_opens_with_its_passphrase_only_and_never_twice_in_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        let right = passphrase("tide pool");
        let public = create_key(&path, KeyRole::Release, &right).unwrap();
        assert_eq!(open_key(&path, &right).unwrap().public_key(), public.public_key);
        assert_eq!(PublicKeyFile::open(&public_path(&path)).unwrap(), public);
        let wrong = open_key(&path, &passphrase("tide pools"));
        assert!(matches!(wrong, Err(KeyError::WrongPassphrase { .. })));
        let again = create_key(&path, KeyRole::Release, &right);
        assert!(matches!(again, Err(KeyError::Write(WriteError::Exists { .. }))));
        let pem = fs::read_to_string(&path).unwrap();
        assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    }

    /// A secret half whose public half is another key's would be worth nothing.
    #[test]
    fn no_key_is_made_beside_the_public_half_of_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.key");
        let beside = public_path(&path);
        fs::write(&beside, "of another key").unwrap();
        let refused = create_key(&path, KeyRole::Release, &passphrase("tide pool"));
        let Err(KeyError::Write(WriteError::Exists { path: taken })) = refused else {
            panic!("made beside another key's public half: {refused:?}");
        };
        assert_eq!(taken, beside);
        assert!(!path.exists(), "a secret half is left behind");
        assert_eq!(fs::read_to_string(&beside).unwrap(), "of another key");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_is_private_and_refused_once_it_is_not() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let right = passphrase("tide pool");
        create_key(&path, KeyRole::Root, &right).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = open_key(&path, &right).unwrap_err();
        assert!(matches!(error, KeyError::Exposed { mode: 0o640, .. }), "{error}");
    }

    /// N = 0 would panic inside the parser of parameters, N = 2^40 would take 1 PiB.
    #[test]
    fn parameters_that_cost_too_much_are_refused_before_use() {
        let cost = |n| {
            let params = scrypt::Params::new(LOG_N, R, P).unwrap();
            let mut parameters =
                Parameters::generate_scrypt_aes256cbc(params, &[0; 16], [0; 16]).unwrap();
            if let Kdf::Scrypt(scrypt) = &mut parameters.kdf {
                scrypt.cost_parameter = n;
            }
            EncryptionScheme::Pbes2(parameters)
        };
        assert!(is_affordable(&cost(1 << 15)));
        for n in [0, 1, 3, 1 << 18, 1 << 40] {
            assert!(!is_affordable(&cost(n)), "{n}");
        }
    }

    #[test]
    fn what_is_not_a_key_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.key");
        write_new_file(&path, b"hello", Secrecy::Secret).unwrap();
        let error = open_key(&path, &passphrase("x")).unwrap_err().to_string();
        assert!(error.ends_with("it is not PEM text"), "{error}");
    }
}
