//! A board to work with, until Ctrl-C.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use crate::emulator::Emulator;
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::interrupted;

/// Starts a board whose port is at `serial`, and waits.
pub(crate) fn run(serial: &Path, state: Option<&Path>) -> Result<bool, Error> {
    // A link that a board before this one has left leads nowhere any more; anything else is somebody's.
    if serial.is_symlink() && !serial.exists() {
        fs::remove_file(serial).map_err(Error::file(serial))?;
    }
    if serial.exists() {
        return Err(Error::Exists(serial.to_owned()));
    }
    let firmware = Firmware::build(Plant::Nothing)?;
    let temporary = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    interrupted::takes_away(temporary.path());
    let board = Emulator::open(state.unwrap_or_else(|| temporary.path()), &firmware)?;
    board.start()?;
    let port = board.path("port");
    let port = fs::canonicalize(&port).map_err(Error::file(&port))?;
    symlink(&port, serial).map_err(Error::file(serial))?;
    interrupted::takes_away(serial);
    println!("the board is at serial:{}, Ctrl-C ends it", serial.display());
    println!("next: noflake device identify -d serial:{}", serial.display());
    loop {
        thread::park();
    }
}
