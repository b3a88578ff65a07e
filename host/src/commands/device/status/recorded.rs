//! `noflake device status --explain --record`: what a boot record holds and what the next start would do, in
//! words, without the device.

mod machine;

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use firmware_protocol::boot::{
    BootState, CONFIRMED_CRASH_BUDGET, Decision, Finding, Findings, RECORD_VERSION, ResetCause,
    Start, decide,
};
use firmware_protocol::message::{LinkCounters, Status};
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::{SlotId, SlotState};

use super::explain::{self, Standing};
use crate::bench::{place, status_facts};
use crate::boot_record::BootRecord;
use crate::cli::Context;
use crate::error::CommandError;
use crate::evidence::utc_from_unix_s;
use crate::qualify::observation::{Where, short_digest};

/// A boot record in a file, and the start that is asked about.
#[derive(Debug, clap::Args)]
pub(super) struct RecordedArgs {
    /// Explain the boot record in this file (noflake device record) instead of asking a device
    #[arg(long, value_name = "FILE", requires = "explain", conflicts_with_all = ["devices", "against"])]
    record: Option<PathBuf>,
    /// How the next start comes about
    #[arg(
        long,
        value_name = "CAUSE",
        requires = "record",
        conflicts_with = "devices",
        default_value = "power_on",
        value_parser = causes()
    )]
    reset_cause: ResetCause,
    /// Length of the first range of the boot record [default: half of the file]
    #[arg(long, value_name = "BYTES", requires = "record", conflicts_with = "devices")]
    first_range: Option<u32>,
}

impl RecordedArgs {
    /// Explains the record, if one is named.
    ///
    /// # Errors
    /// When the file is no boot record.
    pub(super) fn explain(&self, context: &Context) -> Result<bool, CommandError> {
        let Some(path) = &self.record else { return Ok(false) };
        let record = BootRecord::read(path, self.first_range)?;
        let outlook = Outlook::new(record.state(), self.reset_cause);
        let mut lines = vec![front_line(path, &record)];
        lines.extend(record.state().map(state_lines).unwrap_or_default());
        lines.push(String::new());
        lines.extend(outlook.lines(&record));
        lines.push(format!("next: {}", outlook.next));
        context.output.result(&lines.join("\n"), &machine::machine(path, &record, &outlook));
        Ok(true)
    }
}

fn causes() -> impl TypedValueParser<Value = ResetCause> {
    let words = PossibleValuesParser::new(ResetCause::ALL.map(ResetCause::word));
    words.map(|word| {
        let cause = ResetCause::ALL.into_iter().find(|cause| cause.word() == word);
        cause.unwrap_or(ResetCause::Unknown)
    })
}

/// The next start, as far as the record alone decides it.
struct Outlook {
    cause: ResetCause,
    decision: Decision,
    /// What is started instead when the slot of the decision does not verify.
    otherwise: Option<(SlotId, Decision)>,
    /// The decision changes the record.
    stores: bool,
    next: &'static str,
}

impl Outlook {
    fn new(state: Option<&BootState>, cause: ResetCause) -> Self {
        let decision = decide(state, Findings::default(), cause);
        let otherwise = match decision.start {
            Start::Slot(slot) => {
                let mut findings = Findings::default();
                *findings.get_mut(slot) = Finding::Damaged;
                Some((slot, decide(state, findings, cause)))
            }
            Start::Recovery => None,
        };
        let stores = state.is_some_and(|state| *state != decision.state);
        let next = next(&decision);
        Self { cause, decision, otherwise, stores, next }
    }

    fn lines(&self, record: &BootRecord) -> Vec<String> {
        let mut lines = Vec::new();
        if record.version() > RECORD_VERSION {
            lines.push(format!(
                "a newer firmware has written this record (version {}, this noflake knows {RECORD_VERSION}); what \
                 it added decides nothing below",
                record.version()
            ));
        }
        if !record.is_settled() {
            lines.push(
                "power failed while the record was written: the next start writes the state above once more \
                 before it acts on it"
                    .to_owned(),
            );
        }
        lines.push(format!(
            "at the next start, reset cause {}: {} (rule {} of BOOT.md)",
            self.cause.word(),
            self.decision.row.explanation(),
            self.decision.row.id()
        ));
        if self.stores {
            lines.push("a changed record is stored before that".to_owned());
        }
        if let Some((slot, otherwise)) = &self.otherwise {
            lines.push(format!(
                "the slots are not in this file; if slot {slot} no longer matches its digest then: {} (rule {})",
                otherwise.row.explanation(),
                otherwise.row.id()
            ));
        }
        lines
    }
}

fn next(decision: &Decision) -> &'static str {
    let state = &decision.state;
    let running = match decision.start {
        Start::Slot(slot) => place(slot),
        Start::Recovery => Where::Recovery,
    };
    let status = Status {
        active: state.active,
        slots: state.slots,
        trial: None,
        accept_floor: state.accept_floor,
        row: decision.row,
        crash_left: state.crash_left,
        uptime_ms: 0,
        link: LinkCounters::default(),
        record_entries: 0,
        erases: 0,
    };
    explain::next(&Standing {
        enrolled: state.life_cycle != LifeCycle::Factory,
        // A boot record alone does not tell.
        root_is_lost: false,
        running,
        status: &status_facts(&status),
        has_trial: state.trial.is_some(),
        row: decision.row,
        crash_left: state.crash_left,
    })
}

fn front_line(path: &Path, record: &BootRecord) -> String {
    let [first, second] = record.range_bytes();
    let holds = match record.state() {
        Some(_) => format!(
            "number {} is in force{}",
            record.sequence(),
            if record.is_settled() { "" } else { ", unsettled" }
        ),
        None => "none is in force".to_owned(),
    };
    format!(
        "record    {}: ranges of {first} and {second} bytes; {} of {} places hold an entry, {holds}",
        path.display(),
        record.entries(),
        record.places()
    )
}

fn state_lines(state: &BootState) -> Vec<String> {
    let trust = match state.life_cycle {
        LifeCycle::Factory => "factory state: not enrolled".to_owned(),
        LifeCycle::Development | LifeCycle::Field => {
            format!(
                "enrolled under root record {} ({:.16}){}; whether flash still holds that, the boot record does not tell",
                state.root_version,
                state.root_digest,
                if state.life_cycle == LifeCycle::Field { ", for the field" } else { "" },
            )
        }
    };
    let mut lines = vec![format!("trust     {trust}")];
    lines.extend(SlotId::ALL.map(|slot| slot_line(state, slot)));
    if let Some(trial) = state.trial {
        let entered = if trial.entered { ", its image ran last" } else { "" };
        lines.push(format!(
            "trial     {} in slot {}, {} boots armed{entered}; left: {} boots, {} crashes, {} power failures",
            trial.trial_id,
            trial.slot,
            trial.armed,
            trial.boots_left,
            trial.crash_left,
            trial.power_left
        ));
        lines.push(format!(
            "          lease {} ms, boot limit {} ms, plan {}; a confirm raises the floor to {}{}",
            trial.lease_ms,
            trial.boot_max_ms,
            short_digest(Some(&trial.plan.0)),
            trial.security_version,
            if trial.retires_fallback { " and retires the other slot" } else { "" }
        ));
    }
    lines.push(format!("floor     security version {}", state.accept_floor));
    if state.time_floor_s > 0 {
        lines.push(format!("time      at least {}", utc_from_unix_s(state.time_floor_s)));
    }
    lines.push(format!(
        "crashes   {} of {CONFIRMED_CRASH_BUDGET} left to the confirmed image",
        state.crash_left
    ));
    lines.push(format!(
        "trials    {} is the next, {} was confirmed last",
        state.next_trial_id, state.confirmed_trial_id
    ));
    if !state.touched.is_empty() {
        lines.push(format!(
            "writing   {} bytes of flash from {:#x} on were being written",
            state.touched.len_bytes, state.touched.start
        ));
    }
    lines.push(format!(
        "wear      slot A {} erases ever, slot B {}",
        state.erases.a, state.erases.b
    ));
    lines
}

fn slot_line(state: &BootState, slot: SlotId) -> String {
    let held = state.slots.get(slot);
    let active = if state.active == Some(slot) { ", confirmed" } else { "" };
    let bundle = short_digest(held.bundle().as_ref().map(|digest| &digest.0));
    let word = slot_word(held);
    match held {
        SlotState::Rejected { reason, trial_id, .. } => {
            let trial = match trial_id {
                0 => String::new(),
                trial_id => format!(" in trial {trial_id}"),
            };
            format!("slot {slot}    {word}{active}, {bundle}{trial}: {}", reason.explanation())
        }
        SlotState::Empty
        | SlotState::Writing { .. }
        | SlotState::Staged { .. }
        | SlotState::Admitted { .. } => format!("slot {slot}    {word}{active}, {bundle}"),
    }
}

const fn slot_word(slot: &SlotState) -> &'static str {
    match slot {
        SlotState::Empty => "empty",
        SlotState::Writing { .. } => "writing",
        SlotState::Staged { .. } => "staged",
        SlotState::Rejected { .. } => "rejected",
        SlotState::Admitted { .. } => "admitted",
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::boot::{BootRow, Trial};
    use firmware_protocol::digest::Digest;

    use super::*;

    const BUNDLE: Digest = Digest([3; 32]);

    fn confirmed() -> BootState {
        let mut state = BootState { active: Some(SlotId::A), ..BootState::default() };
        state.life_cycle = LifeCycle::Development;
        state.slots.a = SlotState::Admitted { bundle: BUNDLE };
        state
    }

    fn on_trial(armed: u8, entered: bool) -> BootState {
        let mut state = confirmed();
        state.slots.b = SlotState::Staged { bundle: BUNDLE };
        state.trial = Some(Trial {
            slot: SlotId::B,
            trial_id: 7,
            plan: BUNDLE,
            armed,
            crash_left: 1,
            power_left: 1,
            boots_left: 2,
            lease_ms: 1_000,
            boot_max_ms: 2_000,
            entered,
            security_version: 4,
            retires_fallback: true,
        });
        state
    }

    #[test]
    fn the_row_follows_from_the_record_and_the_reset_and_ends_in_one_command() {
        use ResetCause::{Crash, PowerOn, Requested};
        let (again, explain) = ("run the same noflake deploy again", "mend the bundle");
        let crashed = BootState { crash_left: 1, ..confirmed() };
        for (state, cause, row, otherwise, next) in [
            (None, PowerOn, BootRow::NoRecord, None, "noflake device recover"),
            (
                Some(BootState::default()),
                PowerOn,
                BootRow::NothingBoots,
                None,
                "noflake device recover",
            ),
            (Some(confirmed()), PowerOn, BootRow::Confirmed, Some("B8"), "nothing needs"),
            (Some(crashed), Crash, BootRow::CrashedAlone, None, "noflake device recover"),
            (Some(on_trial(0, false)), PowerOn, BootRow::TrialPaused, Some("B8"), again),
            (Some(on_trial(1, false)), Requested, BootRow::TrialArmed, Some("B4"), again),
            (Some(on_trial(0, true)), Crash, BootRow::TrialEnded, Some("B8"), explain),
            (Some(on_trial(0, true)), PowerOn, BootRow::TrialEnded, Some("B8"), again),
        ] {
            let outlook = Outlook::new(state.as_ref(), cause);
            let told = format!("{state:?} {cause:?}");
            assert_eq!(outlook.decision.row, row, "{told}");
            let found = outlook.otherwise.as_ref().map(|(_, decision)| decision.row.id());
            assert_eq!(found, otherwise, "{told}");
            assert!(outlook.next.starts_with(next), "{told}: {}", outlook.next);
        }
    }

    #[test]
    fn every_part_of_a_state_is_said() {
        let mut state = on_trial(1, true);
        state.touched.len_bytes = 4096;
        let text = state_lines(&state).join("\n");
        for said in [
            "enrolled under root record 0",
            "slot A    admitted, confirmed, 0303030303030303",
            "slot B    staged, 0303030303030303",
            "7 in slot B, 1 boots armed, its image ran last; left: 2 boots, 1 crashes, 1 power failures",
            "lease 1000 ms, boot limit 2000 ms",
            "raises the floor to 4 and retires the other slot",
            "crashes   3 of 3",
            "trials    1 is the next, 0 was confirmed last",
            "4096 bytes of flash from 0x0 on were being written",
        ] {
            assert!(text.contains(said), "{said:?} is not in\n{text}");
        }
    }
}
