//! `noflake conformance` on the board.

use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;

use crate::emulator::Emulator;
use crate::error::Error;
use crate::noflake::Noflake;
use crate::program;
use crate::site::Site;

/// What one scenario has found.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Row {
    /// `P1.starts`.
    pub(crate) scenario: String,
    /// `P1`.
    pub(crate) promise: String,
    pub(crate) finding: Finding,
    /// Why, where it does not hold.
    #[serde(default)]
    pub(crate) why: Option<String>,
}

/// What there is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Finding {
    Holds,
    Broken,
    NotChecked,
    NotDefended,
}

/// The line about all of them.
#[derive(Debug, Deserialize)]
struct All {
    interrupted: bool,
    healthy: bool,
}

/// Whether the suite has what `only` names: asked before boards are made for it.
pub(crate) fn is_known(noflake: &Noflake, only: &str) -> Result<(), Error> {
    let mut list = noflake.command(Path::new("."));
    program::run(list.args(["conformance", "--list", "--only", only])).map(drop)
}

/// Runs the suite; `only` names scenarios or promises.
pub(crate) fn run(
    site: &Site,
    board: &Emulator,
    only: Option<&str>,
    seed: u64,
) -> Result<Vec<Row>, Error> {
    let mut command = site.command();
    command
        .args(["conformance", "-d", &board.address(), "--bundles", "."])
        .args(["--power-off", &power(board, "off")?, "--power-on", &power(board, "on")?])
        .args(["--seed", &seed.to_string(), "--format", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let output = command.output().map_err(Error::start(&command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    // The line about all of them is last: without it the suite did not end.
    let Some((all, rows)) = lines.split_last() else { return Err(unclear(output.status, "")) };
    let ended: All = serde_json::from_str(all).map_err(|_| unclear(output.status, all))?;
    if ended.interrupted {
        return Err(unclear(output.status, all));
    }
    let parse = |row: &&str| serde_json::from_str(row).map_err(|_| unclear(output.status, row));
    let mut rows = rows.iter().map(parse).collect::<Result<Vec<Row>, Error>>()?;
    if !ended.healthy && !rows.iter().any(|row| row.finding == Finding::Broken) {
        rows.push(Row {
            scenario: "P1.end".to_owned(),
            promise: "P1".to_owned(),
            finding: Finding::Broken,
            why: Some("the suite does not end with a healthy version confirmed".to_owned()),
        });
    }
    Ok(rows)
}

fn unclear(status: std::process::ExitStatus, line: &str) -> Error {
    Error::Board(format!("the suite has not come to its end, {status}: {line}"))
}

/// The command that switches the board's power. Its arguments stand behind blanks.
fn power(board: &Emulator, way: &str) -> Result<String, Error> {
    let own = program::own()?;
    let (own, folder) = (own.display().to_string(), board.path("").display().to_string());
    if own.contains(char::is_whitespace) || folder.contains(char::is_whitespace) {
        return Err(Error::Usage(
            "TMPDIR or the path of the repository has a blank, which power commands cannot have",
        ));
    }
    Ok(format!("{own} board power {way} {folder}"))
}
