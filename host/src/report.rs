//! Reports: renderings of a [`RunView`], pure from view to text.
//!
//! Nothing is judged here and nothing is added: a report that disagrees with its record is a defect.
//! Names in `junit.xml` are stable from run to run (no serial, no time), because CI pairs cases by name.

mod json;
mod junit;
mod summary;
mod text;
mod words;
mod xml;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub use json::{run_json, signed_json};
pub use junit::junit_xml;
pub use summary::summary_markdown;
pub use text::run_text;
pub use words::signed as signed_text;

use crate::evidence::{RunFolder, RunView};

/// Name of the JUnit report in a run folder.
pub const JUNIT_FILE: &str = "junit.xml";
/// Name of the Markdown summary in a run folder.
pub const SUMMARY_FILE: &str = "summary.md";

/// Why a report could not be written. The record is unaffected.
#[derive(Debug, thiserror::Error)]
#[error(
    "failed to write the report {}; the record beside it is not affected",
    path.display()
)]
pub struct ReportError {
    /// The report.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes `junit.xml` and `summary.md` beside the record of `folder`.
///
/// Each appears whole or not at all: a CI job that collects files meanwhile never sees half of one.
///
/// # Errors
/// [`ReportError`] for the first report that could not be written.
pub fn write_reports(folder: &RunFolder, view: &RunView) -> Result<(), ReportError> {
    write_whole(&folder.path().join(JUNIT_FILE), &junit_xml(view))?;
    write_whole(&folder.path().join(SUMMARY_FILE), &summary_markdown(view))
}

fn write_whole(path: &Path, text: &str) -> Result<(), ReportError> {
    let temporary = path.with_extension("tmp");
    let written = replace(&temporary, path, text);
    written.map_err(|source| {
        // The first error is the one to tell; a leftover is harmless and overwritten next time.
        let _ = fs::remove_file(&temporary);
        ReportError { path: path.to_path_buf(), source }
    })
}

fn replace(temporary: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::evidence::sample;

    #[test]
    fn both_reports_stand_beside_the_record_and_nothing_else_does() {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(temp.path(), UNIX_EPOCH, "x").expect("folder");
        for _ in 0..2 {
            write_reports(&folder, &sample::view()).expect("writes");
        }
        let names = fs::read_dir(folder.path()).expect("lists");
        let mut names: Vec<_> = names.map(|entry| entry.expect("entry").file_name()).collect();
        names.sort();
        assert_eq!(names, [JUNIT_FILE, SUMMARY_FILE]);
        let xml = fs::read_to_string(folder.path().join(JUNIT_FILE)).expect("reads");
        assert_eq!(xml, junit_xml(&sample::view()));
    }

    #[test]
    fn a_report_that_cannot_be_written_is_named() {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(temp.path(), UNIX_EPOCH, "x").expect("folder");
        fs::create_dir(folder.path().join(JUNIT_FILE)).expect("is in the way");
        let error = write_reports(&folder, &sample::view()).expect_err("is in the way");
        assert_eq!(error.path, folder.path().join(JUNIT_FILE));
        assert!(error.to_string().contains("the record beside it is not affected"), "{error}");
    }
}
