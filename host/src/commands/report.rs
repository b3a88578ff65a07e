//! `noflake report`: what a run came to, from its record.

use std::path::{Path, PathBuf};

use firmware_protocol::root::PublicKey;
use serde_json::{Value, json};

use super::evidence_key::refuse_other_role;
use crate::cli::Context;
use crate::error::CommandError;
use crate::evidence::{Integrity, RunRecord};
use crate::output::Format;
use crate::report::{run_json, run_text, signed_json, signed_text};
use crate::trust::PublicKeyFile;

/// Show what a run came to, and verify its record
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(ShowArgs),
    Verify(VerifyArgs),
}

/// Show a run: verdict, checks, device, and whether its record is whole
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Run folder, or its record.jsonl; again for more
    #[arg(required = true)]
    runs: Vec<PathBuf>,
}

/// Verify the record of a run, and that a bench has signed all of it
///
/// Succeeds with --key when the record is whole, has the end of its run, and one of these keys has signed it to that
/// end; else the first line at fault is named. Without --key it says who has signed, and that proves nothing about who
/// that is.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Run folder, or its record.jsonl
    run: PathBuf,
    /// Public half of a key of the bench role, a .pub file; again for more keys
    #[arg(long = "key", value_name = "PUB")]
    keys: Vec<PathBuf>,
}

/// Shows or verifies.
///
/// # Errors
/// When the record cannot be read, its chain is broken, or it does not prove what is asked.
pub fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    match &args.command {
        Command::Show(args) => show(args, context),
        Command::Verify(args) => verify(args, context),
    }
}

fn show(args: &ShowArgs, context: &Context) -> Result<(), CommandError> {
    for run in &args.runs {
        let record = RunRecord::read(run)?;
        let view = record.view();
        // A long run is not built up a second time for whoever wants words.
        let mut machine = match context.output.format() {
            Format::Json => run_json(view),
            Format::Human => Value::Null,
        };
        if let Some(machine) = machine.as_object_mut() {
            machine.insert("evidence".to_owned(), json!(run));
        }
        context.output.result(&run_text(view).trim_end(), &machine);
    }
    Ok(())
}

fn verify(args: &VerifyArgs, context: &Context) -> Result<(), CommandError> {
    let keys = read_bench_keys(&args.keys)?;
    let record = RunRecord::read(&args.run)?;
    let view = record.view();
    let run = args.run.display();
    let (lines, head, whole) = match &view.integrity {
        Integrity::Complete { lines, head } => (lines, head, "whole"),
        Integrity::Interrupted { lines, head, .. } => (lines, head, "without the end of the run"),
    };
    let proven = match keys.as_slice() {
        [] => None,
        keys => {
            let proven = view.proven_by(keys);
            let proven = proven.map_err(|source| unproven(&args.run, source))?;
            Some(proven.hint())
        }
    };
    let told = match &proven {
        Some(hint) => format!("signed to the end by {hint}, one of the keys that were named"),
        None if view.signed.is_empty() => {
            format!("{}: nothing says who wrote it", signed_text(view))
        }
        None => format!(
            "{}; whose key that is, is not proven: name the keys that you trust with --key",
            signed_text(view)
        ),
    };
    let human = format!(
        "{run}: record {whole}, {lines} lines, each chained to the next\n  head    {head}\n  {told}"
    );
    let machine = json!({
        "evidence": args.run,
        "complete": matches!(view.integrity, Integrity::Complete { .. }),
        "lines": lines,
        "head": head,
        "signed": signed_json(view),
        "proven_by": proven,
    });
    context.output.result(&human, &machine);
    Ok(())
}

/// The public halves of benches' keys.
///
/// # Errors
/// When a file is none, or of another role.
pub(super) fn read_bench_keys(paths: &[PathBuf]) -> Result<Vec<PublicKey>, CommandError> {
    let read = |path: &PathBuf| {
        let file = PublicKeyFile::open(path)?;
        refuse_other_role(path, file.role)?;
        Ok(file.public_key)
    };
    paths.iter().map(read).collect()
}

fn unproven(run: &Path, source: crate::evidence::Unproven) -> CommandError {
    CommandError::Unproven { path: run.to_path_buf(), source }
}
