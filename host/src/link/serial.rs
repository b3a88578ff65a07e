//! Serial ports, pseudo-terminals included. The driver crate holds them by `flock` and `TIOCEXCL`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system has more kinds of trouble than this room has answers"
)]

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_serial::{ErrorKind, SerialPortBuilderExt, SerialStream};

use super::LinkError;
use crate::platform;

/// Longest time that a port may take no bytes.
const STUCK: Duration = Duration::from_secs(5);

/// An open serial port.
#[derive(Debug)]
pub(super) struct SerialLink {
    stream: SerialStream,
    baud: u32,
    start: Instant,
}

impl SerialLink {
    pub(super) fn open(path: &Path, baud: u32, start: Instant) -> Result<Self, LinkError> {
        let stream = tokio_serial::new(path.to_string_lossy(), baud)
            .open_native_async()
            .map_err(|error| open_error(path, error))?;
        Ok(Self { stream, baud, start })
    }

    pub(super) const fn baud(&self) -> u32 {
        self.baud
    }

    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        match timeout(STUCK, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(gone(error)),
            Err(_) => Err(LinkError::Stuck { waited_s: STUCK.as_secs() }),
        }
    }

    pub(super) async fn receive(
        &mut self,
        buffer: &mut [u8],
        until_us: u64,
    ) -> Result<usize, LinkError> {
        let until = self.start + Duration::from_micros(until_us);
        match timeout_at(until, self.stream.read(buffer)).await {
            Ok(Ok(0)) => Err(LinkError::Closed),
            Ok(Ok(count)) => Ok(count),
            Ok(Err(error)) => Err(gone(error)),
            Err(_) => Ok(0),
        }
    }
}

/// An unplugged adapter and a closed pseudo-terminal both answer with an I/O error.
fn gone(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotConnected => {
            LinkError::Closed
        }
        _ if error.raw_os_error() == Some(platform::UNPLUGGED) => LinkError::Closed,
        _ => LinkError::Io(error),
    }
}

fn open_error(path: &Path, error: tokio_serial::Error) -> LinkError {
    match error.kind() {
        ErrorKind::NoDevice if !path.exists() => missing(path),
        // The port is locked (`flock`) or exclusive (`TIOCEXCL`): somebody else works with it.
        ErrorKind::NoDevice => LinkError::PortHeld { path: path.to_owned() },
        ErrorKind::Io(kind) => open_io_error(path, io::Error::new(kind, error.description)),
        ErrorKind::InvalidInput | ErrorKind::Unknown => {
            open_io_error(path, io::Error::other(error.description))
        }
    }
}

fn open_io_error(path: &Path, error: io::Error) -> LinkError {
    let path_buf = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => missing(path),
        io::ErrorKind::ResourceBusy => LinkError::PortHeld { path: path_buf },
        _ => LinkError::Open { path: path_buf, source: error },
    }
}

fn missing(path: &Path) -> LinkError {
    let ports = tokio_serial::available_ports().unwrap_or_default();
    let mut ports: Vec<String> = ports.into_iter().map(|port| port.port_name).collect();
    ports.sort();
    LinkError::NoPort { path: path.to_owned(), ports }
}
