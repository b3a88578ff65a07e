//! What this host may do with a device, and whether its deploy would be let in.

use firmware_protocol::delegation::{Action, Actions};
use firmware_protocol::message::RootStatus;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::LifeCycle;

use super::super::explain::is_lost;
use super::{ENROLL, RECOVER, RESTORE};
use crate::bench::{Device, DeviceError, Opened};
use crate::commands::point::Point;
use crate::evidence::{escape_text, utc_from_unix_s};
use crate::qualify::observation::Where;
use crate::trust::{Acquaintance, LoadedRoot, delegated};

/// What this host may do; `refused` is what the device has against the delegation that it was shown.
pub(super) fn host(device: &Device, opened: &Opened, refused: Option<Refusal>) -> Point {
    const ABOUT: &str = "this host";
    if let Some(refusal) = refused {
        let says = format!("it may only look: {}", DeviceError::DelegationRefused(refusal));
        return Point::bad(ABOUT, says, after_shown(refusal));
    }
    let facts = &opened.facts;
    if facts.life_cycle == LifeCycle::Factory {
        return match device.covered(&facts.product) {
            Err(refusal) => Point::bad(
                ABOUT,
                format!("it could enrol the device, and not work on it: {refusal}"),
                after_shown(refusal),
            ),
            Ok(()) if facts.running == Where::Recovery => Point::good(
                ABOUT,
                "it may bring the device its root record, and nothing else before that".to_owned(),
            ),
            Ok(()) => Point::good(
                ABOUT,
                "it may enrol the device, and nothing else before that".to_owned(),
            ),
        };
    }
    let actions = actions(device, opened);
    let words = in_words(actions);
    if let Some(why) = unshown(device) {
        return if actions == Actions::ALL {
            let says =
                format!("it may {words}, as everybody may there; but its own delegation: {why}");
            Point::unsure(ABOUT, says, NOTHING_SHOWN)
        } else {
            let is_unknown = matches!(device.acquaintance(), Some(Acquaintance::Unknown));
            let remedy = if is_unknown { super::PIN } else { NOTHING_SHOWN };
            Point::bad(ABOUT, format!("it may only look: {why}"), remedy)
        };
    }
    if actions == Actions::NONE {
        let says =
            "it may look, and bring the next root record; everything else takes a delegation";
        return Point::bad(ABOUT, says.to_owned(), NO_KEY);
    }
    let missing = in_words(without(actions));
    if !missing.is_empty() {
        let says = format!("it may {words}; a deploy takes {missing} as well{}", bounds(device));
        return Point::bad(ABOUT, says, DELEGATE_ALL);
    }
    match device.acquaintance() {
        Some(Acquaintance::Unknown | Acquaintance::Other(_)) => {
            let says = format!("it may {words}, of devices that are known here{}", bounds(device));
            Point::unknown(ABOUT, says)
        }
        Some(Acquaintance::Known) | None => {
            Point::good(ABOUT, format!("it may {words}{}", bounds(device)))
        }
    }
}

/// Whether a deploy from here would be let in, and what is missing where it would not.
pub(super) fn deploy(
    device: &Device,
    opened: &Opened,
    root: Option<&RootStatus>,
    named: Option<&LoadedRoot>,
    refused: Option<Refusal>,
) -> Point {
    const ABOUT: &str = "deploy";
    let missing = missing(device, opened, root, refused);
    if let Some((_, remedy)) = missing.first() {
        let each: Vec<&str> = missing.iter().map(|(what, _)| what.as_str()).collect();
        return Point::bad(ABOUT, format!("it would be refused: {}", each.join("; ")), remedy);
    }
    if let Some(why) = unshown(device) {
        let says = format!("it ends where the delegation beside the key cannot be used: {why}");
        return Point::unsure(ABOUT, says, NOTHING_SHOWN);
    }
    let is_same = root.zip(named).map(|(root, named)| root.digest == named.record().digest());
    if is_same == Some(false) {
        let says = "it would be let in; the device judges the bundle by its own root record, and not by this host's";
        return Point::unknown(ABOUT, says.to_owned());
    }
    let says =
        "it would be let in; what devices make of a bundle says noflake bundle verify --explain";
    Point::good(ABOUT, says.to_owned())
}

/// Everything for which a deploy would be refused, whatever it brings, and what to do about it.
fn missing(
    device: &Device,
    opened: &Opened,
    root: Option<&RootStatus>,
    refused: Option<Refusal>,
) -> Vec<(String, &'static str)> {
    let mut missing = Vec::new();
    match device.acquaintance() {
        Some(Acquaintance::Other(_)) => {
            missing.push(("it is not the device that is known here".to_owned(), super::STOP));
        }
        Some(Acquaintance::Unknown) if !super::is_new(opened) => {
            missing.push(("the device is not known here".to_owned(), super::PIN));
        }
        Some(Acquaintance::Known | Acquaintance::Unknown) | None => {}
    }
    if opened.facts.life_cycle == LifeCycle::Factory {
        let remedy = if super::is_new(opened) { ENROLL } else { RECOVER };
        missing.push(("the device has no root record".to_owned(), remedy));
    } else if root.is_some_and(is_lost) {
        missing.push(("the device has lost its root record".to_owned(), RESTORE));
    } else if let Some(refusal) = refused {
        missing.push((refusal.to_string(), after_shown(refusal)));
    } else {
        let lacks = in_words(without(actions(device, opened)));
        let is_unknown = matches!(device.acquaintance(), Some(Acquaintance::Unknown));
        let remedy = match (unshown(device), device.granted()) {
            (Some(_), _) => NOTHING_SHOWN,
            (None, Some(granted)) if granted != Actions::NONE => DELEGATE_ALL,
            (None, _) => NO_KEY,
        };
        // What an unknown device lets it do nobody knows: it was not shown the delegation.
        if !lacks.is_empty() && !is_unknown {
            missing.push((format!("this host may not {lacks}"), remedy));
        }
    }
    missing
}

/// What the device lets this host do.
fn actions(device: &Device, opened: &Opened) -> Actions {
    match (device.granted(), opened.facts.life_cycle) {
        (Some(actions), _) => actions,
        (None, LifeCycle::Development) => Actions::ALL,
        (None, LifeCycle::Factory | LifeCycle::Field) => Actions::NONE,
    }
}

fn without(actions: Actions) -> Actions {
    let missing = Action::ALL.into_iter().filter(|action| !actions.allow(*action));
    missing.fold(Actions::NONE, Actions::with)
}

fn in_words(actions: Actions) -> String {
    actions.iter().map(Action::word).collect::<Vec<_>>().join(", ")
}

/// Why this host shows no delegation.
fn unshown(device: &Device) -> Option<&str> {
    device.opening().host.as_ref().and_then(|host| host.unshown.as_deref())
}

/// What the delegation that is shown is about: until when, which products, which serial numbers.
fn bounds(device: &Device) -> String {
    let shown = device.opening().host.as_ref().map(|host| host.credentials.delegation.as_slice());
    let Some(Ok(claims)) = shown.map(delegated) else { return String::new() };
    let each =
        |names: &[&str]| names.iter().map(|name| escape_text(name)).collect::<Vec<_>>().join(", ");
    let serials = if claims.serials.is_empty() {
        "every serial number".to_owned()
    } else {
        format!("serial numbers {}", each(&claims.serials))
    };
    let (until, products) = (utc_from_unix_s(claims.not_after_s), each(&claims.products));
    format!("; by its delegation until {until}, for {products}, {serials}")
}

/// What to do about a delegation that was shown and refused.
#[expect(clippy::wildcard_enum_match_arm, reason = "the rest is about a damaged file")]
const fn after_shown(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::DelegationProduct | Refusal::DelegationDevice => {
            "whoever holds the operate key makes one for this device: noflake key delegate; or another device is meant"
        }
        Refusal::DelegationHost => {
            "name the key that it was made for, or have one made for this key: noflake key delegate"
        }
        Refusal::DelegationOver { .. } => {
            "whoever holds the operate key makes one that ends later: noflake key delegate"
        }
        Refusal::UntrustedSignature { .. } => {
            "whoever holds the operate key of the device's root record makes one: noflake key delegate"
        }
        Refusal::BelowEpoch { .. } => {
            "it was taken back by whoever holds the root: noflake key delegate makes a new one, if it is still meant"
        }
        _ => "copy the delegation again, or have it made anew: noflake key delegate",
    }
}

const NO_KEY: &str = "name this host's key with --as HOST.key, the delegation HOST.nfd beside it; where there is none, \
                      noflake key generate --role host makes a key and noflake key delegate, in the office, a delegation for it";
const NOTHING_SHOWN: &str = "put the delegation HOST.nfd beside the key; whoever holds the operate key makes one, or one that \
                             ends later: noflake key delegate; or set this machine's clock, where that is wrong";
const DELEGATE_ALL: &str =
    "whoever holds the operate key makes a delegation for all three: noflake key delegate";
