//! Simulated devices on real ports, in real time: the only part that knows tokio, sockets and PTYs.
//!
//! Each device has a task of its own, which sleeps until its device is due, a host writes or a host
//! connects.

#[cfg(not(unix))]
#[path = "serve/no_pty.rs"]
mod pty;
#[cfg(unix)]
mod pty;
mod ready;
mod room;
mod serial_error;
mod tcp;
mod timer;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::device::{DeviceConfig, DeviceError, SimDevice};
use crate::factory::FactoryBundle;
use crate::files;
use crate::options::ServeOptions;
use crate::scenario::{Scenario, ScenarioError};
use crate::state::StateError;

pub use self::ready::ReadyLine;
pub use self::serial_error::SerialError;

use self::pty::SerialPort;
use self::room::Room;
use self::tcp::TcpPort;

/// Why simulated devices cannot be served, or stopped being served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The scenario cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A device cannot be made.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A state folder cannot be written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The root record cannot be read.
    #[error("failed to read root record {path}")]
    Root {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The serial port cannot be made.
    #[error("failed to make serial port {path}")]
    Serial {
        /// Its path.
        path: String,
        /// Why.
        source: SerialError,
    },
    /// The TCP port cannot be opened.
    #[error("failed to listen on {address}")]
    Tcp {
        /// Its address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// There are fewer TCP ports above the first than devices.
    #[error(
        "{count} devices need {count} TCP ports from {first} on: choose a lower one, or port 0"
    )]
    Ports {
        /// First port.
        first: u16,
        /// Devices.
        count: u16,
    },
    /// The system refused a thread, a signal handler or random numbers.
    #[error("the system refused {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A device's task ended by a defect.
    #[error("a simulated device stopped by a defect in the simulator")]
    Task(#[from] JoinError),
}

impl ServeError {
    /// What to do next, if there is something to say.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        let other = "name another path with --serial";
        match self {
            Self::Serial { source: SerialError::Served { owner: Some(owner) }, .. } => {
                Some(format!("end that simulator with kill {owner}, or {other}"))
            }
            Self::Serial { source: SerialError::Served { owner: None }, .. } => {
                Some(format!("end that simulator, or {other}"))
            }
            Self::Serial { .. } => Some(other.to_owned()),
            Self::Scenario(_)
            | Self::Device(_)
            | Self::State(_)
            | Self::Root { .. }
            | Self::Tcp { .. }
            | Self::Ports { .. }
            | Self::System { .. }
            | Self::Task(_) => None,
        }
    }
}

/// Serves the devices that `options` ask for until Ctrl-C or SIGTERM, then removes their serial
/// ports and writes their statistics.
///
/// New devices hold `bundle` in slot A, or a small unsigned image. `report` is called once for each
/// device as soon as a host can reach it.
///
/// # Errors
/// When a device or one of its ports cannot be made, or its state folder cannot be written.
pub async fn serve(
    options: ServeOptions,
    bundle: Option<FactoryBundle>,
    mut report: impl FnMut(ReadyLine),
) -> Result<(), ServeError> {
    let shared = Shared::read(&options, bundle)?;
    let no_signal = |source| ServeError::System { what: "a signal handler", source };
    // Whoever has read a ready line may ask for the end.
    let mut interrupts = Interrupts::listen().map_err(no_signal)?;
    let (stop, stopped) = watch::channel(false);
    let mut rooms = JoinSet::new();
    for index in 0..options.count.max(1) {
        let (room, line) = open_room(&options, &shared, index).await?;
        rooms.spawn(room.run(stopped.clone()));
        report(line);
    }
    let ended = tokio::select! {
        interrupted = interrupts.next() => interrupted.map_err(no_signal),
        Some(ended) = rooms.join_next() => settle(ended),
    };
    // Nobody is left to hear it when all rooms have ended.
    let _ = stop.send(true);
    let mut result = ended;
    while let Some(ended) = rooms.join_next().await {
        result = result.and(settle(ended));
    }
    result
}

fn settle(ended: Result<Result<(), StateError>, JoinError>) -> Result<(), ServeError> {
    Ok(ended??)
}

/// What all devices of one process have in common.
struct Shared {
    scenario: Scenario,
    seed: u64,
    bundle: Option<FactoryBundle>,
    root: Option<Vec<u8>>,
}

impl Shared {
    fn read(options: &ServeOptions, bundle: Option<FactoryBundle>) -> Result<Self, ServeError> {
        let scenario = options.scenario.as_deref().map(Scenario::read).transpose()?;
        let read = |path: &PathBuf| {
            files::read(path, MAX_ENVELOPE_BYTES)
                .map_err(|source| ServeError::Root { path: path.display().to_string(), source })
        };
        let root = options.root.as_ref().map(read).transpose()?;
        let seed = options.seed.map_or_else(any_seed, Ok)?;
        Ok(Self { scenario: scenario.unwrap_or_default(), seed, bundle, root })
    }
}

/// A seed that nobody chose; 32 bits, short enough to be typed again.
fn any_seed() -> Result<u64, ServeError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| ServeError::System {
        what: "random numbers",
        source: io::Error::other(error),
    })?;
    Ok(u32::from_le_bytes(bytes).into())
}

async fn open_room(
    options: &ServeOptions,
    shared: &Shared,
    index: u16,
) -> Result<(Room, ReadyLine), ServeError> {
    let many = options.count > 1;
    let seed = shared.seed.wrapping_add(u64::from(index));
    let base = shared.scenario.serial();
    let serial = if many { format!("{base}-{index}") } else { base.to_owned() };
    let config = DeviceConfig {
        scenario: shared.scenario.clone().with_serial(serial.clone()),
        seed,
        baud: options.baud,
        tcp_only: options.serial.is_none(),
        bundle: shared.bundle.clone(),
        root: shared.root.clone(),
        state: options.state.as_deref().map(|path| own_folder(path, index, many)),
        power_cuts: options.power_cut.map(|cuts| cuts.of_device(index)),
    };
    let device = SimDevice::new(config)?;
    let path = options.serial.as_deref().map(|path| own_path(path, index, many));
    let serial_port = path.as_deref().map(open_serial).transpose()?;
    let tcp_port = match options.tcp {
        Some(address) => Some(open_tcp(address, index, options.count).await?),
        None => None,
    };
    let line = ReadyLine {
        ready: true,
        serial_path: serial_port.as_ref().map(|port| port.path().to_owned()),
        tcp: tcp_port.as_ref().and_then(|port| port.address().ok()),
        serial,
        seed,
    };
    let room = Room::new(device, serial_port, tcp_port);
    Ok((room.map_err(|source| ServeError::System { what: "a thread", source })?, line))
}

fn own_path(path: &Path, index: u16, many: bool) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    if many {
        name.push(format!("-{index}"));
    }
    name.into()
}

fn own_folder(path: &Path, index: u16, many: bool) -> PathBuf {
    if many { path.join(index.to_string()) } else { path.to_owned() }
}

fn open_serial(path: &Path) -> Result<SerialPort, ServeError> {
    let failed = |source| ServeError::Serial { path: path.display().to_string(), source };
    SerialPort::open(path).map_err(failed)
}

async fn open_tcp(first: SocketAddr, index: u16, count: u16) -> Result<TcpPort, ServeError> {
    let mut address = first;
    if first.port() != 0 {
        let own = first.port().checked_add(index);
        address.set_port(own.ok_or(ServeError::Ports { first: first.port(), count })?);
    }
    TcpPort::open(address).await.map_err(|source| ServeError::Tcp { address, source })
}

/// Ctrl-C, and SIGTERM where there is one; heard from the moment that this is made.
struct Interrupts {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl Interrupts {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { signals: [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?] })
    }

    #[cfg(unix)]
    async fn next(&mut self) -> io::Result<()> {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }

    #[cfg(not(unix))]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) -> io::Result<()> {
        tokio::signal::ctrl_c().await
    }
}
