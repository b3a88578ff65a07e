//! What `hw-sim` and `noflake sim` can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::power::PowerCuts;

/// The options that name a port here; at least one is needed.
const PORTS: &[&str] = if cfg!(unix) { &["serial", "tcp"] } else { &["tcp"] };

/// Options of a simulated device on real ports.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(group(clap::ArgGroup::new("port").args(PORTS).required(true).multiple(true)))]
pub struct ServeOptions {
    /// Serve a serial port: a PTY, with a symbolic link to it at this path
    #[arg(long, value_name = "PATH")]
    pub serial: Option<PathBuf>,
    /// Serve a TCP port at this address; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub tcp: Option<SocketAddr>,
    /// Enrol a new device with the root record in this file
    #[arg(long, value_name = "FILE")]
    pub root: Option<PathBuf>,
    /// What the device is and does, and which faults strike
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Keep flash and counters in this folder, across restarts
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Replay the random choices of an earlier run; the ready line tells its seed
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Pace the serial line, in bits per second; 0 is unlimited
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub baud: u32,
    /// Let the power fail over and over inside flash operations: random:SEED, or random:SEED:EVERY for one
    /// failure in so many operations on average
    #[arg(long, value_name = "HOW")]
    pub power_cut: Option<PowerCuts>,
    /// Serve this many devices: PATH-0, PATH-1 and so on, on consecutive TCP ports
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub count: u16,
}
