//! Holds the board to its promises: conformance, then power cuts.

use std::time::Instant;

use clap::Args;

use crate::emulator::Emulator;
use crate::error::Error;
use crate::firmware::{Firmware, Plant};
use crate::host::{self, Noflake};
use crate::site::Site;
use crate::{cuts, suite, table};

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
    /// Scenarios or promises of the suite to run, with commas between; `none` for none of them
    #[arg(long)]
    only: Option<String>,
}

/// True when nothing is broken.
pub(crate) fn run(options: &Test) -> Result<bool, Error> {
    let began = Instant::now();
    let firmware = Firmware::build(options.plant)?;
    let noflake = Noflake::build()?;
    let work = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
    let site = Site::make(&work.path().join("site"), noflake, &firmware)?;
    eprintln!("built, and bundles made: {} s", began.elapsed().as_secs());

    let board = Emulator::create(&work.path().join("board"), &firmware)?;
    board.start()?;
    // A blank board: its recovery image is what answers, is enrolled, and takes the first version.
    let address = board.address();
    host::run(site.command().args(["device", "enroll", "-d", &address]))?;
    host::run(site.command().args(["deploy", "base.nfb", "-d", &address]))?;
    board.stop()?;
    let for_cuts = board.copy_to(&work.path().join("before"))?;
    board.start()?;

    let rows = match options.only.as_deref() {
        Some("none") => Vec::new(),
        only => suite::run(&site, &board, only, options.seed)?,
    };
    board.stop()?;
    eprintln!("conformance: {} s", began.elapsed().as_secs());
    let cuts = match options.cuts {
        0 => Vec::new(),
        count => cuts::run(&site, &for_cuts, &work.path().join("cuts"), options.seed, count)?,
    };
    eprintln!("power cuts: {} s", began.elapsed().as_secs());
    let is_sound = table::print(&rows, &cuts);
    if options.plant != Plant::Nothing && is_sound {
        println!("the mistake was not noticed");
    }
    Ok(is_sound)
}
