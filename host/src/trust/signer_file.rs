//! The file that says which program signs with a key: `release.signer`, with the public half in `release.pub` beside it.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use firmware_protocol::root::PublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::files::{Secrecy, write_new_file};
use super::key_file::{KeyError, refuse_taken_key};
use super::program::ProgramSigner;
use super::public_file::{self, KeyRole, PublicKeyFile, public_path};
use crate::{input, platform};

/// Why a signer file cannot be used or made.
#[derive(Debug, Error)]
pub enum SignerFileError {
    /// The system refused.
    #[error("failed to read signer file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could have their own program run in its place.
    #[error("{} can be changed by others: its mode is {mode:04o}, expected no write for group and others", path.display())]
    Changeable {
        /// The signer file or its program.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Its owner could, too.
    #[error("{} can be changed by its owner, user {owner}, expected you or root", path.display())]
    Foreign {
        /// The signer file or its program.
        path: PathBuf,
        /// The owner's number.
        owner: u32,
    },
    /// Not the text of a signer file.
    #[error("{} is not a signer file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value does not make sense.
    #[error("signer file {}: {key} is {got}, expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key of the line.
        key: &'static str,
        /// Its value.
        got: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Its program is not there.
    #[error("failed to find program {} of signer file {}", program.display(), path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A key that nothing is signed with.
    #[error("{} is for a host key, expected a key that signs", path.display())]
    HostKey {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written down.
    #[error("failed to write down signer file {}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: toml::ser::Error,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    schema: String,
    program: Vec<String>,
}

/// A key that a program signs with.
#[derive(Debug)]
pub struct SignerFile {
    path: PathBuf,
    program: Vec<String>,
    public: PublicKeyFile,
}

impl SignerFile {
    /// Whether a file of this name says which program signs.
    #[must_use]
    pub fn is_named(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == EXTENSION)
    }

    /// Reads the file at `path`, and the public half beside it.
    ///
    /// # Errors
    /// When either is missing or not what it should be, or others can change the file or its program.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let program = read_program(path)?;
        let public = PublicKeyFile::open(&public_path(path))?;
        Ok(Self::new(path, program, public)?)
    }

    /// What the file at `path` is to say; [`Self::write`] makes it.
    ///
    /// # Errors
    /// When a file is there already, the key cannot be used, or the program is missing or can be changed by others.
    pub fn describe(
        path: &Path,
        role: KeyRole,
        public_key: PublicKey,
        program: Vec<String>,
    ) -> Result<Self, KeyError> {
        refuse_taken_key(path)?;
        public_file::refuse_weak(&public_key)
            .map_err(|source| KeyError::Public { path: public_path(path), source })?;
        Ok(Self::new(path, program, PublicKeyFile { role, public_key })?)
    }

    fn new(
        path: &Path,
        program: Vec<String>,
        public: PublicKeyFile,
    ) -> Result<Self, SignerFileError> {
        if public.role == KeyRole::Host {
            return Err(SignerFileError::HostKey { path: path.to_path_buf() });
        }
        let file = Self { path: path.to_path_buf(), program, public };
        file.check_program()?;
        Ok(file)
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKeyFile {
        &self.public
    }

    /// The program and its arguments.
    #[must_use]
    pub fn program(&self) -> &[String] {
        &self.program
    }

    /// What signs.
    ///
    /// # Errors
    /// When the working folder is gone, so that the program's place cannot be told.
    pub fn signer(&self) -> Result<ProgramSigner, SignerFileError> {
        let (program, arguments) = self.split()?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::path::absolute(folder.unwrap_or(Path::new(".")))
            .map_err(|source| SignerFileError::Read { path: self.path.clone(), source })?;
        Ok(ProgramSigner {
            path: self.path.clone(),
            program: program.to_owned(),
            executable: if is_searched(program) { program.into() } else { folder.join(program) },
            arguments: arguments.to_vec(),
            folder,
            public_key: self.public.public_key,
        })
    }

    /// Writes the file, and the public half beside it.
    ///
    /// # Errors
    /// When either is there already, or the system refuses.
    pub fn write(&self) -> Result<(), KeyError> {
        let text = Text { schema: SCHEMA.to_owned(), program: self.program.clone() };
        let text = toml::to_string(&text)
            .map_err(|source| SignerFileError::Encode { path: self.path.clone(), source })?;
        let text =
            format!("# A key that a program signs with; its public half is beside it.\n{text}");
        // No secret, but nobody else's to write, whatever the umask lets groups do.
        write_new_file(&self.path, text.as_bytes(), Secrecy::Secret).map_err(KeyError::Write)?;
        let beside = public_path(&self.path);
        write_new_file(&beside, self.public.to_text().as_bytes(), Secrecy::Public)
            .map_err(KeyError::Write)
    }

    fn split(&self) -> Result<(&str, &[String]), SignerFileError> {
        let named = self.program.split_first().filter(|(program, _)| !program.is_empty());
        let (program, arguments) = named.ok_or_else(|| SignerFileError::Value {
            path: self.path.clone(),
            key: "program",
            got: "empty".to_owned(),
            expected: "a program and its arguments",
        })?;
        Ok((program, arguments))
    }

    /// A program that is searched for is found, or not, when it is started.
    fn check_program(&self) -> Result<(), SignerFileError> {
        let signer = self.signer()?;
        if is_searched(&signer.program) {
            return Ok(());
        }
        let program = signer.executable;
        match fs::metadata(&program) {
            Ok(metadata) => refuse_changeable(&program, &metadata),
            Err(source) => {
                Err(SignerFileError::Program { path: self.path.clone(), program, source })
            }
        }
    }
}

/// A name without a folder is searched for as shells do, along `PATH`.
fn is_searched(program: &str) -> bool {
    let mut parts = Path::new(program).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

fn read_program(path: &Path) -> Result<Vec<String>, SignerFileError> {
    let failed = |source| SignerFileError::Read { path: path.to_path_buf(), source };
    let file = input::open(path).map_err(failed)?;
    refuse_changeable(path, &file.metadata().map_err(failed)?)?;
    let text = input::text_from(file, MAX_FILE_BYTES).map_err(failed)?;
    let text: Text = toml::from_str(&text).map_err(|source| SignerFileError::Syntax {
        path: path.to_path_buf(),
        source: Box::new(source),
    })?;
    if text.schema != SCHEMA {
        return Err(SignerFileError::Value {
            path: path.to_path_buf(),
            key: "schema",
            got: format!("{:?}", text.schema),
            expected: "\"signer/1\"",
        });
    }
    Ok(text.program)
}

fn refuse_changeable(path: &Path, metadata: &fs::Metadata) -> Result<(), SignerFileError> {
    if let Some(owner) = platform::foreign_owner(metadata) {
        return Err(SignerFileError::Foreign { path: path.to_path_buf(), owner });
    }
    match platform::changeable_mode(metadata) {
        Some(mode) => Err(SignerFileError::Changeable { path: path.to_path_buf(), mode }),
        None => Ok(()),
    }
}

/// What such a file's name ends in.
pub(super) const EXTENSION: &str = "signer";
/// What the file is, and how it is read.
const SCHEMA: &str = "signer/1";
const MAX_FILE_BYTES: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::super::files::WriteError;
    use super::super::signer::{Signer as _, tests::signer};
    use super::*;

    fn words(program: &[&str]) -> Vec<String> {
        program.iter().map(|word| (*word).to_owned()).collect()
    }

    fn described(path: &Path, program: &[&str]) -> Result<SignerFile, KeyError> {
        SignerFile::describe(path, KeyRole::Release, signer(1).public_key(), words(program))
    }

    /// Reads a file with `text` in it, beside a public half.
    fn error(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.signer");
        described(&path, &["tool"]).unwrap().write().unwrap();
        fs::write(&path, text).unwrap();
        crate::causes::sentence(&SignerFile::read(&path).unwrap_err())
            .replace(&folder.path().display().to_string(), "F")
    }

    #[test]
    fn a_signer_file_comes_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.signer");
        described(&path, &["tool", "--slot", "9c \"x\""]).unwrap().write().unwrap();
        let read = SignerFile::read(&path).unwrap();
        assert_eq!(read.program(), ["tool", "--slot", "9c \"x\""]);
        assert_eq!(read.signer().unwrap().public_key(), signer(1).public_key());
        let again = described(&path, &["tool"]);
        assert!(matches!(again, Err(KeyError::Write(WriteError::Exists { .. }))));
    }

    #[test]
    fn a_program_with_a_folder_is_relative_to_the_file_and_others_are_searched_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("release.signer");
        write_new_file(&folder.path().join("sign.sh"), b"", Secrecy::Secret).unwrap();
        let signer = described(&path, &["./sign.sh"]).unwrap().signer().unwrap();
        assert_eq!(signer.executable, folder.path().join("./sign.sh"));
        assert_eq!(signer.folder, folder.path());
        let signer = described(&path, &["sign.sh"]).unwrap().signer().unwrap();
        assert_eq!(signer.executable, Path::new("sign.sh"));
        let missing = described(&path, &["./sign.py"]).unwrap_err();
        assert!(matches!(missing, KeyError::Signer(SignerFileError::Program { .. })), "{missing}");
    }

    #[test]
    fn what_is_no_signer_file_says_so() {
        let schema = error("schema = \"signer/2\"\nprogram = [\"x\"]\n");
        assert_eq!(
            schema,
            "signer file F/release.signer: schema is \"signer/2\", expected \"signer/1\""
        );
        let empty = error("schema = \"signer/1\"\nprogram = []\n");
        assert!(
            empty.ends_with("program is empty, expected a program and its arguments"),
            "{empty}"
        );
        let unknown = error("schema = \"signer/1\"\nprogram = [\"x\"]\nshell = true\n");
        assert!(unknown.starts_with("F/release.signer is not a signer file: "), "{unknown}");
    }

    #[test]
    fn a_host_key_is_used_by_no_program() {
        let (path, key) = (Path::new("laptop.signer"), signer(1).public_key());
        let error = SignerFile::describe(path, KeyRole::Host, key, words(&["tool"])).unwrap_err();
        assert!(matches!(error, KeyError::Signer(SignerFileError::HostKey { .. })), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_or_program_that_others_can_change_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let (path, program) = (folder.path().join("release.signer"), folder.path().join("sign.sh"));
        write_new_file(&program, b"", Secrecy::Secret).unwrap();
        described(&path, &["./sign.sh"]).unwrap().write().unwrap();
        for (changed, mode) in [(&path, 0o664), (&program, 0o702)] {
            let set =
                |mode| fs::set_permissions(changed, fs::Permissions::from_mode(mode)).unwrap();
            set(mode);
            let error = SignerFile::read(&path).unwrap_err();
            assert!(
                matches!(error, KeyError::Signer(SignerFileError::Changeable { mode: got, .. }) if got == mode),
                "{error}"
            );
            set(0o755);
            assert!(SignerFile::read(&path).is_ok());
        }
    }
}
