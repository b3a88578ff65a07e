//! A board in QEMU: a folder with its flash, its key and its port, and a process that can be killed like power.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, geteuid, kill_process, waitpid};

use crate::error::Error;
use crate::firmware::Firmware;
use crate::interrupted;
use crate::{map, program};

/// File with the number of the emulator's process.
const PID: &str = "qemu.pid";
const QEMU: &str = "qemu-system-arm";
/// In which QEMU names its port.
const START_MAX: Duration = Duration::from_secs(20);

/// A board.
#[derive(Debug)]
pub(crate) struct Emulator {
    folder: PathBuf,
}

impl Emulator {
    /// The board in `folder`: with the flash and the key that are there, or new and blank. It has no power.
    pub(crate) fn open(folder: &Path, firmware: &Firmware) -> Result<Self, Error> {
        let folder = own_folder(folder)?;
        is_readable(&folder)?;
        if let Some(pid) = running(&folder) {
            let words = format!(
                "{} is in use by process {}: end that one first",
                folder.display(),
                pid.as_raw_nonzero()
            );
            return Err(Error::Board(words));
        }
        let flash = folder.join("flash.bin");
        let length = fs::metadata(&flash).map_or(0, |it| it.len());
        if length == 0 {
            // Whole or not at all: half a part would be taken for somebody's.
            let new = folder.join("flash.bin.new");
            fs::write(&new, vec![0xff; map::FLASH_BYTES as usize])
                .and_then(|()| fs::rename(&new, &flash))
                .map_err(Error::file(&flash))?;
        } else if length != u64::from(map::FLASH_BYTES) {
            let (path, meant) = (flash.display(), map::FLASH_BYTES);
            let words = format!(
                "{path} has {length} bytes, and a part has {meant}: take it away for a new one"
            );
            return Err(Error::Board(words));
        }
        for (name, from) in
            [("boot_stage", &firmware.boot_stage), ("recovery.bin", &firmware.recovery)]
        {
            let to = folder.join(name);
            fs::copy(from, &to).map_err(Error::file(&to))?;
        }
        // A board whose flash cannot be written poses as a blank one.
        File::options().write(true).open(&flash).map_err(Error::file(&flash))?;
        Ok(Self { folder })
    }

    /// A copy of the board, without its power.
    pub(crate) fn copy_to(&self, folder: &Path) -> Result<Self, Error> {
        let folder = &own_folder(folder)?;
        for name in ["flash.bin", "identity.bin", "boot_stage", "recovery.bin"] {
            let from = self.path(name);
            // A board that was never asked for its key has none yet.
            if from.exists() {
                fs::copy(&from, folder.join(name)).map_err(Error::file(&from))?;
            }
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// A file of the board.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its port's address for `noflake`.
    pub(crate) fn address(&self) -> String {
        format!("serial:{}?baud=921600", self.path("port").display())
    }

    /// Gives it power.
    pub(crate) fn start(&self) -> Result<(), Error> {
        Self::power_on(&self.folder)
    }

    /// Whether it has power.
    pub(crate) fn is_on(&self) -> bool {
        running(&self.folder).is_some()
    }

    /// Whether its power was taken by a command, and not by an end of its own.
    pub(crate) fn was_taken_off(&self) -> bool {
        !self.folder.join(PID).exists()
    }

    /// What the emulator has said, but for where its port is.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read_to_string(self.path("qemu.log")).unwrap_or_default();
        let words: Vec<_> = said.lines().filter(|line| !line.contains("redirected to")).collect();
        words.join(" ")
    }

    /// Takes its power.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        Self::power_off(&self.folder)
    }

    /// Gives the board in `folder` power, and waits until its port is there. One with power is as good.
    pub(crate) fn power_on(folder: &Path) -> Result<(), Error> {
        let folder = &fs::canonicalize(folder).map_err(Error::file(folder))?;
        if running(folder).is_some() {
            return Ok(());
        }
        let log = folder.join("qemu.log");
        let mut child = spawn(folder, &log, &[])?;
        let port = wait_for_port(&log, &mut child)?;
        let link = folder.join("port");
        // The one of the process before.
        let _ = fs::remove_file(&link);
        symlink(&port, &link).map_err(Error::file(&link))
    }

    /// Takes the power of the board in `folder`: its processor does nothing more from then on. One without power is as good.
    pub(crate) fn power_off(folder: &Path) -> Result<(), Error> {
        let folder = &fs::canonicalize(folder).map_err(Error::file(folder))?;
        is_readable(folder)?;
        // First the link: the number of a port that has ended is the next board's at once, and a host that is still about would
        // speak to that one. What is gone already is as good.
        let _ = fs::remove_file(folder.join("port"));
        if let Some(pid) = running(folder) {
            let _ = kill_process(pid, Signal::KILL);
            // Only whoever has started it can, and has to: for anybody else this is an error.
            let _ = waitpid(Some(pid), WaitOptions::empty());
            while running(folder).is_some() {
                sleep(Duration::from_millis(1));
            }
        }
        let _ = fs::remove_file(folder.join(PID));
        Ok(())
    }

    /// Starts it so that its time is the number of its instructions, and waits until the file `name` has its length.
    pub(crate) fn measure(&self, name: &str, length: usize) -> Result<Vec<u8>, Error> {
        let log = self.path("qemu.log");
        let mut child = spawn(&self.folder, &log, &["-icount", "shift=0"])?;
        let until = Instant::now() + START_MAX;
        let bytes = loop {
            let bytes = fs::read(self.path(name)).unwrap_or_default();
            if bytes.len() == length {
                break Ok(bytes);
            }
            let has_ended = child.try_wait().is_ok_and(|ended| ended.is_some());
            if has_ended || Instant::now() > until {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let how = if has_ended { "ended" } else { "run for 20 s" };
                let words = format!("it has {how} and measured nothing: {}", said.trim());
                break Err(Error::Board(words));
            }
            sleep(Duration::from_millis(20));
        };
        Self::power_off(&self.folder)?;
        let _ = child.wait();
        bytes
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The folder of a board, made if need be: it holds the board's key, and whatever is in it is written to.
fn own_folder(folder: &Path) -> Result<PathBuf, Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(Error::file(folder))?;
    let folder = fs::canonicalize(folder).map_err(Error::file(folder))?;
    let metadata = fs::metadata(&folder).map_err(Error::file(&folder))?;
    if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(Error::Foreign(folder));
    }
    Ok(folder)
}

fn spawn(folder: &Path, log: &Path, more: &[&str]) -> Result<Child, Error> {
    let out = File::create(log).map_err(Error::file(log))?;
    let err = out.try_clone().map_err(Error::file(log))?;
    let mut command = Command::new(QEMU);
    command
        .current_dir(folder)
        .args(["-machine", "mps2-an385", "-display", "none", "-monitor", "none"])
        .args(["-kernel", "boot_stage"])
        .arg("-device")
        .arg(format!("loader,file=recovery.bin,addr={:#x},force-raw=on", map::RECOVERY))
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(["-serial", "pty"])
        // By semihosting a program reads and writes files, and could start others.
        .args(["-sandbox", "on,spawn=deny,elevateprivileges=deny"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        // Ctrl-C is for whoever started the board, who takes its power (`interrupted.rs`).
        .process_group(0);
    interrupted::at_end(folder, |folder| {
        let _ = Emulator::power_off(folder);
    });
    let mut child = command.spawn().map_err(Error::start(&command))?;
    let pid = folder.join(PID);
    if let Err(error) = fs::write(&pid, child.id().to_string()) {
        // Nobody could take its power later.
        let _ = child.kill();
        let _ = child.wait();
        return Err(Error::file(&pid)(error));
    }
    Ok(child)
}

/// Whether there is an emulator at all: asked before anything is built.
pub(crate) fn is_there() -> Result<(), Error> {
    program::run(Command::new(QEMU).arg("--version")).map(drop)
}

/// QEMU says where its port is, in words.
fn wait_for_port(log: &Path, child: &mut Child) -> Result<PathBuf, Error> {
    let until = Instant::now() + START_MAX;
    loop {
        let said = fs::read_to_string(log).unwrap_or_default();
        let port = said.split("redirected to ").nth(1).and_then(|rest| rest.split_once(' '));
        if let Some((port, _)) = port {
            return Ok(PathBuf::from(port));
        }
        if child.try_wait().is_ok_and(|ended| ended.is_some()) || Instant::now() > until {
            return Err(Error::Board(format!("{QEMU} gives no port: {}", said.trim_end())));
        }
        sleep(Duration::from_millis(5));
    }
}

/// Whether it can be told if an emulator runs in `folder`: one that nobody knows of has its flash open.
fn is_readable(folder: &Path) -> Result<(), Error> {
    let path = folder.join(PID);
    let pid = fs::read_to_string(&path).unwrap_or_default();
    if pid.chars().all(|it| it.is_ascii_digit()) { Ok(()) } else { Err(Error::Pid(path)) }
}

/// The emulator that runs in `folder`, if one does: a number that is left of a process long gone may be anybody's by now.
fn running(folder: &Path) -> Option<Pid> {
    let text = fs::read_to_string(folder.join(PID)).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    let is_here = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder);
    let is_qemu = fs::read_link(process.join("exe")).is_ok_and(|exe| {
        exe.file_name().is_some_and(|name| name.to_string_lossy().starts_with("qemu"))
    });
    (is_here && is_qemu).then_some(pid)
}
