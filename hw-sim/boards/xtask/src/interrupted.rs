//! Ctrl-C, and being told to end: boards lose their power, and what is temporary goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::emulator::Emulator;

/// Folders of boards that were given power.
static BOARDS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
/// What goes at the end.
static TEMPORARY: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Notes a board.
pub(crate) fn takes_power_of(folder: &Path) {
    note(&BOARDS, folder);
}

/// Notes a file or folder that is there only as long as the command runs.
pub(crate) fn takes_away(path: &Path) {
    note(&TEMPORARY, path);
}

fn note(list: &Mutex<Vec<PathBuf>>, path: &Path) {
    let mut list = list.lock().unwrap_or_else(PoisonError::into_inner);
    if !list.iter().any(|it| it == path) {
        list.push(path.to_owned());
    }
}

/// Waits for a signal in a thread of its own, and ends the command with 130 then.
pub(crate) fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        signals.forever().next();
        for folder in BOARDS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = Emulator::power_off(folder);
        }
        for path in TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        }
        exit(130)
    });
    Ok(())
}
