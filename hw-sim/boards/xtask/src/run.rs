//! A board to work with, until Ctrl-C.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::emulator::{self, Emulator};
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::interrupted;
use crate::output::say;

/// How often it is looked whether the board still has power.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Starts a board whose port is at `serial`, and waits.
pub(crate) fn run(serial: &Path, state: Option<&Path>) -> Result<bool, Error> {
    make_way(serial)?;
    // Noted before the board is, so that it is looked at behind the board's end.
    interrupted::at_end(serial, take_left_link);
    emulator::is_there()?;
    let firmware = Firmware::build(Plant::Nothing)?;
    let temporary = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    interrupted::takes_away(temporary.path());
    let board = Emulator::open(state.unwrap_or_else(|| temporary.path()), &firmware)?;
    board.start()?;
    let port = board.path("port");
    let port = fs::canonicalize(&port).map_err(Error::file(&port))?;
    make_way(serial)?;
    symlink(&port, serial).map_err(Error::file(serial))?;
    say!("the board is at serial:{}, Ctrl-C ends it", serial.display());
    say!("next: noflake device identify -d serial:{}", serial.display());
    while board.is_on() {
        thread::sleep(LOOK_EVERY);
    }
    take_left_link(serial);
    let said = fs::read_to_string(board.path("qemu.log")).unwrap_or_default();
    Err(Error::Board(format!("it has ended by itself: {}", said.trim())))
}

/// Takes away a link to the port of a board that has ended. Anything else is somebody's.
fn take_left_link(serial: &Path) {
    let leads_to = fs::read_link(serial).ok();
    if leads_to.is_some_and(|it| it.starts_with("/dev/pts")) && !serial.exists() {
        let _ = fs::remove_file(serial);
    }
}

fn make_way(serial: &Path) -> Result<(), Error> {
    take_left_link(serial);
    if serial.is_symlink() || serial.exists() {
        return Err(Error::Exists(serial.to_owned()));
    }
    let folder = serial.parent().filter(|it| !it.as_os_str().is_empty());
    fs::metadata(folder.unwrap_or(Path::new("."))).map(drop).map_err(Error::file(serial))
}
