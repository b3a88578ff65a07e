//! Links: bytes to a device and back, with the clock that goes with them.
//!
//! This is the one room of the host that opens ports and sockets and reads the clock. Time is part of
//! a link because a simulated device brings its own: behind `sim:` an hour of lease passes as fast as
//! the machine can compute it, and everything above cannot tell the difference.

mod address;
mod error;
mod serial;
#[cfg(feature = "sim")]
mod simulated;
mod stream;
mod tcp;

use std::time::Duration;

use firmware_protocol::frame::Framing;
use tokio::time::Instant;

pub use self::address::{Address, AddressError, DEFAULT_BAUD, shell_word};
pub use self::error::LinkError;
#[cfg(feature = "sim")]
pub use self::simulated::SimulatedDevice;

use self::serial::SerialLink;
use self::tcp::TcpLink;

/// What every link of one run starts from.
#[derive(Debug, Clone)]
pub struct LinkStart {
    /// Zero of the clock that all links of the run share.
    base: Instant,
    /// Root record envelope that a simulated device is enrolled under; factory state without it.
    pub root: Option<Vec<u8>>,
    /// Seed of everything random in a simulated device.
    pub seed: u64,
    /// The simulated device itself, where it outlives the link; its clock is the run's.
    #[cfg(feature = "sim")]
    pub device: Option<SimulatedDevice>,
}

impl LinkStart {
    /// A clock that begins now, and what a simulated device begins with.
    #[must_use]
    pub fn new(root: Option<Vec<u8>>, seed: u64) -> Self {
        Self {
            base: Instant::now(),
            root,
            seed,
            #[cfg(feature = "sim")]
            device: None,
        }
    }

    /// Lets the simulated device of `address` outlive the links to it, as a real one does by itself.
    ///
    /// # Errors
    /// When its scenario cannot be used.
    #[cfg(feature = "sim")]
    pub fn keep_device(&mut self, address: &Address) -> Result<(), LinkError> {
        if let Address::Simulated { scenario } = address {
            self.device = Some(SimulatedDevice::of_scenario(scenario.as_deref(), self)?);
        }
        Ok(())
    }

    /// Time on the clock, in milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        #[cfg(feature = "sim")]
        if let Some(device) = &self.device {
            return device.now_us() / 1_000;
        }
        u64::try_from(self.base.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits on the clock.
    pub async fn sleep(&self, pause_ms: u64) {
        #[cfg(feature = "sim")]
        if let Some(device) = &self.device {
            return device.pass_us(pause_ms.saturating_mul(1_000));
        }
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

/// An open link.
#[derive(Debug)]
pub struct Link(Kind);

#[derive(Debug)]
enum Kind {
    Serial {
        stream: SerialLink,
        baud: u32,
    },
    Tcp(TcpLink),
    #[cfg(feature = "sim")]
    Simulated(Box<simulated::SimulatedLink>),
}

impl Link {
    /// Opens `address`.
    ///
    /// # Errors
    /// When there is nothing to open, or somebody else holds it.
    pub async fn open(address: &Address, start: &LinkStart) -> Result<Self, LinkError> {
        Ok(Self(match address {
            Address::Serial { path, baud } => {
                Kind::Serial { stream: serial::open(path, *baud, start.base)?, baud: *baud }
            }
            Address::Tcp { host } => Kind::Tcp(tcp::open(host, start.base).await?),
            #[cfg(feature = "sim")]
            Address::Simulated { scenario } => Kind::Simulated(Box::new(
                simulated::SimulatedLink::open(scenario.as_deref(), start)?,
            )),
            #[cfg(not(feature = "sim"))]
            Address::Simulated { .. } => return Err(LinkError::NoSimulator),
        }))
    }

    /// Says whether a simulated device can be made, before anything is begun; a real one is not asked.
    ///
    /// # Errors
    /// When its scenario cannot be used, or there is no simulator.
    pub fn check(address: &Address, start: &LinkStart) -> Result<(), LinkError> {
        match address {
            Address::Serial { .. } | Address::Tcp { .. } => Ok(()),
            #[cfg(feature = "sim")]
            Address::Simulated { scenario } => {
                simulated::SimulatedLink::open(scenario.as_deref(), start).map(drop)
            }
            #[cfg(not(feature = "sim"))]
            Address::Simulated { .. } => {
                let _ = start;
                Err(LinkError::NoSimulator)
            }
        }
    }

    /// How frames travel here.
    #[must_use]
    pub const fn framing(&self) -> Framing {
        match &self.0 {
            Kind::Serial { .. } => Framing::Serial,
            Kind::Tcp(_) => Framing::Stream,
            #[cfg(feature = "sim")]
            Kind::Simulated(_) => Framing::Serial,
        }
    }

    /// True when a frame that was cut off spoils only itself.
    #[must_use]
    pub const fn survives_a_cut(&self) -> bool {
        matches!(self.framing(), Framing::Serial)
    }

    /// True when the device lives in this process and would end with its link.
    #[must_use]
    pub const fn is_simulated(&self) -> bool {
        match &self.0 {
            Kind::Serial { .. } | Kind::Tcp(_) => false,
            #[cfg(feature = "sim")]
            Kind::Simulated(_) => true,
        }
    }

    /// The line rate, where a line sets one, in bits a second.
    #[must_use]
    pub const fn baud(&self) -> Option<u32> {
        match &self.0 {
            Kind::Serial { baud, .. } => Some(*baud),
            Kind::Tcp(_) => None,
            #[cfg(feature = "sim")]
            Kind::Simulated(_) => None,
        }
    }

    /// Time since the link's clock began, in microseconds.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        match &self.0 {
            Kind::Serial { stream, .. } => stream.now_us(),
            Kind::Tcp(tcp) => tcp.now_us(),
            #[cfg(feature = "sim")]
            Kind::Simulated(simulated) => simulated.now_us(),
        }
    }

    /// Hands `bytes` to the link.
    ///
    /// # Errors
    /// When the link is gone, or takes nothing for too long.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        match &mut self.0 {
            Kind::Serial { stream, .. } => stream.send(bytes).await,
            Kind::Tcp(tcp) => tcp.send(bytes).await,
            #[cfg(feature = "sim")]
            Kind::Simulated(simulated) => {
                simulated.send(bytes);
                Ok(())
            }
        }
    }

    /// Waits for bytes, at most until `until_us`; gives how many came into `buffer`, zero when none
    /// did in time.
    ///
    /// # Errors
    /// When the link is gone.
    pub async fn receive(&mut self, buffer: &mut [u8], until_us: u64) -> Result<usize, LinkError> {
        match &mut self.0 {
            Kind::Serial { stream, .. } => stream.receive(buffer, until_us).await,
            Kind::Tcp(tcp) => tcp.receive(buffer, until_us).await,
            #[cfg(feature = "sim")]
            Kind::Simulated(simulated) => Ok(simulated.receive(buffer, until_us)),
        }
    }
}
