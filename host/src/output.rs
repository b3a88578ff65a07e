//! The only printing: results on stdout, everything else on stderr.
//!
//! Text that came from a file or a device passes [`escape`] before it gets here. A reader that went
//! away (`| head`) is not an error: a command must never stop halfway because nobody listens. A result
//! that stdout does not take otherwise, as on a full disk, goes to stderr: it is never lost in silence.

use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;

use serde::Serialize;
use serde_json::json;

use crate::error::CommandError;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum Format {
    /// Sentences and tables.
    #[default]
    Human,
    /// One JSON value a line.
    Json,
}

/// Where a command's words go.
#[derive(Debug, Default)]
pub struct Output {
    format: Format,
    /// The first result that was lost, unless its reader had gone.
    lost: Mutex<Option<io::Error>>,
}

impl Output {
    /// An output in `format`.
    #[must_use]
    pub const fn new(format: Format) -> Self {
        Self { format, lost: Mutex::new(None) }
    }

    /// How results are printed.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Prints a result: `human` as it is, or `machine` as one line of JSON.
    pub fn result(&self, human: &dyn fmt::Display, machine: &impl Serialize) {
        let line = match self.format {
            Format::Human => human.to_string(),
            Format::Json => match serde_json::to_string(machine) {
                Ok(line) => line,
                Err(error) => return self.keep(error.into()),
            },
        };
        self.raw(format!("{line}\n").as_bytes());
    }

    /// Prints bytes that are a result in every format, such as a completion script.
    pub fn raw(&self, bytes: &[u8]) {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                drop(io::stderr().lock().write_all(bytes));
            }
            self.keep(error);
        }
    }

    /// Tells the person what is going on.
    // Without a stderr there is nobody to tell; the work itself goes on.
    pub fn progress(&self, line: &dyn fmt::Display) {
        drop(writeln!(io::stderr().lock(), "{line}"));
    }

    /// Tells why the command failed, and what to do next.
    pub fn error(&self, error: &CommandError) {
        let chain = error.chain();
        match self.format {
            Format::Human => {
                self.progress(&format_args!("error: {}", chain.join(": ")));
                if let Some(next) = error.next() {
                    self.progress(&format_args!("next: {next}"));
                }
            }
            Format::Json => {
                let line = json!({
                    "error": chain.first(),
                    "causes": chain.iter().skip(1).collect::<Vec<_>>(),
                    "next": error.next(),
                    "exit": error.exit().code(),
                });
                self.raw(format!("{line}\n").as_bytes());
            }
        }
    }

    /// Says whether every result was printed.
    ///
    /// # Errors
    /// When one was not, and not because its reader had gone.
    pub fn finish(&self) -> Result<(), CommandError> {
        let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lost.take().map_or(Ok(()), |error| Err(CommandError::Output(error)))
    }

    fn keep(&self, error: io::Error) {
        if error.kind() != io::ErrorKind::BrokenPipe {
            let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            lost.get_or_insert(error);
        }
    }
}

/// Makes foreign text safe for a terminal: control characters, and those that turn or hide text,
/// are shown by their number.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || turns_or_hides(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// Bidirectional controls, zero-width characters, line separators, tags (Unicode TR 36).
const fn turns_or_hides(character: char) -> bool {
    matches!(
        character,
        '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
            | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_a_terminal() {
        assert_eq!(escape("Größe 5 \u{3bc}m"), "Größe 5 \u{3bc}m");
        assert_eq!(escape("\x1b[2J\r\n"), "\\u{1b}[2J\\u{d}\\u{a}");
        assert_eq!(escape("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
        let output = Output::default();
        output.keep(io::ErrorKind::BrokenPipe.into());
        assert!(output.finish().is_ok());
        output.keep(io::ErrorKind::StorageFull.into());
        assert!(matches!(output.finish(), Err(CommandError::Output(_))));
    }
}
