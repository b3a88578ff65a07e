//! The symbolic link at which hosts find a serial port, and who may replace one.
//!
//! A simulator that was killed leaves its link behind, and the system may give the name that it leads
//! to to any other terminal, another simulator's included. So not the link tells whether somebody
//! serves the path, but a lock on a file beside it, which the system drops with the process.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use crate::files;
use crate::serve::SerialError;

/// How often a lock is tried for that its holder removes meanwhile.
const ATTEMPTS: usize = 8;
/// Longest process number.
const MAX_OWNER_BYTES: usize = 32;

/// A symbolic link that is ours as long as it leads where we let it.
#[derive(Debug)]
pub(super) struct PathLink {
    pub(super) path: PathBuf,
    target: PathBuf,
    _lock: PathLock,
}

impl PathLink {
    /// Makes the link, in place of a stale one; of nothing else.
    pub(super) fn new(path: &Path, target: &Path) -> Result<Self, SerialError> {
        let lock = PathLock::take(beside(path, "lock"))?;
        refuse_foreign(path, target)?;
        // Replaced at once: a host finds the stale link or this one.
        let unfinished = beside(path, "new");
        let _ = std::fs::remove_file(&unfinished);
        symlink(target, &unfinished)?;
        std::fs::rename(&unfinished, path)?;
        Ok(Self { path: path.to_owned(), target: target.to_owned(), _lock: lock })
    }
}

impl Drop for PathLink {
    fn drop(&mut self) {
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Errs when something is at `path` that no simulator has left there.
fn refuse_foreign(path: &Path, own: &Path) -> io::Result<()> {
    let taken = |problem| Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
    match std::fs::read_link(path) {
        Ok(found) if found.exists() && found.parent() != own.parent() => {
            taken("a symbolic link to something that is no PTY is there already")
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            taken("something that is not a symbolic link is there already")
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The lock on a path, with the number of the process that holds it; it leaves with its holder.
#[derive(Debug)]
struct PathLock {
    path: PathBuf,
    _file: File,
}

impl PathLock {
    fn take(path: PathBuf) -> Result<Self, SerialError> {
        for _ in 0..ATTEMPTS {
            let mut options = File::options();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(SerialError::Served { owner: owner(&path) });
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            // A holder that went away in between has removed it: then this lock guards nothing.
            if is_at(&file, &path)? {
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Self { path, _file: file });
            }
        }
        Err(SerialError::Served { owner: None })
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The process that holds the lock at `path`, once it has written its number there.
fn owner(path: &Path) -> Option<u32> {
    files::read_text(path, MAX_OWNER_BYTES).ok()?.trim().parse().ok()
}

fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((own.dev(), own.ino()) == (found.dev(), found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "/dev/pts/ours";

    #[test]
    fn a_link_never_replaces_what_no_simulator_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port");
        std::fs::write(&path, "mine").unwrap();
        assert!(PathLink::new(&path, Path::new(OURS)).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(&path).unwrap();
        symlink("/dev/null", &path).unwrap();
        assert!(PathLink::new(&path, Path::new(OURS)).is_err());
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn a_path_has_one_owner_and_nothing_is_left_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port");
        // As a killed simulator leaves them.
        symlink("/dev/pts/gone", &path).unwrap();
        std::fs::write(beside(&path, "lock"), "1\n").unwrap();
        let first = PathLink::new(&path, Path::new(OURS)).unwrap();
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new(OURS));
        let own = std::process::id();
        let second = PathLink::new(&path, Path::new("/dev/pts/other"));
        assert!(matches!(second, Err(SerialError::Served { owner: Some(owner) }) if owner == own));
        drop(first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
