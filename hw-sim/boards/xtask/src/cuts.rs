//! Seeded power cuts in the middle of flash operations: the board is killed there, the word on its way is torn, and the board has to
//! come back and take the same deployment.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::emulator::Emulator;
use crate::error::Error;
use crate::site::{self, Site};
use crate::tear::Operation;
use crate::{interrupted, map, program};

/// In which a board answers behind a cut.
const BOOT_MAX: Duration = Duration::from_secs(20);
/// In which a deployment has come to the chosen place, or has ended.
const DEPLOY_MAX: Duration = Duration::from_secs(120);
/// How often the same deployment is given behind a cut: one that meets a trial of its own that is still open may end it.
const TRIES: usize = 3;
/// The roles of the version before and of the one that is deployed.
const OLD: &str = "base";
const NEW: &str = site::CUT;

/// The flash of a board behind its cut, before it has started again.
pub(crate) const TORN: &str = "flash-torn.bin";

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

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (operation, piece) =
            text.split_once(':').ok_or("expected OPERATION:PIECE, as in 26:10")?;
        let number = |text: &str| text.parse().map_err(|_| "expected two numbers, as in 26:10");
        Ok(Self { operation: number(operation)?, piece: number(piece)? })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.operation, self.piece)
    }
}

/// Makes `count` cuts in a deployment to `board`, which has no power and runs the version before. What came of those that
/// could be made, and why not all could.
pub(crate) fn run(
    site: &Site,
    board: &Emulator,
    work: &Path,
    seed: u64,
    count: usize,
) -> Result<(Vec<Outcome>, Option<Error>), Error> {
    let operations = reference(site, board, &work.join("reference"))?;
    let places = choose(&operations, seed, count);
    if places.len() < count {
        let all = operations.len();
        eprintln!(
            "power cuts: {} and no more, one for each of {all} flash operations",
            places.len()
        );
    }
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let stopped = Mutex::new(None);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work_through = || {
            while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome = cut(site, board, work, *place, seed);
                interrupted::hold_if_ending();
                let outcome = match outcome {
                    Ok(outcome) => outcome,
                    Err(error) => {
                        // What this bench cannot do now, it cannot do for the rest.
                        next.store(places.len(), Ordering::Relaxed);
                        *stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                };
                let ending = if outcome.broken.is_some() { ", broken" } else { "" };
                let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                outcomes.push(outcome);
                let (made, all) = (outcomes.len(), places.len());
                eprintln!("power cuts: {made} of {all}, the last at {place}{ending}");
            }
        };
        for _ in 0..workers {
            scope.spawn(work_through);
        }
    });
    let mut outcomes: Vec<Outcome> = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| (outcome.place.operation, outcome.place.piece));
    Ok((outcomes, stopped.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// The operations of a deployment without a cut.
fn reference(site: &Site, board: &Emulator, folder: &Path) -> Result<Vec<Operation>, Error> {
    let board = board.copy_to(folder)?;
    let log = board.path("operations");
    fs::write(&log, []).map_err(Error::file(&log))?;
    board.start()?;
    program::run(&mut deploy(site, &board))?;
    board.stop()?;
    let mut operations = Operation::read_all(&log)?;
    operations.retain(|operation| operation.address < map::SPARE_FLASH);
    Ok(operations)
}

/// Places spread over all operations: one in each stretch of them; in every third an erase, if it has one.
fn choose(operations: &[Operation], seed: u64, count: usize) -> Vec<Place> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |end: usize| random.next_u32() as usize % end.max(1);
    let edge = |index: usize| index * operations.len() / count.max(1);
    let stretch = |index: usize| operations.get(edge(index)..edge(index + 1)).unwrap_or_default();
    (0..count)
        .filter_map(|index| {
            let wants_erase = index % 3 == 0;
            let fits = |it: &&Operation| it.is_erase == wants_erase;
            let fitting: Vec<_> = stretch(index).iter().filter(fits).collect();
            let one = match fitting.len() {
                0 => stretch(index).get(below(stretch(index).len()))?,
                some => *fitting.get(below(some))?,
            };
            let piece = u32::try_from(below(one.pieces() as usize)).ok()?;
            Some(Place { operation: one.number, piece })
        })
        .collect()
}

/// One cut. The folder of one that breaks something stays in `work`.
pub(crate) fn cut(
    site: &Site,
    board: &Emulator,
    work: &Path,
    place: Place,
    seed: u64,
) -> Result<Outcome, Error> {
    let Place { operation, piece } = place;
    let folder = work.join(format!("cut-{operation}-{piece}"));
    let board = board.copy_to(&folder)?;
    let chosen = board.path("cut");
    let bytes = [operation.to_le_bytes(), piece.to_le_bytes()].concat();
    fs::write(&chosen, bytes).map_err(Error::file(&chosen))?;
    board.start()?;
    let strike = wait_for_strike(&board, &mut Host::start(deploy(site, &board))?)?;
    board.stop()?;
    fs::remove_file(&chosen).map_err(Error::file(&chosen))?;
    let operation = match &strike {
        Strike::Struck(operation) => Some(*operation),
        Strike::Late | Strike::Failed(_) => None,
    };
    let broken = match strike {
        Strike::Struck(operation) => {
            let own = u64::from(place.operation) << 32 | u64::from(place.piece);
            operation.tear(&board.path("flash.bin"), &mut ChaCha8Rng::seed_from_u64(seed ^ own))?;
            fs::copy(board.path("flash.bin"), board.path(TORN)).map_err(Error::file(&folder))?;
            board.start()?;
            let broken = comes_back(site, &board).err();
            board.stop()?;
            broken
        }
        Strike::Late => None,
        Strike::Failed(words) => Some(words),
    };
    if broken.is_none() {
        // What is left behind goes with the whole.
        let _ = fs::remove_dir_all(&folder);
    }
    Ok(Outcome { place, struck: operation, broken })
}

fn deploy(site: &Site, board: &Emulator) -> Command {
    let mut command = site.command();
    command.args(["deploy", &Site::bundle_of(NEW), "-d", &board.address(), "--runs"]);
    command.arg(board.path("runs"));
    command
}

/// A host at work, which dies with the board.
struct Host(Child);

impl Host {
    fn start(mut command: Command) -> Result<Self, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().map_err(Error::start(&command))?))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How a deployment that was to be cut went.
enum Strike {
    /// The board has stopped inside this operation.
    Struck(Operation),
    /// It ended well before the place was reached.
    Late,
    /// It ended otherwise, or not at all.
    Failed(String),
}

/// Waits until the board has stopped at its place.
fn wait_for_strike(board: &Emulator, host: &mut Host) -> Result<Strike, Error> {
    let in_flight = board.path("in_flight");
    let until = Instant::now() + DEPLOY_MAX;
    loop {
        // The board writes it in one piece.
        if fs::metadata(&in_flight).is_ok_and(|it| it.len() == 16)
            && let Some(operation) = Operation::read_all(&in_flight)?.first()
        {
            return Ok(Strike::Struck(*operation));
        }
        match host.0.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(Strike::Late),
            Ok(Some(status)) => {
                return Ok(Strike::Failed(format!(
                    "the deployment fails before the cut: {status}"
                )));
            }
            Ok(None) | Err(_) => {}
        }
        if Instant::now() > until {
            return Ok(Strike::Failed(format!("the deployment has not ended in {DEPLOY_MAX:?}")));
        }
        sleep(Duration::from_millis(10));
    }
}

/// The board runs one of the two versions, whole, and takes the deployment. What is broken, if anything is.
fn comes_back(site: &Site, board: &Emulator) -> Result<(), String> {
    let until = Instant::now() + BOOT_MAX;
    while !runs(site, board, OLD)? && !runs(site, board, NEW)? {
        if Instant::now() > until {
            return Err(format!(
                "in {BOOT_MAX:?} it is not seen to run the old version or the new one, byte for byte"
            ));
        }
    }
    let mut said = String::new();
    for _ in 0..TRIES {
        let output = program::output(&mut deploy(site, board)).map_err(|error| error.in_full())?;
        if output.status.success() {
            return if runs(site, board, NEW)? {
                Ok(())
            } else {
                Err("a deployment ends with success, and something else runs".to_owned())
            };
        }
        said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    }
    Err(format!("no deployment completes behind the cut: {}", said.trim()))
}

/// Whether the board runs this version, each component hashed by the board.
fn runs(site: &Site, board: &Emulator, role: &str) -> Result<bool, String> {
    let mut command = site.command();
    command.args(["device", "status", "-d", &board.address(), "--against", &Site::bundle_of(role)]);
    let output = program::output(&mut command).map_err(|error| error.in_full())?;
    Ok(output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations(count: u32) -> Vec<Operation> {
        let one = |number| Operation {
            number,
            is_erase: number % 10 == 0,
            address: number * 4096,
            length: if number % 10 == 0 { 4096 } else { 64 },
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn places_are_spread_from_the_first_operation_to_the_last() {
        for (count, cuts) in [(50, 50), (99, 50), (480, 50), (481, 7), (1_000, 50)] {
            let operations = operations(count);
            let places = choose(&operations, 3, cuts);
            assert_eq!(places.len(), cuts, "{count} operations");
            for (index, place) in places.iter().enumerate() {
                let (from, to) =
                    (index * operations.len() / cuts, (index + 1) * operations.len() / cuts);
                assert!((from..to).contains(&(place.operation as usize)), "{count}: {place}");
                assert!(place.piece < operations[place.operation as usize].pieces(), "{place}");
            }
        }
    }

    #[test]
    fn a_third_of_the_places_are_erases_where_there_are_some() {
        let operations = operations(1_000);
        let is_erase = |place: &Place| operations[place.operation as usize].is_erase;
        let erases = choose(&operations, 1, 50).iter().filter(|place| is_erase(place)).count();
        assert_eq!(erases, 17);
        assert_eq!(choose(&operations, 1, 50), choose(&operations, 1, 50));
        assert_ne!(choose(&operations, 1, 50), choose(&operations, 2, 50));
    }

    #[test]
    fn a_place_is_read_as_it_is_printed() {
        let place = Place { operation: 26, piece: 10 };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "26", "26:", ":10", "26:x"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
