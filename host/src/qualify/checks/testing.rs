//! A scripted device for the tests of single claims.

use super::{Claim, Judgement, Next};
use firmware_protocol::root::LifeCycle;

use crate::qualify::observation::{
    BootSeen, DeviceFacts, Expectation, Scene, Seen, SlotFacts, SlotState, StatusFacts, TrialFacts,
    Where,
};

/// Runs `claim` to its end against prepared answers, in virtual time.
pub(super) fn answers(
    claim: &mut dyn Claim,
    expect: &Expectation,
    boot: Option<&BootSeen>,
    seen: Vec<Seen>,
) -> Judgement {
    let scene = Scene { expect, boot, console: &[] };
    let mut seen = seen.into_iter();
    let mut now_ms = 0;
    loop {
        match claim.next(now_ms, &scene) {
            Next::Judged(judgement) => return judgement,
            Next::Wait { at_ms } => now_ms = at_ms,
            Next::Ask(ask) => {
                let answer = seen.next().unwrap_or_else(|| panic!("no answer left for {ask:?}"));
                if let Some(judgement) = claim.see(now_ms, answer) {
                    return judgement;
                }
            }
        }
    }
}

pub(crate) fn expectation() -> Expectation {
    Expectation {
        product: "rover".into(),
        hardware: "h1".into(),
        version: "2.0.0".into(),
        bundle: [7; 32],
        trial_slot: Where::SlotB,
        from_recovery: false,
        confirmed: Some(Where::SlotA),
        plan: [9; 32],
    }
}

/// A device that runs the new version on trial from slot B.
pub(crate) fn facts() -> DeviceFacts {
    DeviceFacts {
        product: "rover".into(),
        hardware: "h1".into(),
        hardware_rev: 2,
        serial: "RN-0042".into(),
        running: Where::SlotB,
        bundle: Some([7; 32]),
        version: "2.0.0".into(),
        boot_nonce: 1,
        reset_cause: "software".into(),
        watchdog_hardware: true,
        life_cycle: LifeCycle::Development,
        root_is_lost: false,
    }
}

/// The boot record of [`facts`].
pub(crate) fn status() -> StatusFacts {
    let trial = TrialFacts {
        slot: Where::SlotB,
        trial_id: 5,
        armed: 0,
        boots_left: 2,
        crash_left: 2,
        power_left: 5,
        plan: [9; 32],
        is_running: true,
    };
    StatusFacts {
        active: Some(Where::SlotA),
        slots: [
            SlotFacts { state: SlotState::Admitted, bundle: Some([3; 32]), rejection: None },
            SlotFacts { state: SlotState::Admitted, bundle: Some([7; 32]), rejection: None },
        ],
        trial: Some(trial),
        accept_floor: 1,
        why: "the confirmed image runs",
    }
}
