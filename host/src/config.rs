//! `noflake.toml`: what a folder's commands have in common. Flags win over it.
//!
//! It says which root record vouches for bundles and which program signs, so one that is found, and not named, counts only
//! when nobody else can have written it (TRUST.md, "Whose noflake.toml").

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

use crate::{input, platform};

/// Name of the configuration file.
pub const FILE_NAME: &str = "noflake.toml";

/// A folder's configuration; paths in it are relative to the file, here already joined.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Devices to work with where a command names none.
    pub devices: Vec<String>,
    /// Folder for the evidence of runs.
    pub runs: Option<PathBuf>,
    /// Keys and root record.
    pub trust: TrustPaths,
}

/// Where keys and root record are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustPaths {
    /// The root record.
    pub root: Option<PathBuf>,
    /// The release key.
    pub release_key: Option<PathBuf>,
    /// This host's key for sealed links.
    pub host_key: Option<PathBuf>,
    /// Key that signs the evidence of runs.
    pub bench_key: Option<PathBuf>,
}

/// Why the configuration cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The system refused.
    #[error("failed to read configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It says something else than a configuration.
    #[error("configuration {} cannot be used", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// It was found, and is somebody else's.
    #[error(
        "configuration {} is not used unless it is named: {} belongs to user {owner}, expected you or root",
        path.display(), place.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The file or its folder.
        place: PathBuf,
        /// The owner's number.
        owner: u32,
    },
    /// It was found, and somebody else can have written it.
    #[error(
        "configuration {} is not used unless it is named: {} can be changed by others, its mode is {mode:04o}, expected no \
         write for others",
        path.display(), place.display()
    )]
    Shared {
        /// The file.
        path: PathBuf,
        /// The file or its folder.
        place: PathBuf,
        /// The mode of that.
        mode: u32,
    },
}

impl Config {
    /// Reads `named`, or the nearest `noflake.toml` from the working folder upwards, or nothing.
    ///
    /// # Errors
    /// When the file cannot be read or is not a configuration, or was found and others can have written it.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        if let Some(named) = named {
            return Self::read(named);
        }
        let Some(path) = find() else { return Ok(Self::default()) };
        refuse_foreign(&path)?;
        Self::read(&path)
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = input::read_text(path, MAX_CONFIG_BYTES)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Syntax {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        Ok(config.in_folder(path.parent().unwrap_or(Path::new(""))))
    }

    fn in_folder(self, folder: &Path) -> Self {
        let join = |path: Option<PathBuf>| path.map(|path| folder.join(path));
        Self {
            devices: self.devices,
            runs: join(self.runs),
            trust: TrustPaths {
                root: join(self.trust.root),
                release_key: join(self.trust.release_key),
                host_key: join(self.trust.host_key),
                bench_key: join(self.trust.bench_key),
            },
        }
    }
}

fn find() -> Option<PathBuf> {
    let working = env::current_dir().ok()?;
    let path = working.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file());
    // Below the working folder a relative path reads better in every message.
    path.map(|path| path.strip_prefix(&working).map(Path::to_path_buf).unwrap_or(path))
}

/// Refuses a file that was found if it, or the folder in which it could be replaced, is in others' hands.
fn refuse_foreign(path: &Path) -> Result<(), ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_path_buf(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // A link counts as well as what it leads to: paths in the file are relative to where the link is.
    let link = fs::symlink_metadata(path).map_err(failed)?;
    let file = fs::metadata(path).map_err(failed)?;
    let around = fs::metadata(folder).map_err(failed)?;
    for (place, metadata) in [(path, &link), (path, &file), (folder, &around)] {
        if let Some(owner) = platform::foreign_owner(metadata) {
            let (path, place) = (path.to_path_buf(), place.to_path_buf());
            return Err(ConfigError::Foreign { path, place, owner });
        }
    }
    for (place, metadata) in [(path, &file), (folder, &around)] {
        if let Some(mode) = platform::shared_mode(metadata) {
            let (path, place) = (path.to_path_buf(), place.to_path_buf());
            return Err(ConfigError::Shared { path, place, mode });
        }
    }
    Ok(())
}

const MAX_CONFIG_BYTES: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "runs = \"/r\"\n[trust]\nroot = \"trust/root.nfr\"\n").unwrap();
        let config = Config::load(Some(&path)).unwrap();
        assert_eq!(config.runs, Some(PathBuf::from("/r")));
        assert_eq!(config.trust.root, Some(folder.path().join("trust/root.nfr")));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "[trust]\nroots = \"x\"\n").unwrap();
        assert!(matches!(Config::load(Some(&path)), Err(ConfigError::Syntax { .. })));
    }
}
