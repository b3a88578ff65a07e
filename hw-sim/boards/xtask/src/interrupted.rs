//! Ctrl-C, being told to end, and a terminal that closes: boards lose their power, and what is temporary goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::ptr::fn_addr_eq;
use std::sync::{Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What is done at the end, the newest first: a board loses its power before its folder goes.
static AT_END: Mutex<Vec<(PathBuf, Deed)>> = Mutex::new(Vec::new());

type Deed = fn(&Path);

/// Notes what is to be done with `path` if the command is ended.
pub(crate) fn at_end(path: &Path, deed: Deed) {
    let mut deeds = AT_END.lock().unwrap_or_else(PoisonError::into_inner);
    let is_it = |(noted, of): &(PathBuf, Deed)| noted == path && fn_addr_eq(*of, deed);
    if !deeds.iter().any(is_it) {
        deeds.push((path.to_owned(), deed));
    }
}

/// Notes a file or folder that is there only as long as the command runs.
pub(crate) fn takes_away(path: &Path) {
    at_end(path, |path| {
        let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    });
}

/// Waits for a signal in a thread of its own, and ends the command with 130 then.
pub(crate) fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    thread::spawn(move || {
        signals.forever().next();
        for (path, deed) in AT_END.lock().unwrap_or_else(PoisonError::into_inner).iter().rev() {
            deed(path);
        }
        exit(130)
    });
    Ok(())
}
