//! All that differs between operating systems, once for Unix and once for Windows.
//!
//! Nothing else in this crate asks what it runs on.

pub use system::{
    QuietKeys, UNPLUGGED, ask_secret, ask_to_end, changeable_mode, exposed_mode, foreign_owner,
    host_name, open_at_once, open_descriptor, public_temporary, read_at, secret_temporary,
    shared_mode, stop_signal, survive_file_limit,
};

#[cfg(unix)]
mod system {
    use std::fs::{File, Metadata, OpenOptions, Permissions};
    use std::io::{self, Read as _, Write as _};
    use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;
    use std::sync::OnceLock;

    use rustix::fs::OFlags;
    use rustix::process::{Pid, Signal, kill_current_process_group, kill_process};
    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
    };
    use tempfile::{Builder, NamedTempFile};
    use zeroize::Zeroizing;

    /// Reads at `offset` without moving the file's own position.
    ///
    /// # Errors
    /// As the system says.
    pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    /// The file's mode, when anybody beside its owner may do anything with it.
    ///
    /// # Errors
    /// When the file's metadata cannot be read.
    pub fn exposed_mode(file: &File) -> io::Result<Option<u32>> {
        let mode = file.metadata()?.permissions().mode() & 0o777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }

    /// The mode, when anybody beside the owner may write.
    #[must_use]
    pub fn changeable_mode(metadata: &Metadata) -> Option<u32> {
        let mode = metadata.permissions().mode() & 0o777;
        (mode & 0o022 != 0).then_some(mode)
    }

    /// The mode of a file or folder, when somebody can write there who is not its owner. A group that has the owner's number
    /// is the owner's own, as most systems make one for each user. In a folder with the sticky bit everybody keeps what is theirs.
    #[must_use]
    pub fn shared_mode(metadata: &Metadata) -> Option<u32> {
        let mode = metadata.permissions().mode() & 0o1777;
        let is_own_group = metadata.uid() != 0 && metadata.gid() == metadata.uid();
        let by_others = if is_own_group { 0o002 } else { 0o022 };
        let is_sticky = metadata.is_dir() && mode & 0o1000 != 0;
        (mode & by_others != 0 && !is_sticky).then_some(mode)
    }

    /// The number of the owner, when that is neither who runs this, nor root, nor who became root by `sudo`.
    #[must_use]
    pub fn foreign_owner(metadata: &Metadata) -> Option<u32> {
        let (owner, user) = (metadata.uid(), rustix::process::geteuid());
        let by_sudo = std::env::var("SUDO_UID").ok().filter(|_| user.is_root());
        let is_own = owner == 0
            || owner == user.as_raw()
            || by_sudo.and_then(|number| number.parse().ok()) == Some(owner);
        (!is_own).then_some(owner)
    }

    /// Asks a process that was started here to end, so that it can leave the terminal as it was.
    pub fn ask_to_end(id: u32) {
        // One that has ended meanwhile is asked in vain; it keeps its number until it is waited for.
        if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
    }

    /// A temporary file in `folder` that only its owner can read.
    ///
    /// # Errors
    /// When the folder takes no new file.
    pub fn secret_temporary(folder: &Path) -> io::Result<NamedTempFile> {
        temporary(folder, 0o600)
    }

    /// A temporary file in `folder` with the rights that a new file usually gets.
    ///
    /// # Errors
    /// When the folder takes no new file.
    pub fn public_temporary(folder: &Path) -> io::Result<NamedTempFile> {
        temporary(folder, 0o666)
    }

    /// Opens `path` to be read; a pipe without a writer as well, without waiting for one.
    ///
    /// # Errors
    /// As the system says.
    pub fn open_at_once(path: &Path) -> io::Result<File> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        match opened {
            // Only a regular file is waited for: another process gives its lease on it up.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => File::open(path),
            opened => opened,
        }
    }

    /// Opens what the process was given as descriptor `number`.
    ///
    /// # Errors
    /// When no such descriptor is open, or it cannot be read.
    pub fn open_descriptor(number: u32) -> io::Result<File> {
        File::open(format!("/dev/fd/{number}"))
    }

    /// What the system answers when a serial adapter was pulled, or the other side of a
    /// pseudo-terminal is closed: `EIO`.
    pub const UNPLUGGED: i32 = 5;

    /// Name of this machine, for the record.
    #[must_use]
    pub fn host_name() -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    /// Waits for Ctrl-C, for the signal that ends a service, or for the end of the terminal, unless
    /// `nohup` said that it does not matter.
    pub async fn stop_signal() {
        use tokio::signal::unix::SignalKind;
        let hung_up = async {
            if is_hangup_ignored() {
                std::future::pending::<()>().await;
            } else {
                received(SignalKind::hangup()).await;
            }
        };
        tokio::select! {
            () = received(SignalKind::interrupt()) => {}
            () = received(SignalKind::terminate()) => {}
            () = hung_up => {}
        }
    }

    /// Makes a write beyond the limit on file sizes (`ulimit -f`) fail like any other. By itself the system
    /// ends the process for it, without a word.
    pub fn survive_file_limit() {
        use tokio::signal::unix::{SignalKind, signal};
        // A handler stays for as long as the process does; the runtime is needed only to install it.
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() {
            let _inside = runtime.enter();
            drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw())));
        }
    }

    /// Never ends where the system gives no handler.
    async fn received(kind: tokio::signal::unix::SignalKind) {
        match tokio::signal::unix::signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    }

    /// Whether the process was started with SIGHUP ignored. Asked once, because a handler replaces
    /// that; only Linux tells.
    fn is_hangup_ignored() -> bool {
        static IGNORED: OnceLock<bool> = OnceLock::new();
        *IGNORED.get_or_init(|| {
            let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
            // Signal 1 is the lowest bit.
            mask.is_some_and(|mask| mask & 1 == 1)
        })
    }

    /// Keeps the terminal from echoing `^C`, which would end up in the middle of a progress bar, until
    /// dropped.
    #[derive(Debug)]
    pub struct QuietKeys(Termios);

    impl QuietKeys {
        /// Nothing where stderr is no terminal, or belongs to another job.
        #[must_use]
        pub fn on_stderr() -> Option<Self> {
            let before = tcgetattr(io::stderr()).ok().filter(|_| is_foreground())?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHOCTL);
            tcsetattr(io::stderr(), OptionalActions::Now, &quiet).ok()?;
            Some(Self(before))
        }
    }

    impl Drop for QuietKeys {
        fn drop(&mut self) {
            if is_foreground() {
                let _ = tcsetattr(io::stderr(), OptionalActions::Now, &self.0);
            }
        }
    }

    /// Asks the person at the terminal for a line that is not shown while it is typed. A `fresh` question takes nothing that
    /// was typed before it for its answer. Ctrl-C leaves the terminal as it was, and does what it always does.
    ///
    /// # Errors
    /// When there is no terminal, or its line has no end.
    pub fn ask_secret(question: &str, fresh: bool) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let hushed = Hushed::new(terminal.try_clone()?, fresh)?;
        terminal.write_all(question.as_bytes())?;
        // A terminal gives one line at a time, and none that is longer.
        let mut line = Zeroizing::new(vec![0; 4096]);
        let length = terminal.read(&mut line)?;
        line.truncate(length);
        match line.pop() {
            Some(b'\n') => Ok(line),
            Some(end) if Some(end) == hushed.interrupt => {
                terminal.write_all(b"\n")?;
                drop(hushed);
                kill_current_process_group(Signal::INT)?;
                Err(io::ErrorKind::Interrupted.into())
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A terminal that does not show what is typed, until dropped.
    struct Hushed {
        terminal: File,
        before: Termios,
        /// What ends a line in place of interrupting the process, which would leave the terminal hushed.
        interrupt: Option<u8>,
    }

    impl Hushed {
        fn new(terminal: File, fresh: bool) -> io::Result<Self> {
            let before = tcgetattr(&terminal)?;
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
            modes.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
            let interrupts = before.local_modes.contains(LocalModes::ISIG);
            let interrupt = interrupts.then(|| before.special_codes[SpecialCodeIndex::VINTR]);
            if let Some(interrupt) = interrupt {
                modes.special_codes[SpecialCodeIndex::VEOL] = interrupt;
            }
            let when = if fresh { OptionalActions::Flush } else { OptionalActions::Drain };
            tcsetattr(&terminal, when, &modes)?;
            Ok(Self { terminal, before, interrupt })
        }
    }

    impl Drop for Hushed {
        fn drop(&mut self) {
            let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
        }
    }

    /// A job in the background that changes its terminal is stopped by the system.
    fn is_foreground() -> bool {
        tcgetpgrp(io::stderr()).is_ok_and(|group| group == rustix::process::getpgrp())
    }

    fn temporary(folder: &Path, mode: u32) -> io::Result<NamedTempFile> {
        Builder::new()
            .prefix(".noflake-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder)
    }
}

#[cfg(windows)]
mod system {
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::path::Path;

    use tempfile::{Builder, NamedTempFile};
    use zeroize::Zeroizing;

    /// Asks the person at the console for a line that is not shown while it is typed.
    ///
    /// # Errors
    /// When there is no console.
    pub fn ask_secret(question: &str, _fresh: bool) -> io::Result<Zeroizing<Vec<u8>>> {
        rpassword::prompt_password(question).map(|line| Zeroizing::new(line.into_bytes()))
    }

    /// Reads at `offset`; the file's own position is used by nobody.
    ///
    /// # Errors
    /// As the system says.
    pub fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.seek_read(buffer, offset)
    }

    /// Always `None`: a profile folder's access list already keeps others out.
    ///
    /// # Errors
    /// Never.
    pub fn exposed_mode(_file: &File) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Always `None`: the folder's access list says who may write.
    #[must_use]
    pub const fn changeable_mode(_metadata: &Metadata) -> Option<u32> {
        None
    }

    /// Always `None`: the folder's access list says who may write.
    #[must_use]
    pub const fn shared_mode(_metadata: &Metadata) -> Option<u32> {
        None
    }

    /// Always `None`: owners have no numbers here.
    #[must_use]
    pub const fn foreign_owner(_metadata: &Metadata) -> Option<u32> {
        None
    }

    /// There is no way to ask; it is ended by force.
    pub const fn ask_to_end(_id: u32) {}

    /// A temporary file in `folder`, with the folder's access list.
    ///
    /// # Errors
    /// When the folder takes no new file.
    pub fn secret_temporary(folder: &Path) -> io::Result<NamedTempFile> {
        Builder::new().prefix(".noflake-").tempfile_in(folder)
    }

    /// A temporary file in `folder`, with the folder's access list.
    ///
    /// # Errors
    /// When the folder takes no new file.
    pub fn public_temporary(folder: &Path) -> io::Result<NamedTempFile> {
        secret_temporary(folder)
    }

    /// Opens `path` to be read.
    ///
    /// # Errors
    /// As the system says.
    pub fn open_at_once(path: &Path) -> io::Result<File> {
        File::open(path)
    }

    /// What the system answers when a serial adapter was pulled: `ERROR_GEN_FAILURE`.
    pub const UNPLUGGED: i32 = 31;

    /// Name of this machine, for the record.
    #[must_use]
    pub fn host_name() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_default()
    }

    /// The console echoes no `^C`.
    #[derive(Debug)]
    pub struct QuietKeys(());

    impl QuietKeys {
        /// There is nothing to do.
        #[must_use]
        pub const fn on_stderr() -> Option<Self> {
            None
        }
    }

    /// Nothing: there is no limit on file sizes that ends a process.
    pub const fn survive_file_limit() {}

    /// Waits for Ctrl-C.
    pub async fn stop_signal() {
        // Without a handler there is nothing to wait for: the system ends the process itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Descriptors have no numbers here.
    ///
    /// # Errors
    /// Always.
    pub fn open_descriptor(_number: u32) -> io::Result<File> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "descriptors are numbered on Unix only"))
    }
}
