//! Writes the record of a run, one line an entry, each handed to the system before the next.
//!
//! A record is append-only. After a failed write nothing more is written: a record with a hole in its
//! middle would look whole, one that ends early says so.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::SystemTime;

use super::chain::Chain;
use super::entry::{Entry, NoteSeverity};
use super::error::EvidenceError;
use super::escape::make_safe;
use super::folder::RunFolder;
use super::ocp::{Artifact, Line, Metadata};
use super::signing::{EvidenceSigner, Pace, Signing, SigningError};
use super::step::Step;
use super::{LINE_MAX_BYTES, RECORD_MAX_BYTES, mapping, time};

/// The open record of a run.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    path: PathBuf,
    chain: Chain,
    written_bytes: u64,
    console: Console,
    open_steps: OpenSteps,
    signing: Option<Signing>,
    closed: bool,
}

/// Whether console lines still go into the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Console {
    Recorded { bytes: u64 },
    LeftOut,
}

impl Recorder {
    /// Starts the record of `folder` with its `schemaVersion` line.
    ///
    /// # Errors
    /// [`EvidenceError::Io`] if the folder has a record already; otherwise as [`RunFolder::create`].
    pub fn start(folder: &RunFolder, at: SystemTime) -> Result<Self, EvidenceError> {
        let path = folder.record_path();
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| EvidenceError::before_the_run(&path, error))?;
        Self::over(file, path, at)
    }

    fn over(file: File, path: PathBuf, at: SystemTime) -> Result<Self, EvidenceError> {
        let mut recorder = Self {
            file,
            path,
            chain: Chain::new(),
            written_bytes: 0,
            console: Console::Recorded { bytes: 0 },
            open_steps: OpenSteps::default(),
            signing: None,
            closed: false,
        };
        let version = Artifact::SchemaVersion { major: 2, minor: 0 };
        let line = recorder.encode(version, Metadata::default(), at)?;
        recorder.write(&line)?;
        Ok(recorder)
    }

    /// Appends one entry. Every text in it is escaped.
    ///
    /// The console takes at most a quarter of a record. Then one note says that its lines are left out, and
    /// later ones are dropped without an error: a talkative device must not end its own run.
    ///
    /// # Errors
    /// [`EvidenceError::RecordBrokeOff`] if the system refuses, [`EvidenceError::RecordFull`]: the record
    /// is closed then, and every later call is [`EvidenceError::Closed`].
    /// [`EvidenceError::EntryTooLong`], [`EvidenceError::UnknownLimit`] and [`EvidenceError::Encode`] leave it
    /// open and unchanged.
    pub fn append(&mut self, entry: Entry, at: SystemTime) -> Result<(), EvidenceError> {
        let is_console = matches!(entry, Entry::Console { .. });
        if is_console && self.console == Console::LeftOut {
            return Ok(());
        }
        let mut open_steps = self.open_steps.clone();
        open_steps.follow(&entry);
        let durable = matches!(entry, Entry::StepEnd { .. } | Entry::RunEnd(_));
        let last = matches!(entry, Entry::RunEnd(_));
        let (artifact, metadata) = mapping::to_artifact(entry, self.open_steps.current())?;
        let line = self.encode(artifact, metadata, at)?;
        if is_console && !self.has_room_for_console(&line) {
            return self.append(console_left_out(), at);
        }
        self.write(&line)?;
        self.open_steps = open_steps;
        if durable {
            self.file.sync_data().map_err(|error| self.break_off(error))?;
            let (lines, head) = (self.chain.lines(), self.chain.digest());
            if let Some(signing) = &mut self.signing {
                signing.step_ended(lines, head);
            }
        }
        self.closed = last;
        Ok(())
    }

    /// From now on the record of `folder` is signed by `signer`: at once, at its end, and in between as `pace` says.
    ///
    /// # Errors
    /// [`SigningError::Signer`] if it does not sign, [`SigningError::Write`] if the signature cannot be kept.
    pub fn sign_with(
        &mut self,
        folder: &RunFolder,
        signer: EvidenceSigner,
        pace: Pace,
    ) -> Result<(), SigningError> {
        self.signing = Some(Signing::start(folder, signer, pace)?);
        self.sign()
    }

    /// Signs the record to its end, if it is signed at all. What is written behind a failed write was never
    /// recorded, so whole lines are signed then, too.
    ///
    /// # Errors
    /// [`EvidenceError::Unsigned`] says how far it is signed.
    pub fn sign_end(&mut self) -> Result<(), EvidenceError> {
        self.sign().map_err(|source| EvidenceError::Unsigned {
            path: self.path.clone(),
            signed_lines: self.signing.as_ref().map_or(0, Signing::signed_lines),
            lines: self.lines(),
            source,
        })
    }

    /// A signature is never about lines that a loss of power can take back.
    fn sign(&mut self) -> Result<(), SigningError> {
        let (lines, head) = (self.chain.lines(), self.chain.digest());
        let Some(signing) = &mut self.signing else { return Ok(()) };
        self.file
            .sync_data()
            .map_err(|source| SigningError::Write { path: self.path.clone(), source })?;
        signing.sign(lines, head)
    }

    /// SHA-256 of the last line in hex. Note it elsewhere, and the whole record can be checked.
    #[must_use]
    pub fn head(&self) -> &str {
        self.chain.head()
    }

    /// Lines written.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.chain.lines()
    }

    /// Counts whole lines as written: a device that sends only escapes or empty lines fills a record
    /// with what surrounds its text.
    fn has_room_for_console(&mut self, line: &[u8]) -> bool {
        let Console::Recorded { bytes } = self.console else { return false };
        let bytes = bytes.saturating_add(line.len() as u64);
        self.console =
            if bytes <= CONSOLE_MAX_BYTES { Console::Recorded { bytes } } else { Console::LeftOut };
        self.console != Console::LeftOut
    }

    fn write(&mut self, line: &[u8]) -> Result<(), EvidenceError> {
        if self.closed {
            return Err(EvidenceError::Closed { path: self.path.clone(), lines: self.lines() });
        }
        if line.len() > LINE_MAX_BYTES {
            let (got_bytes, max_bytes) = (line.len(), LINE_MAX_BYTES);
            return Err(EvidenceError::EntryTooLong { got_bytes, max_bytes });
        }
        let written_bytes = self.written_bytes + line.len() as u64;
        if written_bytes > RECORD_MAX_BYTES {
            self.closed = true;
            let (path, lines) = (self.path.clone(), self.lines());
            return Err(EvidenceError::RecordFull { path, lines, max_bytes: RECORD_MAX_BYTES });
        }
        self.file.write_all(line).map_err(|error| self.break_off(error))?;
        self.chain.push(line);
        self.written_bytes = written_bytes;
        Ok(())
    }

    fn encode(
        &self,
        artifact: Artifact,
        metadata: Metadata,
        at: SystemTime,
    ) -> Result<Vec<u8>, EvidenceError> {
        let line = Line {
            artifact,
            sequence_number: self.chain.lines(),
            timestamp: time::rfc3339(at),
            metadata: Metadata { prev: self.chain.head().to_owned(), ..metadata },
        };
        let value = serde_json::to_value(line).map_err(EvidenceError::Encode)?;
        let mut bytes = serde_json::to_vec(&make_safe(value)).map_err(EvidenceError::Encode)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn break_off(&mut self, error: std::io::Error) -> EvidenceError {
        self.closed = true;
        EvidenceError::during_the_run(&self.path, self.lines(), error)
    }
}

/// The steps that have begun and not ended; the innermost owns what the device says.
///
/// A list that is searched: a run has two of them open, and what a record names at most is bounded ([`super::bounds`]).
#[derive(Debug, Clone, Default)]
pub(super) struct OpenSteps(Vec<Step>);

impl OpenSteps {
    pub(super) fn current(&self) -> Option<&Step> {
        self.0.last()
    }

    pub(super) fn follow(&mut self, entry: &Entry) {
        if let Entry::StepStart(step) = entry {
            self.0.retain(|open| open != step);
            self.0.push(step.clone());
        } else if let Entry::StepEnd { step, .. } = entry {
            self.0.retain(|open| open != step);
        }
    }
}

fn console_left_out() -> Entry {
    let text = "the device's console is left out from here on: it filled a quarter of the record";
    Entry::Note { severity: NoteSeverity::Warning, text: text.to_owned() }
}

/// A quarter of a record: whoever makes a report of it has the record and its console in memory at once.
const CONSOLE_MAX_BYTES: u64 = RECORD_MAX_BYTES / 4;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::evidence::sample;

    fn started() -> (tempfile::TempDir, RunFolder, Recorder) {
        let temp = tempfile::tempdir().expect("temp");
        let folder = RunFolder::create(temp.path(), UNIX_EPOCH, "x").expect("folder");
        let recorder = Recorder::start(&folder, UNIX_EPOCH).expect("record");
        (temp, folder, recorder)
    }

    fn text(folder: &RunFolder) -> String {
        std::fs::read_to_string(folder.record_path()).expect("reads")
    }

    fn note(text: &str) -> Entry {
        Entry::Note { severity: NoteSeverity::Info, text: text.to_owned() }
    }

    fn on_full_disk() -> Recorder {
        let path = PathBuf::from("runs/x/record.jsonl");
        Recorder {
            file: OpenOptions::new().append(true).open("/dev/full").expect("Linux has it"),
            path,
            chain: Chain::new(),
            written_bytes: 0,
            console: Console::Recorded { bytes: 0 },
            open_steps: OpenSteps::default(),
            signing: None,
            closed: false,
        }
    }

    /// Pins the format: a change here is a change of EVIDENCE.md and of every record in the field.
    #[test]
    fn the_first_lines_are_ocp_tv_2_0_with_a_hash_chain() {
        let (_temp, folder, mut recorder) = started();
        recorder.append(sample::run_start(), sample::at(1_000)).expect("appends");
        let expected = [
            r#"{"metadata":{"prev":"6b67a616a46bbef1ad5bd54de8309e4a9a60d6532a77ce9a1c3234106df2b6a2"},"schemaVersion":{"major":2,"minor":0},"sequenceNumber":0,"timestamp":"1970-01-01T00:00:00.000Z"}"#,
            r#"{"metadata":{"prev":"5dab9951911dbc96809293cd12bc69fd7b21b963b7ea3ca5dd602905b042634c"},"sequenceNumber":1,"testRunArtifact":{"testRunStart":{"commandLine":"noflake qualify rover-nav.nfb","dutInfo":{"dutInfoId":"tcp:10.0.0.5:7700"},"name":"rover-nav.release","parameters":{"bench":"bench-3","bundle":{"digest":"bd01","product":"rover-nav","version":"2.1.0"},"device_class":"mcu","plan":{"digest":"9a02","id":"rover-nav.release","path":"plans/release.toml","version":"7"},"planned":[{"check":"rail-3v3","stage":"oq"},{"check":"cold-boot","stage":"oq"},{"check":"log-clean","stage":"oq"},{"check":"soak","stage":"pq"}],"seed":7,"tool_version":"0.1.0","verb":"qualify"},"version":"7"}},"timestamp":"2026-11-22T20:46:41.000Z"}"#,
        ];
        assert_eq!(text(&folder).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn device_text_is_escaped_in_the_file() {
        let (_temp, folder, mut recorder) = started();
        let text_in = "\u{1b}[2J\u{202e}ok".to_owned();
        recorder.append(Entry::Console { text: text_in }, UNIX_EPOCH).expect("appends");
        assert!(text(&folder).contains(r"\\u{1b}[2J\\u{202e}ok"), "{}", text(&folder));
    }

    #[test]
    fn a_console_line_belongs_to_the_step_that_is_open() {
        let (_temp, folder, mut recorder) = started();
        let oq = Step::Stage("oq".to_owned());
        for entry in [
            Entry::StepStart(Step::Phase(super::super::Phase::Checks)),
            Entry::StepStart(oq.clone()),
            note("in oq"),
            Entry::StepEnd { step: oq, ending: super::super::Ending::Done, reason: None },
            note("in checks"),
        ] {
            recorder.append(entry, UNIX_EPOCH).expect("appends");
        }
        let text = text(&folder);
        let of = |needle| text.lines().find(|line| line.contains(needle)).expect("is there");
        assert!(of("in oq").contains(r#""testStepId":"checks.oq""#));
        assert!(of("in checks").contains(r#""testStepId":"deploy.checks""#));
    }

    #[test]
    fn a_full_disk_says_what_is_lost() {
        let mut recorder = on_full_disk();
        let error = recorder.append(note("x"), UNIX_EPOCH).expect_err("is full");
        assert_eq!(
            error.to_string(),
            "the record runs/x/record.jsonl ends at line 0: the disk is full; what happens from here \
             on is not recorded"
        );
        let again = recorder.append(note("x"), UNIX_EPOCH).expect_err("is closed");
        assert_eq!(error.next(), "make room, then run again");
        assert!(matches!(again, EvidenceError::Closed { lines: 0, .. }));
    }

    #[test]
    fn a_file_size_limit_is_told_apart_from_a_full_disk() {
        let kind = std::io::ErrorKind::FileTooLarge;
        let error = EvidenceError::during_the_run(std::path::Path::new("r"), 3, kind.into());
        assert!(error.to_string().contains("may not grow further"), "{error}");
    }

    #[test]
    fn nothing_follows_the_end_of_a_run() {
        let (_temp, folder, mut recorder) = started();
        for (at, entry) in sample::run() {
            recorder.append(entry, at).expect("appends");
        }
        let before = text(&folder);
        assert!(matches!(
            recorder.append(note("late"), UNIX_EPOCH),
            Err(EvidenceError::Closed { .. })
        ));
        assert_eq!(text(&folder), before);
    }

    #[test]
    fn a_second_recorder_never_writes_into_the_same_record() {
        let (_temp, folder, _recorder) = started();
        assert!(Recorder::start(&folder, UNIX_EPOCH).is_err());
    }

    #[test]
    fn an_entry_that_is_refused_leaves_the_record_open_and_unchanged() {
        let (_temp, folder, mut recorder) = started();
        let before = text(&folder);
        let mut start = crate::evidence::RunStart::default();
        let id = "x".repeat(60_000);
        start.planned = vec![crate::evidence::CheckId { stage: id.clone(), check: id }; 10];
        let error = recorder.append(Entry::RunStart(Box::new(start)), UNIX_EPOCH);
        assert!(matches!(error, Err(EvidenceError::EntryTooLong { .. })), "{error:?}");
        assert_eq!(text(&folder), before);
        recorder.append(note("still open"), UNIX_EPOCH).expect("appends");
    }

    #[test]
    fn a_talkative_device_does_not_end_its_own_run() {
        let (_temp, folder, mut recorder) = started();
        let line = "\u{1b}".repeat(60_000);
        recorder.console = Console::Recorded { bytes: CONSOLE_MAX_BYTES - 300_000 };
        for _ in 0..9 {
            recorder.append(Entry::Console { text: line.clone() }, UNIX_EPOCH).expect("appends");
        }
        recorder.append(note("the run goes on"), UNIX_EPOCH).expect("appends");
        let text = text(&folder);
        assert!(text.len() as u64 <= 302_000);
        assert_eq!(text.matches("left out from here on").count(), 1);
        assert!(text.contains("the run goes on"));
    }
}
