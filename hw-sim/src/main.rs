//! `hw-sim`: serves simulated devices until it is stopped.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use hw_sim::{ReadyLine, ServeError, ServeOptions, serve, visible};

/// A simulated field device on a serial port, a TCP port or both
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    serve: ServeOptions,
    /// How the ready line is written
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

// A device's engine that makes mistakes on purpose is for tests alone.
const _: () = assert!(
    !firmware_protocol::planted::IS_PLANTABLE,
    "the feature `planted` is for the tests' own binaries"
);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = arguments.format;
    match serve(arguments.serve, None, |line| print_ready(&line, format)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(&error);
            ExitCode::from(3)
        }
    }
}

/// Whoever waits for the line has it at once, pipe or not; one who is gone does not need it.
fn print_ready(line: &ReadyLine, format: Format) {
    let text = match format {
        Format::Json => line.to_json().unwrap_or_else(|_| line.to_string()),
        Format::Human => line.to_string(),
    };
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// The error and its causes, each once, and what to do next.
fn print_error(error: &ServeError) {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if let Some(next) = error.next() {
        text.push_str("\nnext: ");
        text.push_str(&next);
    }
    // Scenarios are quoted with their lines.
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}
