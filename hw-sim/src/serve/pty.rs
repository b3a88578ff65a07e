//! The serial port: the master side of a PTY, with a symbolic link to its other side.
//!
//! The other side is kept open here as well, so hosts may come and go as on a real port. When nobody
//! reads, output is dropped as a line without a listener drops it: the device never waits.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;

/// Output that waits longer than this is read by nobody.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most output that waits.
const MAX_WAITING_BYTES: usize = 64 << 10;

/// A serial port.
#[derive(Debug)]
pub(super) struct SerialPort {
    master: AsyncFd<OwnedFd>,
    _other_side: OwnedFd,
    link: PathLink,
    waiting: Vec<u8>,
    since: Option<Instant>,
}

impl SerialPort {
    /// Opens a PTY and links to it at `path`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        // Asked for at once, this flag is not known to every Unix.
        fcntl_setfd(&master, FdFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let other_side = open(name.as_c_str(), flags, Mode::empty())?;
        let mut modes = tcgetattr(&other_side)?;
        modes.make_raw();
        tcsetattr(&other_side, OptionalActions::Now, &modes)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let link = PathLink::new(path, Path::new(&*name.to_string_lossy()))?;
        #[expect(
            deprecated,
            reason = "its replacement is unsafe for types whose descriptor may change; an OwnedFd's \
                      does not"
        )]
        let master = AsyncFd::new(master)?;
        Ok(Self { master, _other_side: other_side, link, waiting: Vec::new(), since: None })
    }

    /// Where hosts find the port.
    pub(super) fn path(&self) -> &Path {
        &self.link.path
    }

    /// Waits for bytes of the host.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            if let Ok(read) = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
                return read;
            }
        }
    }

    /// Hands bytes to the host, behind what still waits, now or when it reads.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
        self.flush();
    }

    /// True while output waits for the host to read.
    pub(super) const fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Waits until the host has read, or can be taken not to be there.
    pub(super) async fn writable(&self) {
        let patience =
            self.since.map_or(PATIENCE, |since| PATIENCE.saturating_sub(since.elapsed()));
        let _ = tokio::time::timeout(patience, async {
            match self.master.writable().await {
                // Whether it really is, the write itself tells.
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => std::future::pending().await,
            }
        })
        .await;
    }

    /// Writes what waits, as far as the host has room for it.
    fn flush(&mut self) {
        while !self.waiting.is_empty() {
            if let Ok(written) = rustix::io::write(&self.master, &self.waiting) {
                self.waiting.drain(..written);
                self.since = None;
                continue;
            }
            let since = *self.since.get_or_insert_with(Instant::now);
            if since.elapsed() < PATIENCE && self.waiting.len() <= MAX_WAITING_BYTES {
                return;
            }
            break;
        }
        self.waiting.clear();
        self.since = None;
    }
}

/// A symbolic link that is ours as long as it leads where we let it.
#[derive(Debug)]
struct PathLink {
    path: PathBuf,
    target: PathBuf,
}

impl PathLink {
    /// Makes the link, in place of an older link; of nothing else.
    fn new(path: &Path, target: &Path) -> io::Result<Self> {
        if path.symlink_metadata().is_ok_and(|found| !found.is_symlink()) {
            let problem = "something that is not a symbolic link is there already";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{}", std::process::id()));
        let unfinished = PathBuf::from(unfinished);
        let _ = std::fs::remove_file(&unfinished);
        std::os::unix::fs::symlink(target, &unfinished)?;
        std::fs::rename(&unfinished, path)?;
        Ok(Self { path: path.to_owned(), target: target.to_owned() })
    }
}

impl Drop for PathLink {
    fn drop(&mut self) {
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_never_replaces_a_file_and_leaves_with_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("port");
        std::fs::write(&path, "mine").unwrap();
        assert!(PathLink::new(&path, Path::new("/dev/null")).is_err());
        std::fs::remove_file(&path).unwrap();
        let old = PathLink::new(&path, Path::new("/dev/null")).unwrap();
        let new = PathLink::new(&path, Path::new("/dev/zero")).unwrap();
        drop(old);
        assert_eq!(std::fs::read_link(&path).unwrap(), Path::new("/dev/zero"));
        drop(new);
        assert!(path.symlink_metadata().is_err());
    }

    #[tokio::test]
    async fn output_that_nobody_reads_is_dropped_and_never_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let mut port = SerialPort::open(&folder.path().join("port")).unwrap();
        let begun = Instant::now();
        for _ in 0..200 {
            port.write(&[b'x'; 4096]);
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(port.waiting.len() <= MAX_WAITING_BYTES);
    }
}
