//! `noflake conformance` on the board.

use std::io::{BufRead as _, BufReader};
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

impl Row {
    /// `P1.starts holds`, or what else there is to say.
    pub(crate) fn in_words(&self) -> String {
        let word = match self.finding {
            Finding::Holds => return format!("{} holds", self.scenario),
            Finding::Broken => "broken",
            Finding::NotChecked => "not checked",
            // This board says that it has a deadline.
            Finding::NotDefended => "not defended",
        };
        format!("{} {word}: {}", self.scenario, self.why.as_deref().unwrap_or_default())
    }
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
    let output = program::output(list.args(["conformance", "--list", "--only", only]))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let words = said.trim().trim_start_matches("error: ").to_owned();
    if output.status.success() { Ok(()) } else { Err(Error::Usage(words)) }
}

/// Runs the suite; `only` names scenarios or promises.
pub(crate) fn run(
    site: &Site,
    board: &Emulator,
    only: Option<&str>,
    seed: u64,
) -> Result<Vec<Row>, Error> {
    let [off, on] = power_commands(board)?;
    let mut command = site.command();
    command
        .args(["conformance", "-d", &board.address(), "--bundles", "."])
        .args(["--power-off", &off, "--power-on", &on])
        .args(["--seed", &seed.to_string(), "--format", "json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let mut child = command.spawn().map_err(Error::start(&command))?;
    let mut lines = Vec::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()) {
        let line = line.map_err(Error::start(&command))?;
        if let Ok(row) = serde_json::from_str::<Row>(&line) {
            eprintln!("conformance: {}", row.in_words());
        }
        lines.push(line);
    }
    let status = child.wait().map_err(Error::start(&command))?;
    // The line about all of them is last: without it the suite did not end.
    let Some((all, rows)) = lines.split_last() else { return Err(unclear(status, "")) };
    let ended: All = serde_json::from_str(all).map_err(|_| unclear(status, all))?;
    if ended.interrupted {
        return Err(unclear(status, all));
    }
    let parse = |row: &String| serde_json::from_str(row).map_err(|_| unclear(status, row));
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

/// The commands that take the board's power and give it back. Their arguments stand behind blanks.
pub(crate) fn power_commands(board: &Emulator) -> Result<[String; 2], Error> {
    let own = program::own()?;
    let (own, folder) = (own.display().to_string(), board.path("").display().to_string());
    if own.contains(char::is_whitespace) || folder.contains(char::is_whitespace) {
        let words =
            "TMPDIR or the path of the repository has a blank, which power commands cannot have";
        return Err(Error::Usage(words.to_owned()));
    }
    Ok(["off", "on"].map(|way| format!("{own} board power {way} {folder}")))
}
