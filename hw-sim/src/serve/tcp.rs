//! The TCP port: a listener and two connections, so that a second host hears from the device itself
//! that the first one holds it. A third waits until one of them has had its [`TURN`], and replaces it, but not one that is kept.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// What a connection has for itself before it gives way to one that waits: four round trips of 100 ms lead to a session, if the
/// engine answers at once (decision 0019).
const TURN: Duration = Duration::from_millis(500);

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
    connections: [Connection; 2],
}

/// What happened on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TcpEvent {
    /// A host connected; the connection before, if any, is gone.
    Connected,
    /// This many bytes arrived.
    Bytes(usize),
    /// The host went away.
    Gone,
}

/// A connection, or room for one.
#[derive(Debug, Default)]
struct Connection {
    stream: Option<TcpStream>,
    /// When the host connected.
    came: Option<Instant>,
    /// When the host connected or last said something.
    heard: Option<Instant>,
    waiting: Vec<u8>,
    since: Option<Instant>,
}

enum Woken {
    Accepted(io::Result<TcpStream>),
    Readable(usize),
    Writable,
}

impl TcpPort {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, connections: Default::default() })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Waits for a connection where `accepts` and there is a place, for bytes on those that `reads` names, and for room for
    /// what waits to be written; `None` for the last. A connection that it `keeps` gives way to no other one.
    pub(super) async fn event(
        &mut self,
        buffer: &mut [u8],
        accepts: bool,
        reads: [bool; 2],
        keeps: Option<usize>,
    ) -> Option<(usize, TcpEvent)> {
        let (place, patience) = self.place(keeps);
        let Self { listener, connections: [first, second] } = self;
        let [reads_first, reads_second] = reads;
        let woken = tokio::select! {
            accepted = accept_in(patience, listener), if accepts => Woken::Accepted(accepted),
            () = first.readable(), if reads_first => Woken::Readable(0),
            () = second.readable(), if reads_second => Woken::Readable(1),
            () = first.writable() => Woken::Writable,
            () = second.writable() => Woken::Writable,
        };
        match woken {
            Woken::Accepted(Ok(stream)) => {
                self.connections.get_mut(place)?.take(stream);
                Some((place, TcpEvent::Connected))
            }
            Woken::Accepted(Err(error)) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(AFTER_ERROR).await;
                None
            }
            Woken::Readable(index) => {
                let event = self.connections.get_mut(index)?.read(buffer)?;
                Some((index, event))
            }
            Woken::Writable => None,
        }
    }

    /// Hands `bytes` to connection `index`, and ends it where it `ends`. True when its host turned out to be gone.
    pub(super) fn write(&mut self, index: usize, bytes: &[u8], ends: bool) -> bool {
        let Some(connection) = self.connections.get_mut(index) else { return false };
        let was_there = connection.stream.is_some();
        connection.write(bytes);
        let is_gone = was_there && connection.stream.is_none();
        if ends {
            connection.close();
        }
        is_gone
    }

    /// Where the next connection goes, and in what time: where there is room, or where one has had its turn and was silent
    /// longest.
    fn place(&self, keeps: Option<usize>) -> (usize, Duration) {
        let places = self.connections.iter().enumerate().filter(|(index, _)| Some(*index) != keeps);
        let weighed = places.map(|(index, it)| (it.turn_left(), it.heard, index));
        weighed.min().map_or((0, TURN), |(left, _, index)| (index, left))
    }
}

async fn accept_in(patience: Duration, listener: &TcpListener) -> io::Result<TcpStream> {
    if !patience.is_zero() {
        tokio::time::sleep(patience).await;
    }
    listener.accept().await.map(|(stream, _)| stream)
}

impl Connection {
    /// Begins with a new host in the place of the one before.
    fn take(&mut self, stream: TcpStream) {
        // Frames are whole when they are written: waiting for more only delays them.
        let _ = stream.set_nodelay(true);
        let now = Some(Instant::now());
        *self = Self { stream: Some(stream), came: now, heard: now, ..Self::default() };
    }

    /// What it still has for itself.
    fn turn_left(&self) -> Duration {
        self.came.map_or(Duration::ZERO, |came| TURN.saturating_sub(came.elapsed()))
    }

    /// Ends it behind what was written.
    fn close(&mut self) {
        *self = Self::default();
    }

    /// Waits for bytes, if there is a host and it reads what it is told.
    async fn readable(&self) {
        match self.stream.as_ref().filter(|_| self.waiting.len() < SLOW_BYTES) {
            Some(stream) => drop(stream.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Waits until the host has read, or can be taken not to, if anything waits for it.
    async fn writable(&self) {
        match self.stream.as_ref().zip(self.since) {
            Some((stream, since)) => {
                let patience = PATIENCE.saturating_sub(since.elapsed());
                drop(tokio::time::timeout(patience, stream.writable()).await);
            }
            None => std::future::pending().await,
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<TcpEvent> {
        match self.stream.as_ref()?.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Ok(0) | Err(_) => {
                self.close();
                Some(TcpEvent::Gone)
            }
            Ok(count) => {
                self.heard = Some(Instant::now());
                Some(TcpEvent::Bytes(count))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream as Client;

    use super::*;

    async fn connected() -> (TcpPort, Client) {
        let mut port = TcpPort::open("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let client = Client::connect(port.address().unwrap()).unwrap();
        assert_eq!(
            port.event(&mut [], true, [true; 2], None).await,
            Some((0, TcpEvent::Connected))
        );
        (port, client)
    }

    /// Fills the system's buffers until `wanted` bytes wait in the port.
    fn fill(port: &mut TcpPort, wanted: usize) {
        for _ in 0..64 << 10 {
            if port.connections[0].waiting.len() >= wanted {
                return;
            }
            port.write(0, &[b'x'; 1024], false);
        }
        panic!("the system's buffers took 64 MiB");
    }

    #[tokio::test]
    async fn a_host_that_asks_without_reading_is_not_read_until_it_reads() {
        let (mut port, mut client) = connected().await;
        client.write_all(b"more").unwrap();
        fill(&mut port, SLOW_BYTES);
        let mut buffer = [0; 16];
        let asked = port.event(&mut buffer, true, [true; 2], None);
        let asked = tokio::time::timeout(Duration::from_millis(200), asked).await;
        assert!(asked.is_err(), "{asked:?}");
        client.set_nonblocking(true).unwrap();
        let end = Instant::now() + PATIENCE;
        while !port.connections[0].waiting.is_empty() {
            assert!(Instant::now() < end, "{} bytes still wait", port.connections[0].waiting.len());
            let _ = client.read(&mut [0; 4 << 10]);
            port.write(0, &[], false);
            // Lets the runtime see that the socket has room again.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            port.event(&mut buffer, true, [true; 2], None).await,
            Some((0, TcpEvent::Bytes(4)))
        );
    }

    /// What happens next, where that is within `wait`.
    async fn within(
        wait: Duration,
        port: &mut TcpPort,
        keeps: Option<usize>,
    ) -> Option<(usize, TcpEvent)> {
        let event = async {
            loop {
                if let Some(event) = port.event(&mut [0; 16], true, [true; 2], keeps).await {
                    return event;
                }
            }
        };
        tokio::time::timeout(wait, event).await.ok()
    }

    /// Strangers at the door by the dozen leave a host the time to say who it is.
    #[tokio::test]
    async fn a_connection_has_its_turn_before_it_gives_way_and_one_that_is_kept_never_does() {
        const CAME: TcpEvent = TcpEvent::Connected;
        let (mut port, first) = connected().await;
        let address = port.address().unwrap();
        let came = Instant::now();
        let mut others: Vec<_> = (0..12).map(|_| Client::connect(address).unwrap()).collect();
        assert_eq!(within(TURN / 4, &mut port, None).await, Some((1, CAME)), "there is room");
        assert_eq!(within(PATIENCE, &mut port, Some(1)).await, Some((0, CAME)), "not the one kept");
        assert!(came.elapsed() >= TURN, "the first gave way after {:?}", came.elapsed());
        // One that goes leaves its place at once; that is the second of them: the first stayed where it is kept.
        drop((first, others.remove(1)));
        assert_eq!(within(TURN / 4, &mut port, Some(1)).await, Some((0, TcpEvent::Gone)));
        assert_eq!(within(TURN / 4, &mut port, Some(1)).await, Some((0, CAME)));
        // Of two that have had their turn, the one that was silent longest.
        tokio::time::sleep(TURN).await;
        others[0].write_all(b"here").unwrap();
        port.connections[1].readable().await;
        let heard = port.connections[1].read(&mut [0; 16]);
        assert_eq!(heard, Some(TcpEvent::Bytes(4)));
        assert_eq!(within(TURN / 4, &mut port, None).await, Some((0, CAME)));
    }

    #[tokio::test]
    async fn output_that_nobody_reads_is_bounded_and_ends_in_a_hang_up() {
        let (mut port, client) = connected().await;
        fill(&mut port, SLOW_BYTES);
        let mut most = 0;
        while port.connections[0].stream.is_some() {
            port.write(0, &[b'x'; 1024], false);
            most = port.connections[0].waiting.len().max(most);
            assert!(most <= MAX_WAITING_BYTES, "{most} bytes wait");
        }
        assert!(most > MAX_WAITING_BYTES - 1024, "hung up on at {most} bytes");
        assert!(port.connections[0].waiting.is_empty());
        drop(client);
    }
}
