//! Files that a person names: regular ones, read up to a limit, so that a pipe that nobody fills or a
//! device that never ends is an error and no hang.
//!
//! Bundles and records, which are longer than memory should hold, are only opened here.

use std::fs::{self, File, FileType};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

use crate::platform;

/// Opens the regular file at `path`.
///
/// # Errors
/// As the system says; anything but a regular file is invalid data.
pub fn open(path: &Path) -> Result<File> {
    open_regular(path)?.map_err(|found| {
        let what = if found.is_dir() { "a folder" } else { "a pipe or a device" };
        invalid(format!("it is {what}, expected a regular file"))
    })
}

/// Opens what is at `path` if it is a regular file; else tells what it is.
///
/// # Errors
/// As the system says.
pub fn open_regular(path: &Path) -> Result<std::result::Result<File, FileType>> {
    // Asked before opening, as opening some devices does something to them; and then of what was opened.
    let named = fs::metadata(path)?.file_type();
    if !named.is_file() {
        return Ok(Err(named));
    }
    let file = platform::open_at_once(path)?;
    let opened = file.metadata()?.file_type();
    Ok(if opened.is_file() { Ok(file) } else { Err(opened) })
}

/// Reads the regular file at `path`, of at most `limit_bytes`.
///
/// # Errors
/// As [`open`]; a longer file is invalid data.
pub fn read(path: &Path, limit_bytes: u64) -> Result<Vec<u8>> {
    read_from(open(path)?, limit_bytes)
}

/// Reads the text in the regular file at `path`, of at most `limit_bytes`.
///
/// # Errors
/// As [`read`]; bytes that are no text are invalid data.
pub fn read_text(path: &Path, limit_bytes: u64) -> Result<String> {
    text_from(open(path)?, limit_bytes)
}

/// Reads text of at most `limit_bytes` from an open file.
///
/// # Errors
/// As [`read_text`].
pub fn text_from(file: File, limit_bytes: u64) -> Result<String> {
    String::from_utf8(read_from(file, limit_bytes)?)
        .map_err(|_| invalid("it is no UTF-8 text".to_owned()))
}

fn read_from(file: File, limit_bytes: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = file.take(limit_bytes.saturating_add(1));
    file.read_to_end(&mut bytes)?;
    if file.limit() > 0 {
        return Ok(bytes);
    }
    // Files of the system may tell no length.
    let got = file.get_ref().metadata()?.len().max(limit_bytes.saturating_add(1));
    Err(invalid(format!("it has {got} bytes, expected at most {limit_bytes}")))
}

fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x".repeat(10)).unwrap();
        assert_eq!(read_text(&path, 10).unwrap(), "x".repeat(10));
        let error = read(&path, 9).unwrap_err();
        assert_eq!(error.to_string(), "it has 10 bytes, expected at most 9");
        assert_eq!(error.kind(), ErrorKind::InvalidData);
    }
}
