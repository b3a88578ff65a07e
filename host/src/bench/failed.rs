//! What went wrong with a device, as the machine of a deployment sees it.

use firmware_protocol::refusal::Refusal;

use super::device::DeviceError;
use super::refused;
use crate::bundle::VerifiedBundle;
use crate::causes::sentence;
use crate::driver::DriverError;
use crate::qualify::runner::{Missing, Saw};

/// As the deployment's machine sees it.
pub(super) fn failed(error: &DeviceError, bundle: &VerifiedBundle) -> Saw {
    if matches!(
        error,
        DeviceError::Impostor { .. }
            | DeviceError::Stranger { .. }
            | DeviceError::DelegationRefused(_)
    ) {
        return Saw::NotMet { reason: sentence(error), next: error.next() };
    }
    match error.refusal() {
        Some(Refusal::SessionHeld { .. } | Refusal::Busy) | None => {
            Saw::Lost { missing: missing(error), reason: sentence(error), next: error.next() }
        }
        Some(refusal) => Saw::Refused {
            reason: in_words(refusal, bundle),
            is_stale: matches!(refusal, Refusal::StaleSession | Refusal::NoSession),
            next: refused::next(refusal),
        },
    }
}

/// What was missing at the last attempt.
fn missing(error: &DeviceError) -> Missing {
    match error {
        DeviceError::Driver(DriverError::Link(_)) => Missing::Link,
        DeviceError::Held(_) | DeviceError::Refused(Refusal::SessionHeld { .. }) => {
            Missing::Session
        }
        DeviceError::NotReached { source, .. } => missing(source),
        DeviceError::Driver(_)
        | DeviceError::Refused(_)
        | DeviceError::DelegationRefused(_)
        | DeviceError::OutOfTurn(_)
        | DeviceError::TooSlow { .. }
        | DeviceError::Impostor { .. }
        | DeviceError::Stranger { .. }
        | DeviceError::Known(_)
        | DeviceError::Random(_)
        | DeviceError::Version { .. } => Missing::Answer,
    }
}

fn in_words(refusal: Refusal, bundle: &VerifiedBundle) -> String {
    let components = &bundle.manifest().components;
    let names: Vec<&str> = components.iter().map(|claims| claims.name.as_str()).collect();
    refused::in_words(refusal, &names)
}
