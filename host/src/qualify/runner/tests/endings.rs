//! How runs end that did not go by plan: each ending says what the device shows, and no more.

use super::*;
use crate::evidence::RunEnd;

/// The act under which something happens to the device.
type Moment = fn(&Act) -> bool;

const UNDER_RESET: Moment = |act| matches!(act, Act::Reset { .. });
const UNDER_BOOT: Moment = |act| matches!(act, Act::Connect { not_boot: Some(_), .. });
const UNDER_CHECK: Moment = |act| matches!(act, Act::Ask(Ask::RunCheck { .. }));
const UNDER_CONFIRM: Moment = |act| matches!(act, Act::Confirm { .. });
const UNDER_ROLLBACK: Moment = |act| matches!(act, Act::Rollback { .. });

/// A run that is struck once, `at` a moment: the device is changed, and the act never reaches it.
fn struck(world: &mut World, at: Moment, change: impl Fn(&mut World)) -> Ended {
    let mut strikes = 0;
    let ended = deploy_in(world, PLAN, |world, act| {
        let strikes_now = strikes == 0 && at(act);
        strikes += u32::from(strikes_now);
        strikes_now.then(|| {
            change(world);
            Loss::Before
        })
    });
    assert_eq!(strikes, 1, "nothing was struck: {}", ended.end.message);
    ended
}

fn is_without_verdict(ended: &Ended, outcome: Outcome, exit: u8) {
    let RunEnd { verdict, outcome: came, exit_code, message, .. } = &ended.end;
    assert_eq!((*verdict, *came, *exit_code), (RunVerdict::Error, outcome, exit), "{message}");
}

/// Every moment of the trial: neither old nor new runs, and that is no going back.
#[test]
fn a_device_that_another_host_deploys_to_is_said_to_be_taken_over_and_nothing_is_rejected() {
    for at in [UNDER_RESET, UNDER_CHECK, UNDER_CONFIRM] {
        let mut world = World::new(3.3);
        let ended = struck(&mut world, at, World::replaced_by_another);
        is_without_verdict(&ended, Outcome::Error, 3);
        let said = &ended.end.message;
        assert_eq!(said, "another host took the device over; it runs version 1.2.0 in slot B");
    }
}

/// The other host is not through yet: the old version runs, and no trial of this run ended so.
#[test]
fn a_slot_that_another_host_writes_to_is_not_one_whose_trial_ended() {
    let mut world = World::new(3.3);
    let ended = struck(&mut world, UNDER_CHECK, World::staged_over_by_another);
    is_without_verdict(&ended, Outcome::Error, 3);
    let said = &ended.end.message;
    assert_eq!(said, "another host took the device over; it runs version 1.0.0 in slot A");
}

#[test]
fn a_trial_that_another_host_gave_up_did_not_go_back_by_itself() {
    for why in [RejectReason::HostDecided, RejectReason::Withdrawn] {
        let mut world = World::new(3.3);
        let ended = struck(&mut world, UNDER_CHECK, |world| world.end_trial(why));
        is_without_verdict(&ended, Outcome::Error, 3);
        let said = &ended.end.message;
        assert_eq!(said, "another host took the device over; it runs version 1.0.0 in slot A");
    }
}

/// The same bundle, tried by the other host in a trial of its own.
#[test]
fn a_trial_of_another_host_is_not_judged_as_this_runs_own() {
    let mut world = World::new(3.3);
    let ended = struck(&mut world, UNDER_CHECK, |world| {
        world.trial.as_mut().unwrap().trial_id = 2;
        world.nonce += 1;
    });
    is_without_verdict(&ended, Outcome::Error, 3);
    assert!(ended.end.message.ends_with("it runs version 2.0.0 in slot B, on trial"), "{ended:?}");
    assert_eq!(world.blamed, None, "the other host's trial was rolled back");
}

#[test]
fn a_bundle_that_another_host_confirmed_is_not_committed_by_this_run() {
    for at in [UNDER_RESET, UNDER_CHECK] {
        let mut world = World::new(3.3);
        let ended = struck(&mut world, at, |world| {
            world.running = Where::SlotB;
            world.nonce += 1;
            world.confirmed_by_another();
        });
        is_without_verdict(&ended, Outcome::Error, 3);
        let said = &ended.end.message;
        assert_eq!(
            said,
            "another host took the device over and confirmed version 2.0.0 in slot B; this run did \
             not judge it"
        );
        assert_eq!(world.confirms, 0);
    }
}

/// A confirm that is refused because the session is another host's has confirmed nothing.
#[test]
fn a_confirm_that_is_refused_is_not_taken_for_the_one_on_record() {
    for (reset_cause, outcome) in [
        ("requested", Outcome::Error),
        // The copy of a confirm that was done met the boot behind a power cut.
        ("power_on", Outcome::Committed),
    ] {
        let mut world = World::new(3.3);
        let mut struck = 0;
        let end = deploy_in(&mut world, PLAN, |world, act| {
            if !matches!(act, Act::Confirm { .. }) {
                return None;
            }
            struck += 1;
            world.confirmed_by_another();
            world.nonce += 1;
            world.reset_cause = reset_cause;
            Some(Loss::Twice)
        })
        .end;
        assert_eq!((struck, end.outcome), (1, outcome), "{reset_cause}: {}", end.message);
    }
}

/// The other host keeps its session: what the device runs is read without one.
#[test]
fn a_device_that_another_host_keeps_is_looked_at_and_said_to_be_taken_over() {
    for at in [UNDER_RESET, UNDER_CHECK, UNDER_CONFIRM] {
        let mut world = World::new(3.3);
        let ended = struck(&mut world, at, |world| {
            world.missing = Missing::Session;
            world.silent_until_ms = u64::MAX;
            world.replaced_by_another();
        });
        is_without_verdict(&ended, Outcome::Error, 3);
        assert!(ended.end.message.contains("it runs version 1.2.0 in slot B"), "{ended:?}");
    }
}

/// P10: what ended the trial decides whether a failure of the device was seen.
#[test]
fn a_device_that_went_back_rejects_a_bundle_only_for_a_failure_that_it_has_seen() {
    let again = "run the same command again";
    let log = "look at noflake device log";
    for (why, verdict, next) in [
        (RejectReason::LeaseExpired, RunVerdict::Error, again),
        (RejectReason::PowerLost, RunVerdict::Error, again),
        (RejectReason::Crashed, RunVerdict::Rejected, log),
        (RejectReason::BootsSpent, RunVerdict::Rejected, log),
        (RejectReason::Corrupt, RunVerdict::Rejected, again),
    ] {
        for at in [UNDER_RESET, UNDER_CHECK] {
            let mut world = World::new(3.3);
            let end = struck(&mut world, at, |world| world.end_trial(why)).end;
            assert_eq!((end.outcome, end.exit_code), (Outcome::WentBackByItself, 6), "{why:?}");
            assert_eq!(end.verdict, verdict, "{why:?}");
            assert!(end.message.contains(why.explanation()), "{why:?}: {}", end.message);
            let told = end.next_command.unwrap();
            assert!(told.starts_with(next), "{why:?}: {told}");
        }
    }
}

/// A lease that ended before a word was heard may be the link's fault or the image's: who obeys `next` does not go round for ever.
#[test]
fn an_image_that_was_never_heard_is_tried_once_more_and_then_mended() {
    for (at, next) in [(UNDER_RESET, "does not listen"), (UNDER_CHECK, "nothing speaks against")] {
        let mut world = World::new(3.3);
        let lease = |world: &mut World| world.end_trial(RejectReason::LeaseExpired);
        let end = struck(&mut world, at, lease).end;
        assert!(end.next_command.unwrap().contains(next), "{}", end.message);
    }
}

/// One that never answers within its limit has failed; one that answers was given too short a time.
#[test]
fn a_boot_that_ran_too_long_speaks_against_an_image_only_if_it_was_never_heard() {
    for (at, verdict, next) in [
        (UNDER_RESET, RunVerdict::Rejected, "look at noflake device log"),
        (UNDER_CHECK, RunVerdict::Error, "give the plan a longer boot_max"),
    ] {
        let mut world = World::new(3.3);
        let limit = |world: &mut World| world.end_trial(RejectReason::BootLimit);
        let end = struck(&mut world, at, limit).end;
        assert_eq!((end.verdict, end.exit_code), (verdict, 6), "{}", end.message);
        assert!(end.next_command.unwrap().starts_with(next), "{}", end.message);
    }
}

/// A failure that was seen before the cable came out stays one.
#[test]
fn a_failed_check_is_not_forgotten_when_the_lease_runs_out_behind_it() {
    let mut world = World::new(2.0);
    let expired = |world: &mut World| world.end_trial(RejectReason::LeaseExpired);
    let end = struck(&mut world, UNDER_ROLLBACK, expired).end;
    assert_eq!((end.outcome, end.verdict), (Outcome::RolledBack, RunVerdict::Rejected));
    assert!(end.message.contains("rail"), "{}", end.message);
}

#[test]
fn a_power_cut_before_the_first_answer_leaves_the_trial_open_and_the_same_command_goes_on() {
    let mut world = World::new(3.3);
    let mut cuts = 0;
    let ended = deploy_in(&mut world, PLAN, |world, act| {
        if UNDER_BOOT(act) && cuts == 0 {
            cuts += 1;
            world.power_cut();
        }
        None
    });
    assert_eq!(cuts, 1);
    is_without_verdict(&ended, Outcome::Error, 3);
    assert_eq!(
        ended.end.message,
        "power failed (reset cause power_on) before the new version answered; version 1.0.0 in \
         slot A runs, and trial 1 is still open with 2 boots left"
    );
    assert!(ended.end.next_command.unwrap().contains("it goes on with this trial"));
    assert_eq!(world.blamed, None);
    let (second, _) = deploy(&mut world, None);
    assert_eq!(second.end.outcome, Outcome::Committed, "{}", second.end.message);
}

/// A way that is missing is the host's trouble, and silence over one that opens the device's.
#[test]
fn only_a_device_that_is_silent_on_a_link_that_opens_needs_service() {
    for (missing, outcome, exit) in
        [(Missing::Link, Outcome::Error, 3), (Missing::Answer, Outcome::NeedsService, 7)]
    {
        for (at, rail_v) in [(UNDER_RESET, 3.3), (UNDER_ROLLBACK, 2.0)] {
            let mut world = World::new(rail_v);
            let end = struck(&mut world, at, |world| {
                world.missing = missing;
                world.silent_until_ms = u64::MAX;
            })
            .end;
            assert_eq!((end.outcome, end.exit_code), (outcome, exit), "{}", end.message);
            let is_judged = rail_v < 3.0 && outcome == Outcome::NeedsService;
            let verdict = if is_judged { RunVerdict::Rejected } else { RunVerdict::Error };
            assert_eq!(end.verdict, verdict, "{}", end.message);
        }
    }
}

/// A run that is stopped once, `at` a moment, where the device is changed as well.
fn stopped(world: &mut World, at: Moment, change: impl Fn(&mut World)) -> Ended {
    let mut runner = Runner::new(order(PLAN), 0);
    let mut stops = 0;
    let ended = loop {
        match runner.poll(world.now_ms) {
            Act::Record { .. } => {}
            Act::End(ended) => break *ended,
            act if stops == 0 && at(&act) => {
                stops += 1;
                change(world);
                runner.stop(world.now_ms, StopWhy::Operator);
            }
            act => {
                let saw = world.act(&act);
                runner.observe(world.now_ms, saw);
            }
        }
    };
    assert_eq!(stops, 1, "it was not stopped: {}", ended.end.message);
    ended
}

/// Ctrl-C while nobody is reached: interrupted, whatever is missing.
#[test]
fn a_stop_while_the_device_is_waited_for_ends_as_interrupted() {
    for missing in [Missing::Link, Missing::Answer, Missing::Session] {
        for at in [UNDER_BOOT, UNDER_CHECK, UNDER_CONFIRM] {
            let mut world = World::new(3.3);
            let ended = stopped(&mut world, at, |world| {
                world.missing = missing;
                world.silent_until_ms = u64::MAX;
            });
            let RunEnd { outcome, exit_code, message, .. } = &ended.end;
            assert_eq!((*outcome, *exit_code), (Outcome::Interrupted, 130), "{message}");
            assert!(message.starts_with("interrupted by the operator; "), "{message}");
            assert!(!message.contains("not run"), "{message}");
        }
    }
}

/// Every check had passed; what failed is the power.
#[test]
fn a_confirm_that_a_power_cut_keeps_from_the_device_gives_no_verdict() {
    let mut world = World::new(3.3);
    let ended = struck(&mut world, UNDER_CONFIRM, World::power_cut);
    is_without_verdict(&ended, Outcome::RolledBack, 3);
    assert_eq!(
        ended.end.message,
        "the confirm did not reach the device, which restarted (reset cause power_on); version \
         1.0.0 runs again from slot A"
    );
    let next = ended.end.next_command.unwrap();
    assert_eq!(next, "run the same command again: nothing speaks against the bundle");
    assert_eq!((world.confirms, world.blamed), (0, Some(false)));
}

#[test]
fn a_crash_before_the_confirm_arrives_is_the_images_own() {
    let plan = format!("{PLAN}{BOOT_CHECK}1\n");
    let mut world = World::new(3.3);
    let mut struck = 0;
    let end = deploy_by(&mut world, &plan, |act| {
        let strikes = struck == 0 && matches!(act, Act::Confirm { .. });
        struck += u32::from(strikes);
        strikes.then_some(Loss::Crash)
    })
    .end;
    assert_eq!(struck, 1);
    assert_eq!((end.verdict, end.exit_code), (RunVerdict::Rejected, 1), "{}", end.message);
    assert!(end.message.starts_with("the trial image crashed before the confirm"), "{end:?}");
}

/// What was read before bytes were sent is no news of the spare slot, and only staging is gone on with.
#[test]
fn a_run_that_ends_while_it_stages_says_that_the_slots_are_those_of_before() {
    for (at, is_old, next) in [
        ((|act| matches!(act, Act::Connect { .. })) as Moment, false, "again"),
        (|act| matches!(act, Act::Stage { .. }), true, "goes on where this run stopped"),
        (UNDER_CHECK, false, "starts over with a new trial"),
    ] {
        let ended = stopped(&mut World::new(3.3), at, |_| {});
        assert_eq!(ended.is_status_old, is_old, "{next}");
        let told = ended.end.next_command.unwrap();
        assert!(told.ends_with(next), "{told}");
    }
}

/// Behind the confirm nothing goes back any more.
#[test]
fn a_device_that_is_lost_behind_its_confirm_is_not_said_to_go_back() {
    let post = "[[stage]]\nid = 'after'\nkind = 'post'\n\
                [[stage.check]]\nid = 'still'\nkind = 'identity'\n";
    let mut world = World::new(3.3);
    let mut struck = 0;
    let ended = deploy_in(&mut world, &format!("{PLAN}{post}"), |world, act| {
        let strikes = world.confirms == 1 && matches!(act, Act::Ask(_));
        struck += u32::from(strikes);
        strikes.then(|| {
            world.silent_until_ms = u64::MAX;
            Loss::Before
        })
    });
    assert_eq!(struck, 1);
    is_without_verdict(&ended, Outcome::Error, 3);
    let said = &ended.end.message;
    assert!(said.ends_with("; the new version is confirmed") && !said.contains("back"), "{said}");
}

/// P10: who it is and what its record says, a device tells without a session. Behind a power cut that is the old
/// version, and its answers say nothing about the new one.
#[test]
fn an_old_version_that_answers_behind_a_power_cut_is_not_taken_for_the_one_on_trial() {
    for asked in [Ask::Identify, Ask::Status] {
        let (mut world, mut is_cut) = (World::new(3.3), false);
        let ended = deploy_in(&mut world, PLAN, |world, act| {
            if !is_cut && world.running == Where::SlotB && *act == Act::Ask(asked.clone()) {
                is_cut = true;
                world.power_cut();
            }
            None
        });
        assert!(is_cut, "{asked:?}");
        assert_eq!(world.blamed, Some(false), "{asked:?}: {}", ended.end.message);
        assert_eq!((ended.end.exit_code, ended.end.verdict), (3, RunVerdict::Error), "{asked:?}");
        assert_eq!(deploy(&mut world, None).0.end.exit_code, 0, "{asked:?}");
    }
}

/// P10: a confirm may have come through when nobody waits for its answer any more.
#[test]
fn a_second_stop_behind_a_confirm_says_nothing_of_what_becomes_of_the_device() {
    let (mut world, mut runner) = (World::new(3.3), Runner::new(order(PLAN), 0));
    let ended = loop {
        match runner.poll(world.now_ms) {
            Act::Record { .. } => {}
            Act::End(ended) => break ended.end,
            act => {
                let saw = world.act(&act);
                if matches!(act, Act::Confirm { .. }) {
                    runner.stop(world.now_ms, StopWhy::Operator);
                    runner.stop(world.now_ms, StopWhy::Operator);
                } else {
                    runner.observe(world.now_ms, saw);
                }
            }
        }
    };
    assert_eq!((world.active, ended.exit_code), (Where::SlotB, 130));
    assert!(ended.message.contains("is not known"), "{}", ended.message);
    assert_eq!(ended.next_command.as_deref(), Some("noflake device status --explain"));
}

/// A device that restarts while its running version is compared has refused nothing.
#[test]
fn a_restart_under_the_comparison_is_looked_at_anew() {
    let mut world = World::new(3.3);
    assert_eq!(deploy(&mut world, None).0.end.outcome, Outcome::Committed);
    let mut strikes = 0;
    let ended = deploy_by(&mut world, PLAN, |act| {
        let is_struck = strikes == 0 && matches!(act, Act::HashSlot { .. });
        strikes += u32::from(is_struck);
        is_struck.then_some(Loss::Twice)
    });
    assert_eq!(strikes, 1);
    assert_eq!(ended.end.outcome, Outcome::AlreadyRunning, "{}", ended.end.message);
}

/// A device that came from its recovery image has no old version to be seen running. Whether it needs another bundle or
/// the same command again follows from what was judged, by this run or by the device's own record.
#[test]
fn what_ends_a_trial_of_a_device_in_recovery_says_whether_the_bundle_is_at_fault() {
    let waits = "the device waits in its recovery image";
    let crashed = |world: &mut World| world.end_trial(RejectReason::Crashed);
    let is_at_fault = |end: &RunEnd| {
        assert_eq!((end.outcome, end.exit_code), (Outcome::NeedsService, 7), "{}", end.message);
        assert_eq!(end.verdict, RunVerdict::Rejected, "{}", end.message);
    };
    let (fails, _) = deploy(&mut World::in_recovery(2.0), None);
    is_at_fault(&fails.end);
    is_at_fault(&struck(&mut World::in_recovery(3.3), UNDER_CHECK, crashed).end);
    // The check had failed, and the device was told, before the operator stopped.
    let told = |world: &mut World| world.end_trial(RejectReason::HostDecided);
    let stop = stopped(&mut World::in_recovery(2.0), UNDER_ROLLBACK, told);
    assert_eq!(stop.end.exit_code, 7, "{}", stop.end.message);

    let cut = struck(&mut World::in_recovery(3.3), UNDER_CHECK, World::power_cut);
    is_without_verdict(&cut, Outcome::RolledBack, 3);
    let expired = |world: &mut World| world.end_trial(RejectReason::LeaseExpired);
    let expired = struck(&mut World::in_recovery(3.3), UNDER_CHECK, expired);
    is_without_verdict(&expired, Outcome::Error, 3);
    let stop = stopped(&mut World::in_recovery(3.3), UNDER_CHECK, |_| {});
    is_without_verdict(&stop, Outcome::Interrupted, 130);
    for end in [&cut.end, &expired.end, &stop.end] {
        assert!(end.message.contains(waits), "{}", end.message);
        let next = end.next_command.clone().unwrap();
        assert!(next.starts_with("run the same command again"), "{next}");
    }
    let mut lost = World::in_recovery(3.3);
    let lost = struck(&mut lost, UNDER_CHECK, |world| {
        (world.missing, world.silent_until_ms) = (Missing::Answer, u64::MAX);
    });
    assert!(lost.end.message.contains("goes back to its recovery image"), "{}", lost.end.message);
}
