//! `noflake demo`: the whole story on simulated devices, told by the tool's own commands.
//!
//! Every story runs `noflake` as a user would, against `noflake sim` in processes of its own, on a
//! real pseudo-terminal and a real socket, and is judged by what the device's own side shows: its
//! answers, its link counters, its flash file. `--plant` breaks one thing on purpose: a demo that
//! still passed then would prove nothing.

mod flash;
mod site;
mod stories;
mod tool;
mod unsigned;

use std::path::PathBuf;

use serde_json::json;

use self::site::Site;
use self::stories::STORIES;
use crate::cli::Context;
use crate::error::{CommandError, Exit};

/// Tell the whole story on simulated devices, nothing to prepare
///
/// Sound, failing, hanging and unsigned versions meet a device on a serial port and one on a socket;
/// each story ends with what the device itself shows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Break one thing on purpose: the story that should notice must then fail
    #[arg(long, value_enum, value_name = "MISTAKE")]
    plant: Option<Plant>,
    /// Folder for keys, bundles, device state and evidence [default: a new temporary one]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// A known mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Plant {
    /// The device takes a bundle that nobody signed
    AcceptUnsigned,
    /// The plan ignores the check that fails
    IgnoreCheck,
    /// The device has nothing that ends a trial when the lease is over
    IgnoreLease,
    /// The device says the digest that is expected instead of the one it has
    LieDigest,
}

/// Tells the stories.
///
/// # Errors
/// When the demo itself cannot be set up.
pub fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    let output = &context.output;
    output.progress(&"making keys, bundles and devices ...");
    let site = Site::prepare(args.folder.clone(), args.plant)?;
    output.result(
        &format!(
            "Two simulated devices, each in its own process:\n  {}   (pseudo-terminal)\n  {}   \
             (socket)",
            site.serial.address, site.tcp.address
        ),
        &json!({ "devices": [site.serial.address, site.tcp.address] }),
    );
    let mut broken = Vec::new();
    for (number, story) in (1..).zip(STORIES) {
        output.progress(&format_args!("story {number}: {} ...", story.title));
        let told = (story.tell)(&site)?;
        let word = if told.problems.is_empty() { "ok" } else { "BROKEN" };
        let mut lines = vec![format!("\n{number}. {} ({word})", story.title)];
        lines.extend(told.facts.iter().map(|fact| format!("   {fact}")));
        lines.extend(told.problems.iter().map(|problem| format!("   BROKEN: {problem}")));
        let machine = json!({
            "story": story.name,
            "ok": told.problems.is_empty(),
            "facts": told.facts,
            "problems": told.problems,
        });
        output.result(&lines.join("\n"), &machine);
        if !told.problems.is_empty() {
            broken.push(story.name);
        }
    }
    let runs = site.runs();
    let human = if broken.is_empty() {
        format!("\nAll {} stories hold. Evidence: {}", STORIES.len(), runs.display())
    } else {
        format!("\nBroken: {}. Evidence: {}", broken.join(", "), runs.display())
    };
    output.result(&human, &json!({ "ok": broken.is_empty(), "broken": broken, "evidence": runs }));
    Ok(if broken.is_empty() { Exit::Success } else { Exit::Rejected })
}
