//! The symbolic link at which hosts find a serial port, and who may replace one.
//!
//! A simulator that was killed leaves its link behind, and the system may give the name that it leads
//! to to any other terminal. So a link is stale when nobody serves what it leads to, which a record
//! lock on the PTY tells: the system drops it with the process.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

use crate::serve::SerialError;

/// How often a link is tried for that others make and remove meanwhile.
const ATTEMPTS: usize = 8;

/// A symbolic link that is ours as long as it leads where we let it.
#[derive(Debug)]
pub(super) struct PathLink {
    pub(super) path: PathBuf,
    target: PathBuf,
}

impl PathLink {
    /// Makes the link, in place of a stale one; of nothing else.
    pub(super) fn new(path: &Path, target: &Path) -> Result<Self, SerialError> {
        for _ in 0..ATTEMPTS {
            match std::os::unix::fs::symlink(target, path) {
                Ok(()) => return Ok(Self { path: path.to_owned(), target: target.to_owned() }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error.into()),
            }
            remove_stale(path, target)?;
        }
        let problem = "somebody else keeps making a link there";
        Err(io::Error::new(io::ErrorKind::AlreadyExists, problem).into())
    }
}

impl Drop for PathLink {
    fn drop(&mut self) {
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes what a dead simulator left at `path`; refuses everything else.
fn remove_stale(path: &Path, own: &Path) -> Result<(), SerialError> {
    let found = match std::fs::read_link(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(taken("something that is not a symbolic link is there already"));
        }
        Err(error) => return Err(error.into()),
    };
    if found.exists() {
        // Only PTYs are looked at: opening a real port would move its control lines.
        if found.parent() != own.parent() {
            return Err(taken("a symbolic link to something that is no PTY is there already"));
        }
        refuse_served(&found)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

fn taken(problem: &'static str) -> SerialError {
    io::Error::new(io::ErrorKind::AlreadyExists, problem).into()
}

/// Errs when a simulator serves the PTY at `found`.
fn refuse_served(found: &Path) -> Result<(), SerialError> {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pty = match open(found, flags, Mode::empty()) {
        Ok(pty) => pty,
        // A host holds it, so there is a device behind it.
        Err(Errno::BUSY) => return Err(SerialError::Served { owner: None }),
        Err(Errno::NOENT | Errno::IO | Errno::NXIO) => return Ok(()),
        Err(error) => return Err(io::Error::from(error).into()),
    };
    let lock = fcntl_getlk(&pty, &Flock::from(FlockType::WriteLock)).map_err(io::Error::from)?;
    lock.map_or(Ok(()), |lock| Err(SerialError::Served { owner: lock.pid.map(Pid::as_raw_pid) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_never_replaces_what_is_no_stale_link_and_leaves_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port");
        std::fs::write(&path, "mine").unwrap();
        assert!(PathLink::new(&path, Path::new("/dev/pts/x")).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(PathLink::new(&path, Path::new("/dev/pts/x")).is_err());
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("/dev/null"));
        std::fs::remove_file(&path).unwrap();
        let old = PathLink::new(&path, Path::new("/dev/pts/gone")).unwrap();
        let new = PathLink::new(&path, Path::new("/dev/pts/new")).unwrap();
        drop(old);
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("/dev/pts/new"));
        drop(new);
        assert!(path.symlink_metadata().is_err());
    }
}
