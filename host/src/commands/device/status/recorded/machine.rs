//! The same for programs: a boot record and the next start as JSON.

use std::path::Path;

use firmware_protocol::boot::{BootState, Decision, Start};
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::{SlotId, SlotState};
use serde_json::{Value, json};

use super::{Outlook, slot_word};
use crate::bench::place;
use crate::boot_record::BootRecord;
use crate::qualify::observation::Where;

/// What a record holds and what comes of it, for programs.
pub(super) fn machine(path: &Path, record: &BootRecord, outlook: &Outlook) -> Value {
    let start = |decision: &Decision| {
        let start = match decision.start {
            Start::Slot(slot) => place(slot),
            Start::Recovery => Where::Recovery,
        };
        json!({ "boot_row": decision.row.id(), "why": decision.row.explanation(), "running": start.to_string() })
    };
    json!({
        "record": {
            "file": path,
            "range_bytes": record.range_bytes(),
            "places": record.places(),
            "entries": record.entries(),
            "sequence": record.state().map(|_| record.sequence()),
            "version": record.state().map(|_| record.version()),
            "settled": record.is_settled(),
        },
        "state": record.state().map(state_json),
        "next_start": {
            "reset_cause": outlook.cause.word(),
            "if_slots_verify": start(&outlook.decision),
            "otherwise": outlook.otherwise.as_ref().map(|(_, decision)| start(decision)),
            "stores_record": outlook.stores,
        },
        "next": outlook.next,
    })
}

fn state_json(state: &BootState) -> Value {
    let slot = |slot: SlotId| {
        let held = state.slots.get(slot);
        let (reason, trial_id) = match held {
            SlotState::Rejected { reason, trial_id, .. } => {
                (Some(reason.explanation()), Some(*trial_id))
            }
            SlotState::Empty
            | SlotState::Writing { .. }
            | SlotState::Staged { .. }
            | SlotState::Admitted { .. } => (None, None),
        };
        json!({
            "state": slot_word(held),
            "confirmed": state.active == Some(slot),
            "bundle": held.bundle().map(|digest| digest.to_string()),
            "rejected_because": reason,
            "trial_id": trial_id,
        })
    };
    json!({
        "enrolled": state.life_cycle != LifeCycle::Factory,
        "root_version": state.root_version,
        "root_digest": state.root_digest.to_string(),
        "active": state.active.map(|slot| place(slot).to_string()),
        "slot_a": slot(SlotId::A),
        "slot_b": slot(SlotId::B),
        "trial": state.trial.map(|trial| json!({
            "trial_id": trial.trial_id,
            "slot": place(trial.slot).to_string(),
            "plan": trial.plan.to_string(),
            "armed": trial.armed,
            "ran_last": trial.entered,
            "boots_left": trial.boots_left,
            "crashes_left": trial.crash_left,
            "power_failures_left": trial.power_left,
            "lease_ms": trial.lease_ms,
            "boot_max_ms": trial.boot_max_ms,
            "security_version": trial.security_version,
            "retires_fallback": trial.retires_fallback,
        })),
        "accept_floor": state.accept_floor,
        "time_floor_s": state.time_floor_s,
        "crashes_left": state.crash_left,
        "next_trial_id": state.next_trial_id,
        "confirmed_trial_id": state.confirmed_trial_id,
        "slot_erases": { "a": state.erases.a, "b": state.erases.b },
    })
}
