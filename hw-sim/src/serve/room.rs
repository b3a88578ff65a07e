//! One device in real time: moves bytes between the pure device and its real ports.

use std::io;
use std::time::{Duration, Instant};

use firmware_protocol::boot::Start;
use tokio::sync::watch;

use crate::device::{SERIAL_PORT, SimDevice, TCP_PORTS};
use crate::state::StateError;
use crate::stats::LinkStats;

use super::SerialPort;
use super::tcp::{TcpEvent, TcpPort};
use super::timer::FineTimer;

/// Device time that passes before the ports are looked after again, in microseconds.
const SLICE_US: u64 = 5000;
/// Bytes on their way in at which the host is no longer read: its own buffers fill, as before a real
/// port.
const SERIAL_BACKLOG_BYTES: usize = 4096;
/// The same of a socket, whose system keeps more.
const TCP_BACKLOG_BYTES: usize = 64 << 10;
/// Longest wait, for a device that has nothing to do.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Wait behind a port that fails, so that a port that keeps failing costs nothing.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// A device and its real ports.
#[derive(Debug)]
pub(super) struct Room {
    device: SimDevice,
    serial: Option<SerialPort>,
    tcp: Option<TcpPort>,
    timer: FineTimer,
    begun: Instant,
    /// What the state folder was last told.
    runs: Option<Start>,
    counted: [LinkStats; 2],
}

/// What the room woke up for.
#[derive(Debug)]
enum Woken {
    Stop,
    Serial(usize),
    /// On which of the TCP connections, and what.
    Tcp(usize, TcpEvent),
    Due,
}

impl Room {
    pub(super) fn new(
        device: SimDevice,
        serial: Option<SerialPort>,
        tcp: Option<TcpPort>,
    ) -> io::Result<Self> {
        let timer = FineTimer::new()?;
        let counted = device.link_stats();
        Ok(Self { device, serial, tcp, timer, begun: Instant::now(), runs: None, counted })
    }

    /// Serves until `stop` changes.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), StateError> {
        let mut serial_bytes = vec![0; SERIAL_BACKLOG_BYTES];
        let mut tcp_bytes = vec![0; TCP_BACKLOG_BYTES];
        loop {
            self.turn()?;
            match self.wait(&mut serial_bytes, &mut tcp_bytes, &mut stop).await {
                Woken::Stop => return self.save(),
                Woken::Due => {}
                Woken::Serial(count) => self.take(SERIAL_PORT, &serial_bytes, count),
                Woken::Tcp(port, TcpEvent::Bytes(count)) => self.take(port, &tcp_bytes, count),
                Woken::Tcp(port, TcpEvent::Connected | TcpEvent::Gone) => self.device.connect(port),
            }
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn take(&mut self, port: usize, buffer: &[u8], count: usize) {
        let now_us = self.now_us();
        self.device.receive(port, buffer.get(..count).unwrap_or_default(), now_us);
    }

    /// Lets the device catch up with the clock, and its bytes leave.
    fn turn(&mut self) -> Result<(), StateError> {
        let slice_us = self.device.next_wake_us().saturating_add(SLICE_US);
        self.device.advance(self.now_us().min(slice_us));
        // Before the answers leave: what a host has seen answered is counted, whatever happens next.
        self.note()?;
        let bytes = self.device.transmit(SERIAL_PORT);
        if let Some(port) = &mut self.serial {
            port.write(&bytes);
        }
        for (index, number) in TCP_PORTS.into_iter().enumerate() {
            let bytes = self.device.transmit(number);
            let hung_up = self.device.take_hung_up(number);
            if self.tcp.as_mut().is_some_and(|port| port.write(index, &bytes, hung_up)) {
                self.device.connect(number);
            }
        }
        Ok(())
    }

    /// Tells the state folder what must survive a kill: everything at a start or reset, and what has
    /// arrived behind every piece of input.
    fn note(&mut self) -> Result<(), StateError> {
        let (runs, counted) = (self.device.running(), self.device.link_stats());
        if runs != self.runs {
            tracing::info!(serial = self.device.serial(), ?runs, "the device runs");
            self.runs = runs;
            return self.save();
        }
        if counted != self.counted {
            self.counted = counted;
            if let Some(state) = self.device.state() {
                return state.write_counters(&self.device.stats());
            }
        }
        Ok(())
    }

    fn save(&self) -> Result<(), StateError> {
        self.device.state().map_or(Ok(()), |state| state.write_stats(&self.device.stats()))
    }

    async fn wait(
        &mut self,
        serial_bytes: &mut [u8],
        tcp_bytes: &mut [u8],
        stop: &mut watch::Receiver<bool>,
    ) -> Woken {
        let Self { device, serial, tcp, timer, begun, .. } = self;
        let room = |port, most| device.backlog_bytes(port) < most;
        let serial_room = room(SERIAL_PORT, SERIAL_BACKLOG_BYTES);
        let tcp_room = TCP_PORTS.map(|port| room(port, TCP_BACKLOG_BYTES));
        let keeps = device.session_port();
        let keeps = TCP_PORTS.iter().position(|port| Some(*port) == keeps);
        let latest = begun.elapsed() + LONGEST_WAIT;
        let wakes = *begun + Duration::from_micros(device.next_wake_us()).min(latest);
        tokio::select! {
            _ = stop.changed() => Woken::Stop,
            woken = serial_event(serial.as_ref(), serial_bytes, serial_room) => woken,
            woken = tcp_event(tcp.as_mut(), tcp_bytes, device.listens(), tcp_room, keeps) => woken,
            () = timer.until(wakes) => Woken::Due,
        }
    }
}

async fn serial_event(port: Option<&SerialPort>, buffer: &mut [u8], reads: bool) -> Woken {
    let Some(port) = port else { return std::future::pending().await };
    tokio::select! {
        read = port.read(buffer), if reads => match read {
            Ok(count) => Woken::Serial(count),
            Err(error) => {
                tracing::warn!(%error, "the serial port cannot be read");
                tokio::time::sleep(AFTER_ERROR).await;
                Woken::Due
            }
        },
        () = port.writable(), if port.is_waiting() => Woken::Due,
        else => std::future::pending().await,
    }
}

async fn tcp_event(
    port: Option<&mut TcpPort>,
    buffer: &mut [u8],
    accepts: bool,
    reads: [bool; 2],
    keeps: Option<usize>,
) -> Woken {
    let Some(port) = port else { return std::future::pending().await };
    let Some((index, event)) = port.event(buffer, accepts, reads, keeps).await else {
        return Woken::Due;
    };
    TCP_PORTS.get(index).map_or(Woken::Due, |number| Woken::Tcp(*number, event))
}
