//! The records that the decision table of docs/BOOT.md is printed for.

use firmware_protocol::boot::{BootState, Trial};
use firmware_protocol::digest::Digest;
use firmware_protocol::slot::{PerSlot, SlotId, SlotState};

/// Their names, in the order of the table.
pub const SITUATIONS: [&str; 13] = [
    "none can be read",
    "nothing confirmed",
    "A confirmed, no fallback",
    "A confirmed, B fallback",
    "A confirmed, no fallback, last crash",
    "A confirmed, B fallback, last crash",
    "trial, paused",
    "trial, armed",
    "trial, running, armed again",
    "trial, running, last crash",
    "trial, running, last power failure",
    "trial, running, last boot",
    "trial of a slot that is not staged",
];

/// A trial of slot B with plenty of everything, and nothing armed.
pub const TRIAL: Trial = Trial {
    slot: SlotId::B,
    trial_id: 4,
    plan: Digest([9; 32]),
    armed: 0,
    crash_left: 3,
    power_left: 5,
    boots_left: 9,
    lease_ms: 10_000,
    boot_max_ms: 60_000,
    entered: false,
    security_version: 7,
    retires_fallback: false,
};

/// The record of that name; `None` where there is none.
pub fn situation(name: &str) -> Option<BootState> {
    let admitted = |n| SlotState::Admitted { bundle: Digest([n; 32]) };
    let staged = SlotState::Staged { bundle: Digest([2; 32]) };
    let state = |a, b, trial| BootState {
        active: (a != SlotState::Empty).then_some(SlotId::A),
        slots: PerSlot { a, b },
        trial,
        ..BootState::default()
    };
    let alone = state(admitted(1), SlotState::Empty, None);
    let pair = state(admitted(1), admitted(2), None);
    let trial = |trial| Some(state(admitted(1), staged, Some(trial)));
    let running = Trial { entered: true, armed: 1, ..TRIAL };
    match name {
        "none can be read" => None,
        "nothing confirmed" => Some(state(SlotState::Empty, SlotState::Empty, None)),
        "A confirmed, no fallback" => Some(alone),
        "A confirmed, B fallback" => Some(pair),
        "A confirmed, no fallback, last crash" => Some(BootState { crash_left: 1, ..alone }),
        "A confirmed, B fallback, last crash" => Some(BootState { crash_left: 1, ..pair }),
        "trial, paused" => trial(TRIAL),
        "trial, armed" => trial(Trial { armed: 1, ..TRIAL }),
        "trial, running, armed again" => trial(running),
        "trial, running, last crash" => trial(Trial { crash_left: 1, ..running }),
        "trial, running, last power failure" => trial(Trial { power_left: 1, ..running }),
        "trial, running, last boot" => trial(Trial { armed: 0, boots_left: 0, ..running }),
        "trial of a slot that is not staged" => {
            Some(state(admitted(1), SlotState::Empty, Some(Trial { armed: 1, ..TRIAL })))
        }
        other => panic!("no situation {other:?}"),
    }
}
