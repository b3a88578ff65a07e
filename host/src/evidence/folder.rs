//! The folder of one run: its record, and the reports rendered from it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::EvidenceError;
use super::time;
use super::{RECORD_FILE, SIGNATURES_FILE};

/// A folder that one run owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `<parent>/<UTC time>-<id>/`, and `parent` (by custom `runs`) if it is missing.
    ///
    /// A folder is never shared: if the name is taken, `-2` to `-99` is appended. Characters of `id`
    /// that are not ASCII letters, digits, `.`, `_` or `-` become `-`.
    ///
    /// # Errors
    /// [`EvidenceError::FileInTheWay`], [`EvidenceError::NotWritable`], [`EvidenceError::DiskFull`], or
    /// [`EvidenceError::Io`]. The device has not been touched by then.
    pub fn create(parent: &Path, at: SystemTime, id: &str) -> Result<Self, EvidenceError> {
        create_parent(parent)?;
        let name = format!("{}-{}", time::compact(at), file_name_part(id));
        let taken = |n: u32| if n == 1 { name.clone() } else { format!("{name}-{n}") };
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for path in (1..=NAMES_TRIED_MAX).map(|n| parent.join(taken(n))) {
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(EvidenceError::before_the_run(&path, error)),
            }
        }
        Err(EvidenceError::before_the_run(&parent.join(name), last))
    }

    /// Takes a folder that is there, to render its reports again.
    ///
    /// # Errors
    /// [`EvidenceError::FileInTheWay`] if `path` is no folder, [`EvidenceError::Io`] if it is missing.
    pub fn open(path: &Path) -> Result<Self, EvidenceError> {
        let metadata =
            fs::metadata(path).map_err(|error| EvidenceError::before_the_run(path, error))?;
        if metadata.is_dir() {
            Ok(Self { path: path.to_path_buf() })
        } else {
            Err(EvidenceError::FileInTheWay { path: path.to_path_buf() })
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its record is.
    #[must_use]
    pub fn record_path(&self) -> PathBuf {
        self.path.join(RECORD_FILE)
    }

    /// Where the signatures over its record are, if it has any.
    #[must_use]
    pub fn signatures_path(&self) -> PathBuf {
        self.path.join(SIGNATURES_FILE)
    }
}

fn create_parent(parent: &Path) -> Result<(), EvidenceError> {
    // An empty parent is the current folder; `create_dir_all` accepts it.
    fs::create_dir_all(parent).map_err(|error| {
        // The file in the way may be the parent itself or any folder above it.
        match parent.ancestors().find(|path| path.exists() && !path.is_dir()) {
            Some(file) => EvidenceError::FileInTheWay { path: file.to_path_buf() },
            None => EvidenceError::before_the_run(parent, error),
        }
    })
}

fn file_name_part(id: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' }
    };
    let part: String = id.chars().take(ID_MAX_CHARS).map(safe).collect();
    if part.is_empty() { "run".to_owned() } else { part }
}

/// Runs that may start in one second with one id.
const NAMES_TRIED_MAX: u32 = 99;
/// File names hold 255 bytes; this leaves room for the time and for a person's eyes.
const ID_MAX_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_795_380_400)
    }

    fn name(folder: &RunFolder) -> String {
        folder.path().file_name().expect("has a name").to_string_lossy().into_owned()
    }

    #[test]
    fn a_folder_is_named_by_utc_time_and_id() {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(&temp.path().join("runs"), at(), "sn-17").expect("creates");
        assert_eq!(name(&folder), "20261122T204640Z-sn-17");
        assert!(folder.path().is_dir());
    }

    #[test]
    fn two_runs_in_one_second_get_two_folders() {
        let temp = tempfile::tempdir().expect("temp");
        let names =
            [1, 2, 3].map(|_| name(&RunFolder::create(temp.path(), at(), "x").expect("ok")));
        let expected = ["20261122T204640Z-x", "20261122T204640Z-x-2", "20261122T204640Z-x-3"];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_id_cannot_leave_the_parent_folder() {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(temp.path(), at(), "../../tcp:10.0.0.5\n").expect("creates");
        assert_eq!(name(&folder), "20261122T204640Z-..-..-tcp-10.0.0.5-");
        assert_eq!(folder.path().parent(), Some(temp.path()));
    }

    #[test]
    fn a_file_where_the_folder_should_be_is_named() {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("runs");
        fs::write(&file, "").expect("writes");
        for parent in [file.clone(), file.join("deeper")] {
            let error = RunFolder::create(&parent, at(), "x").expect_err("is in the way");
            assert!(matches!(&error, EvidenceError::FileInTheWay { path } if *path == file));
            assert!(error.to_string().contains("is a file, expected a folder"), "{error}");
        }
    }

    #[test]
    fn a_folder_that_may_not_be_written_is_told_apart_from_a_full_disk() {
        let kinds = [io::ErrorKind::PermissionDenied, io::ErrorKind::StorageFull];
        let [denied, full] =
            kinds.map(|kind| EvidenceError::before_the_run(Path::new("runs"), kind.into()));
        assert!(denied.to_string().contains("no permission"), "{denied}");
        assert!(full.to_string().contains("no room"), "{full}");
    }

    #[test]
    fn only_a_folder_opens() {
        let temp = tempfile::tempdir().expect("temp");
        let file = temp.path().join("file");
        fs::write(&file, "").expect("writes");
        assert!(RunFolder::open(temp.path()).is_ok());
        assert!(matches!(RunFolder::open(&file), Err(EvidenceError::FileInTheWay { .. })));
        assert!(matches!(
            RunFolder::open(&temp.path().join("none")),
            Err(EvidenceError::Io { .. })
        ));
    }
}
