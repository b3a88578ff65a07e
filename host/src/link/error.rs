//! Why a link could not be opened, or is gone.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a link could not be opened, or is gone.
#[derive(Debug, Error)]
pub enum LinkError {
    /// No such serial port.
    #[error("there is no serial port {}; {}", path.display(), ports_in_words(ports))]
    NoPort {
        /// The port asked for.
        path: PathBuf,
        /// Ports that exist.
        ports: Vec<String>,
    },
    /// Another process holds the port.
    #[error("serial port {} is held by another process", path.display())]
    PortHeld {
        /// The port.
        path: PathBuf,
    },
    /// The port is there and cannot be opened.
    #[error("failed to open serial port {}", path.display())]
    Open {
        /// The port.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody answers at the address.
    #[error("failed to connect to {host}")]
    Connect {
        /// `host:port`.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The other end is gone.
    #[error("the link to the device was closed")]
    Closed,
    /// The link takes no bytes.
    #[error("the link has taken nothing for {waited_s} s: nobody reads at its other end")]
    Stuck {
        /// How long, in seconds.
        waited_s: u64,
    },
    /// The link failed.
    #[error("the link failed")]
    Io(#[source] io::Error),
    /// The simulated device cannot be made.
    #[error("failed to make the simulated device: {reason}")]
    Simulated {
        /// Why.
        reason: String,
    },
    /// Built without the simulator.
    #[error("this noflake was built without the simulator")]
    NoSimulator,
}

fn ports_in_words(ports: &[String]) -> String {
    if ports.is_empty() {
        "this machine has no serial port now".to_owned()
    } else {
        format!("this machine has {}", ports.join(", "))
    }
}
