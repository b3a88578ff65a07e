//! Brick triage in words: which row of the boot table applied, why, and the one next safe command.

use firmware_protocol::boot::BootRow;
use firmware_protocol::message::{RootStatus, Status};
use firmware_protocol::slot::RejectReason;

use crate::bench::Opened;
use crate::qualify::observation::{SlotState, StatusFacts, Where};

/// What the next safe command follows from.
pub(super) struct Standing<'a> {
    pub(super) enrolled: bool,
    /// Flash has lost the root record that it is enrolled under.
    pub(super) root_is_lost: bool,
    pub(super) running: Where,
    pub(super) status: &'a StatusFacts,
    pub(super) has_trial: bool,
    pub(super) row: BootRow,
    pub(super) crash_left: u8,
}

impl<'a> Standing<'a> {
    fn of(opened: &'a Opened, root_is_lost: bool, row: BootRow, crash_left: u8) -> Self {
        Self {
            enrolled: opened.facts.is_enrolled(),
            root_is_lost,
            running: opened.facts.running,
            status: &opened.status,
            has_trial: opened.status.trial.is_some(),
            row,
            crash_left,
        }
    }
}

/// What is said to the person holding the cable.
pub(super) struct Words {
    pub(super) lines: Vec<String>,
    pub(super) next: String,
}

pub(super) fn explain(opened: &Opened, status: &Status, root: Option<&RootStatus>) -> Words {
    let row = status.row;
    let mut lines = vec![format!("why: {} (rule {} of BOOT.md)", why(opened, row), row.id())];
    for place in [Where::SlotA, Where::SlotB] {
        let slot = opened.status.slot(place);
        if let Some(rejection) = slot.and_then(|slot| slot.rejection) {
            let trial = match rejection.trial_id {
                0 => String::new(),
                trial_id => format!(" in trial {trial_id}"),
            };
            lines.push(format!("{place} was rejected{trial} because {}", rejection.reason));
        }
    }
    if opened.status.crash_budget_is_short(status.crash_left) {
        lines.push(format!(
            "the confirmed image has {} of {} crashes left before its fallback takes over",
            status.crash_left,
            firmware_protocol::boot::CONFIRMED_CRASH_BUDGET
        ));
    }
    if opened.status.trial.is_some_and(|trial| trial.is_running) {
        lines.push(
            "if a plan holds the trial for you to decide: noflake device confirm makes the version \
             permanent without further checks, noflake device rollback goes back"
                .to_owned(),
        );
    }
    let root_is_lost = opened.facts.is_enrolled() && root.is_some_and(is_lost);
    if root_is_lost {
        lines.push(
            "without its root record the device cannot tell whose bundles are good, and takes none"
                .to_owned(),
        );
    }
    let next = next(&Standing::of(opened, root_is_lost, row, status.crash_left));
    Words { lines, next: next.to_owned() }
}

/// The device is enrolled under a root record that flash does not give back.
pub(super) const fn is_lost(root: &RootStatus) -> bool {
    root.version > 0 && !root.is_held
}

/// Why the device runs what it runs, as of now.
pub(super) fn why(opened: &Opened, row: BootRow) -> String {
    let trial = opened.status.trial;
    // Behind a start into a trial, an open one that does not run is another one.
    let armed_is_over = row == BootRow::TrialArmed && !trial.is_some_and(|trial| trial.is_running);
    let paused_is_over = row == BootRow::TrialPaused && trial.is_none();
    let since = if armed_is_over && opened.status.active == Some(opened.facts.running) {
        "; it was confirmed since"
    } else if armed_is_over || paused_is_over {
        "; the trial was ended since"
    } else {
        ""
    };
    format!("{}{since}", row.explanation())
}

/// The one next safe command.
pub(super) fn next(standing: &Standing<'_>) -> &'static str {
    let Standing { enrolled, root_is_lost, running, status, has_trial, row, crash_left } =
        *standing;
    if running == Where::Recovery && !has_trial {
        return "noflake device recover -d DEVICE --root ROOT --bundle BUNDLE, with a bundle that is known to work";
    }
    if !enrolled {
        return "noflake device enroll";
    }
    if root_is_lost {
        return "noflake device enroll -d DEVICE --root ROOT, with the root record that it is enrolled under: it is \
                stored anew";
    }
    if status.crash_budget_is_short(crash_left) {
        return "noflake device log, to see why it crashes; its fallback takes over by itself";
    }
    if has_trial {
        return "run the same noflake deploy again: it goes on with the trial or starts over";
    }
    let spare = running.other().and_then(|place| status.slot(place));
    let rejection = spare.and_then(|slot| slot.rejection);
    match (row, rejection) {
        (BootRow::PassedOver, _) => {
            "power the device off and on; if this comes again, noflake deploy writes the slot anew"
        }
        (_, Some(rejection)) if rejection.blames_bundle => {
            "mend the bundle and deploy the mended one, or deploy this one again with --again"
        }
        (_, Some(rejection)) if rejection.cause == RejectReason::LeaseExpired => {
            "run the same noflake deploy again; if its trial ends so once more on a link that holds, the image does not \
             listen: mend the bundle"
        }
        (_, Some(_)) => "run the same noflake deploy again: nothing speaks against the bundle",
        (_, None) => match spare.map(|slot| slot.state) {
            Some(SlotState::Writing) => "run the noflake deploy again that was interrupted",
            // The device does not keep why no trial of it was opened.
            Some(SlotState::Staged) => {
                "if the noflake deploy that staged was interrupted, run it again; if it was refused, do first what it \
                 named as next"
            }
            Some(SlotState::Empty | SlotState::Rejected | SlotState::Admitted) | None => {
                "nothing needs to be done"
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::boot::CONFIRMED_CRASH_BUDGET;
    use firmware_protocol::root::LifeCycle;

    use crate::qualify::observation::{DeviceFacts, SlotFacts, SlotState, StatusFacts, TrialFacts};

    use super::*;

    /// A slot that could not be read is worth a power cycle before anything is written.
    #[test]
    fn a_slot_that_was_passed_over_is_looked_at_again_before_it_is_written_anew() {
        let opened = fallback_runs();
        let words = why(&opened, BootRow::PassedOver);
        assert!(words.contains("could not be read"), "{words}");
        let next = next(&Standing::of(&opened, false, BootRow::PassedOver, CONFIRMED_CRASH_BUDGET));
        assert!(next.starts_with("power the device off and on"), "{next}");
    }

    /// The row is of the start; a trial that was open then may be over since.
    #[test]
    fn a_trial_that_ended_since_the_start_is_not_called_open() {
        use Where::{SlotA, SlotB};
        for (row, running, since) in [
            (BootRow::TrialPaused, SlotA, "; the trial was ended since"),
            (BootRow::TrialArmed, SlotB, "; the trial was ended since"),
            (BootRow::TrialArmed, SlotA, "; it was confirmed since"),
            (BootRow::Confirmed, SlotA, "the confirmed image runs"),
        ] {
            let mut opened = fallback_runs();
            opened.facts.running = running;
            let words = why(&opened, row);
            assert!(words.ends_with(since), "{words}");
            opened.status.trial = Some(TRIAL);
            assert!(!why(&opened, row).contains("since"), "a trial is open");
        }
        let mut opened = fallback_runs();
        opened.facts.running = SlotA;
        opened.status.trial = Some(TrialFacts { is_running: false, ..TRIAL });
        let words = why(&opened, BootRow::TrialArmed);
        assert!(words.ends_with("; it was confirmed since"), "the open one is another: {words}");
    }

    /// A trial that nobody has judged is never one command away from being permanent.
    #[test]
    fn an_open_trial_is_answered_by_the_deploy_that_judges_it() {
        for is_running in [true, false] {
            let mut opened = fallback_runs();
            opened.status.trial = Some(TrialFacts { is_running, ..TRIAL });
            let next =
                next(&Standing::of(&opened, false, BootRow::TrialArmed, CONFIRMED_CRASH_BUDGET));
            assert!(next.starts_with("run the same noflake deploy again"), "{next}");
        }
    }

    /// It would take no bundle until it has it back.
    #[test]
    fn a_lost_root_record_comes_before_crashes_and_an_open_trial_and_behind_recovery() {
        let mut opened = fallback_runs();
        let standing = |opened: &Opened| next(&Standing::of(opened, true, BootRow::Confirmed, 0));
        opened.status.trial = Some(TRIAL);
        assert!(standing(&opened).starts_with("noflake device enroll -d DEVICE --root ROOT, with"));
        (opened.facts.running, opened.status.trial) = (Where::Recovery, None);
        assert!(standing(&opened).starts_with("noflake device recover"));
    }

    /// Whatever brought it there, and whether or not it knows a root record.
    #[test]
    fn a_device_in_recovery_is_brought_back_by_one_command() {
        for row in [BootRow::NoRecord, BootRow::NothingBoots, BootRow::CrashedAlone] {
            for life_cycle in [LifeCycle::Development, LifeCycle::Factory] {
                let mut opened = fallback_runs();
                (opened.facts.running, opened.facts.life_cycle) = (Where::Recovery, life_cycle);
                let next = next(&Standing::of(&opened, false, row, 0));
                assert!(next.starts_with("noflake device recover -d DEVICE --root"), "{next}");
            }
        }
    }

    const TRIAL: TrialFacts = TrialFacts {
        slot: Where::SlotB,
        trial_id: 3,
        plan: [0; 32],
        armed: 0,
        boots_left: 1,
        crash_left: 1,
        power_left: 1,
        is_running: true,
    };

    /// Slot A is confirmed, slot B runs in its place.
    fn fallback_runs() -> Opened {
        let slot = SlotFacts { state: SlotState::Admitted, bundle: Some([3; 32]), rejection: None };
        Opened {
            facts: DeviceFacts {
                product: "rover".into(),
                hardware: "h1".into(),
                hardware_rev: 2,
                serial: "RN-0042".into(),
                running: Where::SlotB,
                bundle: Some([3; 32]),
                version: "1.0.0".into(),
                boot_nonce: 1,
                reset_cause: "power_on".into(),
                watchdog_hardware: true,
                life_cycle: LifeCycle::Development,
                root_is_lost: false,
            },
            status: StatusFacts {
                active: Some(Where::SlotA),
                slots: [slot, slot],
                trial: None,
                accept_floor: 0,
                why: BootRow::PassedOver.explanation(),
            },
            at_ms: 0,
        }
    }
}
