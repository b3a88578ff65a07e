//! TCP connections.

use std::io;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::LinkError;
use super::stream::{STUCK, StreamLink};

/// An open connection.
pub(super) type TcpLink = StreamLink<TcpStream>;

/// Connects to `host`.
pub(super) async fn open(host: &str, start: Instant) -> Result<TcpLink, LinkError> {
    let failed = |source| LinkError::Connect { host: host.to_owned(), source };
    let stream = match timeout(STUCK, TcpStream::connect(host)).await {
        Ok(stream) => stream.map_err(failed)?,
        Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
    };
    // Requests are small and wait for their answers.
    stream.set_nodelay(true).map_err(failed)?;
    Ok(StreamLink::new(stream, start))
}
