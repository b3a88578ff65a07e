//! Whom a device believes, whether it is the one it says it is, and what this host may do with it.

use std::time::Duration;

use firmware_protocol::delegation::{Action, Actions};
use firmware_protocol::message::RootStatus;
use firmware_protocol::root::LifeCycle;

use super::explain::is_lost;
use crate::bench::{Device, Opened};
use crate::commands::point::Point;
use crate::commands::root_record::now_s;
use crate::evidence::utc_from_unix_s;
use crate::trust::{Acquaintance, Hex, LoadedRoot};

/// Every point of it; `named` is the root record that this host goes by.
pub(super) fn points(
    device: &Device,
    opened: &Opened,
    root: Option<&RootStatus>,
    named: Option<&LoadedRoot>,
) -> Vec<Point> {
    let mut points = vec![life_cycle(opened.facts.life_cycle)];
    points.extend(root.and_then(|root| root_record(root, named)));
    points.extend(root.and_then(|root| time(root, now_s())));
    points.push(identity(device, opened));
    points.push(host(device, opened.facts.life_cycle));
    points
}

fn life_cycle(life_cycle: LifeCycle) -> Point {
    let says = match life_cycle {
        LifeCycle::Factory => {
            return Point::bad(
                "life cycle",
                "factory: it takes its first root record from whoever reaches it, and nothing else"
                    .to_owned(),
                "whoever it belongs to enrols it, where nobody else reaches it: noflake device enroll",
            );
        }
        LifeCycle::Development => {
            "development: it takes what the release keys have signed, from whoever reaches it"
        }
        LifeCycle::Field => "field: it takes changes on sealed links, from hosts with a delegation",
    };
    Point::good("life cycle", says.to_owned())
}

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
        std::cmp::Ordering::Greater => Point::bad(
            ABOUT,
            mine,
            "noflake device enroll with each record that the device lacks, one after the other",
        ),
        std::cmp::Ordering::Less => Point::bad(
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
    let (Some(proven), Some(host)) = (device.proven(), device.opening().host.as_ref()) else {
        let says = "it has proven nothing: the link is plain, so anything could answer";
        return Point::unknown(ABOUT, says.to_owned());
    };
    let says = format!("it has proven key {}", Hex(&proven));
    match host.known.meet(&opened.facts.serial, &proven) {
        Acquaintance::Known => Point::good(ABOUT, format!("{says}, by which it is known")),
        Acquaintance::Unknown => Point::bad(
            ABOUT,
            format!("{says}, and nobody has said which one it should have"),
            "compare it with what the device was enrolled with, then noflake device pin",
        ),
        Acquaintance::Other(known) => Point::bad(
            ABOUT,
            format!("{says}, and is known by {}", Hex(&known)),
            "do not go on: find out which device answers there, and who has the other one",
        ),
    }
}

fn host(device: &Device, life_cycle: LifeCycle) -> Point {
    const ABOUT: &str = "this host";
    let unshown = device.opening().host.as_ref().and_then(|host| host.unshown.as_ref());
    if let Some(why) = unshown {
        return Point::bad(ABOUT, format!("it may only look: {why}"), DELEGATE);
    }
    let actions = match (device.granted(), life_cycle) {
        (_, LifeCycle::Factory) => {
            let says = "it may enrol the device, and nothing else before that";
            return Point::good(ABOUT, says.to_owned());
        }
        (Some(actions), _) => actions,
        (None, LifeCycle::Field) => Actions::NONE,
        (None, LifeCycle::Development) => Actions::ALL,
    };
    let words: Vec<&str> = actions.iter().map(Action::word).collect();
    if words.is_empty() {
        let says =
            "it may look, and bring the next root record; everything else takes a delegation";
        return Point::bad(ABOUT, says.to_owned(), DELEGATE);
    }
    Point::good(ABOUT, format!("it may {}", words.join(", ")))
}

const DELEGATE: &str = "add --as HOST.key with HOST.nfd beside it; whoever holds the operate key makes one: noflake key delegate";

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
