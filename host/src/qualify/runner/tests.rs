//! A deployment against a model of a device, with every act lost before or behind its effect.
#![expect(clippy::wildcard_enum_match_arm, reason = "the model takes every act alike")]

use firmware_protocol::slot::RejectReason;

use super::*;
use crate::evidence::Outcome;
use crate::plan::Plan;
use crate::qualify::observation::{
    Ask, CheckInfo, Rejection, SlotFacts, SlotState, TrialFacts, Where,
};
use crate::verdict::RunVerdict;

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

/// What happens to one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It never reaches the device.
    Before,
    /// The device did it; its answer is lost.
    Behind,
    /// It never reaches the device, which is reset by something else meanwhile.
    Reset,
    /// The device did it and restarted; what answers is the new boot, to a second copy of it.
    Twice,
    /// It never reaches the device, whose image crashes instead.
    Crash,
}

/// A device as its record would have it.
#[expect(clippy::struct_excessive_bools, reason = "each is true or not by itself")]
struct World {
    now_ms: u64,
    running: Where,
    active: Where,
    /// Slot A holds what can be started; else the recovery image takes its place.
    old_starts: bool,
    staged: bool,
    admitted: bool,
    trial: Option<TrialFacts>,
    rejected: bool,
    nonce: u64,
    rail_v: f64,
    confirms: u32,
    /// So many starts of the trial image crash before it answers.
    crashes: u32,
    /// What the last rollback said of the bundle.
    blamed: Option<bool>,
    /// Nobody is reached before then.
    silent_until_ms: u64,
    /// What is missing meanwhile.
    missing: Missing,
    /// How the last trial ended.
    ended: RejectReason,
    trial_id: u64,
    /// Digest and version of what slot B holds, if anything.
    spare: ([u8; 32], &'static str),
    reset_cause: &'static str,
}

impl World {
    fn new(rail_v: f64) -> Self {
        Self {
            now_ms: 0,
            running: Where::SlotA,
            active: Where::SlotA,
            old_starts: true,
            staged: false,
            admitted: false,
            trial: None,
            rejected: false,
            nonce: 100,
            rail_v,
            confirms: 0,
            crashes: 0,
            blamed: None,
            silent_until_ms: 0,
            missing: Missing::Answer,
            ended: RejectReason::LeaseExpired,
            trial_id: 1,
            spare: (NEW, "2.0.0"),
            reset_cause: "requested",
        }
    }

    /// A device whose two slots hold nothing that can be started.
    fn in_recovery(rail_v: f64) -> Self {
        Self { running: Where::Recovery, old_starts: false, ..Self::new(rail_v) }
    }

    fn boot(&mut self) {
        self.nonce += 1;
        let is_old = self.active == Where::SlotA;
        self.running = if is_old && !self.old_starts { Where::Recovery } else { self.active };
        if let Some(trial) = &mut self.trial {
            trial.is_running = trial.armed > 0;
            if trial.armed > 0 {
                trial.armed -= 1;
                trial.boots_left -= 1;
                self.running = trial.slot;
            }
        }
        if self.crashes > 0 && self.running == Where::SlotB {
            self.crashes -= 1;
            self.crash();
        }
    }

    /// The image that runs crashes, and the device starts anew.
    fn crash(&mut self) {
        let Some(trial) = &mut self.trial else { return self.boot() };
        trial.crash_left -= u32::from(trial.is_running);
        self.reset_cause = "crash";
        if trial.crash_left == 0 {
            self.end_trial(RejectReason::Crashed);
        } else {
            self.boot();
        }
    }

    /// Power fails, and the device starts anew.
    fn power_cut(&mut self) {
        self.reset_cause = "power_on";
        self.boot();
    }

    fn end_trial(&mut self, why: RejectReason) {
        self.ended = why;
        let was_running = self.trial.take().is_some_and(|trial| trial.is_running);
        self.rejected = true;
        self.staged = false;
        if was_running {
            self.boot();
        }
    }

    /// Another host stages another version over the one on trial.
    fn staged_over_by_another(&mut self) {
        self.end_trial(RejectReason::Withdrawn);
        (self.staged, self.rejected) = (true, false);
        self.spare = ([3; 32], "1.2.0");
    }

    /// Another host deploys another version over the one on trial.
    fn replaced_by_another(&mut self) {
        self.staged_over_by_another();
        self.confirmed_by_another();
        self.boot();
    }

    /// Another host confirms the trial.
    fn confirmed_by_another(&mut self) {
        self.trial = None;
        self.active = Where::SlotB;
        (self.admitted, self.staged) = (true, false);
    }

    fn facts(&self) -> DeviceFacts {
        let new = self.running == Where::SlotB;
        DeviceFacts {
            product: "rover".to_owned(),
            hardware: "nav".to_owned(),
            hardware_rev: 1,
            serial: "S1".to_owned(),
            running: self.running,
            bundle: match self.running {
                Where::Recovery => None,
                Where::SlotA | Where::SlotB => Some(if new { self.spare.0 } else { OLD }),
            },
            version: match self.running {
                Where::Recovery => "",
                Where::SlotA => "1.0.0",
                Where::SlotB => self.spare.1,
            }
            .to_owned(),
            boot_nonce: self.nonce,
            reset_cause: self.reset_cause.to_owned(),
            watchdog_hardware: true,
            enrolled: true,
            root_is_lost: false,
        }
    }

    fn status(&self) -> StatusFacts {
        let rejection = Rejection {
            cause: self.ended,
            reason: self.ended.explanation(),
            trial_id: self.trial_id,
            blames_bundle: matches!(self.ended, RejectReason::HostDecided | RejectReason::Crashed),
        };
        let state = match (self.admitted, self.staged, self.rejected) {
            (true, _, _) => SlotState::Admitted,
            (_, true, _) => SlotState::Staged,
            (_, _, true) => SlotState::Rejected,
            _ => SlotState::Empty,
        };
        StatusFacts {
            active: Some(self.active),
            slots: [
                SlotFacts { state: SlotState::Admitted, bundle: Some(OLD), rejection: None },
                SlotFacts {
                    state,
                    bundle: (state != SlotState::Empty).then_some(self.spare.0),
                    rejection: (state == SlotState::Rejected).then_some(rejection),
                },
            ],
            trial: self.trial,
            accept_floor: 0,
            why: "the model says so",
        }
    }

    fn refused(reason: &str) -> Saw {
        Saw::Refused { reason: reason.to_owned(), is_stale: false, next: "" }
    }

    /// Does an act and gives its answer.
    fn act(&mut self, act: &Act) -> Saw {
        self.now_ms += 10;
        match act {
            Act::Connect { until_ms, not_boot } => self.connect(*until_ms, *not_boot),
            Act::Look { .. } => self.connected(),
            Act::Stage { .. } if self.trial.is_some() => Self::refused("a trial is open"),
            Act::Stage { slot, .. } => {
                (self.staged, self.rejected) = (true, false);
                Saw::Staged(StagedFacts {
                    slot: *slot,
                    is_found_done: false,
                    is_resumed: false,
                    total_bytes: 10,
                    kept_bytes: 0,
                    sent_bytes: 10,
                    device_bytes: 10,
                    took_ms: 1,
                })
            }
            Act::OpenTrial { plan, terms } => self.open_trial(*plan, *terms),
            Act::Arm { boots, .. } => match &mut self.trial {
                Some(trial) => {
                    trial.armed = u32::from(*boots);
                    Saw::Done
                }
                None => Self::refused("no trial"),
            },
            Act::Reset { boot_nonce } if *boot_nonce == self.nonce => {
                self.boot();
                Saw::Done
            }
            Act::Confirm { boot_nonce, .. } => self.confirm(*boot_nonce),
            Act::Rollback { blames_bundle, .. } if self.trial.is_some() => {
                self.blamed = Some(*blames_bundle);
                self.end_trial(if *blames_bundle {
                    RejectReason::HostDecided
                } else {
                    RejectReason::Withdrawn
                });
                Saw::Done
            }
            Act::Reset { .. } | Act::Rollback { .. } => Self::refused("not now"),
            Act::Ask(ask) => Saw::Seen(self.answer(ask)),
            Act::WaitUntil { at_ms } => {
                self.now_ms = self.now_ms.max(*at_ms);
                Saw::Done
            }
            Act::HashSlot { .. } => Saw::Hashes(Vec::new()),
            Act::Record { .. } | Act::End(_) => unreachable!("the caller deals with these"),
        }
    }

    fn connect(&mut self, until_ms: u64, not_boot: Option<u64>) -> Saw {
        if until_ms < self.silent_until_ms {
            self.now_ms = self.now_ms.max(until_ms);
            return lost(self.missing, "silence");
        }
        self.now_ms = self.now_ms.max(self.silent_until_ms);
        if not_boot == Some(self.nonce) {
            // Nobody comes: time passes, and with it the lease.
            self.now_ms = self.now_ms.max(until_ms);
            if self.trial.is_some_and(|trial| trial.is_running) {
                self.end_trial(RejectReason::LeaseExpired);
            } else {
                return lost(Missing::Answer, "still the boot before");
            }
        }
        self.connected()
    }

    fn connected(&self) -> Saw {
        Saw::Connected {
            facts: Box::new(self.facts()),
            status: Box::new(self.status()),
            at_ms: self.now_ms,
        }
    }

    fn open_trial(&mut self, plan: [u8; 32], terms: Terms) -> Saw {
        if !self.staged {
            return Self::refused("nothing is staged");
        }
        let trial = self.trial.get_or_insert(TrialFacts {
            slot: Where::SlotB,
            trial_id: self.trial_id,
            plan,
            armed: 0,
            boots_left: u32::from(terms.boots),
            crash_left: u32::from(terms.crashes),
            power_left: 1,
            is_running: false,
        });
        Saw::Trial { trial_id: trial.trial_id }
    }

    fn confirm(&mut self, boot_nonce: u64) -> Saw {
        let runs = self.trial.is_some_and(|trial| trial.is_running);
        if !runs || boot_nonce != self.nonce {
            return Self::refused("not this boot");
        }
        self.trial = None;
        self.active = Where::SlotB;
        (self.admitted, self.staged) = (true, false);
        self.confirms += 1;
        Saw::Done
    }

    fn answer(&self, ask: &Ask) -> Seen {
        match ask {
            Ask::Identify => Seen::Facts(self.facts()),
            Ask::Status => Seen::Status(self.status()),
            Ask::ListChecks => Seen::Checks(vec![CheckInfo {
                name: "rail".to_owned(),
                unit: "V".to_owned(),
                is_status: false,
            }]),
            Ask::RunCheck { name } => {
                Seen::Reading(crate::measurement::Measurement::number(name, self.rail_v, "V"))
            }
            Ask::Ping => Seen::Pong { rtt_us: 1 },
            Ask::Command { .. } => Seen::NoAnswer,
        }
    }
}

fn lost(missing: Missing, reason: &str) -> Saw {
    Saw::Lost { missing, reason: reason.to_owned(), next: "" }
}

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
