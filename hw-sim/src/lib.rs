//! A simulated field device: the real boot stage and the real engine of `firmware-protocol`, around
//! hardware that can fail.
//!
//! [`SimDevice`] is a pure machine in virtual time: bytes and the time go in, bytes and the next
//! time it wants to be called come out. It owns the flash, the links, the watchdog and the power
//! supply, and decides nothing that a real device's hardware would not decide. [`serve()`] puts it
//! on a PTY and a TCP port in real time; it is the only part that knows tokio. A [`Tap`] is somebody who sits
//! between such a port and its host.
//!
//! ```text
//! serve -> device -> {image, flash -> fault, line -> fault clock, clock}
//! ```
//!
//! Everything random follows from one seed, so a run is replayed by its seed and its input alone.
#![forbid(unsafe_code)]

mod clock;
mod device;
mod factory;
mod fault;
mod files;
mod flash;
mod image;
mod layout;
mod line;
mod options;
mod power;
mod scenario;
mod serve;
mod state;
mod stats;
mod tap;
mod visible;

pub use device::{DeviceConfig, DeviceError, SERIAL_PORT, SimDevice, TCP_PORTS};
pub use factory::{FactoryBundle, FactoryError};
pub use fault::{
    DeviceFault, Direction, Fault, FaultClass, FaultError, FlashFault, FlipFault, LinkFault,
    Mishap, Mishaps, RandomFaults, Reads, Tear,
};
pub use flash::{Ecc, FlashCounters, FlashHandle, FlashSpec, Operation, SimFlash, TrapLine};
pub use layout::LayoutError;
pub use options::ServeOptions;
pub use power::{PowerCuts, PowerCutsError};
pub use scenario::{Scenario, ScenarioError};
pub use serve::{ReadyLine, SerialError, ServeError, serve};
pub use state::{StateDir, StateError};
pub use stats::{Fired, LinkStats, Stats};
pub use tap::{Heard, Meddling, Tap, Way};
pub use visible::visible;
