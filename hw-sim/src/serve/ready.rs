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
        write!(f, "{} ready:", visible(&self.serial))?;
        if let Some(path) = &self.serial_path {
            write!(f, " {}", word(&format!("serial:{}", path.display())))?;
        }
        if let Some(address) = self.tcp {
            write!(f, " tcp:{address}")?;
        }
        write!(f, " (seed {})", self.seed)
    }
}

/// An address as a shell takes it for one word.
fn word(address: &str) -> String {
    let is_plain =
        |character: char| character.is_alphanumeric() || "/:._-+=,@%".contains(character);
    if address.chars().all(is_plain) {
        return address.to_owned();
    }
    format!("'{}'", visible(address).replace('\'', "'\\''"))
}

/// Text in which nothing can steer a terminal: what is not printable is shown by its number.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '\'' | '"' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
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

    #[test]
    fn a_path_that_a_shell_would_split_is_quoted_and_nothing_reaches_the_terminal_raw() {
        let line = |path: &str, serial: &str| {
            let serial_path = Some(path.into());
            let line = ReadyLine {
                ready: true,
                serial_path,
                tcp: None,
                serial: serial.to_owned(),
                seed: 4,
            };
            (line.to_string(), line.to_json().unwrap())
        };
        let (human, _) = line("/tmp/my port's $HOME", "S");
        assert_eq!(human, r"S ready: 'serial:/tmp/my port'\''s $HOME' (seed 4)");
        let (human, json) = line("/tmp/a\n\u{1b}[2Jb", "SIM\u{1b}[2J\u{202e}");
        assert_eq!(human, r"SIM\u{1b}[2J\u{202e} ready: 'serial:/tmp/a\n\u{1b}[2Jb' (seed 4)");
        assert_eq!(json.lines().count(), 1);
        assert!(!json.contains('\u{1b}'), "{json}");
    }
}
