//! TCP connections.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the system has more kinds of trouble than this room has answers"
)]

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::LinkError;

/// Longest time that a connection may take to come about, or take no bytes.
const STUCK: Duration = Duration::from_secs(5);

/// An open connection.
#[derive(Debug)]
pub(super) struct TcpLink {
    stream: TcpStream,
    start: Instant,
}

impl TcpLink {
    pub(super) async fn open(host: &str, start: Instant) -> Result<Self, LinkError> {
        let failed = |source| LinkError::Connect { host: host.to_owned(), source };
        let stream = match timeout(STUCK, TcpStream::connect(host)).await {
            Ok(stream) => stream.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        // Requests are small and wait for their answers.
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Self { stream, start })
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

fn gone(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::NotConnected => LinkError::Closed,
        _ => LinkError::Io(error),
    }
}
