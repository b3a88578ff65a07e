//! P1 to P3, P6, P7 and P10 over every history within small bounds, host and device together. Larger bounds:
//! `--bin modelcheck` (TESTING.md, "Model check").
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::collections::BTreeSet;

use integration::modelcheck::chip::Verdict;
use integration::modelcheck::explore::explore;
use integration::modelcheck::fate::{Budget, Fate};
use integration::modelcheck::question::{Heard, Question};
use integration::modelcheck::report::story;
use integration::modelcheck::scene::{Begin, Scene};
use integration::modelcheck::state::State;
use integration::modelcheck::truth::WORDS;
use noflake::qualify::observation::Where;

/// Each is explored to its last state.
const BOUNDS: [(Begin, [u8; 5]); 5] = [
    (Begin::Empty, [0, 1, 0, 0, 0]),
    (Begin::Staged, [1, 0, 0, 0, 0]),
    (Begin::Staged, [0, 0, 1, 0, 1]),
    (Begin::Staged, [0, 0, 0, 1, 0]),
    (Begin::Staged, [0, 0, 0, 0, 2]),
];

#[test]
fn no_history_within_small_bounds_breaks_a_promise() {
    let scene = Scene::new();
    let (mut states, mut said) = (0, BTreeSet::new());
    for (begin, bounds) in BOUNDS {
        let state = State::begin(&scene, begin, Budget::of(bounds)).unwrap();
        let found = explore(state.clone(), &scene);
        if let Some((violation, path)) = &found.violation {
            panic!("{}", story(violation, path, &state, &scene));
        }
        assert_eq!(found.missed(Budget::of(bounds)), [], "{begin:?} {bounds:?}");
        assert!(found.ends > 0 && found.exits.contains_key(&0), "{begin:?} {bounds:?}");
        states += found.states;
        said.extend(found.said.into_keys());
    }
    assert_eq!(said, WORDS.into(), "words that nobody has said are not judged");
    assert!(states > 2_000, "only {states} states");
}

/// P2: a host that asks to keep what no check has judged is noticed at the step that does it.
#[test]
fn a_confirm_without_checks_is_noticed() {
    let scene = Scene::new();
    let mut state = smooth_until(&scene, |question| matches!(question, Question::RunCheck(_)));
    let (trial_id, boot_nonce) = state.machine.trial_boot().unwrap();
    let asked = Question::Confirm { trial_id, boot_nonce };
    let violation = state.meet(asked, Fate::Answered, &scene).unwrap_err();
    assert_eq!(violation.promise, "P2", "{}", violation.seen);
}

/// P10: so is a host that says committed, because something on its way has told it what is not so.
#[test]
fn a_lie_about_the_device_is_noticed_in_what_the_host_says() {
    let scene = Scene::new();
    let mut state = smooth_until(&scene, |question| matches!(question, Question::Confirm { .. }));
    state.hear(Heard::Done, &scene).unwrap();
    state = smooth_on(state, &scene, |question| question == Question::Status);
    let Some(Heard::Status(mut status)) = state.answer(Question::Status, &scene).unwrap() else {
        panic!("the device tells its state");
    };
    status.active = Some(Where::SlotB);
    status.trial = None;
    let violation = state.hear(Heard::Status(status), &scene).unwrap_err();
    assert_eq!(violation.promise, "P10", "{}", violation.seen);
}

/// A run in which nothing goes wrong, as far as that question.
fn smooth_until(scene: &Scene, is_it: impl Fn(Question) -> bool) -> State {
    smooth_on(State::begin(scene, Begin::Staged, Budget::none()).unwrap(), scene, is_it)
}

fn smooth_on(mut state: State, scene: &Scene, is_it: impl Fn(Question) -> bool) -> State {
    while !state.host.question.is_some_and(&is_it) {
        assert!(state.go_smoothly(Verdict::Pass, scene).unwrap(), "the run is over");
    }
    state
}
