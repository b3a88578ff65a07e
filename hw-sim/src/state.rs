//! The state folder: what outlives a simulated device's process (SIMULATOR.md, "State folder").

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use firmware_protocol::layout::Layout;
use firmware_protocol::sealed::LinkSecret;
use thiserror::Error;

use crate::factory::{FactoryBundle, FactoryError, provision};
use crate::files;
use crate::flash::{FlashSpec, SimFlash};
use crate::layout;
use crate::scenario::Scenario;
use crate::stats::Stats;

const MAGIC: [u8; 8] = *b"NFSIMCT1";
/// Far above what a simulator writes.
const MAX_STATS_BYTES: usize = 1 << 20;

/// A state folder that this process holds alone.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    counters: File,
    /// Held for as long as the folder is in use; the system lets go of it when the process dies.
    _lock: File,
}

/// Why a state folder cannot be used.
#[derive(Debug, Error)]
pub enum StateError {
    /// A file in it cannot be made, read or written.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Another process holds it.
    #[error(
        "state folder {path} is in use by another simulator: stop that one, or name another folder"
    )]
    InUse {
        /// The folder.
        path: String,
    },
    /// It was made for a device of another shape.
    #[error(
        "{path} has {got} bytes, the scenario's flash {expected}: use the scenario that the state was \
         made with, or another folder"
    )]
    Shape {
        /// The flash file.
        path: String,
        /// Length by the scenario.
        expected: u64,
        /// Length found.
        got: u64,
    },
    /// The statistics cannot be read.
    #[error("{path} is not what a simulator writes: remove it to count from zero")]
    Stats {
        /// The file.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A new device cannot be made.
    #[error("failed to make a new device")]
    Factory(#[from] FactoryError),
}

/// The parts of a device that a state folder holds.
pub(crate) struct Opened {
    pub(crate) dir: StateDir,
    pub(crate) flash: SimFlash,
    pub(crate) stats: Stats,
}

impl StateDir {
    /// Opens the folder at `path`; makes it, with a new device in it, when there is none. An existing
    /// device's flash is taken as it is, whatever bundle or root record is given.
    pub(crate) fn open(
        path: &Path,
        scenario: &Scenario,
        (spec, layout): (FlashSpec, &Layout),
        bundle: Option<&FactoryBundle>,
        root: Option<&[u8]>,
    ) -> Result<Opened, StateError> {
        fs::create_dir_all(path).map_err(|source| failed(path, source))?;
        let lock = lock(path)?;
        let text = layout::to_toml(layout, &spec);
        let flash_path = path.join("flash.bin");
        let flash = if flash_path.exists() {
            existing_flash(spec, &flash_path)?
        } else {
            // Under another name until it is whole: a killed factory leaves no half device.
            let unfinished = path.join("flash.bin.new");
            let made = SimFlash::create(spec, &unfinished);
            let mut flash = made.map_err(|source| failed(&unfinished, source))?;
            provision(scenario, layout, &mut flash, bundle, root)?;
            fs::rename(&unfinished, &flash_path).map_err(|source| failed(&flash_path, source))?;
            flash
        };
        write_whole(&path.join("layout.toml"), text.as_bytes())?;
        let stats = read_stats(path)?;
        let counters_path = path.join("counters.bin");
        let opened = files::open_or_make_own(&counters_path);
        let counters = opened.map_err(|source| failed(&counters_path, source))?;
        let dir = Self { path: path.to_owned(), counters, _lock: lock };
        Ok(Opened { dir, flash, stats })
    }

    /// The board's own key; `made` becomes it where there is none yet.
    pub(crate) fn identity(&self, made: &LinkSecret) -> Result<LinkSecret, StateError> {
        let path = self.path.join("identity.key");
        match files::read(&path, MAX_STATS_BYTES) {
            Ok(bytes) => {
                let reason = || io::Error::other("it has not the 32 bytes of a key");
                let bytes = bytes.try_into().map_err(|_| failed(&path, reason()))?;
                Ok(LinkSecret::new(bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(&path, made.bytes())?;
                Ok(made.clone())
            }
            Err(source) => Err(failed(&path, source)),
        }
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the counters that have to survive a kill: one small write, cheap enough for every
    /// piece of input.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_counters(&self, stats: &Stats) -> Result<(), StateError> {
        let path = self.path.join("counters.bin");
        write_front(&self.counters, &counter_bytes(stats)).map_err(|source| failed(&path, source))
    }

    /// Writes everything that was counted.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_stats(&self, stats: &Stats) -> Result<(), StateError> {
        let path = self.path.join("stats.json");
        let text = serde_json::to_string_pretty(stats)
            .map_err(|source| StateError::Stats { path: path.display().to_string(), source })?;
        write_whole(&path, text.as_bytes())?;
        self.write_counters(stats)
    }
}

fn failed(path: &Path, source: io::Error) -> StateError {
    StateError::File { path: path.display().to_string(), source }
}

fn lock(path: &Path) -> Result<File, StateError> {
    let lock_path = path.join("lock");
    let file = files::open_or_make_own(&lock_path).map_err(|source| failed(&lock_path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(StateError::InUse { path: path.display().to_string() })
        }
        Err(TryLockError::Error(source)) => Err(failed(&lock_path, source)),
    }
}

fn existing_flash(spec: FlashSpec, path: &Path) -> Result<SimFlash, StateError> {
    let expected = u64::from(spec.size_bytes());
    let (flash, got) = SimFlash::open(spec, path).map_err(|source| failed(path, source))?;
    if got == expected {
        Ok(flash)
    } else {
        Err(StateError::Shape { path: path.display().to_string(), expected, got })
    }
}

/// Replaces a file at once: a reader sees the old text or the new.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let unfinished = path.with_extension("new");
    let written = files::make_own(&unfinished).and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| failed(&unfinished, source))?;
    fs::rename(&unfinished, path).map_err(|source| failed(path, source))
}

/// What was counted before: the last whole statistics, with the counters that were written since.
fn read_stats(path: &Path) -> Result<Stats, StateError> {
    let stats_path = path.join("stats.json");
    let mut stats = match files::read(&stats_path, MAX_STATS_BYTES) {
        Ok(text) => serde_json::from_slice(&text).map_err(|source| StateError::Stats {
            path: stats_path.display().to_string(),
            source,
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Stats::default(),
        Err(source) => return Err(failed(&stats_path, source)),
    };
    if let Ok(bytes) = files::read(&path.join("counters.bin"), MAX_STATS_BYTES)
        && let Some((magic, counters)) = bytes.split_first_chunk::<8>()
        && *magic == MAGIC
    {
        let (words, _) = counters.as_chunks::<8>();
        for (field, word) in fields(&mut stats).into_iter().zip(words) {
            *field = u64::from_le_bytes(*word);
        }
    }
    Ok(stats)
}

/// The counters of counters.bin, in the order in which they stand there.
fn fields(stats: &mut Stats) -> [&mut u64; 11] {
    let [serial, tcp] = &mut stats.links;
    [
        &mut stats.slot_boots.a,
        &mut stats.slot_boots.b,
        &mut stats.recovery_boots,
        &mut serial.bytes_in,
        &mut serial.frames_in,
        &mut serial.chunk_frames_in,
        &mut serial.chunk_bytes_in,
        &mut tcp.bytes_in,
        &mut tcp.frames_in,
        &mut tcp.chunk_frames_in,
        &mut tcp.chunk_bytes_in,
    ]
}

fn counter_bytes(stats: &Stats) -> Vec<u8> {
    let mut stats = stats.clone();
    let mut bytes = MAGIC.to_vec();
    for field in fields(&mut stats) {
        bytes.extend(field.to_le_bytes());
    }
    bytes
}

#[cfg(unix)]
fn write_front(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(not(unix))]
fn write_front(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::lay_out;

    fn open(path: &Path, scenario: &Scenario) -> Result<Opened, StateError> {
        let (spec, layout) = lay_out(scenario).unwrap();
        StateDir::open(path, scenario, (spec, &layout), None, None)
    }

    #[test]
    fn flash_and_counters_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = open(folder.path(), &Scenario::default()).unwrap();
        opened.flash.flip(5, 0).unwrap();
        opened.stats.slot_boots.a = 3;
        opened.dir.write_stats(&opened.stats).unwrap();
        // What is written last survives without the statistics, as after a kill.
        opened.stats.links[1].chunk_bytes_in = 4096;
        opened.dir.write_counters(&opened.stats).unwrap();
        let before = fs::read(folder.path().join("flash.bin")).unwrap();
        drop(opened);
        let opened = open(folder.path(), &Scenario::default()).unwrap();
        assert_eq!(opened.stats.slot_boots.a, 3);
        assert_eq!(opened.stats.links[1].chunk_bytes_in, 4096);
        assert_eq!(fs::read(folder.path().join("flash.bin")).unwrap(), before);
    }

    #[test]
    fn two_simulators_never_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(folder.path(), &Scenario::default()).unwrap();
        let second = open(folder.path(), &Scenario::default());
        assert!(matches!(second, Err(StateError::InUse { .. })));
    }

    #[test]
    fn a_state_of_another_shape_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path(), &Scenario::default()).unwrap());
        let text = "schema = \"hwsim/1\"\n[device]\nareas = [{ name = \"app\", bytes = 4096 }]\n";
        let small = Scenario::parse(text, "small.toml").unwrap();
        let result = open(folder.path(), &small);
        assert!(matches!(result, Err(StateError::Shape { .. })));
        assert!(open(folder.path(), &Scenario::default()).is_ok());
    }
}
