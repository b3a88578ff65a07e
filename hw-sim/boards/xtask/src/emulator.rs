//! A board in QEMU: a folder with its flash, its key and its port, and a process that can be killed like power.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::error::Error;
use crate::firmware::Firmware;

/// As `mps2-an385/src/flash.rs` has it.
const FLASH_BYTES: usize = 0x0014_0000;
const QEMU: &str = "qemu-system-arm";
/// In which QEMU names its port.
const START_MAX: Duration = Duration::from_secs(20);

/// A board.
#[derive(Debug)]
pub(crate) struct Emulator {
    folder: PathBuf,
}

impl Emulator {
    /// A new board in `folder`: blank flash, no key, no power.
    pub(crate) fn create(folder: &Path, firmware: &Firmware) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(Error::file(&path))
        };
        if !folder.join("flash.bin").exists() {
            write("flash.bin", &vec![0xff; FLASH_BYTES])?;
        }
        for (name, from) in
            [("boot_stage", &firmware.boot_stage), ("recovery.bin", &firmware.recovery)]
        {
            fs::copy(from, folder.join(name)).map_err(Error::file(from))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// A copy of the board, without its power.
    pub(crate) fn copy_to(&self, folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
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

    /// Takes its power.
    pub(crate) fn stop(&self) -> Result<(), Error> {
        Self::power_off(&self.folder)
    }

    /// Gives the board in `folder` power, and waits until its port is there.
    pub(crate) fn power_on(folder: &Path) -> Result<(), Error> {
        let folder = &fs::canonicalize(folder).map_err(Error::file(folder))?;
        let log = folder.join("qemu.log");
        let mut child = spawn(folder, &log, &[])?;
        let pid = folder.join("qemu.pid");
        fs::write(&pid, child.id().to_string()).map_err(Error::file(&pid))?;
        let port = wait_for_port(&log, &mut child)?;
        let link = folder.join("port");
        // The one of the process before.
        let _ = fs::remove_file(&link);
        symlink(&port, &link).map_err(Error::file(&link))
    }

    /// Takes the power of the board in `folder`: in no way can its processor do anything more.
    pub(crate) fn power_off(folder: &Path) -> Result<(), Error> {
        let path = folder.join("qemu.pid");
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else {
            return Err(Error::Board(format!("{text:?} in {} is no process", path.display())));
        };
        // Gone already is as good.
        let _ = kill_process(pid, Signal::KILL);
        while test_kill_process(pid).is_ok() && !is_zombie(pid) {
            sleep(Duration::from_millis(1));
        }
        let _ = fs::remove_file(folder.join("port"));
        Ok(())
    }

    /// Starts it so that its time is the number of its instructions, and waits until the file `name` has its length.
    pub(crate) fn measure(&self, name: &str, length: usize) -> Result<Vec<u8>, Error> {
        let mut child = spawn(&self.folder, &self.path("qemu.log"), &["-icount", "shift=0"])?;
        let until = Instant::now() + START_MAX;
        let bytes = loop {
            let bytes = fs::read(self.path(name)).unwrap_or_default();
            if bytes.len() == length {
                break Ok(bytes);
            }
            if Instant::now() > until {
                break Err(Error::Board(format!("it has not measured anything in {START_MAX:?}")));
            }
            sleep(Duration::from_millis(20));
        };
        let _ = child.kill();
        let _ = child.wait();
        bytes
    }
}

impl Drop for Emulator {
    /// Nothing is left running.
    fn drop(&mut self) {
        if self.path("qemu.pid").exists() {
            let _ = self.stop();
        }
    }
}

fn spawn(folder: &Path, log: &Path, more: &[&str]) -> Result<Child, Error> {
    let out = File::create(log).map_err(Error::file(log))?;
    let err = out.try_clone().map_err(Error::file(log))?;
    let mut command = Command::new(QEMU);
    command
        .current_dir(folder)
        .args(["-machine", "mps2-an385", "-display", "none", "-monitor", "none"])
        .args(["-kernel", "boot_stage"])
        .args(["-device", "loader,file=recovery.bin,addr=0x80000,force-raw=on"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .args(["-serial", "pty"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        // Ctrl-C is for whoever started the board.
        .process_group(0);
    command.spawn().map_err(|_| Error::Missing {
        program: QEMU.to_owned(),
        remedy: "`apt install qemu-system-arm` on Debian".to_owned(),
    })
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

/// A killed child whose parent has not asked for it yet.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|text| text.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}
