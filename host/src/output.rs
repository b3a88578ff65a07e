//! The only printing: results on stdout, everything else on stderr.
//!
//! Nothing that is said to people can steer their terminal or their CI, whichever file or device it quotes: it is
//! escaped here, line by line. A reader that went away (`| head`) is not an error: a command must never stop halfway because nobody listens. A result
//! that stdout does not take otherwise, as on a full disk, goes to stderr: it is never lost in silence.

use std::fmt;
use std::io::{self, Write};
use std::sync::Mutex;

use serde::Serialize;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::error::CommandError;
use crate::evidence::{escape_json_line, escape_log_line};

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
            Format::Human => escape_lines(&human.to_string()),
            Format::Json => match serde_json::to_string(machine) {
                Ok(line) => escape_json_line(&line),
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

    /// Prints help or version, in colour where there is a terminal.
    pub fn help(&self, said: &clap::Error) {
        if let Err(error) = said.print().and_then(|()| io::stdout().flush()) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.progress(&said.render().to_string().trim_end());
            }
            self.keep(error);
        }
    }

    /// Tells the person what is going on, or the program: as one line of JSON.
    // Without a stderr there is nobody to tell; the work itself goes on.
    pub fn progress(&self, line: &dyn fmt::Display) {
        let text = escape_lines(&line.to_string());
        let line = match self.format {
            Format::Human => text,
            Format::Json => {
                escape_json_line(&json!({ "progress": "note", "text": text }).to_string())
            }
        };
        drop(writeln!(io::stderr().lock(), "{line}"));
    }

    /// Tells why the command failed, and what to do next.
    pub fn error(&self, error: &CommandError) {
        let chain: Vec<String> = error.chain().iter().map(|text| escape_lines(text)).collect();
        let next = error.next().map(|text| escape_lines(&text));
        match self.format {
            Format::Human => {
                self.progress(&format_args!("error: {}", chain.join(": ")));
                if let Some(next) = &next {
                    self.progress(&format_args!("next: {next}"));
                }
            }
            Format::Json => {
                let mut line = json!({
                    "error": chain.first(),
                    "causes": chain.iter().skip(1).collect::<Vec<_>>(),
                    "next": next,
                    "exit": error.exit().code(),
                });
                if let (Some(object), Some(at)) = (line.as_object_mut(), error.line()) {
                    object.insert("line".to_owned(), json!(at));
                }
                self.raw(format!("{}\n", escape_json_line(&line.to_string())).as_bytes());
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

/// Where the log goes: stderr, safe as everything else that is said there.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogLines;

impl MakeWriter<'_> for LogLines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

impl Write for LogLines {
    /// An event comes whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let lines = escape_lines(&String::from_utf8_lossy(event));
        io::stderr().lock().write_all(lines.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

/// Makes text safe for a terminal and a CI; its line breaks stay.
fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape_log_line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_cannot_steer_a_terminal_and_keeps_its_lines() {
        let safe = "a\\u{1b}[2J\\r\nb\\u{202e}c\\u{9b}";
        assert_eq!(escape_lines("a\x1b[2J\r\nb\u{202e}c\u{9b}"), safe);
        assert_eq!(escape_lines(safe), safe, "what was escaped before stays as it is");
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
