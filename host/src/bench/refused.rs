//! A device's refusal for people: in the words of the bundle (the device counts components, a person knows their names),
//! and what to do next.

use firmware_protocol::message::TrialTerms;
use firmware_protocol::refusal::Refusal;

use crate::plan::{AsksTooMuch, asked};

use super::device::{FLASH_FAILED, STAGE_AGAIN};

/// `refusal` with the name of the component that it is about; `components` are the bundle's, in order.
pub(super) fn in_words(refusal: Refusal, components: &[&str]) -> String {
    let text = refusal.to_string();
    let Some(index) = refusal.component() else { return text };
    let number = format!("component {index}");
    match components.get(usize::from(index)) {
        Some(name) => text.replacen(&number, &format!("component {name}"), 1),
        // There is one too many or too few of them, and none to be named.
        None => text.replacen(&number, &format!("it has {}", components.len()), 1),
    }
}

/// The limit that keeps a trial from being opened on these terms, by its name; every one that it could be, where terms
/// are alike.
pub(super) fn terms(refusal: Refusal, terms: TrialTerms) -> Option<String> {
    let Refusal::Limit { got, limit } = refusal else { return None };
    let asked = asked(terms.boots, u64::from(terms.lease_ms), u64::from(terms.boot_max_ms));
    let over: Vec<String> = asked
        .into_iter()
        .filter(|asked| asked.amount() == u64::from(got))
        .filter_map(|asked| asked.over(limit))
        .collect();
    (!over.is_empty()).then(|| format!("the plan asks for {}", over.join("; or for ")))
}

/// The next safe command after a refusal that is about whom the device believes, or about the host and what it may do.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is about something else")]
pub(super) const fn next_on_link(refusal: Refusal) -> Option<&'static str> {
    Some(match refusal {
        Refusal::NotEnrolled => "noflake device enroll, then run the same command again",
        Refusal::NotAuthenticated => {
            "add --as HOST.key, with the delegation HOST.nfd beside it: noflake key delegate makes one"
        }
        Refusal::NotDelegated { .. } => {
            "have whoever holds the operate key make a delegation for this: noflake key delegate"
        }
        Refusal::NotOnABench => {
            "deploy a bundle with a newer security version; what is in the field never goes back"
        }
        Refusal::ResetDevice | Refusal::FloorNotLower { .. } => {
            "noflake device status says which device this is, and its floor"
        }
        Refusal::CertificateNeeded { .. } => {
            "name the bundle with --bundle, so that the device sees its certificate; noflake bundle show says whether it has one"
        }
        Refusal::NoIdentity => "the device's firmware has to keep a key: see Board::identity",
        _ => return None,
    })
}

/// The next safe command after the device has refused a delegation.
#[expect(clippy::wildcard_enum_match_arm, reason = "a new one is the remedy for all the rest")]
pub(super) const fn next_of_delegation(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::DelegationOver { .. } => {
            "have whoever holds the operate key make one that ends later: noflake key delegate; if the device is ahead of \
             the calendar, noflake device status --trust says what to do"
        }
        _ => {
            "have whoever holds the operate key make a new one for this host and device: noflake key delegate; noflake \
             device status --trust says more"
        }
    }
}

/// The next safe command after a refusal in a run.
///
/// Every refusal is named: with a new one `clippy::wildcard_enum_match_arm` asks here what is to be done about it. For that the
/// last arm, which an open enum has to have, stands alone.
#[expect(
    clippy::match_same_arms,
    reason = "the lint does not look into an arm of several patterns"
)]
pub(super) const fn next(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UntrustedSignature { .. } => {
            "noflake bundle show, to see who signed; this device is enrolled under other keys"
        }
        Refusal::RejectedBefore { .. } => "mend the bundle, or add --again to try it once more",
        Refusal::BelowFloor { .. } => "take a bundle with a newer security version",
        Refusal::BelowEpoch { .. } => {
            "take a bundle that was signed since the epoch was raised, or have this one signed anew"
        }
        Refusal::SecurityStep { .. } => {
            "deploy a bundle with a security version in between first, or see the root's policy"
        }
        Refusal::CertificateNeeded { .. } | Refusal::CertificateLevel { .. } => {
            "noflake bundle certify, by whoever holds the qualify key, then run the same command again"
        }
        Refusal::CertificatePlan => {
            "run it by the plan that the bundle is certified for: noflake bundle show names it"
        }
        Refusal::TooOldToComeFrom => "deploy a version in between first",
        Refusal::WrongProduct | Refusal::WrongHardware { .. } => {
            "take the bundle for this hardware; nothing was written"
        }
        Refusal::Components { .. }
        | Refusal::NoVariant { .. }
        | Refusal::TooLarge { .. }
        | Refusal::BlockSize { .. }
        | Refusal::Encoding { .. } => "make the bundle anew for this device; nothing was written",
        Refusal::Limit { .. } => AsksTooMuch::NEXT,
        Refusal::RootLost { .. } => "run the same command again: it says how to bring it back",
        Refusal::Flash => FLASH_FAILED,
        Refusal::NotStaged | Refusal::NoStage | Refusal::Incomplete { .. } => STAGE_AGAIN,
        Refusal::Malformed => "noflake bundle verify; copy the bundle again if that finds anything",
        Refusal::DelegationHost
        | Refusal::DelegationProduct
        | Refusal::DelegationDevice
        | Refusal::DelegationOver { .. } => next_of_delegation(refusal),
        Refusal::NotEnrolled
        | Refusal::NotAuthenticated
        | Refusal::NotDelegated { .. }
        | Refusal::NotOnABench
        | Refusal::ResetDevice
        | Refusal::FloorNotLower { .. }
        | Refusal::NoIdentity => match next_on_link(refusal) {
            Some(next) => next,
            None => SEE_STATUS,
        },
        Refusal::Unknown { .. }
        | Refusal::ProtocolVersion { .. }
        | Refusal::Busy
        | Refusal::NoSession
        | Refusal::SessionHeld { .. }
        | Refusal::StaleSession
        | Refusal::NoRandom
        | Refusal::AlreadyEnrolled
        | Refusal::DocumentPiece { .. }
        | Refusal::DocumentTooLong { .. }
        | Refusal::TrialOpen { .. }
        | Refusal::NoTrial
        | Refusal::WrongTrial { .. }
        | Refusal::WrongBoot
        | Refusal::NotInTrial
        | Refusal::NoSuchItem { .. }
        | Refusal::InRecovery
        | Refusal::RootVersion { .. } => SEE_STATUS,
        _ => SEE_STATUS,
    }
}

const SEE_STATUS: &str = "noflake device status --explain";

#[cfg(test)]
mod tests {
    use firmware_protocol::slot::SlotId;

    use super::*;

    #[test]
    fn a_limit_is_named_with_its_unit_and_every_one_that_it_could_be() {
        let asks = |boots, lease_ms, boot_max_ms| TrialTerms {
            boots,
            crashes: 1,
            power_failures: 1,
            lease_ms,
            boot_max_ms,
        };
        let lease = Refusal::Limit { got: 1_200_000, limit: 600_000 };
        let said = terms(lease, asks(3, 1_200_000, 1_800_000)).unwrap();
        assert_eq!(
            said,
            "the plan asks for lease = 20m, the device's root record allows max_lease = 10m at most"
        );
        let either = terms(lease, asks(3, 1_200_000, 1_200_000)).unwrap();
        assert!(either.contains("lease = 20m") && either.contains("; or for boot_max = 20m"));
        let no_more_trials = Refusal::Limit { got: u32::MAX, limit: u32::MAX - 1 };
        assert_eq!(terms(no_more_trials, asks(3, 1, 1)), None);
    }

    #[test]
    fn a_component_is_named_and_not_numbered() {
        let (index, limit) = (1, 9);
        for (refusal, expected) in [
            (
                Refusal::TooLarge { index, got: 10, limit: 9 },
                "component config has 10 bytes, its area 9",
            ),
            (
                Refusal::NoVariant { index, slot: SlotId::B },
                "component config has no variant for slot B",
            ),
            (
                Refusal::BlockSize { index, got: 10, limit },
                "component config has a block size of 10 bytes, the device takes 9 at most",
            ),
            (
                Refusal::Encoding { index },
                "component config has an encoding the device does not take",
            ),
            (Refusal::Incomplete { component: 0 }, "component app is not complete"),
            (
                Refusal::Components { index },
                "the bundle's components are not the device's (component config)",
            ),
            (
                Refusal::Components { index: 2 },
                "the bundle's components are not the device's (it has 2)",
            ),
            (Refusal::NoTrial, "no trial is open"),
        ] {
            assert_eq!(in_words(refusal, &["app", "config"]), expected);
        }
    }
}
