//! Each run's own log file: every event inside the span `run` goes to `trace.log` of its folder.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Files of the runs under way, by run id.
fn files() -> &'static Mutex<HashMap<String, File>> {
    static FILES: OnceLock<Mutex<HashMap<String, File>>> = OnceLock::new();
    FILES.get_or_init(Mutex::default)
}

/// Keeps a run's trace open.
#[derive(Debug)]
pub struct TraceFile {
    run: String,
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        files().lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

/// Writes the trace of run `run` to `path` until the handle is dropped. A trace that cannot be
/// written is left out: the record is the evidence.
#[must_use]
pub fn into_file(path: &Path, run: &str) -> TraceFile {
    if let Ok(file) = File::create(path) {
        files().lock().unwrap_or_else(PoisonError::into_inner).insert(run.to_owned(), file);
    }
    TraceFile { run: run.to_owned() }
}

/// The layer that sorts events into files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunTrace;

/// The run a span belongs to.
struct RunId(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RunTrace {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(run), Some(span)) = (fields.run, context.span(id)) {
            span.extensions_mut().insert(RunId(run));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let run = context.event_scope(event).and_then(|scope| {
            scope
                .from_root()
                .find_map(|span| span.extensions().get::<RunId>().map(|id| id.0.clone()))
        });
        let Some(run) = run else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let at = humantime::format_rfc3339_millis(SystemTime::now());
        let meta = event.metadata();
        let mut files = files().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get_mut(&run) {
            let line = format!("{at} {:5} {} {}\n", meta.level(), meta.target(), fields.text);
            // A full disk is found, and said, by the recorder.
            drop(file.write_all(line.as_bytes()));
        }
    }
}

#[derive(Default)]
struct Fields {
    run: Option<String>,
    text: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "run" {
            self.run = Some(value.to_owned());
        }
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "run" && self.run.is_none() {
            self.run = Some(format!("{value:?}"));
        }
        let name = if field.name() == "message" { "" } else { field.name() };
        let space = if self.text.is_empty() { "" } else { " " };
        let equals = if name.is_empty() { "" } else { "=" };
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{space}{name}{equals}{value:?}");
    }
}
