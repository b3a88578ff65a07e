//! The devices that a host knows by their keys: one that turns up under a known serial number with another key is an
//! impostor (TRUST.md, "Whose device").

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use firmware_protocol::sealed::LinkKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::files::{Secrecy, WriteError, replace_file};
use super::hex::{Hex, parse_hex};
use crate::input;

/// Longest file that is read, in bytes: some ten thousand devices.
const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024;
/// How often a lock that somebody else holds is asked for; all together ten seconds, and a device is kept in milliseconds.
const LOCK_TRIES: u32 = 500;
/// Pause between two of these.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Why the known devices cannot be read or kept.
#[derive(Debug, Error)]
pub enum KnownDevicesError {
    /// The system refused.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It does not parse.
    #[error("{} does not list devices and their keys", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: Box<toml::de::Error>,
    },
    /// A key that is none.
    #[error("{}: the identity of {serial:?} is {got:?}, expected 64 hex digits", path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// The device.
        serial: String,
        /// What stands there.
        got: String,
    },
    /// A device that is known by another key.
    #[error(
        "{}: device {serial:?} is known by key {}; if it was given a new one, remove its line first",
        path.display(), Hex(known)
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// The device.
        serial: String,
        /// The key that it is known by.
        known: LinkKey,
    },
    /// Whether somebody else is changing it cannot be told.
    #[error("failed to lock {}", path.display())]
    Lock {
        /// The file that is locked.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else is changing it, and does not come to an end.
    #[error("{} is held by another process", path.display())]
    Held {
        /// The file that is locked.
        path: PathBuf,
    },
    /// It does not encode.
    #[error("failed to encode the known devices")]
    Encode(#[source] toml::ser::Error),
    /// It was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl KnownDevicesError {
    /// The next safe command.
    #[must_use]
    pub const fn next(&self) -> &'static str {
        match self {
            Self::Write(_) | Self::Lock { .. } => {
                "make room on that disk, or mend the folder's rights, then run the same command again"
            }
            Self::Held { .. } => "end the other noflake, then run the same command again",
            Self::Read { .. }
            | Self::Syntax { .. }
            | Self::Identity { .. }
            | Self::Other { .. }
            | Self::Encode(_) => {
                "mend the file, or its folder's rights, then run the same command again"
            }
        }
    }
}

/// How a device's key stands to what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquaintance {
    /// It has the key that it is known by.
    Known,
    /// Nobody has said which key it has.
    Unknown,
    /// It has another key than the one it is known by.
    Other(LinkKey),
}

/// The known devices of a folder, by serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownDevices {
    path: PathBuf,
    identities: BTreeMap<String, LinkKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Serial number and key.
    #[serde(default)]
    devices: BTreeMap<String, String>,
}

impl KnownDevices {
    /// Reads the file at `path`; one that is not there yet knows no device.
    ///
    /// # Errors
    /// When it is not readable or does not parse.
    pub fn read(path: &Path) -> Result<Self, KnownDevicesError> {
        let text = match input::read_text(path, MAX_FILE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => {
                read.map_err(|source| KnownDevicesError::Read { path: path.to_path_buf(), source })?
            }
        };
        let text: Text = toml::from_str(&text).map_err(|source| KnownDevicesError::Syntax {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        let mut identities = BTreeMap::new();
        for (serial, hex) in text.devices {
            let Some(identity) = parse_hex(&hex) else {
                let path = path.to_path_buf();
                return Err(KnownDevicesError::Identity { path, serial, got: hex });
            };
            identities.insert(serial, identity);
        }
        Ok(Self { path: path.to_path_buf(), identities })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How the device that calls itself `serial` and has this key stands to what is known.
    #[must_use]
    pub fn meet(&self, serial: &str, identity: &LinkKey) -> Acquaintance {
        match self.identities.get(serial) {
            None => Acquaintance::Unknown,
            Some(known) if known == identity => Acquaintance::Known,
            Some(known) => Acquaintance::Other(*known),
        }
    }

    /// The keys of all of them.
    pub fn keys(&self) -> impl Iterator<Item = LinkKey> {
        self.identities.values().copied()
    }

    /// Keeps the key of a device, in memory and in the file; what the file has got in the meantime stays, and no key is replaced.
    ///
    /// # Errors
    /// When the device is known by another key, or the file cannot be locked, read or written.
    pub fn keep(&mut self, serial: &str, identity: &LinkKey) -> Result<(), KnownDevicesError> {
        // Held until the new file has its name: of two commands side by side, each has to see what the other one kept.
        let _lock = lock(&self.path.with_extension("lock"))?;
        let mut newest = Self::read(&self.path)?;
        if let Acquaintance::Other(known) = newest.meet(serial, identity) {
            let (path, serial) = (self.path.clone(), serial.to_owned());
            return Err(KnownDevicesError::Other { path, serial, known });
        }
        newest.identities.insert(serial.to_owned(), *identity);
        let hex = |(serial, key): (&String, &LinkKey)| (serial.clone(), Hex(key).to_string());
        let text = Text { devices: newest.identities.iter().map(hex).collect() };
        let text = toml::to_string(&text).map_err(KnownDevicesError::Encode)?;
        let head = "# Devices by serial number, and the keys that they prove to have. Not secret; whoever writes it decides whom \
                    this host takes for its devices.\n";
        replace_file(&self.path, Secrecy::Public, true, |file| {
            file.write_all(head.as_bytes())?;
            file.write_all(text.as_bytes())
        })?;
        *self = newest;
        Ok(())
    }
}

/// Locks the file beside the known devices, whose own file is replaced and so is no place for a lock. It stays there: to remove
/// it would give the next two commands a lock each.
fn lock(path: &Path) -> Result<File, KnownDevicesError> {
    let failed = |source| KnownDevicesError::Lock { path: path.to_path_buf(), source };
    let mut options = OpenOptions::new();
    // To write, because some network file systems want that of who locks.
    let opened = options.read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(failed)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    Err(KnownDevicesError::Held { path: path.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_device_is_told_from_an_impostor_and_a_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known-devices.toml");
        let mut known = KnownDevices::read(&path).unwrap();
        assert_eq!(known.meet("SN-1", &[1; 32]), Acquaintance::Unknown);
        known.keep("SN-1", &[1; 32]).unwrap();
        // Another command, at the same time, has met another device.
        let mut other = KnownDevices::read(&path).unwrap();
        other.keep("SN \"2\"", &[2; 32]).unwrap();
        known.keep("SN-3", &[3; 32]).unwrap();
        let replaced = known.keep("SN-3", &[4; 32]);
        assert!(matches!(replaced, Err(KnownDevicesError::Other { known: [3, ..], .. })));
        let known = KnownDevices::read(&path).unwrap();
        assert_eq!(known.meet("SN-1", &[1; 32]), Acquaintance::Known);
        assert_eq!(known.meet("SN \"2\"", &[2; 32]), Acquaintance::Known);
        assert_eq!(known.meet("SN-3", &[1; 32]), Acquaintance::Other([3; 32]));
    }

    #[test]
    fn devices_that_are_kept_at_the_same_time_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known-devices.toml");
        thread::scope(|scope| {
            for number in 0..16 {
                let path = &path;
                scope.spawn(move || {
                    let mut known = KnownDevices::read(path).unwrap();
                    known.keep(&format!("SN-{number}"), &[number; 32]).unwrap();
                });
            }
        });
        assert_eq!(KnownDevices::read(&path).unwrap().keys().count(), 16);
    }

    #[test]
    fn a_key_that_is_none_is_refused_by_its_device() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known-devices.toml");
        std::fs::write(&path, "[devices]\nSN-1 = \"ab\"\n").unwrap();
        let error = KnownDevices::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("the identity of \"SN-1\" is \"ab\", expected 64 hex digits"),
            "{error}"
        );
    }
}
