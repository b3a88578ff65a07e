//! The serial port: the master side of a PTY, with a symbolic link to its other side.
//!
//! The other side is kept open here as well, so hosts may come and go as on a real port. When nobody
//! reads, output is dropped as a line without a listener drops it: the device never waits.

mod path_link;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;

use self::path_link::PathLink;
use super::SerialError;

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
    pub(super) fn open(path: &Path) -> Result<Self, SerialError> {
        let (master, other_side, target) = open_pair()?;
        let link = PathLink::new(path, Path::new(&target))?;
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

/// Both sides of a new PTY, raw, and the other side's name.
fn open_pair() -> io::Result<(OwnedFd, OwnedFd, String)> {
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
    Ok((master, other_side, name.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
