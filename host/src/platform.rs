//! All that differs between operating systems, once for Unix and once for Windows.
//!
//! Nothing else in this crate asks what it runs on.

pub use system::{
    UNPLUGGED, exposed_mode, host_name, open_descriptor, public_temporary, read_at,
    secret_temporary, stop_signal,
};

#[cfg(unix)]
mod system {
    use std::fs::{File, Permissions};
    use std::io;
    use std::os::unix::fs::{FileExt, PermissionsExt};
    use std::path::Path;

    use tempfile::{Builder, NamedTempFile};

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

    /// Waits for Ctrl-C, or for the signal that ends a service.
    pub async fn stop_signal() {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).ok();
        let terminated = async {
            match &mut terminate {
                Some(terminate) => drop(terminate.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
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
    use std::fs::File;
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::path::Path;

    use tempfile::{Builder, NamedTempFile};

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

    /// What the system answers when a serial adapter was pulled: `ERROR_GEN_FAILURE`.
    pub const UNPLUGGED: i32 = 31;

    /// Name of this machine, for the record.
    #[must_use]
    pub fn host_name() -> String {
        std::env::var("COMPUTERNAME").unwrap_or_default()
    }

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
