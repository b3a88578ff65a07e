//! A board to work with, until Ctrl-C.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::emulator::Emulator;
use crate::error::Error;
use crate::firmware::{Firmware, Plant};

/// Starts a board whose port is at `serial`, and waits.
pub(crate) fn run(serial: &Path, state: Option<&Path>) -> Result<bool, Error> {
    let firmware = Firmware::build(Plant::Nothing)?;
    let temporary = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    let folder = state.unwrap_or_else(|| temporary.path());
    let board = Emulator::create(folder, &firmware)?;
    board.start()?;
    let port = fs::canonicalize(board.path("port")).map_err(Error::file(serial))?;
    // Only a link that was one: nobody's file is taken away.
    if serial.is_symlink() {
        fs::remove_file(serial).map_err(Error::file(serial))?;
    }
    symlink(&port, serial).map_err(Error::file(serial))?;
    println!("the board is at serial:{}?baud=921600, Ctrl-C ends it", serial.display());
    println!("next: noflake device identify -d serial:{}?baud=921600", serial.display());
    wait_for_signal()?;
    drop(board);
    let _ = fs::remove_file(serial);
    Ok(true)
}

fn wait_for_signal() -> Result<(), Error> {
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])
    .map_err(|error| Error::Board(error.to_string()))?;
    signals.forever().next();
    Ok(())
}
