//! The TCP port: a listener and at most one connection, which a newer one replaces.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// Output that waits longer than this is read by nobody: the connection is dead.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most output that waits: a host that lets more gather is not there.
const MAX_WAITING_BYTES: usize = 256 << 10;

/// Output behind which the host is not read from: one that asks on without reading is slowed down
/// long before it is hung up on.
const SLOW_BYTES: usize = 128 << 10;

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
        let reads = reads && waiting.len() < SLOW_BYTES;
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
                    let is_late = since.elapsed() >= PATIENCE;
                    return if is_late || self.waiting.len() > MAX_WAITING_BYTES {
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as Client;

    use super::*;

    async fn connected() -> (TcpPort, Client) {
        let mut port = TcpPort::open("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = Client::connect(port.address().unwrap()).unwrap();
        assert_eq!(port.event(&mut [], true, true).await, Some(TcpEvent::Connected));
        (port, client)
    }

    /// Fills the system's buffers until `wanted` bytes wait in the port.
    fn fill(port: &mut TcpPort, wanted: usize) {
        for _ in 0..64 << 10 {
            if port.waiting.len() >= wanted {
                return;
            }
            port.write(&[b'x'; 1024]);
        }
        panic!("the system's buffers took 64 MiB");
    }

    #[tokio::test]
    async fn a_host_that_asks_without_reading_is_not_read_until_it_reads() {
        let (mut port, mut client) = connected().await;
        client.write_all(b"more").unwrap();
        fill(&mut port, SLOW_BYTES);
        let mut buffer = [0; 16];
        let asked = port.event(&mut buffer, true, true);
        let asked = tokio::time::timeout(Duration::from_millis(200), asked).await;
        assert!(asked.is_err(), "{asked:?}");
        client.set_nonblocking(true).unwrap();
        let end = Instant::now() + PATIENCE;
        while !port.waiting.is_empty() {
            assert!(Instant::now() < end, "{} bytes still wait", port.waiting.len());
            let _ = client.read(&mut [0; 4 << 10]);
            port.write(&[]);
            // Lets the runtime see that the socket has room again.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(port.event(&mut buffer, true, true).await, Some(TcpEvent::Bytes(4)));
    }

    #[tokio::test]
    async fn output_that_nobody_reads_is_bounded_and_ends_in_a_hang_up() {
        let (mut port, client) = connected().await;
        fill(&mut port, SLOW_BYTES);
        let mut most = 0;
        while port.stream.is_some() {
            port.write(&[b'x'; 1024]);
            most = port.waiting.len().max(most);
            assert!(most <= MAX_WAITING_BYTES, "{most} bytes wait");
        }
        assert!(most > MAX_WAITING_BYTES - 1024, "hung up on at {most} bytes");
        assert!(port.waiting.is_empty());
        drop(client);
    }
}
