//! Brick triage in words: which row of the boot table applied, why, and the one next safe command.

use firmware_protocol::boot::BootRow;
use firmware_protocol::message::Status;

use crate::bench::Opened;
use crate::qualify::observation::Where;

/// What is said to the person holding the cable.
pub(super) struct Words {
    pub(super) lines: Vec<String>,
    pub(super) next: String,
}

pub(super) fn explain(opened: &Opened, status: &Status) -> Words {
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
    Words { lines, next: next(opened, row, status.crash_left).to_owned() }
}

/// Why the device runs what it runs, as of now.
pub(super) fn why(opened: &Opened, row: BootRow) -> String {
    let since = match (row, opened.status.trial, opened.status.active) {
        (BootRow::TrialArmed, None, Some(active)) if active == opened.facts.running => {
            "; it was confirmed since"
        }
        _ => "",
    };
    format!("{}{since}", row.explanation())
}

fn next(opened: &Opened, row: BootRow, crash_left: u8) -> &'static str {
    if !opened.facts.enrolled {
        return "noflake device enroll";
    }
    if opened.status.crash_budget_is_short(crash_left) {
        return "noflake device log, to see why it crashes; its fallback takes over by itself";
    }
    if let Some(trial) = opened.status.trial {
        return if trial.is_running {
            "noflake device confirm to keep the version on trial, or noflake device rollback to go back"
        } else {
            "noflake device rollback, or run the deploy again that opened the trial"
        };
    }
    let spare = opened.facts.running.other().and_then(|place| opened.status.slot(place));
    let rejection = spare.and_then(|slot| slot.rejection);
    match (row, rejection) {
        (BootRow::NoRecord | BootRow::NothingBoots | BootRow::CrashedAlone, _) => {
            "noflake deploy a bundle that is known to work"
        }
        (BootRow::PassedOver, _) => {
            "power the device off and on; if this comes again, noflake deploy writes the slot anew"
        }
        (_, Some(rejection)) if rejection.blames_bundle => {
            "mend the bundle and deploy the mended one, or deploy this one again with --again"
        }
        (_, Some(_)) => "run the same noflake deploy again: nothing speaks against the bundle",
        (_, None) if spare.is_some_and(|slot| slot.state.is_unfinished()) => {
            "run the noflake deploy again that was interrupted"
        }
        (_, None) => "nothing needs to be done",
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::boot::CONFIRMED_CRASH_BUDGET;

    use crate::qualify::observation::{DeviceFacts, SlotFacts, SlotState, StatusFacts};

    use super::*;

    /// A slot that could not be read is worth a power cycle before anything is written.
    #[test]
    fn a_slot_that_was_passed_over_is_looked_at_again_before_it_is_written_anew() {
        let opened = fallback_runs();
        let words = why(&opened, BootRow::PassedOver);
        assert!(words.contains("could not be read"), "{words}");
        let next = next(&opened, BootRow::PassedOver, CONFIRMED_CRASH_BUDGET);
        assert!(next.starts_with("power the device off and on"), "{next}");
    }

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
                enrolled: true,
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
