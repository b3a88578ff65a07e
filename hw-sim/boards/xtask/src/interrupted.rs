//! Ctrl-C, being told to end, and a terminal that closes: boards lose their power, and what is temporary goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::exit;
use std::ptr::fn_addr_eq;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// A signal has come, and the command is about to end.
static HAS_COME: AtomicBool = AtomicBool::new(false);

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

/// Where the command is about to end, nothing that comes of it is a result: waits for the end.
pub(crate) fn hold_if_ending() {
    while HAS_COME.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// A signal to this process alone does not reach the builds and the hosts that it waits for.
fn end_children() {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for children in tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()) {
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            // One that has just ended by itself is as good.
            let _ = Pid::from_raw(child).map(|child| kill_process(child, Signal::TERM));
        }
    }
}

/// Waits for a signal in a thread of its own, and ends the command with 130 then.
pub(crate) fn watch() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT])?;
    thread::spawn(move || {
        signals.forever().next();
        HAS_COME.store(true, Ordering::SeqCst);
        end_children();
        for (path, deed) in AT_END.lock().unwrap_or_else(PoisonError::into_inner).iter().rev() {
            deed(path);
        }
        exit(130)
    });
    Ok(())
}
