//! From the wire's words to the runner's: the only place that knows both.

use firmware_protocol::boot::Start;
use firmware_protocol::message::{
    CheckGives, CheckInfo as WireCheck, CheckStatus, Identity, Reading, Status,
};
use firmware_protocol::slot::{RejectReason, SlotId, SlotState as WireSlot};

use crate::evidence::escape_text;
use crate::measurement::{Measurement, Value};
use crate::qualify::observation::{
    CheckInfo, DeviceFacts, DeviceStatus, Rejection, Seen, SlotFacts, SlotState, StatusFacts,
    TrialFacts, Where,
};

/// What a device says of itself.
#[must_use]
pub fn device_facts(identity: &Identity<'_>) -> DeviceFacts {
    DeviceFacts {
        product: escape_text(identity.product),
        hardware: escape_text(identity.hardware),
        hardware_rev: identity.revision,
        serial: escape_text(identity.serial),
        running: match identity.running {
            Start::Slot(slot) => place(slot),
            Start::Recovery => Where::Recovery,
        },
        bundle: identity.bundle.map(|digest| digest.0),
        version: identity
            .version
            .as_ref()
            .map(|version| escape_text(&version.to_string()))
            .unwrap_or_default(),
        boot_nonce: identity.boot_nonce,
        reset_cause: identity.reset_cause.word().to_owned(),
        watchdog_hardware: identity.hardware_deadline,
        life_cycle: identity.life_cycle,
        root_is_lost: false,
    }
}

/// What a device's record says.
#[must_use]
pub fn status_facts(status: &Status) -> StatusFacts {
    StatusFacts {
        active: status.active.map(place),
        slots: [slot_facts(&status.slots.a), slot_facts(&status.slots.b)],
        trial: status.trial.map(|trial| TrialFacts {
            slot: place(trial.slot),
            trial_id: u64::from(trial.trial_id),
            plan: trial.plan.0,
            armed: u32::from(trial.armed),
            boots_left: u32::from(trial.boots_left),
            crash_left: u32::from(trial.crash_left),
            power_left: u32::from(trial.power_left),
            is_running: trial.running,
        }),
        accept_floor: status.accept_floor,
        why: status.row.explanation(),
    }
}

fn slot_facts(slot: &WireSlot) -> SlotFacts {
    let (state, rejection) = match slot {
        WireSlot::Empty => (SlotState::Empty, None),
        WireSlot::Writing { .. } => (SlotState::Writing, None),
        WireSlot::Staged { .. } => (SlotState::Staged, None),
        WireSlot::Admitted { .. } => (SlotState::Admitted, None),
        WireSlot::Rejected { reason, trial_id, .. } => {
            let rejection = Rejection {
                cause: *reason,
                reason: reason.explanation(),
                trial_id: u64::from(*trial_id),
                blames_bundle: blames_bundle(*reason),
            };
            (SlotState::Rejected, Some(rejection))
        }
    };
    SlotFacts { state, bundle: slot.bundle().map(|digest| digest.0), rejection }
}

/// A cable, a host or a supply that failed says nothing against the bundle; bytes that no longer
/// match are written anew.
const fn blames_bundle(reason: RejectReason) -> bool {
    match reason {
        RejectReason::LeaseExpired
        | RejectReason::PowerLost
        | RejectReason::Corrupt
        | RejectReason::Withdrawn => false,
        RejectReason::HostDecided
        | RejectReason::BootLimit
        | RejectReason::Crashed
        | RejectReason::BootsSpent
        | RejectReason::ConfirmedCrashed
        | RejectReason::Retired => true,
    }
}

/// One on-device check.
pub(super) fn check_info(check: &WireCheck<'_>) -> CheckInfo {
    let (unit, is_status) = match check.gives {
        CheckGives::Value { unit } => (escape_text(unit), false),
        CheckGives::Status => (String::new(), true),
    };
    CheckInfo { name: escape_text(check.name), unit, is_status }
}

/// What an on-device check found.
pub(super) fn reading(name: &str, reading: &Reading<'_>) -> Seen {
    match reading {
        Reading::Value { mantissa, exponent, unit } => Seen::Reading(Measurement {
            name: name.to_owned(),
            value: Value::Number(decimal(*mantissa, *exponent)),
            unit: escape_text(unit),
        }),
        Reading::Status { status, detail } => Seen::CheckStatus {
            name: name.to_owned(),
            status: match status {
                CheckStatus::Ok => DeviceStatus::Ok,
                CheckStatus::Warn => DeviceStatus::Warn,
                CheckStatus::Fail => DeviceStatus::Fail,
                CheckStatus::Error => DeviceStatus::Error,
                CheckStatus::Stale => DeviceStatus::Stale,
            },
            detail: escape_text(detail),
        },
    }
}

/// The double nearest to `mantissa` times ten to the `exponent`: reading the decimal text rounds
/// once, where multiplying would round twice.
fn decimal(mantissa: i64, exponent: i8) -> f64 {
    format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
}

/// The slot as a place to run from.
#[must_use]
pub const fn place(slot: SlotId) -> Where {
    match slot {
        SlotId::A => Where::SlotA,
        SlotId::B => Where::SlotB,
    }
}

pub(super) const fn slot_of(place: Where) -> Option<SlotId> {
    match place {
        Where::SlotA => Some(SlotId::A),
        Where::SlotB => Some(SlotId::B),
        Where::Recovery => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the nearest double is one value")]
    fn a_reading_is_the_double_that_its_decimal_text_means() {
        assert_eq!(decimal(3_312, -3), 3.312);
        assert_eq!(decimal(-5, 2), -500.0);
        assert_eq!(decimal(1, -1), 0.1);
        assert_eq!(decimal(0, 127), 0.0);
        assert!(decimal(1, -128) > 0.0);
    }
}
