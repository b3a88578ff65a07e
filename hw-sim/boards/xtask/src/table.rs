//! What a test has found, promise by promise.

use std::collections::BTreeMap;

use crate::cuts::Outcome;
use crate::output::say;
use crate::suite::{Finding, Row};

/// What each promise says, in short (docs/CONFORMANCE.md).
const PROMISES: [(&str, &str); 9] = [
    ("P1", "always boots"),
    ("P2", "nothing unproven becomes permanent"),
    ("P3", "losing the host means rollback"),
    ("P4", "refused before touched"),
    ("P5", "written is not running"),
    ("P6", "interrupted work resumes"),
    ("P7", "floors rise only at confirm"),
    ("P8", "unauthenticated bytes change nothing"),
    ("contract", "polls in time"),
];

/// Of the cuts, at least this part has to have struck an erase or a program.
const STRUCK_OF_50_MIN: usize = 40;

/// Prints the table; true when nothing is broken and enough was seen. `again` is the command, but for the place of a cut.
pub(crate) fn print(rows: &[Row], cuts: &[Outcome], again: &str) -> bool {
    let mut promises: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        promises.entry(&row.promise).or_default().push(row);
    }
    say!("{:9} {:44} {:>6} {:>7} {:>12}", "promise", "", "holds", "broken", "not checked");
    for (promise, rows) in &promises {
        let says = PROMISES.iter().find(|(id, _)| id == promise).map_or("", |(_, says)| says);
        let [holds, broken, rest] = tally(rows);
        say!("{promise:9} {says:44} {holds:>6} {broken:>7} {rest:>12}");
    }
    let broken_cuts = cuts.iter().filter(|it| it.broken.is_some()).count();
    if !cuts.is_empty() {
        let says = "always boots, behind cuts in flash operations";
        let late = cuts.iter().filter(|it| it.struck.is_none() && it.broken.is_none()).count();
        let holds = cuts.len() - broken_cuts - late;
        say!("{:9} {says:44} {holds:>6} {broken_cuts:>7} {late:>12}", "P1");
    }
    say!("");
    for row in rows.iter().filter(|row| row.finding != Finding::Holds) {
        say!("{}", row.in_words());
    }
    let is_enough = judge_cuts(cuts, again);
    let mut broken: Vec<&str> = promises
        .iter()
        .filter(|(_, rows)| tally(rows)[1] > 0)
        .map(|(promise, _)| *promise)
        .chain((broken_cuts > 0).then_some("P1"))
        .collect();
    broken.sort_unstable();
    broken.dedup();
    if !broken.is_empty() {
        say!("broken: {}", broken.join(", "));
    }
    let is_seen = rows.iter().all(|row| row.finding == Finding::Holds);
    if broken.is_empty() && !is_seen {
        say!("not everything was seen to hold");
    }
    broken.is_empty() && is_enough && is_seen
}

/// How many hold, are broken, and are anything else.
fn tally(rows: &[&Row]) -> [usize; 3] {
    let count = |finding| rows.iter().filter(|row| row.finding == finding).count();
    let (holds, broken) = (count(Finding::Holds), count(Finding::Broken));
    [holds, broken, rows.len() - holds - broken]
}

fn judge_cuts(cuts: &[Outcome], again: &str) -> bool {
    if cuts.is_empty() {
        return true;
    }
    for outcome in cuts {
        if let Some(broken) = &outcome.broken {
            say!("P1 broken by a cut at {0}: {broken}\n  again: {again} --at {0}", outcome.place);
        }
    }
    let struck = cuts.iter().filter_map(|outcome| outcome.struck);
    let (erases, programs): (Vec<_>, Vec<_>) = struck.partition(|operation| operation.is_erase);
    let all = erases.len() + programs.len();
    say!(
        "power cuts: {}, of which {} inside an erase and {} inside a program",
        cuts.len(),
        erases.len(),
        programs.len()
    );
    // One cut by itself is in one of them.
    let is_spread = cuts.len() == 1 || !erases.is_empty() && !programs.is_empty();
    let is_enough = all * 50 >= cuts.len() * STRUCK_OF_50_MIN && is_spread;
    if !is_enough {
        say!("too few of them have struck to tell anything");
    }
    is_enough
}
