//! Reads a record back: first its chain, then its meaning.
//!
//! A record is a file from somewhere, so its size, its lines and their nesting are bounded, and every byte
//! may be wrong. Two ends are told apart: a whole line that is not as written is an error with its number;
//! a record that just stops (a killed run, a full disk) is valid up to its last whole line (P9).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::chain::Chain;
use super::error::RecordError;
use super::escape::{escape_bytes, make_safe};
use super::fold::ViewBuilder;
use super::mapping;
use super::ocp::{Artifact, Line};
use super::time::parse_unix_ms;
use super::view::{Integrity, RunView};
use super::{LINE_MAX_BYTES, RECORD_FILE, RECORD_MAX_BYTES};
use crate::input;

/// A record whose chain holds.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    view: RunView,
}

impl RunRecord {
    /// Reads and verifies `path`, a record or the run folder that holds it.
    ///
    /// # Errors
    /// [`RecordError::BadLine`] for the first line that is not as written; [`RecordError::Io`],
    /// [`RecordError::NotAFile`] and [`RecordError::TooLong`] before the first line.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let path = if path.is_dir() { path.join(RECORD_FILE) } else { path.to_path_buf() };
        let bytes = read_bounded(&path)?;
        Self::parse(&bytes).map_err(|Fault { line, expected, got }| RecordError::BadLine {
            path,
            line,
            expected,
            got,
        })
    }

    /// What the record says.
    #[must_use]
    pub const fn view(&self) -> &RunView {
        &self.view
    }

    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader { chain: Chain::new(), view: ViewBuilder::default() };
        let mut rest = bytes;
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(length.saturating_add(1));
            reader.take(line)?;
            rest = after;
        }
        reader.refuse_foreign_start(rest)?;
        Ok(Self { view: reader.finish(rest.len()) })
    }
}

/// The first line that is not as written.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: u64,
    expected: String,
    got: String,
}

struct Reader {
    chain: Chain,
    view: ViewBuilder,
}

impl Reader {
    fn take(&mut self, line: &[u8]) -> Result<(), Fault> {
        if line.len() > LINE_MAX_BYTES {
            let expected = format!("at most {LINE_MAX_BYTES} bytes");
            return Err(self.fault(expected, format!("{} bytes", line.len())));
        }
        if self.view.has_end() {
            return Err(self.fault("nothing after the end of the run", excerpt(line)));
        }
        let value: Value = serde_json::from_slice(line)
            .map_err(|_| self.fault("one JSON object", excerpt(line)))?;
        self.check_links(&value)?;
        self.take_line(value, line)?;
        self.chain.push(line);
        Ok(())
    }

    /// Before the meaning: a reader of an edited record wants to hear of the edit, not of its syntax.
    fn check_links(&self, value: &Value) -> Result<(), Fault> {
        let prev = value.pointer("/metadata/prev").and_then(Value::as_str);
        if prev != Some(self.chain.head()) {
            let before = match self.chain.lines() {
                0 => "the start of a noflake record".to_owned(),
                lines => format!("line {lines}"),
            };
            let expected = format!("metadata.prev {} ({before})", self.chain.head());
            let got = prev.map_or_else(|| "none".to_owned(), |prev| excerpt(prev.as_bytes()));
            return Err(self.fault(expected, got));
        }
        let sequence = value.get("sequenceNumber").cloned().unwrap_or_default();
        if sequence.as_u64() != Some(self.chain.lines()) {
            let expected = format!("sequenceNumber {}", self.chain.lines());
            return Err(self.fault(expected, excerpt(sequence.to_string().as_bytes())));
        }
        Ok(())
    }

    fn take_line(&mut self, value: Value, raw: &[u8]) -> Result<(), Fault> {
        let line: Line = serde_json::from_value(make_safe(value)).map_err(|_| {
            self.fault("an artifact of OCP-TV 2.0 that noflake writes", excerpt(raw))
        })?;
        let at = parse_unix_ms(&line.timestamp)
            .ok_or_else(|| self.fault("a UTC timestamp", excerpt(line.timestamp.as_bytes())))?;
        self.view.saw_time(at);
        if self.chain.lines() == 0 {
            return match line.artifact {
                Artifact::SchemaVersion { major: 2, minor: 0 } => Ok(()),
                Artifact::SchemaVersion { .. } | Artifact::Run(_) | Artifact::Step(_) => {
                    Err(self.fault("schemaVersion 2.0", excerpt(raw)))
                }
            };
        }
        let entry = mapping::from_artifact(line.artifact, line.metadata)
            .map_err(|expected| self.fault(expected, excerpt(raw)))?;
        if let Some(entry) = entry {
            self.view.push(entry, at);
        }
        Ok(())
    }

    /// A run killed in its first write leaves a piece of the first line; any other text is another file.
    fn refuse_foreign_start(&self, torn: &[u8]) -> Result<(), Fault> {
        let compared = torn.len().min(FIRST_LINE_START.len());
        if self.chain.lines() > 0 || torn.get(..compared) == FIRST_LINE_START.get(..compared) {
            return Ok(());
        }
        Err(self.fault("the start of a noflake record", excerpt(torn)))
    }

    fn finish(self, torn_bytes: usize) -> RunView {
        let (lines, head) = (self.chain.lines(), self.chain.head().to_owned());
        // Bytes after the end of the run belong to no line that noflake wrote, but hide none either.
        let integrity = if self.view.has_end() && torn_bytes == 0 {
            Integrity::Complete { lines, head }
        } else {
            Integrity::Interrupted { lines, head, torn_bytes }
        };
        self.view.finish(integrity)
    }

    fn fault(&self, expected: impl Into<String>, got: impl Into<String>) -> Fault {
        let line = self.chain.lines().saturating_add(1);
        Fault { line, expected: expected.into(), got: got.into() }
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, RecordError> {
    let io = |source| RecordError::Io { path: PathBuf::from(path), source };
    let opened = input::open_regular(path).map_err(io)?;
    let opened = opened.map_err(|_| RecordError::NotAFile { path: path.to_path_buf() })?;
    let mut bytes = Vec::new();
    let mut file = opened.take(RECORD_MAX_BYTES.saturating_add(1));
    file.read_to_end(&mut bytes).map_err(io)?;
    if file.limit() == 0 {
        let path = path.to_path_buf();
        return Err(RecordError::TooLong { path, max_bytes: RECORD_MAX_BYTES });
    }
    Ok(bytes)
}

/// Enough of a line to recognise it.
fn excerpt(bytes: &[u8]) -> String {
    let shown = escape_bytes(bytes.get(..EXCERPT_MAX_BYTES).unwrap_or(bytes));
    let dots = if bytes.len() > EXCERPT_MAX_BYTES { "..." } else { "" };
    format!("`{}{dots}`", shown.trim_end_matches("\\n"))
}

const FIRST_LINE_START: &[u8] = b"{\"metadata\":{\"prev\":\"";
const EXCERPT_MAX_BYTES: usize = 80;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::evidence::{Entry, Recorder, RunFolder, sample};
    use crate::verdict::CheckVerdict;

    fn record_of(entries: impl IntoIterator<Item = (std::time::SystemTime, Entry)>) -> Vec<u8> {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(temp.path(), UNIX_EPOCH, "x").expect("folder");
        let mut recorder = Recorder::start(&folder, sample::at(0)).expect("record");
        for (at, entry) in entries {
            recorder.append(entry, at).expect("appends");
        }
        fs::read(folder.record_path()).expect("reads")
    }

    /// Start, one phase with device facts, end: one line of each shape, and short.
    fn small() -> Vec<u8> {
        let run = sample::run();
        record_of(run.iter().take(4).chain(run.last()).cloned())
    }

    fn lines(bytes: &[u8]) -> u64 {
        bytes.split(|byte| *byte == b'\n').count() as u64 - 1
    }

    #[test]
    fn a_whole_record_gives_back_what_was_recorded() {
        let bytes = record_of(sample::run());
        let view = RunRecord::parse(&bytes).expect("is valid").view;
        let expected = RunView { integrity: view.integrity.clone(), ..sample::view() };
        assert_eq!(view, expected);
        assert!(
            matches!(view.integrity, Integrity::Complete { lines: n, .. } if n == lines(&bytes))
        );
    }

    #[test]
    fn a_run_folder_is_read_like_its_record() {
        let temp = tempfile::tempdir().expect("temp");
        fs::write(temp.path().join(RECORD_FILE), small()).expect("writes");
        let by_folder = RunRecord::read(temp.path()).expect("is valid");
        let by_file = RunRecord::read(&temp.path().join(RECORD_FILE)).expect("is valid");
        assert_eq!(by_folder, by_file);
    }

    /// P9: a killed run leaves a valid, shorter record.
    #[test]
    fn a_record_cut_at_any_byte_is_valid_up_to_its_last_whole_line() {
        let bytes = small();
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            let view =
                RunRecord::parse(cut).unwrap_or_else(|e| panic!("cut at {length}: {e:?}")).view;
            let Integrity::Interrupted { lines: n, torn_bytes, .. } = view.integrity else {
                panic!("cut at {length} of {} is called complete", bytes.len())
            };
            assert_eq!(n, lines(cut), "cut at {length}");
            let whole = cut.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            assert_eq!(torn_bytes, length - whole, "cut at {length}");
            assert!(view.end.is_none());
        }
    }

    #[test]
    fn a_changed_byte_in_any_line_but_the_last_is_found() {
        let bytes = small();
        let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines");
        for position in 0..=last {
            for flip in [0x01, 0x20, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[position] ^= flip;
                let fault = RunRecord::parse(&changed).expect_err("is found");
                let line = lines(&bytes[..position]) + 1;
                assert!((line..=line + 1).contains(&fault.line), "byte {position}: {fault:?}");
            }
        }
    }

    #[test]
    fn a_changed_byte_in_the_last_line_never_panics() {
        let bytes = small();
        let last = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines");
        for position in last + 1..bytes.len() {
            for value in *b"\0\n\"{}[],:0-9x\x80\xff" {
                let mut changed = bytes.clone();
                changed[position] = value;
                let _ = RunRecord::parse(&changed);
            }
        }
    }

    #[test]
    fn a_dropped_a_doubled_and_a_swapped_line_are_found_with_their_number() {
        let bytes = small();
        let all: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for (name, order) in [
            ("dropped", vec![0, 1, 3, 4, 5]),
            ("doubled", vec![0, 1, 1, 2, 3, 4, 5]),
            ("swapped", vec![0, 1, 3, 2, 4, 5]),
        ] {
            let edited: Vec<u8> = order.into_iter().flat_map(|n: usize| all[n].to_vec()).collect();
            let fault = RunRecord::parse(&edited).expect_err(name);
            assert_eq!(fault.line, 3, "{name}");
            assert!(fault.expected.starts_with("metadata.prev "), "{name}: {fault:?}");
        }
    }

    #[test]
    fn the_error_names_the_line_what_was_expected_and_what_stands_there() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("r");
        let mut bytes = small();
        bytes.splice(..0, *b"{}\n");
        fs::write(&path, bytes).expect("writes");
        let text = RunRecord::read(&path).expect_err("is found").to_string();
        let rest =
            text.strip_prefix(&format!("line 1 of {} is not as it was written: ", path.display()));
        assert_eq!(
            rest,
            Some(
                "expected metadata.prev 6b67a616a46bbef1ad5bd54de8309e4a9a60d6532a77ce9a1c3234106df2b6a2 (the start of a noflake record), got none; \
                 trust nothing from the line before it on, and read the original again"
            )
        );
    }

    #[test]
    fn another_file_is_not_called_an_interrupted_record() {
        for foreign in [&b"hello"[..], b"\x00\x00", b"{\"a\"", b"hello\n"] {
            assert_eq!(RunRecord::parse(foreign).expect_err("is foreign").line, 1);
        }
    }

    #[test]
    fn a_line_after_the_end_of_the_run_is_found() {
        let mut bytes = small();
        bytes.extend_from_slice(b"{}\n");
        let fault = RunRecord::parse(&bytes).expect_err("is found");
        assert_eq!((fault.line, fault.expected.as_str()), (7, "nothing after the end of the run"));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_is_parsed() {
        let mut bytes = vec![b'['; LINE_MAX_BYTES + 1];
        bytes.push(b'\n');
        let fault = RunRecord::parse(&bytes).expect_err("is too long");
        assert_eq!(fault.expected, "at most 1048576 bytes");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        let mut bytes = vec![b'['; LINE_MAX_BYTES / 2];
        bytes.push(b'\n');
        assert_eq!(RunRecord::parse(&bytes).expect_err("is too deep").expected, "one JSON object");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("long");
        File::create(&path).expect("creates").set_len(RECORD_MAX_BYTES + 1).expect("grows");
        assert!(matches!(RunRecord::read(&path), Err(RecordError::TooLong { .. })));
    }

    #[test]
    fn a_missing_file_and_a_device_node_are_told_apart() {
        let missing = RunRecord::read(Path::new("/nonexistent/record.jsonl"));
        assert!(matches!(missing, Err(RecordError::Io { .. })));
        assert!(matches!(
            RunRecord::read(Path::new("/dev/zero")),
            Err(RecordError::NotAFile { .. })
        ));
    }

    /// A million names in one record must not cost a million squared.
    #[test]
    fn a_record_that_names_very_many_checks_is_read_in_one_pass() {
        let many = (0..20_000).map(|n| {
            let entry = Entry::CheckEnd {
                check: crate::evidence::CheckId { stage: format!("s{n}"), check: "c".to_owned() },
                verdict: CheckVerdict::Pass,
                reason: String::new(),
            };
            (sample::at(0), entry)
        });
        assert_eq!(RunRecord::parse(&record_of(many)).expect("is valid").view.stages.len(), 20_000);
    }
}
