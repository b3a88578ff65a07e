//! Serial ports, pseudo-terminals included. The driver crate holds them by `flock` and `TIOCEXCL`.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system has more kinds of trouble than this room has answers"
)]

use std::io;
use std::path::Path;

use tokio::time::Instant;
use tokio_serial::{ErrorKind, SerialPortBuilderExt, SerialStream};

use super::LinkError;
use super::stream::StreamLink;

/// An open serial port.
pub(super) type SerialLink = StreamLink<SerialStream>;

/// Opens the port at `path`.
pub(super) fn open(path: &Path, baud: u32, start: Instant) -> Result<SerialLink, LinkError> {
    let stream = tokio_serial::new(path.to_string_lossy(), baud)
        .open_native_async()
        .map_err(|error| open_error(path, error))?;
    Ok(StreamLink::new(stream, start))
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
