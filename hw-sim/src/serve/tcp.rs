//! The TCP port: a listener and at most one connection, which a newer one replaces.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// Output that waits longer than this is read by nobody: the connection is dead.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most output that waits; a host that asks on without reading is not read from meanwhile.
const MAX_WAITING_BYTES: usize = 256 << 10;

/// Wait behind an accept that failed, which may well fail again.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A TCP port.
#[derive(Debug)]
pub(super) struct TcpPort {
    listener: TcpListener,
    stream: Option<TcpStream>,
    waiting: Vec<u8>,
    since: Option<Instant>,
}

/// What happened at the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TcpEvent {
    /// A host connected; the connection before, if any, is gone.
    Connected,
    /// This many bytes arrived.
    Bytes(usize),
    /// The host went away.
    Gone,
}

impl TcpPort {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, stream: None, waiting: Vec::new(), since: None })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for a connection where `accepts`, for bytes where `reads`, and for room for what waits to
    /// be written; `None` for the last.
    pub(super) async fn event(
        &mut self,
        buffer: &mut [u8],
        accepts: bool,
        reads: bool,
    ) -> Option<TcpEvent> {
        let Self { listener, stream, since, waiting } = self;
        let reads = reads && waiting.len() < MAX_WAITING_BYTES;
        let stream = stream.as_ref();
        let read = async {
            match stream {
                Some(stream) => read_some(stream, buffer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = listener.accept(), if accepts => match accepted {
                Ok((accepted, _)) => {
                    // Frames are whole when they are written: waiting for more only delays them.
                    let _ = accepted.set_nodelay(true);
                    self.close();
                    self.stream = Some(accepted);
                    Some(TcpEvent::Connected)
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(AFTER_ERROR).await;
                    None
                }
            },
            read = read, if reads => match read {
                Ok(0) | Err(_) => {
                    self.close();
                    Some(TcpEvent::Gone)
                }
                Ok(count) => Some(TcpEvent::Bytes(count)),
            },
            () = writable(stream, *since), if since.is_some() => None,
            else => std::future::pending().await,
        }
    }

    /// Ends the connection behind what was written.
    pub(super) fn close(&mut self) {
        self.stream = None;
        self.waiting.clear();
        self.since = None;
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.stream.is_some() {
            self.waiting.extend(bytes);
            self.flush();
        }
    }

    fn flush(&mut self) {
        let Some(stream) = &self.stream else { return };
        while !self.waiting.is_empty() {
            match stream.try_write(&self.waiting) {
                Ok(written) => {
                    self.waiting.drain(..written);
                    self.since = None;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *self.since.get_or_insert_with(Instant::now);
                    return if since.elapsed() >= PATIENCE {
                        self.close();
                    };
                }
                Err(_) => return self.close(),
            }
        }
        self.since = None;
    }
}

/// Waits until the host has read, or can be taken not to.
async fn writable(stream: Option<&TcpStream>, since: Option<Instant>) {
    let patience = since.map_or(PATIENCE, |since| PATIENCE.saturating_sub(since.elapsed()));
    if let Some(stream) = stream {
        let _ = tokio::time::timeout(patience, stream.writable()).await;
    }
}

async fn read_some(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}
