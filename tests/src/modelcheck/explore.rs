//! Every state that can be reached, nearest first, on as many threads as there are cores.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::fate::{Budget, Kind, Step};
use super::moves::successors;
use super::outlook;
use super::scene::Scene;
use super::state::State;
use super::truth::WORDS;
use super::witness::Violation;

/// What an exploration has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: u64,
    /// Different devices among the states, each held to what has to come of it.
    pub devices: usize,
    /// States in which nothing more can happen.
    pub ends: u64,
    /// Ends by exit code.
    pub exits: BTreeMap<u8, u64>,
    /// What has happened, and how often.
    pub happened: HashMap<Kind, u64>,
    /// How often each of these words was said in the end.
    pub said: BTreeMap<&'static str, u64>,
    /// Steps of the longest of the shortest paths.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// The first promise that did not hold, and the shortest way there.
    pub violation: Option<(Violation, Vec<Step>)>,
}

impl Found {
    /// What can happen within this and never did: a check that cannot fail.
    pub fn missed(&self, budget: Budget) -> Vec<Kind> {
        budget.kinds().filter(|kind| !self.happened.contains_key(kind)).collect()
    }
}

type Digest = u64;

/// What is known of the states.
#[derive(Default)]
struct Known {
    /// From where each was reached first, and how.
    parents: HashMap<Digest, Option<(Digest, Step)>>,
    devices: HashSet<Digest>,
}

/// One thread's share of a level.
#[derive(Default)]
struct Share {
    next: Vec<(Digest, State)>,
    /// Steps that use up nothing: these must lead on.
    free: Vec<(Digest, Digest)>,
    transitions: u64,
    ends: u64,
    exits: BTreeMap<u8, u64>,
    happened: HashMap<Kind, u64>,
    said: BTreeMap<&'static str, u64>,
    violation: Option<(Violation, Digest, Option<Step>)>,
}

/// Explores everything that can come of `begin`.
pub fn explore(mut begin: State, scene: &Scene) -> Found {
    let started = Instant::now();
    let mut found = Found::default();
    let known = Mutex::new(Known::default());
    let (digest, device) = begin.digests(scene);
    let mut level = vec![(digest, begin)];
    {
        let mut known = lock(&known);
        known.parents.insert(digest, None);
        known.devices.insert(device);
    }
    let mut free = Vec::new();
    while !level.is_empty() && found.violation.is_none() {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let size = level.len().div_ceil(threads);
        let shares: Vec<Share> = thread::scope(|scope| {
            let shares: Vec<_> = level
                .chunks(size)
                .map(|chunk| scope.spawn(|| expand(chunk, &known, scene)))
                .collect();
            shares.into_iter().map(|share| share.join().expect("a thread ends")).collect()
        });
        level.clear();
        for share in shares {
            found.transitions += share.transitions;
            found.ends += share.ends;
            for (code, count) in share.exits {
                *found.exits.entry(code).or_default() += count;
            }
            for (kind, count) in share.happened {
                *found.happened.entry(kind).or_default() += count;
            }
            for (words, count) in share.said {
                *found.said.entry(words).or_default() += count;
            }
            level.extend(share.next);
            free.extend(share.free);
            if let (None, Some((violation, at, step))) = (&found.violation, share.violation) {
                let mut path = lock(&known).path(at);
                path.extend(step);
                found.violation = Some((violation, path));
            }
        }
        found.depth += usize::from(!level.is_empty());
    }
    let known = known.into_inner().unwrap_or_else(PoisonError::into_inner);
    (found.states, found.devices) = (known.parents.len(), known.devices.len());
    if let Some(at) = circle(&free) {
        let seen = "steps that use up nothing lead in a circle".to_owned();
        let violation = Violation { promise: "P6", seen };
        found.violation = found.violation.or_else(|| Some((violation, known.path(at))));
    }
    found.took = started.elapsed();
    found
}

fn expand(chunk: &[(Digest, State)], known: &Mutex<Known>, scene: &Scene) -> Share {
    let mut share = Share::default();
    for (from, state) in chunk {
        let next = successors(state, scene);
        if let Some(ended) = &state.host.ended {
            *share.exits.entry(ended.end.exit_code).or_default() += 1;
            for words in WORDS.into_iter().filter(|words| ended.end.message.contains(words)) {
                *share.said.entry(words).or_default() += 1;
            }
        }
        share.ends += u64::from(next.is_empty());
        for (step, result) in next {
            share.transitions += 1;
            *share.happened.entry(step.kind()).or_default() += 1;
            let mut state = match result {
                Ok(state) => state,
                Err(violation) => {
                    share.violation = Some((violation, *from, Some(step)));
                    return share;
                }
            };
            let (digest, device) = state.digests(scene);
            if matches!(step, Step::Asked(_, fate) if fate.is_free()) {
                share.free.push((*from, digest));
            }
            let is_new_device = {
                let mut known = lock(known);
                if known.parents.contains_key(&digest) {
                    continue;
                }
                known.parents.insert(digest, Some((*from, step)));
                known.devices.insert(device)
            };
            if is_new_device
                && let Err(violation) = outlook::holds(&state.machine, state.witness, scene)
            {
                share.violation = Some((violation, digest, None));
                return share;
            }
            share.next.push((digest, state));
        }
    }
    share
}

impl Known {
    fn path(&self, end: Digest) -> Vec<Step> {
        let mut path = Vec::new();
        let mut at = end;
        while let Some(Some((parent, step))) = self.parents.get(&at) {
            path.push(*step);
            at = *parent;
        }
        path.reverse();
        path
    }
}

/// A state on a circle of these steps, or behind one.
fn circle(steps: &[(Digest, Digest)]) -> Option<Digest> {
    let mut behind: HashMap<Digest, Vec<Digest>> = HashMap::new();
    let mut waiting: HashMap<Digest, usize> = HashMap::new();
    for (from, to) in steps {
        behind.entry(*from).or_default().push(*to);
        *waiting.entry(*to).or_default() += 1;
        waiting.entry(*from).or_default();
    }
    let mut ready: Vec<Digest> =
        waiting.iter().filter(|(_, count)| **count == 0).map(|(at, _)| *at).collect();
    while let Some(at) = ready.pop() {
        for next in behind.get(&at).into_iter().flatten() {
            let count = waiting.entry(*next).or_default();
            *count -= 1;
            if *count == 0 {
                ready.push(*next);
            }
        }
    }
    waiting.into_iter().find(|(_, count)| *count > 0).map(|(at, _)| at)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_found_and_ways_that_meet_again_are_none() {
        assert_eq!(circle(&[]), None);
        assert_eq!(circle(&[(1, 2), (1, 3), (2, 4), (3, 4), (1, 4)]), None);
        assert!(circle(&[(1, 2), (2, 3), (3, 2)]).is_some_and(|at| at == 2 || at == 3));
        assert_eq!(circle(&[(7, 7)]), Some(7));
    }
}
