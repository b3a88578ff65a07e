//! New files that are either whole or absent, and never by accident in place of an older one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::platform;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// Only its owner.
    Secret,
    /// Whoever the folder lets in.
    Public,
}

/// Why a file was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// Something is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("failed to write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Writes `path` whole, unless something is there already.
///
/// # Errors
/// When the path is taken, or the system refuses; nothing is then left behind.
pub fn write_new_file(path: &Path, bytes: &[u8], secrecy: Secrecy) -> Result<(), WriteError> {
    replace_file(path, secrecy, false, |file| file.write_all(bytes))
}

/// Refuses a path that [`replace_file`] would refuse, before anybody types a passphrase or touches a token for it.
///
/// # Errors
/// When the path is taken and `overwrite` is not set.
pub fn refuse_taken(path: &Path, overwrite: bool) -> Result<(), WriteError> {
    if path.exists() && !overwrite {
        return Err(WriteError::Exists { path: path.to_path_buf() });
    }
    Ok(())
}

/// Writes `path` whole through a temporary file beside it; takes the place of an older file only
/// when `overwrite` is set.
///
/// # Errors
/// When the path is taken, or the system or `write` fails; nothing is then left behind.
pub fn replace_file(
    path: &Path,
    secrecy: Secrecy,
    overwrite: bool,
    write: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> Result<(), WriteError> {
    let failed = |source| WriteError::Io { path: path.to_path_buf(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = match secrecy {
        Secrecy::Secret => platform::secret_temporary(folder),
        Secrecy::Public => platform::public_temporary(folder),
    }
    .map_err(failed)?;
    write(&mut file).map_err(failed)?;
    // The name must never show bytes that a power cut can still take back.
    file.as_file().sync_all().map_err(failed)?;
    let persisted = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    match persisted {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(WriteError::Exists { path: path.to_path_buf() })
        }
        Err(error) => Err(failed(error.error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_older_file_is_kept_unless_asked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_new_file(&path, b"one", Secrecy::Public).unwrap();
        let again = write_new_file(&path, b"two", Secrecy::Public);
        assert!(matches!(again, Err(WriteError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        replace_file(&path, Secrecy::Public, true, |file| file.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_taken_path_is_refused_before_anything_is_made_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        refuse_taken(&path, false).unwrap();
        fs::write(&path, b"one").unwrap();
        let refused = refuse_taken(&path, false);
        assert!(matches!(refused, Err(WriteError::Exists { path: taken }) if taken == path));
        refuse_taken(&path, true).unwrap();
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let result = replace_file(&path, Secrecy::Public, false, |file| {
            file.write_all(b"half")?;
            Err(io::Error::other("disk gone"))
        });
        assert!(result.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
