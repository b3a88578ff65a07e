//! Files that are read whole: regular ones of bounded length, so that a pipe or a device that never
//! ends is an error and no hang. And files of the simulator's own: never what a link leads to, so that
//! somebody else's file is not written in place of them.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Reads the file at `path`, of at most `limit_bytes`.
pub(crate) fn read(path: &Path, limit_bytes: usize) -> Result<Vec<u8>> {
    // Asked before opening, as opening some devices does something to them; and then of what was opened.
    let is_regular = |found: fs::Metadata| {
        let no_file = || Error::new(ErrorKind::InvalidData, "it is no regular file");
        found.is_file().then_some(()).ok_or_else(no_file)
    };
    is_regular(fs::metadata(path)?)?;
    let mut file = without_wait(File::options().read(true)).open(path)?;
    is_regular(file.metadata()?)?;
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    (&mut file).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit_bytes {
        let got = file.metadata()?.len().max(limit.saturating_add(1));
        let problem = format!("it has {got} bytes, expected at most {limit_bytes}");
        return Err(Error::new(ErrorKind::InvalidData, problem));
    }
    Ok(bytes)
}

/// Reads text as [`read`] reads bytes.
pub(crate) fn read_text(path: &Path, limit_bytes: usize) -> Result<String> {
    String::from_utf8(read(path, limit_bytes)?)
        .map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Opens the simulator's own file at `path` to be read and written.
pub(crate) fn open_own(path: &Path) -> Result<File> {
    open_regular(path, File::options().read(true).write(true))
}

/// Opens the simulator's own file at `path` as it is, or makes an empty one.
pub(crate) fn open_or_make_own(path: &Path) -> Result<File> {
    open_regular(path, File::options().read(true).write(true).create(true).truncate(false))
}

/// Makes the simulator's own file at `path` anew; what was there is gone, what it led to is not.
pub(crate) fn make_own(path: &Path) -> Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::options().read(true).write(true).create_new(true).open(path)
}

fn open_regular(path: &Path, options: &mut OpenOptions) -> Result<File> {
    // The system refuses a link in words that name none, so it is asked for before.
    if let Ok(found) = fs::symlink_metadata(path) {
        require_regular(found.file_type())?;
    }
    let file = without_link_or_wait(options).open(path)?;
    require_regular(file.metadata()?.file_type())?;
    Ok(file)
}

fn require_regular(found: FileType) -> Result<()> {
    if found.is_file() {
        return Ok(());
    }
    let what = match (found.is_symlink(), found.is_dir()) {
        (true, _) => "a symbolic link",
        (_, true) => "a folder",
        (false, false) => "a pipe or a device",
    };
    let problem = format!("it is {what}, expected a regular file of the simulator's own");
    Err(Error::new(ErrorKind::InvalidData, problem))
}

/// A pipe is opened at once, without a writer.
#[cfg(unix)]
fn without_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
}

#[cfg(not(unix))]
const fn without_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn without_link_or_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    options.custom_flags(flags.bits().cast_signed())
}

#[cfg(not(unix))]
const fn without_link_or_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also when it was put there after somebody looked.
    #[cfg(unix)]
    #[test]
    fn an_own_file_is_never_opened_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (foreign, link) = (folder.path().join("foreign"), folder.path().join("link"));
        fs::write(&foreign, "foreign").unwrap();
        std::os::unix::fs::symlink(&foreign, &link).unwrap();
        for open in [open_own, open_or_make_own] {
            let error = open(&link).unwrap_err();
            assert!(error.to_string().starts_with("it is a symbolic link"), "{error}");
        }
        without_link_or_wait(File::options().read(true)).open(&link).unwrap_err();
        writes(make_own(&link).unwrap());
        assert_eq!(fs::read(&foreign).unwrap(), b"foreign");
        assert_eq!(fs::read(&link).unwrap(), b"own");
    }

    #[cfg(unix)]
    fn writes(mut file: File) {
        std::io::Write::write_all(&mut file, b"own").unwrap();
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [b'x'; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap(), [b'x'; 10]);
        let error = read(&path, 9).unwrap_err();
        assert_eq!(error.to_string(), "it has 10 bytes, expected at most 9");
    }
}
