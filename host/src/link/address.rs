//! Device addresses: `serial:PATH?baud=N`, `tcp:HOST:PORT`, `sim:` or `sim:SCENARIO`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// Line rate where an address names none, in bits a second.
pub const DEFAULT_BAUD: u32 = 115_200;

/// Where a device is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A serial port.
    Serial {
        /// The port.
        path: PathBuf,
        /// Line rate, in bits a second.
        baud: u32,
    },
    /// A TCP port.
    Tcp {
        /// `host:port`.
        host: String,
    },
    /// A simulated device inside this process, in virtual time.
    Simulated {
        /// Its scenario.
        scenario: Option<PathBuf>,
    },
}

/// Text that is not a device address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No known scheme.
    #[error("`{0}` is not a device address: expected serial:PATH?baud=N, tcp:HOST:PORT or sim:")]
    Scheme(String),
    /// A serial address without a path.
    #[error("`{0}` names no port: expected serial:PATH, such as serial:/dev/ttyUSB0?baud=921600")]
    NoPath(String),
    /// A baud rate that is no number.
    #[error("`{0}` has an option that is not understood: expected ?baud=N with N in bits a second")]
    Option(String),
    /// A TCP address without a port.
    #[error("`{0}` has no port: expected tcp:HOST:PORT, such as tcp:10.0.0.5:7700")]
    NoPort(String),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.split_once(':') {
            Some(("serial", rest)) => parse_serial(text, rest),
            Some(("tcp", rest)) => {
                let port = rest.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                match port {
                    Some(1..) => Ok(Self::Tcp { host: rest.to_owned() }),
                    Some(0) | None => Err(AddressError::NoPort(text.to_owned())),
                }
            }
            Some(("sim", rest)) => {
                let scenario = (!rest.is_empty()).then(|| PathBuf::from(rest));
                Ok(Self::Simulated { scenario })
            }
            Some(_) | None => Err(AddressError::Scheme(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, baud } => write!(f, "serial:{}?baud={baud}", path.display()),
            Self::Tcp { host } => write!(f, "tcp:{host}"),
            Self::Simulated { scenario: None } => f.write_str("sim:"),
            Self::Simulated { scenario: Some(path) } => write!(f, "sim:{}", path.display()),
        }
    }
}

/// `text` as a shell takes it for one word.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain =
        |character: char| character.is_alphanumeric() || "/:._-+=,@%".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn parse_serial(text: &str, rest: &str) -> Result<Address, AddressError> {
    let (path, baud) = match rest.split_once('?') {
        Some((path, options)) => {
            let baud = options.strip_prefix("baud=").and_then(|baud| baud.parse().ok());
            let baud = baud.filter(|baud| *baud > 0);
            (path, baud.ok_or_else(|| AddressError::Option(text.to_owned()))?)
        }
        None => (rest, DEFAULT_BAUD),
    };
    if path.is_empty() {
        return Err(AddressError::NoPath(text.to_owned()));
    }
    Ok(Address::Serial { path: PathBuf::from(path), baud })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_every_text_for_one_word() {
        for (text, word) in [
            ("tcp:10.0.0.5:7700", "tcp:10.0.0.5:7700"),
            ("serial:/dev/ttyUSB0?baud=9600", "'serial:/dev/ttyUSB0?baud=9600'"),
            ("it's.nfb", "'it'\\''s.nfb'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(text), word);
        }
    }

    #[test]
    fn addresses_read_as_the_manual_writes_them() {
        for (text, shown) in [
            ("serial:/dev/ttyUSB0?baud=921600", "serial:/dev/ttyUSB0?baud=921600"),
            ("serial:/dev/ttyUSB0", "serial:/dev/ttyUSB0?baud=115200"),
            ("tcp:10.0.0.5:7700", "tcp:10.0.0.5:7700"),
            ("tcp:[::1]:7700", "tcp:[::1]:7700"),
            ("sim:", "sim:"),
            ("sim:slow.toml", "sim:slow.toml"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_form_that_is() {
        for (text, needle) in [
            ("/dev/ttyUSB0", "is not a device address"),
            ("usb:1", "is not a device address"),
            ("serial:", "names no port"),
            ("serial:/dev/x?speed=9", "expected ?baud=N"),
            ("serial:/dev/x?baud=0", "expected ?baud=N"),
            ("tcp:host", "has no port"),
            ("tcp:host:0", "has no port"),
            ("tcp:host:99999", "has no port"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
