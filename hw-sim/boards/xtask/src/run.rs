//! A board to work with, until Ctrl-C.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::emulator::{self, Emulator};
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::output::say;
use crate::{interrupted, suite};

/// How often it is looked whether the board still has power.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A board without power for so long, whose power nobody has taken, has ended.
const GONE_AFTER: Duration = Duration::from_secs(2);

/// Starts a board whose port is at `serial`, and waits. Its power may be taken and given back meanwhile.
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
    make_way(serial)?;
    // By the board's own link, which goes with its power and comes again with the next port.
    symlink(board.path("port"), serial).map_err(Error::file(serial))?;
    say!("the board is at serial:{}, Ctrl-C ends it", serial.display());
    say!("its flash is in {}", board.path("").display());
    if let Ok([off, on]) = suite::power_commands(&board) {
        say!("its power: --power-off \"{off}\" --power-on \"{on}\"");
    }
    say!("next: noflake device identify -d serial:{}", serial.display());
    let mut seen_on = Instant::now();
    while seen_on.elapsed() < GONE_AFTER {
        if board.was_taken_off() || board.is_on() {
            seen_on = Instant::now();
        }
        thread::sleep(LOOK_EVERY);
    }
    take_left_link(serial);
    let said = board.last_words();
    let why = if said.is_empty() { "somebody has killed it".to_owned() } else { said };
    let kept =
        if state.is_some() { "; the same command starts it again, with its flash" } else { "" };
    Err(Error::Board(format!("the emulator has ended: {why}{kept}")))
}

/// Takes away a link to the port of a board that has ended. Anything else is somebody's.
fn take_left_link(serial: &Path) {
    let leads_to = fs::read_link(serial).ok();
    if leads_to.is_some_and(|it| it.ends_with("port")) && !serial.exists() {
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
