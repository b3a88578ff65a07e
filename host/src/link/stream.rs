//! Bytes over any stream of the system's: a serial port or a socket, with the clock of the run.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system has more kinds of trouble than this room has answers"
)]

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::LinkError;
use crate::platform;

/// Longest time that a link may take to come about, or take no bytes.
pub(super) const STUCK: Duration = Duration::from_secs(5);

/// An open stream.
#[derive(Debug)]
pub(super) struct StreamLink<S> {
    stream: S,
    start: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamLink<S> {
    pub(super) const fn new(stream: S, start: Instant) -> Self {
        Self { stream, start }
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

/// A connection that ended, an unplugged adapter and a closed pseudo-terminal are one: the link is
/// gone.
fn gone(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotConnected => LinkError::Closed,
        _ if error.raw_os_error() == Some(platform::UNPLUGGED) => LinkError::Closed,
        _ => LinkError::Io(error),
    }
}
