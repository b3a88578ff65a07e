//! Files that are read whole: regular ones of bounded length, so that a pipe or a device that never
//! ends is an error and no hang.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Result};
use std::path::Path;

/// Reads the file at `path`, of at most `limit_bytes`.
pub(crate) fn read(path: &Path, limit_bytes: usize) -> Result<Vec<u8>> {
    // Asked before opening: opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidData, "it is no regular file"));
    }
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let mut file = File::open(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
