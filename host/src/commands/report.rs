//! `noflake report`: what a run came to, from its record.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::Context;
use crate::error::CommandError;
use crate::evidence::RunRecord;
use crate::report::{run_json, run_text};

/// Show what a run came to
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(ShowArgs),
}

/// Show a run: verdict, checks, device, and whether its record is whole
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Run folder, or its record.jsonl
    run: PathBuf,
}

/// Shows.
///
/// # Errors
/// When the record cannot be read, or its chain is broken.
pub fn run(args: &Args, context: &Context) -> Result<(), CommandError> {
    let Command::Show(args) = &args.command;
    let record = RunRecord::read(&args.run)?;
    let view = record.view();
    let mut machine = run_json(view);
    if let Some(machine) = machine.as_object_mut() {
        machine.insert("evidence".to_owned(), json!(args.run));
    }
    context.output.result(&run_text(view).trim_end(), &machine);
    Ok(())
}
