//! Holds the board to its promises: conformance, what ended a trial, the other programs, then power cuts.

use std::time::Instant;

use clap::{Args, ValueEnum as _};
use serde_json::Value;

use crate::cuts::{self, Place, TORN};
use crate::emulator::{self, Emulator};
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::noflake::Noflake;
use crate::output::say;
use crate::site::{self, Site};
use crate::suite::{self, Finding, Row};
use crate::{interrupted, program, table};

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Build a mistake into the firmware, which has to be noticed: exit 1
    #[arg(long, value_enum, default_value = "nothing")]
    plant: Plant,
    /// Chooses where power is cut, and everything else that is chosen
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many power cuts
    #[arg(long, default_value_t = 50)]
    cuts: usize,
    /// Make one cut, at this place: OPERATION:PIECE, as a cut that has broken something is printed. Not with --cuts or --only
    #[arg(long, value_name = "PLACE", conflicts_with_all = ["cuts", "only"])]
    at: Option<Place>,
    /// Scenarios or promises of the suite to run, with commas between; `none` for none of them
    #[arg(long)]
    only: Option<String>,
}

impl Test {
    /// The command that does the same.
    fn again(&self) -> String {
        let mut command = format!("cargo xtask board test --seed {}", self.seed);
        if let Some(plant) = self.plant.to_possible_value().filter(|_| self.plant != Plant::Nothing)
        {
            command = format!("{command} --plant {}", plant.get_name());
        }
        command
    }
}

/// True when nothing is broken.
pub(crate) fn run(options: &Test) -> Result<bool, Error> {
    let is_suite_left_out = options.only.as_deref() == Some("none") || options.at.is_some();
    if options.only.as_deref() == Some("none") && options.cuts == 0 {
        let words = "with --only none and --cuts 0 there is nothing to test";
        return Err(Error::Usage(words.to_owned()));
    }
    emulator::is_there()?;
    let mut phase = Phase::begin();
    let noflake = Noflake::build()?;
    if let Some(only) = options.only.as_deref().filter(|_| !is_suite_left_out) {
        suite::is_known(&noflake, only)?;
    }
    let firmware = Firmware::build(options.plant)?;
    let mut work = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    interrupted::takes_away(work.path());
    let site = Site::make(&work.path().join("site"), noflake, &firmware)?;
    phase.end("programs and bundles");

    let board = Emulator::open(&work.path().join("board"), &firmware)?;
    board.start()?;
    // A blank board: its recovery image is what answers, is enrolled, and takes the first version.
    let address = board.address();
    program::run(site.command().args(["device", "enroll", "-d", &address]))?;
    program::run(site.command().args(["deploy", "base.nfb", "-d", &address]))?;
    board.stop()?;
    let for_cuts = board.copy_to(&work.path().join("before"))?;
    phase.end("from blank to its first version");

    let mut rows = Vec::new();
    if !is_suite_left_out {
        board.start()?;
        rows = suite::run(&site, &board, options.only.as_deref(), options.seed)?;
        if options.only.is_none() {
            for (scenario, cause) in
                [("P2.hangs", "watchdog"), ("P2.never-polls", "deadline"), ("P2.crashes", "crash")]
            {
                rows.extend(ended_by(&site, &board, scenario, cause)?);
            }
            for role in [site::TEMPLATE, site::EMBASSY] {
                rows.push(stays(&site, &board, role)?);
            }
        }
        board.stop()?;
        phase.end("conformance");
    }
    let (cuts, stopped) = match options.at {
        Some(place) => (vec![cuts::cut(&site, &for_cuts, work.path(), place, options.seed)?], None),
        None if options.cuts == 0 => (Vec::new(), None),
        None => cuts::run(&site, &for_cuts, work.path(), options.seed, options.cuts)?,
    };
    phase.end("power cuts");
    let is_sound = table::print(&rows, &cuts, &options.again());
    if !cuts.is_empty() {
        say!("seed {}", options.seed);
    }
    if let Some(error) = stopped {
        work.disable_cleanup(true);
        say!("not all cuts were made; what there is of the boards is in {}", work.path().display());
        return Err(error);
    }
    if cuts.iter().any(|cut| cut.broken.is_some()) {
        work.disable_cleanup(true);
        let folder = work.path().display();
        say!(
            "boards that a cut has broken are in {folder}, their flash as the cut has left it in {TORN}"
        );
    }
    if options.plant != Plant::Nothing && is_sound {
        say!("the mistake was not noticed");
    }
    Ok(is_sound)
}

/// Whether a trial that a scenario lets go wrong is ended by what has to end it: either of the two would bring the board back.
fn ended_by(site: &Site, board: &Emulator, scenario: &str, cause: &str) -> Result<Vec<Row>, Error> {
    let mut rows = suite::run(site, board, Some(scenario), 1)?;
    let Some(row) = rows.iter_mut().find(|row| row.scenario == scenario) else {
        return Err(Error::Board(format!("the suite says nothing of {scenario}")));
    };
    row.scenario = format!("{scenario}: by the {cause}");
    if row.finding == Finding::Holds {
        let mut status = site.command();
        status.args(["device", "status", "-d", &board.address(), "--format", "json"]);
        let output = program::run(&mut status)?;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let seen = said["device"]["reset_cause"].as_str().unwrap_or("nothing");
        if seen != cause {
            row.finding = Finding::Broken;
            row.why = Some(format!("what ended it was {seen}"));
        }
    }
    Ok(rows)
}

/// Whether a program does what it is there for: it is deployed, confirmed, and runs on with nobody on its line.
fn stays(site: &Site, board: &Emulator, role: &str) -> Result<Row, Error> {
    let address = board.address();
    let mut deploy = site.command();
    deploy.args(["deploy", &Site::bundle_of(role), "-d", &address]);
    let boot = || -> Result<Value, Error> {
        let mut identify = site.command();
        identify.args(["device", "status", "-d", &address, "--format", "json"]);
        let output = program::run(&mut identify)?;
        let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Ok(said["device"]["boot_nonce"].clone())
    };
    let broken = match program::output(&mut deploy)? {
        output if output.status.success() => {
            let before = boot()?;
            std::thread::sleep(std::time::Duration::from_secs(5));
            (before != boot()?)
                .then(|| "it starts again by itself, with nobody on its line".to_owned())
        }
        output => Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
    };
    Ok(Row {
        scenario: format!("P1.{role}"),
        promise: "P1".to_owned(),
        finding: if broken.is_some() { Finding::Broken } else { Finding::Holds },
        why: broken,
    })
}

/// Tells how long each part took.
struct Phase(Instant);

impl Phase {
    fn begin() -> Self {
        Self(Instant::now())
    }

    fn end(&mut self, what: &str) {
        eprintln!("{what}: {} s", self.0.elapsed().as_secs());
        self.0 = Instant::now();
    }
}
