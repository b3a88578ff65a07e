//! `noflake conformance` on the board.

use std::process::Stdio;

use serde_json::Value;

use crate::emulator::Emulator;
use crate::error::Error;
use crate::site::Site;

/// What one scenario has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// `P1.starts`.
    pub(crate) scenario: String,
    /// `P1`.
    pub(crate) promise: String,
    /// `holds`, `broken`, `not_checked`, `not_defended`.
    pub(crate) finding: String,
    /// Why, where it does not hold.
    pub(crate) why: String,
}

/// Runs the suite; `only` names scenarios or promises.
pub(crate) fn run(
    site: &Site,
    board: &Emulator,
    only: Option<&str>,
    seed: u64,
) -> Result<Vec<Row>, Error> {
    let own = std::env::current_exe().map_err(Error::file(&board.path("")))?;
    let power = |way: &str| {
        let folder = board.path("");
        format!("{} board power {way} {}", own.display(), folder.display())
    };
    let mut command = site.command();
    command
        .args(["--format", "json", "conformance", "-d", &board.address(), "--bundles", "."])
        .args(["--power-off", &power("off"), "--power-on", &power("on")])
        .args(["--seed", &seed.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let output = command.output().map_err(Error::file(&board.path("")))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Value> = text.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    // The line about all of them is last: without it the suite did not end.
    match lines.split_last() {
        Some((all, rows)) if all.get("counts").is_some() => Ok(rows.iter().map(row).collect()),
        _ => Err(Error::Board(format!("the suite has not ended: {}", output.status))),
    }
}

fn row(line: &Value) -> Row {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    Row {
        scenario: text("scenario"),
        promise: text("promise"),
        finding: text("finding"),
        why: text("why"),
    }
}
