//! Whom a device believes, whether it is the one it says it is, and what this host may do with it.

mod host;

use std::time::Duration;

use firmware_protocol::message::RootStatus;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::LifeCycle;

use super::explain::is_lost;
use crate::bench::{Device, Opened};
use crate::commands::clock::now_s;
use crate::commands::point::Point;
use crate::evidence::utc_from_unix_s;
use crate::qualify::observation::Where;
use crate::trust::{Acquaintance, Hex, LoadedRoot};

/// Every point of it, and what a deploy would come to; `named` is the root record that this host goes by, `refused` what
/// the device has against the delegation that it was shown.
pub(super) fn points(
    device: &Device,
    opened: &Opened,
    root: Option<&RootStatus>,
    named: Option<&LoadedRoot>,
    refused: Option<Refusal>,
) -> Vec<Point> {
    let mut points = vec![life_cycle(opened)];
    points.extend(root.and_then(|root| root_record(root, named)));
    points.extend(root.and_then(|root| time(root, now_s())));
    points.push(identity(device, opened));
    points.push(host::host(device, opened, refused));
    points.push(host::deploy(device, opened, root, named, refused));
    points
}

/// Nobody has enrolled it yet. In its recovery image it may have been, and have lost the record of that.
fn is_new(opened: &Opened) -> bool {
    opened.facts.life_cycle == LifeCycle::Factory && opened.facts.running != Where::Recovery
}

fn life_cycle(opened: &Opened) -> Point {
    const ABOUT: &str = "life cycle";
    let says = match opened.facts.life_cycle {
        LifeCycle::Factory if is_new(opened) => {
            let says =
                "factory: it takes its first root record from whoever reaches it, and nothing else";
            return Point::bad(ABOUT, says.to_owned(), ENROLL);
        }
        LifeCycle::Factory => {
            let says = "factory, in its recovery image: it is new, or has lost its boot record; a root record that flash \
                        still holds is the only one that it takes";
            return Point::bad(ABOUT, says.to_owned(), RECOVER);
        }
        LifeCycle::Development => {
            "development: it takes what the release keys have signed, from whoever reaches it"
        }
        LifeCycle::Field => "field: it takes changes on sealed links, from hosts with a delegation",
    };
    Point::good(ABOUT, says.to_owned())
}

const ENROLL: &str =
    "whoever it belongs to enrols it, where nobody else reaches it: noflake device enroll";
const RECOVER: &str = "noflake device recover -d DEVICE --root ROOT --bundle BUNDLE, with the root record that it was enrolled \
                       under and a bundle that is known to work";
const RESTORE: &str =
    "noflake device enroll with that very record stores it anew; or noflake device recover";
const PIN: &str = "compare its key with the one that whoever enrolled it was told, then noflake device pin --identity KEY";
const STOP: &str = "do not go on: find out which device answers there, and who has the other one";

fn root_record(root: &RootStatus, named: Option<&LoadedRoot>) -> Option<Point> {
    const ABOUT: &str = "root record";
    if root.version == 0 {
        return None;
    }
    let says = format!("the device goes by number {} ({:.16})", root.version, root.digest);
    if is_lost(root) {
        let remedy =
            "noflake device enroll with that very record stores it anew; or noflake device recover";
        return Some(Point::bad(ABOUT, format!("{says}, which flash has lost"), remedy));
    }
    let Some(named) = named else {
        let says = format!("{says}; this host has none to compare it with: --root names one");
        return Some(Point::unknown(ABOUT, says));
    };
    let (version, digest) = (named.record().claims().version, named.record().digest());
    let mine = format!("{says}, this host by number {version} ({digest:.16})");
    Some(match version.cmp(&root.version) {
        _ if digest == root.digest => Point::good(ABOUT, format!("{says}, and so does this host")),
        // Other keys may count under it; those that sign bundles are often the same.
        std::cmp::Ordering::Greater => Point::unsure(
            ABOUT,
            mine,
            "noflake device enroll with each record that the device lacks, one after the other",
        ),
        std::cmp::Ordering::Less => Point::unsure(
            ABOUT,
            mine,
            "get the newest root record from whoever holds the root, and name it with --root",
        ),
        std::cmp::Ordering::Equal => Point::bad(
            ABOUT,
            mine,
            "these are two roots: the device belongs to somebody else, or this is the wrong folder",
        ),
    })
}

/// What the device has in place of a clock.
fn time(root: &RootStatus, now_s: u64) -> Option<Point> {
    const ABOUT: &str = "time";
    if root.version == 0 {
        return None;
    }
    if root.time_floor_s == 0 {
        let says = "it has seen no signed time: a delegation counts there whenever it ended";
        return Some(Point::unknown(ABOUT, says.to_owned()));
    }
    let says = format!(
        "the newest signed statement that it has seen is of {}",
        utc_from_unix_s(root.time_floor_s)
    );
    let ahead_s = root.time_floor_s.saturating_sub(now_s);
    if ahead_s <= CLOCKS_DIFFER_S {
        return Some(Point::good(
            ABOUT,
            format!("{says}: a delegation that ended before that is over"),
        ));
    }
    Some(Point::bad(
        ABOUT,
        format!(
            "{says}, {} ahead of this machine",
            humantime::format_duration(Duration::from_secs(ahead_s))
        ),
        "set this machine's clock; if that is right, whoever holds the root signs a record with resets_time = true",
    ))
}

/// Clocks of honest machines differ by no more than this, in seconds.
const CLOCKS_DIFFER_S: u64 = 86_400;

fn identity(device: &Device, opened: &Opened) -> Point {
    const ABOUT: &str = "device";
    let Some(proven) = device.proven() else {
        let says = "it has proven nothing: the link is plain, so anything could answer";
        return Point::unknown(ABOUT, says.to_owned());
    };
    let says = format!("it has proven key {}", Hex(&proven));
    match device.acquaintance() {
        Some(Acquaintance::Known) => Point::good(ABOUT, format!("{says}, by which it is known")),
        Some(Acquaintance::Unknown) | None if is_new(opened) => Point::unknown(
            ABOUT,
            format!("{says}, which noflake device enroll --as keeps: it is new"),
        ),
        Some(Acquaintance::Unknown) | None => {
            Point::bad(ABOUT, format!("{says}, and nobody has said which one it should have"), PIN)
        }
        Some(Acquaintance::Other(known)) => {
            Point::bad(ABOUT, format!("{says}, and is known by {}", Hex(&known)), STOP)
        }
    }
}

#[cfg(test)]
mod tests {
    use firmware_protocol::digest::Digest;

    use super::*;

    /// A device that has seen a statement of the future refuses delegations that are still good, or this machine's clock is
    /// wrong: either way somebody has to look.
    #[test]
    fn a_device_whose_time_is_more_than_a_day_ahead_is_told_of() {
        let now_s = 1_700_000_000;
        let seen = |time_floor_s| {
            let digest = Digest([1; 32]);
            time(&RootStatus { version: 1, digest, is_held: true, time_floor_s }, now_s).unwrap()
        };
        for good in [1, now_s, now_s + CLOCKS_DIFFER_S] {
            assert_eq!((seen(good).is_refused(), seen(good).remedy()), (false, None), "{good}");
        }
        let ahead = seen(now_s + CLOCKS_DIFFER_S + 60);
        assert!(ahead.is_refused());
        assert!(ahead.to_string().contains("1day 1m ahead of this machine"), "{ahead}");
        assert!(ahead.remedy().unwrap().contains("resets_time = true"));
    }
}
