//! The question for a passphrase, at a terminal of its own.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use integration::cli::{noflake_binary, wait_for};
use integration::site::Site;
use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// A terminal: what a person types, and what they see.
struct Terminal {
    keys: File,
    seen: Arc<Mutex<String>>,
    side: OwnedFd,
}

impl Terminal {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let side = open(name.as_c_str(), flags, Mode::empty()).unwrap();
        let (keys, seen) = (File::from(master), Arc::new(Mutex::new(String::new())));
        let (mut screen, said) = (keys.try_clone().unwrap(), Arc::clone(&seen));
        thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(count) = screen.read(&mut bytes) {
                said.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { keys, seen, side }
    }

    /// Starts `noflake` on this terminal, as a shell in it would.
    fn start(&self, site: &Site, arguments: &[&str]) -> Child {
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(noflake_binary()).args(arguments).current_dir(site.folder());
        for set in [Command::stdin, Command::stdout, Command::stderr] {
            set(&mut command, Stdio::from(self.side.try_clone().unwrap()));
        }
        command.spawn().unwrap()
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn sees(&self, text: &str) {
        wait_for(text, || self.seen.lock().unwrap().contains(text).then_some(()));
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.side).unwrap().local_modes
    }
}

/// A block of commands that is pasted: its later lines wait in the terminal when the first one asks.
#[test]
fn lines_that_were_typed_ahead_are_no_passphrase() {
    let (site, mut terminal) = (Site::new(), Terminal::new());
    let before = terminal.modes();
    terminal.types("cd yard\nnoflake bundle create\n");
    terminal.sees("bundle create");
    let mut child = terminal.start(&site, &["key", "generate", "--role", "host", "laptop"]);
    terminal.sees("laptop.key (new): ");
    terminal.types("tide pool\n");
    terminal.sees("The same passphrase again: ");
    terminal.types("tide pool\n");
    assert!(child.wait().unwrap().success(), "{}", terminal.seen.lock().unwrap());
    terminal.sees("role        host");
    assert!(!terminal.seen.lock().unwrap().contains("tide"), "what is secret is not shown");
    assert_eq!(terminal.modes(), before);
}

#[test]
fn two_that_differ_are_told_with_what_to_do() {
    let (site, mut terminal) = (Site::new(), Terminal::new());
    let mut child = terminal.start(&site, &["key", "generate", "--role", "host", "laptop"]);
    terminal.sees("laptop.key (new): ");
    terminal.types("tide pool\n");
    terminal.sees("again: ");
    terminal.types("tide pond\n");
    assert_eq!(child.wait().unwrap().code(), Some(2));
    terminal.sees("next: run the same command again");
    assert!(!site.path("laptop.key").exists());
}

#[test]
fn ctrl_c_at_the_question_ends_the_command_and_leaves_the_terminal_as_it_was() {
    let (site, mut terminal) = (Site::new(), Terminal::new());
    let before = terminal.modes();
    let mut child = terminal.start(&site, &["key", "generate", "--role", "host", "laptop"]);
    terminal.sees("laptop.key (new): ");
    assert!(!terminal.modes().contains(LocalModes::ECHO), "nothing is shown once the question is");
    terminal.types("tide\u{3}");
    let ended = child.wait().unwrap();
    // Where whoever runs this ignores the signal, as a shell has its background jobs do, the command ends by itself.
    let by_signal = ended.signal() == Some(Signal::INT.as_raw());
    assert!(by_signal || ended.code() == Some(130), "{ended}");
    assert_eq!(terminal.modes(), before);
    assert!(before.contains(LocalModes::ECHO | LocalModes::ISIG));
}
