//! What a root record changes of the one before it, so that nobody signs what they did not see change.

use std::fmt;

use firmware_protocol::root::{CertificateNeed, LifeCycle, RoleKeys, RootRecord};
use serde::Serialize;

use super::life_cycle_word;
use super::sheet::{certificate_words, role_words, time_words};

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// Where a spec says it.
    about: &'static str,
    was: String,
    becomes: String,
    /// What that takes back or loosens.
    loosens: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { about, was, becomes, loosens } = self;
        match loosens {
            None => write!(f, "  {about}: was {was}, becomes {becomes}"),
            Some(loosens) => write!(f, "! {about}: was {was}, becomes {becomes}; {loosens}"),
        }
    }
}

/// Everything in which `becomes` is not as `was`, but for its number and its date.
pub(super) fn changes(was: &RootRecord, becomes: &RootRecord) -> Vec<Change> {
    [roles(was, becomes), epochs(was, becomes), rules(was, becomes), bounds(was, becomes)].concat()
}

fn roles(was: &RootRecord, becomes: &RootRecord) -> Vec<Change> {
    let role = |about, roles: [&RoleKeys; 2]| {
        let [was, becomes] = roles;
        let is_looser = !becomes.is_unused() && becomes.threshold < was.threshold;
        change(about, roles, role_words, is_looser.then_some("fewer have to sign"))
    };
    let roles = [
        role("root", [&was.root, &becomes.root]),
        role("release", [&was.release, &becomes.release]),
        role("qualify", [&was.qualify, &becomes.qualify]),
        role("operate", [&was.operate, &becomes.operate]),
    ];
    roles.into_iter().flatten().collect()
}

fn epochs(was: &RootRecord, becomes: &RootRecord) -> Vec<Change> {
    let epoch = |about, [was, becomes]: [u32; 2], again| {
        change(about, [was, becomes], |it| it.to_string(), (becomes < was).then_some(again))
    };
    let (was, becomes) = (was.epochs, becomes.epochs);
    let epochs = [
        epoch(
            "epochs.release",
            [was.release, becomes.release],
            "bundles that were taken back count again",
        ),
        epoch(
            "epochs.qualify",
            [was.qualify, becomes.qualify],
            "certificates that were taken back count again",
        ),
        epoch(
            "epochs.operate",
            [was.operate, becomes.operate],
            "delegations that were taken back count again",
        ),
    ];
    epochs.into_iter().flatten().collect()
}

/// Who may change a device at all, what has to be shown to it, and what it takes for now.
fn rules(was: &RootRecord, becomes: &RootRecord) -> Vec<Change> {
    let opens = was.life_cycle == LifeCycle::Field && becomes.life_cycle != LifeCycle::Field;
    let life_cycle = change(
        "policy.life_cycle",
        [was.life_cycle, becomes.life_cycle],
        |it| life_cycle_word(it).to_owned(),
        opens.then_some("whoever reaches a device changes it, without a delegation"),
    );
    let needs = [was.policy.certificate, becomes.policy.certificate];
    let certificate = change(
        "policy.certificate",
        needs,
        certificate_words,
        is_weaker(needs).then_some("bundles get in with less than before"),
    );
    // It is an act of one root record: the one before has done it once, and this one does it again.
    let time = change(
        "policy.resets_time",
        [false, becomes.resets_time],
        |resets| {
            let time = if resets { "the date of this root record" } else { "the newest one seen" };
            time.to_owned()
        },
        Some("delegations that are over may count again"),
    );
    [life_cycle, certificate, time].into_iter().flatten().collect()
}

fn is_weaker([was, becomes]: [CertificateNeed; 2]) -> bool {
    let rank = |need| match need {
        CertificateNeed::Never => 0,
        CertificateNeed::BeforeConfirm { .. } => 1,
        CertificateNeed::BeforeStage { .. } => 2,
    };
    rank(becomes) < rank(was) || becomes.level() < was.level()
}

fn bounds(was: &RootRecord, becomes: &RootRecord) -> Vec<Change> {
    let most = |about, [was, becomes]: [u64; 2], words: fn(u64) -> String, loosens| {
        change(about, [was, becomes], words, (becomes > was).then_some(loosens))
    };
    let count = |it: u64| it.to_string();
    let (was, becomes) = (was.policy, becomes.policy);
    let bounds = [
        change(
            "policy.lowest_security_version",
            [was.lowest_security_version, becomes.lowest_security_version],
            count,
            (becomes.lowest_security_version < was.lowest_security_version)
                .then_some("older software gets in"),
        ),
        most(
            "policy.max_security_step",
            [was.max_security_step, becomes.max_security_step],
            count,
            "one bundle may use up more numbers",
        ),
        most(
            "policy.max_boots",
            [was.max_boots, becomes.max_boots].map(u64::from),
            count,
            LONGER_TRIALS,
        ),
        most(
            "policy.max_boot",
            [was.max_boot_ms, becomes.max_boot_ms].map(u64::from),
            time_words,
            LONGER_TRIALS,
        ),
        most(
            "policy.max_lease",
            [was.max_lease_ms, becomes.max_lease_ms].map(u64::from),
            time_words,
            LONGER_TRIALS,
        ),
    ];
    bounds.into_iter().flatten().collect()
}

/// It is told by what differs, and not by the words, which may be the same for two keys.
fn change<T: PartialEq + Copy>(
    about: &'static str,
    [was, becomes]: [T; 2],
    words: impl Fn(T) -> String,
    loosens: Option<&'static str>,
) -> Option<Change> {
    (was != becomes).then(|| Change { about, was: words(was), becomes: words(becomes), loosens })
}

const LONGER_TRIALS: &str = "what is unproven may run for longer";

#[cfg(test)]
mod tests {
    use firmware_protocol::root::Policy;

    use super::*;
    use crate::trust::{RootKeys, Signer as _, first_root, test_signer};

    fn usual() -> RootRecord {
        let [root, release] = [1, 2].map(|seed| [test_signer(seed).public_key()]);
        let keys = |keys| RootKeys { keys, threshold: 1 };
        first_root(keys(&root), keys(&release), 1).unwrap()
    }

    fn keys(threshold: u8, seeds: &[u8]) -> RoleKeys {
        let keys = seeds.iter().map(|seed| test_signer(*seed).public_key()).collect();
        RoleKeys { keys, threshold }
    }

    /// What changes on the way there, and on the way back: its name, and the mark in each direction.
    fn marks(change: impl Fn(&mut RootRecord)) -> (&'static str, [bool; 2]) {
        let (was, mut becomes) = (usual(), usual());
        change(&mut becomes);
        let told = [changes(&was, &becomes), changes(&becomes, &was)];
        let abouts = told.each_ref().map(|way| way[0].about);
        assert_eq!((told.each_ref().map(Vec::len), abouts[0]), ([1, 1], abouts[1]), "{told:?}");
        (abouts[0], told.map(|way| way[0].loosens.is_some()))
    }

    #[test]
    fn what_takes_back_or_loosens_is_marked_and_its_reverse_is_not() {
        let stricter = [false, true];
        let looser = [true, false];
        let policy = |change: fn(&mut Policy)| marks(|record| change(&mut record.policy));
        for (got, expected) in [
            (marks(|it| it.root = keys(2, &[1, 3])), ("root", stricter)),
            (marks(|it| it.root = keys(1, &[3])), ("root", [false, false])),
            (marks(|it| it.release = keys(2, &[2, 3])), ("release", stricter)),
            (marks(|it| it.qualify = keys(1, &[3])), ("qualify", [false, false])),
            (marks(|it| it.operate = keys(1, &[3])), ("operate", [false, false])),
            (marks(|it| it.epochs.release = 1), ("epochs.release", stricter)),
            (marks(|it| it.epochs.qualify = 1), ("epochs.qualify", stricter)),
            (marks(|it| it.epochs.operate = 1), ("epochs.operate", stricter)),
            (marks(|it| it.life_cycle = LifeCycle::Field), ("policy.life_cycle", stricter)),
            (
                policy(|it| it.certificate = CertificateNeed::BeforeStage { level: 0 }),
                ("policy.certificate", stricter),
            ),
            (
                policy(|it| it.lowest_security_version = 1),
                ("policy.lowest_security_version", stricter),
            ),
            (policy(|it| it.max_security_step = 1001), ("policy.max_security_step", looser)),
            (policy(|it| it.max_boots = 201), ("policy.max_boots", looser)),
            (policy(|it| it.max_boot_ms += 1), ("policy.max_boot", looser)),
            (policy(|it| it.max_lease_ms += 1), ("policy.max_lease", looser)),
        ] {
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_certificate_that_is_wanted_later_or_of_a_lower_level_is_wanted_less() {
        let (confirm, stage) = (
            |level| CertificateNeed::BeforeConfirm { level },
            |level| CertificateNeed::BeforeStage { level },
        );
        for (was, becomes, expected) in [
            (stage(2), confirm(2), true),
            (stage(2), confirm(3), true),
            (stage(2), stage(1), true),
            (confirm(2), stage(1), true),
            (confirm(0), CertificateNeed::Never, true),
            (confirm(2), stage(2), false),
            (confirm(2), confirm(3), false),
            (CertificateNeed::Never, confirm(0), false),
        ] {
            assert_eq!(is_weaker([was, becomes]), expected, "{was:?} {becomes:?}");
        }
    }

    #[test]
    fn setting_devices_back_in_time_is_told_each_time() {
        let record = RootRecord { resets_time: true, ..usual() };
        for was in [usual(), record.clone()] {
            let told = changes(&was, &record);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].to_string().starts_with("! policy.resets_time: "), "{}", told[0]);
        }
        assert_eq!(changes(&record, &usual()), []);
    }

    #[test]
    fn number_and_date_change_without_a_word() {
        let next = RootRecord { version: 2, made_at_s: 2, ..usual() };
        assert_eq!(changes(&usual(), &next), []);
    }
}
