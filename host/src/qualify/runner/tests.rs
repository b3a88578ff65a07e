//! A deployment against a model of a device, with every act lost before or behind its effect.
#![expect(clippy::wildcard_enum_match_arm, reason = "the model takes every act alike")]

use firmware_protocol::slot::RejectReason;

use super::*;
use crate::evidence::Outcome;
use crate::plan::Plan;
use crate::qualify::observation::{Ask, Where};
use crate::verdict::RunVerdict;

use self::world::{Loss, World, lost};

const OLD: [u8; 32] = [1; 32];
const NEW: [u8; 32] = [2; 32];
const PLAN: &str = r#"
schema = "qualplan/1"
[plan]
id = "model.deploy"
version = "1"
[timeouts]
connect = "2s"
lease = "5s"
boot_max = "60s"
trial_boots = 3
[[stage]]
id = "iq"
slot = "trial"
[[stage.check]]
id = "identity"
kind = "identity"
[[stage.check]]
id = "slot"
kind = "slot"
[[stage.check]]
id = "rail"
kind = "measure"
source = "rail"
unit = "V"
limits = { ge = 3.0 }
"#;

/// Runs a deployment; `loss` strikes the act with that number. Gives its end and how many acts it
/// took.
fn deploy(world: &mut World, loss: Option<(usize, Loss)>) -> (Ended, usize) {
    deploy_struck(world, PLAN, loss)
}

fn deploy_struck(world: &mut World, plan: &str, loss: Option<(usize, Loss)>) -> (Ended, usize) {
    let mut acts = 0;
    let ended = deploy_by(world, plan, |_| {
        acts += 1;
        loss.filter(|(at, _)| at + 1 == acts).map(|(_, loss)| loss)
    });
    (ended, acts)
}

/// Runs a deployment by `plan`; `strike` says of each act what happens to it.
fn deploy_by(world: &mut World, plan: &str, mut strike: impl FnMut(&Act) -> Option<Loss>) -> Ended {
    deploy_in(world, plan, |_, act| strike(act))
}

/// As [`deploy_by`], where `strike` may also change the world.
fn deploy_in(
    world: &mut World,
    plan: &str,
    mut strike: impl FnMut(&mut World, &Act) -> Option<Loss>,
) -> Ended {
    let mut runner = Runner::new(order(plan), world.now_ms);
    for _ in 0..10_000 {
        match runner.poll(world.now_ms) {
            Act::Record { .. } => {}
            Act::End(ended) => return *ended,
            act => {
                let silence = lost(world.missing, "the model lost it");
                let saw = match strike(world, &act) {
                    None => {
                        let saw = world.act(&act);
                        if !matches!(saw, Saw::Lost { .. }) {
                            runner.hear(world.now_ms, Vec::new());
                        }
                        saw
                    }
                    Some(Loss::Before) => silence,
                    Some(Loss::Behind) => {
                        let _ = world.act(&act);
                        silence
                    }
                    Some(Loss::Reset) => {
                        world.boot();
                        silence
                    }
                    Some(Loss::Crash) => {
                        world.crash();
                        silence
                    }
                    Some(Loss::Twice) => {
                        let _ = world.act(&act);
                        let reason = "the session is over".to_owned();
                        Saw::Refused { reason, is_stale: true, next: "" }
                    }
                };
                runner.observe(world.now_ms, saw);
            }
        }
    }
    panic!("the runner does not end");
}

fn order(plan: &str) -> Order {
    Order {
        verb: Verb::Deploy,
        product: "rover".to_owned(),
        hardware: vec![("nav".to_owned(), 1, 1)],
        version: "2.0.0".to_owned(),
        bundle: NEW,
        plan: Plan::parse(plan, "model.toml").unwrap(),
        again: false,
        take_over: false,
        recover: "noflake device recover -d sim: --root root.nfr --bundle 2.nfb".to_owned(),
    }
}

#[test]
fn a_sound_version_is_committed_by_one_confirm() {
    let mut world = World::new(3.3);
    let (ended, _) = deploy(&mut world, None);
    assert_eq!(ended.end.outcome, Outcome::Committed, "{}", ended.end.message);
    assert_eq!((ended.end.exit_code, ended.end.verdict), (0, RunVerdict::Qualified));
    assert_eq!((world.active, world.confirms), (Where::SlotB, 1));
}

#[test]
fn a_version_that_fails_its_check_is_rolled_back_and_the_check_is_named() {
    let mut world = World::new(2.0);
    let (ended, _) = deploy(&mut world, None);
    assert_eq!((ended.end.outcome, ended.end.exit_code), (Outcome::RolledBack, 1));
    assert!(ended.end.message.contains("rail"), "{}", ended.end.message);
    assert_eq!((world.running, world.confirms), (Where::SlotA, 0));
}

/// P3, P5, P10: whichever act is lost, and however, the run ends, says committed only of a device that
/// runs the new version confirmed, and never confirms what failed its check.
#[test]
fn whichever_act_is_lost_the_run_ends_and_says_what_is() {
    // One boot may be made until it is ready, and two.
    let plans = [PLAN.to_owned(), format!("{PLAN}{BOOT_CHECK}1\n")];
    for (plan, rail_v) in plans.iter().flat_map(|plan| [(plan, 3.3), (plan, 2.0)]) {
        let (_, acts) = deploy_struck(&mut World::new(rail_v), plan, None);
        for at in 0..acts {
            for loss in [Loss::Before, Loss::Behind, Loss::Reset, Loss::Crash] {
                let mut world = World::new(rail_v);
                let (ended, _) = deploy_struck(&mut world, plan, Some((at, loss)));
                let what = format!("rail {rail_v}, act {at}, {loss:?}: {}", ended.end.message);
                let is_new = world.active == Where::SlotB && world.running == Where::SlotB;
                if ended.end.outcome == Outcome::Committed {
                    assert!(is_new, "said to be committed: {what}");
                }
                if matches!(ended.end.outcome, Outcome::RolledBack | Outcome::WentBackByItself) {
                    assert_eq!(world.running, Where::SlotA, "said to be back: {what}");
                }
                if rail_v < 3.0 {
                    assert_eq!(world.confirms, 0, "confirmed though it failed: {what}");
                }
                assert!(world.confirms <= 1, "{what}");
            }
        }
    }
}

/// P6: whatever an interrupted run left behind, the same command then ends well.
#[test]
fn after_any_lost_act_a_second_run_commits() {
    let (_, acts) = deploy(&mut World::new(3.3), None);
    for at in 0..acts {
        for loss in [Loss::Before, Loss::Behind, Loss::Reset] {
            let mut world = World::new(3.3);
            let first = deploy(&mut world, Some((at, loss))).0;
            let (second, _) = deploy(&mut world, None);
            let what = format!(
                "act {at}, {loss:?}: first {}; then {}",
                first.end.message, second.end.message
            );
            assert_eq!(second.end.exit_code, 0, "{what}");
            assert_eq!(world.active, Where::SlotB, "{what}");
        }
    }
}

/// Ctrl-C at any act: the run ends at once or after the rollback, and never says committed of a
/// device that is not.
#[test]
fn a_stop_at_any_act_leaves_no_trial_behind_that_the_device_could_be_told_of() {
    let (_, acts) = deploy(&mut World::new(3.3), None);
    for at in 0..acts {
        let mut world = World::new(3.3);
        let mut runner = Runner::new(order(PLAN), 0);
        let mut done = 0;
        let ended = loop {
            match runner.poll(world.now_ms) {
                Act::Record { .. } => {}
                Act::End(ended) => break ended,
                act => {
                    if done == at {
                        runner.stop(world.now_ms, StopWhy::Operator);
                    } else {
                        let saw = world.act(&act);
                        runner.observe(world.now_ms, saw);
                    }
                    done += 1;
                    assert!(done < 1_000, "a stop at act {at} does not end the run");
                }
            }
        };
        let committed = world.active == Where::SlotB;
        let code = ended.end.exit_code;
        assert!(code == 130 || committed && code == 0, "act {at}: {}", ended.end.message);
        let runs_trial = world.trial.is_some_and(|trial| trial.is_running);
        assert!(!runs_trial || committed, "act {at}: a trial still runs: {}", ended.end.message);
    }
}

/// The new boot knows nothing of the session that a repeated reset names. Its refusal is the answer
/// to the copy, and the device is looked for in another boot than the one that was reset.
#[test]
fn a_reset_that_arrives_twice_is_one_reset_and_its_stale_answer_no_failure() {
    let mut world = World::new(3.3);
    let old_nonce = world.nonce;
    let (mut resets, mut looked_for) = (0, Vec::new());
    let ended = deploy_by(&mut world, PLAN, |act| match act {
        Act::Reset { .. } => {
            resets += 1;
            Some(Loss::Twice)
        }
        Act::Connect { not_boot, .. } => {
            looked_for.push(*not_boot);
            None
        }
        _ => None,
    });
    assert_eq!(ended.end.outcome, Outcome::Committed, "{}", ended.end.message);
    assert_eq!((resets, world.nonce), (1, old_nonce + 1), "reset once, and not again");
    assert_eq!(looked_for, [None, Some(old_nonce), None]);
}

/// A device that watched well while nobody listened would pass: no verdict rests on half a window.
#[test]
fn a_link_that_fails_while_a_check_waits_gives_no_verdict_and_no_commit() {
    let plan = format!(
        "{PLAN}[[stage.check]]\nid = 'alive'\nkind = 'liveness'\nwindow = '10s'\ninterval = '1s'\n\
         unit = 's'\nlimits = {{ le = 20 }}\n"
    );
    let mut struck = 0;
    let mut world = World::new(3.3);
    let ended = deploy_by(&mut world, &plan, |act| match act {
        Act::WaitUntil { .. } if struck == 0 => {
            struck += 1;
            Some(Loss::Before)
        }
        _ => None,
    });
    assert_eq!(struck, 1);
    let said = &ended.end.message;
    assert!(said.contains("the link failed while a check was watching"), "{said}");
    assert_eq!((ended.end.outcome, ended.end.verdict), (Outcome::RolledBack, RunVerdict::Error));
    assert_eq!((ended.end.exit_code, world.confirms), (3, 0));
}

/// The stage behind the confirm is never reached; giving it up is no error of the bench, and what the
/// checks before it came to still decides whether the trial is held.
#[test]
fn the_verdict_before_a_post_stage_that_is_given_up_is_the_verdict_of_the_run() {
    let post = "[[stage]]\nid = 'after'\nkind = 'post'\n\
                [[stage.check]]\nid = 'still'\nkind = 'identity'\n";
    let major = "severity = 'major'\n";
    let silent = "[[stage.check]]\nid = 'log'\nkind = 'log'\nforbid = ['panic']\n";
    let hold = "[policy]\non_inconclusive = 'hold'\n";
    for (check, policy, rail_v, outcome, verdict, exit) in [
        ("", "", 2.0, Outcome::RolledBack, RunVerdict::Rejected, 1),
        (silent, "", 3.3, Outcome::RolledBack, RunVerdict::Inconclusive, 4),
        (silent, hold, 3.3, Outcome::Held, RunVerdict::Inconclusive, 4),
    ] {
        let plan = format!("{PLAN}{major}{check}{post}{policy}");
        let mut world = World::new(rail_v);
        let ended = deploy_by(&mut world, &plan, |_| None).end;
        let told = format!("{outcome:?}, {verdict:?}: {}", ended.message);
        assert_eq!((ended.outcome, ended.verdict), (outcome, verdict), "{told}");
        assert_eq!((ended.exit_code, world.confirms), (exit, 0), "{told}");
    }
}

const BOOT_CHECK: &str = "[[stage.check]]\nid = 'boot'\nkind = 'boot'\nmax_attempts = ";

/// The plan says how many starts are fine, the device how many there were.
#[test]
fn an_image_that_crashes_before_it_answers_is_judged_by_the_attempts_that_the_plan_allows() {
    for (check, crashes, outcome, exit) in [
        ("", 1, Outcome::WentBackByItself, 6),
        ("1", 0, Outcome::Committed, 0),
        ("1", 1, Outcome::RolledBack, 1),
        ("1", 2, Outcome::WentBackByItself, 6),
        ("2", 1, Outcome::Committed, 0),
        ("2", 2, Outcome::RolledBack, 1),
    ] {
        let boot = if check.is_empty() { String::new() } else { format!("{BOOT_CHECK}{check}\n") };
        let mut world = World { crashes, ..World::new(3.3) };
        let ended = deploy_by(&mut world, &format!("{PLAN}{boot}"), |_| None).end;
        let told = format!("max_attempts {check}, {crashes} crashes: {}", ended.message);
        assert_eq!((ended.outcome, ended.exit_code), (outcome, exit), "{told}");
        if outcome == Outcome::RolledBack {
            let counted = format!("boot_attempts = {}, outside", crashes + 1);
            assert!(ended.message.contains(&counted), "{told}");
            assert_eq!(world.blamed, Some(true), "{told}");
        }
    }
}

/// P10: a crash is the image's own, by the device's count; a restart for another reason is not.
#[test]
fn an_image_that_crashes_while_it_is_checked_is_rejected_and_another_restart_blames_nobody() {
    let plan = format!("{PLAN}{BOOT_CHECK}1\n");
    for (loss, verdict, exit, blamed) in
        [(Loss::Crash, RunVerdict::Rejected, 1, true), (Loss::Reset, RunVerdict::Error, 3, false)]
    {
        let mut world = World::new(3.3);
        let mut struck = 0;
        let ended = deploy_by(&mut world, &plan, |act| {
            let strikes = struck == 0 && matches!(act, Act::Ask(Ask::RunCheck { .. }));
            struck += u32::from(strikes);
            strikes.then_some(loss)
        });
        let told = format!("{loss:?}: {}", ended.end.message);
        assert_eq!(struck, 1, "{told}");
        assert_eq!(
            (ended.end.outcome, ended.end.verdict),
            (Outcome::RolledBack, verdict),
            "{told}"
        );
        assert_eq!((ended.end.exit_code, world.blamed), (exit, Some(blamed)), "{told}");
    }
}

/// The lease would let the run wait for longer; the plan does not.
#[test]
fn a_device_that_is_silent_under_a_check_for_longer_than_the_plan_allows_is_hung() {
    let plan = PLAN.replace("lease = \"5s\"", "lease = \"60s\"\nsilence = \"20s\"");
    let plan = format!("{plan}retry = {{ on = ['error'], max_attempts = 2 }}\n");
    for (silent_ms, outcome, exit) in
        [(19_000, Outcome::Committed, 0), (21_000, Outcome::RolledBack, 3)]
    {
        let mut world = World::new(3.3);
        let mut struck = false;
        let ended = deploy_in(&mut world, &plan, |world, act| {
            if !struck && matches!(act, Act::Ask(Ask::RunCheck { .. })) {
                struck = true;
                world.silent_until_ms = world.now_ms + silent_ms;
                return Some(Loss::Before);
            }
            None
        });
        let told = format!("{silent_ms} ms: {}", ended.end.message);
        assert!(struck, "{told}");
        assert_eq!((ended.end.outcome, ended.end.exit_code), (outcome, exit), "{told}");
        assert_eq!(
            ended.end.message.contains("hung: no sign of life for 20 s"),
            exit == 3,
            "{told}"
        );
        assert_eq!(world.blamed, (exit == 3).then_some(false), "silence blames nobody: {told}");
    }
}

mod endings;
mod world;

/// Lines as long as a console gives them: counted alone they would be thirty mebibytes.
#[test]
fn a_console_that_floods_is_held_for_checks_up_to_its_bound() {
    let mut runner = Runner::new(order(PLAN), 0);
    let text = "\u{fffd}".repeat(1_024);
    let lines = vec![ConsoleLine { at_ms: 1, text }; 2 * CONSOLE_LINES];
    runner.hear(1, lines);
    let held: usize = runner.console.iter().map(|line| line.text.len()).sum();
    assert!(held <= CONSOLE_BYTES && runner.console_bytes == held, "{held} bytes");
}
