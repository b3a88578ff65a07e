//! Reads a record back: first its chain, then its meaning.
//!
//! A record is a file from somewhere, so its size, its lines and their nesting are bounded, and every byte
//! may be wrong. Two ends are told apart: a whole line that is not as written is an error with its number;
//! a record that just stops (a killed run, a full disk) is valid up to its last whole line (P9).
//! Signatures that stand beside a record have to fit it; whose keys made them is asked elsewhere.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use firmware_protocol::planted::Defence;
use serde_json::Value;

use super::bounds::Bounds;
use super::chain::Chain;
use super::checkpoint::{self, Checkpoint, Checkpoints};
use super::error::{Fault, RecordError};
use super::escape::{excerpt, make_safe};
use super::fold::ViewBuilder;
use super::mapping;
use super::ocp::{Artifact, Line};
use super::signed::SignedBy;
use super::time::parse_unix_ms;
use super::view::{Integrity, RunView};
use super::{LINE_MAX_BYTES, RECORD_FILE, RECORD_MAX_BYTES, SIGNATURES_FILE};
use crate::input;
use crate::trust::Hex;

/// A record whose chain holds, and whose signatures fit.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    view: RunView,
}

impl RunRecord {
    /// Reads and verifies `path`, a record or the run folder that holds it, and the signatures beside it.
    ///
    /// # Errors
    /// [`RecordError::BadLine`] for the first line that is not as written; [`RecordError::NotAsSigned`],
    /// [`RecordError::Missing`] and [`RecordError::BadSignature`] for signatures that do not fit;
    /// [`RecordError::Io`], [`RecordError::NotAFile`] and [`RecordError::TooLong`] before the first line.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let path = if path.is_dir() { path.join(RECORD_FILE) } else { path.to_path_buf() };
        let bytes = read_bounded(&path, RECORD_MAX_BYTES)?;
        let beside = path.with_file_name(SIGNATURES_FILE);
        let signatures = match read_bounded(&beside, checkpoint::FILE_MAX_BYTES) {
            Err(RecordError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Vec::new()
            }
            read => read?,
        };
        Self::parse(&bytes, &signatures).map_err(|spoilt| spoilt.in_files(path, beside))
    }

    /// What the record says.
    #[must_use]
    pub const fn view(&self) -> &RunView {
        &self.view
    }

    fn parse(bytes: &[u8], signatures: &[u8]) -> Result<Self, Spoilt> {
        let signed = Checkpoints::parse(signatures);
        let mut reader = Reader::new();
        let mut checkpoints = signed.held.iter().peekable();
        let mut rest = bytes;
        while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(length.saturating_add(1));
            reader.take(line).map_err(Spoilt::Line)?;
            if let Some(here) = checkpoints.next_if(|it| it.lines == reader.chain.lines()) {
                reader.compare(here)?;
            }
            rest = after;
        }
        reader.refuse_foreign_start(rest).map_err(Spoilt::Line)?;
        if let Some(missing) = checkpoints.next() {
            return Err(Spoilt::Missing(reader.chain.lines().saturating_add(1), *missing));
        }
        let by_key = signed.by_key().into_iter();
        let mut view = reader.finish(rest.len());
        view.signed = by_key.map(|(public_key, lines)| SignedBy { public_key, lines }).collect();
        signed.fault.map_or(Ok(Self { view }), |fault| Err(Spoilt::Signature(fault)))
    }
}

/// What is wrong with a record or the signatures beside it: the first of it.
#[derive(Debug)]
enum Spoilt {
    Line(Fault),
    /// Some line from this one to where the signature is, and the digest that stands there.
    NotAsSigned(u64, Checkpoint, [u8; 32]),
    Missing(u64, Checkpoint),
    Signature(Fault),
}

impl Spoilt {
    fn in_files(self, record: PathBuf, signatures: PathBuf) -> RecordError {
        match self {
            Self::Line(Fault { line, expected, got }) => {
                RecordError::BadLine { path: record, line, expected, got }
            }
            Self::NotAsSigned(first, signed, got) => RecordError::NotAsSigned {
                path: record,
                first,
                last: signed.lines,
                hint: hint(&signed),
                expected: Hex(&signed.head).to_string(),
                got: Hex(&got).to_string(),
            },
            Self::Missing(line, signed) => RecordError::Missing {
                path: record,
                line,
                hint: hint(&signed),
                signed_lines: signed.lines,
            },
            Self::Signature(Fault { line, expected, got }) => {
                RecordError::BadSignature { path: signatures, line, expected, got }
            }
        }
    }
}

struct Reader {
    chain: Chain,
    bounds: Bounds,
    view: ViewBuilder,
    signed_lines: u64,
}

impl Reader {
    fn new() -> Self {
        let (bounds, view) = (Bounds::default(), ViewBuilder::default());
        Self { chain: Chain::new(), bounds, view, signed_lines: 0 }
    }

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

    /// Holds what has been read against a signature over it. The chain only says that nothing was changed without
    /// computing it anew.
    fn compare(&mut self, signed: &Checkpoint) -> Result<(), Spoilt> {
        let got = self.chain.digest();
        if signed.head != got {
            let first = self.signed_lines.saturating_add(1);
            return Err(Spoilt::NotAsSigned(first, *signed, got));
        }
        self.signed_lines = signed.lines;
        Ok(())
    }

    /// Before the meaning: a reader of an edited record wants to hear of the edit, not of its syntax.
    fn check_links(&self, value: &Value) -> Result<(), Fault> {
        let prev = value.pointer("/metadata/prev").and_then(Value::as_str);
        if prev != Some(self.chain.head()) && !Defence::EvidenceChain.is_off() {
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
            self.bounds.admit(&entry).map_err(|expected| self.fault(expected, excerpt(raw)))?;
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

fn hint(signed: &Checkpoint) -> String {
    SignedBy { public_key: signed.public_key, lines: signed.lines }.hint()
}

fn read_bounded(path: &Path, max_bytes: u64) -> Result<Vec<u8>, RecordError> {
    let io = |source| RecordError::Io { path: PathBuf::from(path), source };
    let opened = input::open_regular(path).map_err(io)?;
    let opened = opened.map_err(|_| RecordError::NotAFile { path: path.to_path_buf() })?;
    let mut bytes = Vec::new();
    let mut file = opened.take(max_bytes.saturating_add(1));
    file.read_to_end(&mut bytes).map_err(io)?;
    if file.limit() == 0 {
        let path = path.to_path_buf();
        return Err(RecordError::TooLong { path, max_bytes });
    }
    Ok(bytes)
}

const FIRST_LINE_START: &[u8] = b"{\"metadata\":{\"prev\":\"";

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::evidence::{Entry, Pace, Recorder, RunFolder, sample};
    use crate::plan::CHECKS_MAX;
    use crate::trust::{Signer as _, test_signer};
    use crate::verdict::CheckVerdict;

    fn parse(bytes: &[u8]) -> Result<RunRecord, Fault> {
        RunRecord::parse(bytes, b"").map_err(|spoilt| match spoilt {
            Spoilt::Line(fault) => fault,
            spoilt @ (Spoilt::NotAsSigned(..) | Spoilt::Missing(..) | Spoilt::Signature(_)) => {
                panic!("without signatures: {spoilt:?}")
            }
        })
    }

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
        let view = parse(&bytes).expect("is valid").view;
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
            let view = parse(cut).unwrap_or_else(|e| panic!("cut at {length}: {e:?}")).view;
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
                let fault = parse(&changed).expect_err("is found");
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
                let _ = parse(&changed);
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
            let fault = parse(&edited).expect_err(name);
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
            assert_eq!(parse(foreign).expect_err("is foreign").line, 1);
        }
    }

    #[test]
    fn a_line_after_the_end_of_the_run_is_found() {
        let mut bytes = small();
        bytes.extend_from_slice(b"{}\n");
        let fault = parse(&bytes).expect_err("is found");
        assert_eq!((fault.line, fault.expected.as_str()), (7, "nothing after the end of the run"));
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_is_parsed() {
        let mut bytes = vec![b'['; LINE_MAX_BYTES + 1];
        bytes.push(b'\n');
        let fault = parse(&bytes).expect_err("is too long");
        assert_eq!(fault.expected, "at most 1048576 bytes");
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        let mut bytes = vec![b'['; LINE_MAX_BYTES / 2];
        bytes.push(b'\n');
        assert_eq!(parse(&bytes).expect_err("is too deep").expected, "one JSON object");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let temp = tempfile::tempdir().expect("temp");
        let path = temp.path().join("long");
        File::create(&path).expect("creates").set_len(RECORD_MAX_BYTES + 1).expect("grows");
        assert!(matches!(RunRecord::read(&path), Err(RecordError::TooLong { .. })));
    }

    /// A record of two steps, and what its bench has signed of it: at its begin, behind each step, at its end.
    fn signed(pace: Pace) -> (Vec<u8>, Vec<u8>) {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(temp.path(), UNIX_EPOCH, "x").expect("folder");
        let mut recorder = Recorder::start(&folder, sample::at(0)).expect("record");
        recorder.sign_with(&folder, Arc::new(test_signer(5)), pace).expect("signs");
        let run = sample::run();
        for (at, entry) in run.iter().take(6).chain(run.last()).cloned() {
            recorder.append(entry, at).expect("appends");
        }
        recorder.sign_end().expect("signs");
        let read = |path| fs::read(path).expect("reads");
        (read(folder.record_path()), read(folder.signatures_path()))
    }

    fn signed_to_end(record: &[u8], signatures: &[u8]) -> Option<bool> {
        let read = RunRecord::parse(record, signatures).ok()?;
        Some(read.view.proven_by(&[test_signer(5).public_key()]).is_ok())
    }

    #[test]
    fn a_record_is_signed_at_its_begin_behind_its_steps_and_at_its_end() {
        for (pace, expected) in [(Pace::EachStep, vec![1, 5, 8]), (Pace::WhenAsked, vec![1, 8])] {
            let (record, signatures) = signed(pace);
            let held = Checkpoints::parse(&signatures).held;
            assert_eq!(held.iter().map(|it| it.lines).collect::<Vec<_>>(), expected);
            assert_eq!(signed_to_end(&record, &signatures), Some(true));
            assert_eq!(signed_to_end(&record, b""), Some(false));
        }
    }

    /// Row 20: no byte of record or signatures is another's to choose.
    #[test]
    fn whichever_byte_is_changed_the_record_is_not_signed_to_its_end() {
        let (record, signatures) = signed(Pace::EachStep);
        let flipped = |bytes: &[u8], position: usize, flip| {
            let mut changed = bytes.to_vec();
            changed[position] ^= flip;
            changed
        };
        for position in 0..record.len() {
            let changed = flipped(&record, position, 1 << (position % 8));
            assert_ne!(signed_to_end(&changed, &signatures), Some(true), "record {position}");
        }
        // Digits of the other case, blanks for line ends, and what is no text.
        for (position, flip) in
            (0..signatures.len()).flat_map(|at| [0x01, 0x20, 0x2a, 0x80].map(|flip| (at, flip)))
        {
            let changed = flipped(&signatures, position, flip);
            assert_ne!(signed_to_end(&record, &changed), Some(true), "signatures {position}");
        }
    }

    /// P9: what a kill leaves is signed up to where it was, and never more.
    #[test]
    fn a_killed_run_is_signed_up_to_its_last_whole_signature() {
        let (record, signatures) = signed(Pace::EachStep);
        for length in 0..signatures.len() {
            assert_eq!(
                signed_to_end(&record, &signatures[..length]),
                Some(false),
                "cut at {length}"
            );
        }
        let last = signatures[..signatures.len() - 1].iter().rposition(|byte| *byte == b'\n');
        let until_step = &signatures[..=last.expect("is there")];
        for length in 0..record.len() {
            let cut = &record[..length];
            let read = RunRecord::parse(cut, until_step);
            if lines(cut) < 5 {
                let Err(Spoilt::Missing(line, signed)) = read else { panic!("{length}: {read:?}") };
                assert_eq!((line, signed.lines > lines(cut)), (lines(cut) + 1, true));
            } else {
                assert_eq!(read.expect("is valid").view.signed[0].lines, 5);
            }
        }
    }

    /// Without the signatures such a record reads as if it had been written so.
    #[test]
    fn a_chain_that_is_computed_anew_is_not_what_was_signed() {
        let (record, signatures) = signed(Pace::EachStep);
        let text = String::from_utf8(record).expect("is text");
        let mut chain = Chain::new();
        let mut forged = Vec::new();
        for line in text.replace("\"sent\"", "\"kept\"").split_inclusive('\n') {
            let mut value: Value = serde_json::from_str(line).expect("is JSON");
            value["metadata"]["prev"] = chain.head().into();
            let line = value.to_string() + "\n";
            chain.push(line.as_bytes());
            forged.extend_from_slice(line.as_bytes());
        }
        assert_eq!(signed_to_end(&forged, b""), Some(false));
        let spoilt = RunRecord::parse(&forged, &signatures).expect_err("is found");
        assert!(
            matches!(spoilt, Spoilt::NotAsSigned(6, Checkpoint { lines: 8, .. }, _)),
            "{spoilt:?}"
        );
        let told = spoilt.in_files("r".into(), "s".into()).to_string();
        assert!(told.starts_with("a line from 6 to 8 of r is not as signed by "), "{told}");
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

    /// What a line names takes more memory than the line, so no record names more than a plan can.
    #[test]
    fn a_record_that_names_more_stages_than_a_plan_is_refused_at_the_first_one_too_many() {
        let many = (0..=CHECKS_MAX).map(|n| {
            let entry = Entry::CheckEnd {
                check: crate::evidence::CheckId { stage: format!("s{n}"), check: "c".to_owned() },
                verdict: CheckVerdict::Pass,
                reason: String::new(),
            };
            (sample::at(0), entry)
        });
        let bytes = record_of(many);
        let fault = parse(&bytes).expect_err("is one too many");
        assert_eq!(fault.line, lines(&bytes));
        assert_eq!(fault.expected, "at most 256 stages, as in a plan");
    }
}
