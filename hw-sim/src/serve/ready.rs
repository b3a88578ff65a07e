//! The one line that says where a device can be reached.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

/// A device that is being served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadyLine {
    /// Always true.
    pub ready: bool,
    /// Path of its serial port.
    pub serial_path: Option<PathBuf>,
    /// Address of its TCP port.
    pub tcp: Option<SocketAddr>,
    /// Its serial number.
    pub serial: String,
    /// What its random choices follow from: `--seed` replays them.
    pub seed: u64,
}

impl ReadyLine {
    /// The line as JSON.
    ///
    /// # Errors
    /// When the path is not UTF-8.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

impl fmt::Display for ReadyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ready:", self.serial)?;
        if let Some(path) = &self.serial_path {
            write!(f, " serial:{}", path.display())?;
        }
        if let Some(address) = self.tcp {
            write!(f, " tcp:{address}")?;
        }
        write!(f, " (seed {})", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_addresses_as_the_command_line_takes_them() {
        let line = ReadyLine {
            ready: true,
            serial_path: Some("/tmp/port".into()),
            tcp: "127.0.0.1:7700".parse().ok(),
            serial: "SIM-0001".to_owned(),
            seed: 4,
        };
        assert_eq!(
            line.to_string(),
            "SIM-0001 ready: serial:/tmp/port tcp:127.0.0.1:7700 (seed 4)"
        );
        assert_eq!(
            line.to_json().unwrap(),
            "{\"ready\":true,\"serial_path\":\"/tmp/port\",\"tcp\":\"127.0.0.1:7700\",\
             \"serial\":\"SIM-0001\",\"seed\":4}"
        );
    }
}
