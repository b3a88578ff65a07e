//! Seeded power cuts in the middle of flash operations: the board is killed there, the word on its way is torn, and the board has to
//! come back and take the same deployment.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::emulator::Emulator;
use crate::error::Error;
use crate::host;
use crate::site::Site;
use crate::tear::Operation;

/// In which a board answers behind a cut.
const BOOT_MAX: Duration = Duration::from_secs(20);
/// In which a deployment has come to the chosen place, or has ended.
const DEPLOY_MAX: Duration = Duration::from_secs(120);
/// How often the same deployment is given behind a cut: a trial that is still open is first waited out.
const TRIES: usize = 3;

/// What came of one cut.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Where it was.
    pub(crate) place: Place,
    /// The operation that was on its way; `None` where the deployment ended before.
    pub(crate) struck: Option<Operation>,
    /// What is broken by it.
    pub(crate) broken: Option<String>,
}

/// A place in the run of a board: a piece of a flash operation, both counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) operation: u32,
    pub(crate) piece: u32,
}

/// Makes `count` cuts in a deployment to `board`, which has no power and runs the version before.
pub(crate) fn run(
    site: &Site,
    board: &Emulator,
    work: &Path,
    seed: u64,
    count: usize,
) -> Result<Vec<Outcome>, Error> {
    let places = choose(&reference(site, board, &work.join("reference"))?, seed, count);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work_through = || {
            while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                let name = format!("cut-{}-{}", place.operation, place.piece);
                let outcome = cut(site, board, &work.join(name), *place, seed);
                if let Ok(mut outcomes) = outcomes.lock() {
                    outcomes.push(outcome);
                    eprint!("\rpower cuts: {} of {}", outcomes.len(), places.len());
                }
            }
        };
        for _ in 0..workers {
            scope.spawn(work_through);
        }
    });
    eprintln!();
    let outcomes = outcomes.into_inner().unwrap_or_default();
    let mut outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    outcomes.sort_by_key(|outcome| (outcome.place.operation, outcome.place.piece));
    Ok(outcomes)
}

/// The operations of a deployment without a cut.
fn reference(site: &Site, board: &Emulator, folder: &Path) -> Result<Vec<Operation>, Error> {
    let board = board.copy_to(folder)?;
    let log = board.path("operations");
    fs::write(&log, []).map_err(Error::file(&log))?;
    board.start()?;
    host::run(&mut deploy(site, &board))?;
    board.stop()?;
    Operation::read_all(&log)
}

/// Places spread over all operations: one in each stretch of them, an erase if the stretch has one and the turn is an erase's.
fn choose(operations: &[Operation], seed: u64, count: usize) -> Vec<Place> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: usize| random.next_u32() as usize % end.max(1);
    let stretch = (operations.len() / count.max(1)).max(1);
    operations
        .chunks(stretch)
        .take(count)
        .enumerate()
        .filter_map(|(index, stretch)| {
            let wants_erase = index % 3 == 0;
            let fitting: Vec<_> = stretch.iter().filter(|it| it.is_erase == wants_erase).collect();
            let one = match fitting.len() {
                0 => stretch.get(below(stretch.len()))?,
                some => *fitting.get(below(some))?,
            };
            Some(Place {
                operation: one.number,
                piece: u32::try_from(below(one.pieces() as usize)).ok()?,
            })
        })
        .collect()
}

fn cut(
    site: &Site,
    board: &Emulator,
    folder: &Path,
    place: Place,
    seed: u64,
) -> Result<Outcome, Error> {
    let board = board.copy_to(folder)?;
    let Place { operation, piece } = place;
    let chosen = board.path("cut");
    let bytes = [operation.to_le_bytes(), piece.to_le_bytes()].concat();
    fs::write(&chosen, bytes).map_err(Error::file(&chosen))?;
    board.start()?;
    let host = deploy(site, &board).spawn().map_err(Error::file(folder))?;
    let struck = wait_for_strike(&board, host)?;
    board.stop()?;
    fs::remove_file(&chosen).map_err(Error::file(&chosen))?;
    if let Some(operation) = struck {
        let own = u64::from(place.operation) << 32 | u64::from(place.piece);
        operation.tear(&board.path("flash.bin"), &mut ChaCha8Rng::seed_from_u64(seed ^ own))?;
    }
    board.start()?;
    let broken = comes_back(site, &board).err();
    board.stop()?;
    if broken.is_none() {
        let _ = fs::remove_dir_all(folder);
    }
    Ok(Outcome { place, struck, broken })
}

fn deploy(site: &Site, board: &Emulator) -> std::process::Command {
    let mut command = site.command();
    let runs = board.path("runs");
    command
        .args(["deploy", &Site::cut_bundle(), "-d", &board.address(), "--runs"])
        .arg(runs)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Waits until the board has stopped at its place, and takes the host away with it.
fn wait_for_strike(board: &Emulator, mut host: Child) -> Result<Option<Operation>, Error> {
    let in_flight = board.path("in_flight");
    let until = Instant::now() + DEPLOY_MAX;
    let struck = loop {
        // The board writes it in one piece.
        if fs::metadata(&in_flight).is_ok_and(|it| it.len() == 16) {
            break Operation::read_all(&in_flight)?.first().copied();
        }
        if host.try_wait().is_ok_and(|ended| ended.is_some()) {
            break None;
        }
        if Instant::now() > until {
            return Err(Error::Board(format!("a deployment has not ended in {DEPLOY_MAX:?}")));
        }
        sleep(Duration::from_millis(10));
    };
    let _ = host.kill();
    let _ = host.wait();
    Ok(struck)
}

/// The board runs one of the two versions, and takes the deployment. What is broken, if anything is.
fn comes_back(site: &Site, board: &Emulator) -> Result<(), String> {
    let version = running(site, board)?;
    if !["1.0.0", "1.0.1"].contains(&version.as_str()) {
        return Err(format!(
            "behind the cut it runs version {version:?}, neither the old one nor the new one"
        ));
    }
    let mut said = String::new();
    for _ in 0..TRIES {
        let mut command = deploy(site, board);
        let output = command.stderr(Stdio::piped()).stdout(Stdio::piped()).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() {
            let version = running(site, board)?;
            return if version == "1.0.1" {
                Ok(())
            } else {
                Err(format!("a deployment ends with success, and version {version:?} runs"))
            };
        }
        said = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    Err(format!("no deployment completes behind the cut: {}", said.trim()))
}

/// The version that runs, as the board says.
fn running(site: &Site, board: &Emulator) -> Result<String, String> {
    let until = Instant::now() + BOOT_MAX;
    loop {
        let mut command = site.command();
        command.args(["device", "status", "-d", &board.address(), "--format", "json"]);
        let output = host::output(&mut command).map_err(|error| error.to_string())?;
        let said: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        if let Some(version) = said.as_ref().and_then(|it| it["device"]["version"].as_str()) {
            return Ok(version.to_owned());
        }
        if Instant::now() > until {
            return Err(format!("it does not answer for {BOOT_MAX:?}"));
        }
    }
}
