//! From words to root records, and from one root record to the next.

use std::fs;

use tempfile::TempDir;

use super::super::signer::Signer as _;
use super::super::test_signer;
use super::*;

/// Every word that there is, none with the value of another or the usual one.
const FULL: &str = r#"
[root]
keys = ["root1.pub", "root2.pub", "root3.pub"]
threshold = 2
[release]
keys = ["release4.pub"]
threshold = 1
[qualify]
keys = ["qualify5.pub", "qualify6.pub"]
threshold = 2
[operate]
keys = ["operate7.pub", "operate8.pub"]
threshold = 1
[epochs]
release = 3
qualify = 4
operate = 5
[policy]
life_cycle = "field"
certificate = "before-stage"
certificate_level = 6
lowest_security_version = 7
max_security_step = 8
resets_time = true
max_boots = 9
max_boot = "10s"
max_lease = "11ms"
"#;

const MINIMAL: &str = r#"
[root]
keys = ["root1.pub"]
threshold = 1
[release]
keys = ["release4.pub"]
threshold = 1
"#;

/// A folder with keys, in which specs are read.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (role, seeds) in [
            (KeyRole::Root, 1..=3),
            (KeyRole::Release, 4..=4),
            (KeyRole::Qualify, 5..=6),
            (KeyRole::Operate, 7..=8),
        ] {
            for seed in seeds {
                let public = PublicKeyFile { role, public_key: test_signer(seed).public_key() };
                let name = format!("{}{seed}.pub", role.word());
                fs::write(folder.path().join(name), public.to_text()).unwrap();
            }
        }
        Self(folder)
    }

    fn record(&self, text: &str, after: Option<&RootRecord>) -> Result<RootRecord, RootSpecError> {
        let path = self.0.path().join("root.toml");
        fs::write(&path, text).unwrap();
        RootSpec::read(&path)?.record(after, 1_700_000_000)
    }
}

fn keys(seeds: &[u8], threshold: u8) -> RoleKeys {
    let keys = seeds.iter().map(|seed| test_signer(*seed).public_key()).collect();
    RoleKeys { keys, threshold }
}

fn full() -> RootRecord {
    RootRecord {
        version: 1,
        root: keys(&[1, 2, 3], 2),
        release: keys(&[4], 1),
        qualify: keys(&[5, 6], 2),
        operate: keys(&[7, 8], 1),
        life_cycle: LifeCycle::Field,
        policy: Policy {
            max_boots: 9,
            max_boot_ms: 10_000,
            max_lease_ms: 11,
            lowest_security_version: 7,
            max_security_step: 8,
            certificate: CertificateNeed::BeforeStage { level: 6 },
        },
        epochs: Epochs { release: 3, qualify: 4, operate: 5 },
        made_at_s: 1_700_000_000,
        resets_time: true,
    }
}

#[test]
fn every_word_of_a_spec_is_in_its_root_record() {
    assert_eq!(Desk::new().record(FULL, None).unwrap(), full());
}

#[test]
fn a_first_spec_of_root_and_release_alone_makes_the_usual_root_record() {
    let usual = RootRecord {
        version: 1,
        root: keys(&[1], 1),
        release: keys(&[4], 1),
        qualify: RoleKeys::default(),
        operate: RoleKeys::default(),
        life_cycle: LifeCycle::Development,
        policy: Policy::default(),
        epochs: Epochs::default(),
        made_at_s: 1_700_000_000,
        resets_time: false,
    };
    assert_eq!(Desk::new().record(MINIMAL, None).unwrap(), usual);
}

#[test]
fn a_first_spec_without_root_or_without_release_is_refused() {
    let desk = Desk::new();
    let section = |role| format!("[{role}]\nkeys = []\nthreshold = 0\n");
    for (text, missing) in
        [(section("release"), KeyRole::Root), (section("root"), KeyRole::Release)]
    {
        let refused = desk.record(&text, None);
        assert!(matches!(refused, Err(RootSpecError::NoKeys { role, .. }) if role == missing));
        assert!(desk.record(&text, Some(&full())).is_ok(), "the one before has such keys");
    }
}

#[test]
fn a_key_of_another_role_is_refused_in_each_section() {
    let desk = Desk::new();
    for (right, wrong) in [
        ("root3.pub", "release4.pub"),
        ("release4.pub", "root1.pub"),
        ("qualify6.pub", "operate7.pub"),
        ("operate7.pub", "qualify5.pub"),
    ] {
        let text = FULL.replacen(right, wrong, 1);
        let Err(RootSpecError::Role { path, got, expected }) = desk.record(&text, None) else {
            panic!("{wrong} in the place of {right}");
        };
        assert!(path.ends_with(wrong) && wrong.starts_with(got.word()), "{}", path.display());
        assert!(right.starts_with(expected.word()), "{right}: {}", expected.word());
    }
}

/// Neither a revocation nor the life cycle comes back to what it was by being forgotten.
#[test]
fn what_a_next_spec_leaves_out_is_as_in_the_root_record_before() {
    let before = RootRecord { version: 6, made_at_s: 1, ..full() };
    let next = Desk::new().record("", Some(&before)).unwrap();
    let expected =
        RootRecord { version: 7, made_at_s: 1_700_000_000, resets_time: false, ..before };
    assert_eq!(next, expected);
}

#[test]
fn what_a_next_spec_writes_out_changes_alone_also_downwards() {
    let desk = Desk::new();
    let before = RootRecord { version: 6, resets_time: false, ..full() };
    let changed = |change: fn(&mut RootRecord)| {
        let mut record = RootRecord { version: 7, ..before.clone() };
        change(&mut record);
        record
    };
    let nobody = "keys = []\nthreshold = 0\n";
    for (text, expected) in [
        (
            "[root]\nkeys = [\"root2.pub\"]\nthreshold = 1".into(),
            changed(|it| it.root = keys(&[2], 1)),
        ),
        (format!("[qualify]\n{nobody}"), changed(|it| it.qualify = RoleKeys::default())),
        (format!("[operate]\n{nobody}"), changed(|it| it.operate = RoleKeys::default())),
        ("[epochs]\nrelease = 0".into(), changed(|it| it.epochs.release = 0)),
        ("[epochs]\nqualify = 0".into(), changed(|it| it.epochs.qualify = 0)),
        ("[epochs]\noperate = 0".into(), changed(|it| it.epochs.operate = 0)),
        (
            "[policy]\nlife_cycle = \"development\"".into(),
            changed(|it| it.life_cycle = LifeCycle::Development),
        ),
        ("[policy]\nresets_time = true".into(), changed(|it| it.resets_time = true)),
        ("[policy]\nmax_boots = 1".into(), changed(|it| it.policy.max_boots = 1)),
        ("[policy]\nmax_boot = \"1s\"".into(), changed(|it| it.policy.max_boot_ms = 1000)),
        ("[policy]\nmax_lease = \"1s\"".into(), changed(|it| it.policy.max_lease_ms = 1000)),
    ] {
        assert_eq!(desk.record(&text, Some(&before)).unwrap(), expected, "{text}");
    }
}

#[test]
fn when_a_certificate_is_needed_and_of_which_level_are_each_as_before_unless_named() {
    let desk = Desk::new();
    let at = |level| CertificateNeed::BeforeConfirm { level };
    let never = CertificateNeed::Never;
    for (before, text, expected) in [
        (never, "certificate = \"before-confirm\"", at(0)),
        (never, "certificate = \"before-confirm\"\ncertificate_level = 3", at(3)),
        (at(2), "", at(2)),
        (at(2), "certificate_level = 3", at(3)),
        (at(2), "certificate = \"before-stage\"", CertificateNeed::BeforeStage { level: 2 }),
        (at(2), "certificate = \"never\"", never),
    ] {
        let policy = Policy { certificate: before, ..Policy::default() };
        let before = RootRecord { policy, ..full() };
        let next = desk.record(&format!("[policy]\n{text}"), Some(&before)).unwrap();
        assert_eq!(next.policy.certificate, expected, "{text} behind {policy:?}");
    }
}

#[test]
fn a_level_without_a_certificate_is_refused() {
    let desk = Desk::new();
    for text in ["", "certificate = \"never\"\n"] {
        let text = format!("{MINIMAL}[policy]\n{text}certificate_level = 3\n");
        let refused = desk.record(&text, None);
        assert!(matches!(refused, Err(RootSpecError::LevelOfNothing { level: 3 })), "{refused:?}");
    }
}

#[test]
fn a_time_that_a_root_record_does_not_hold_is_refused_by_its_name() {
    let desk = Desk::new();
    for name in ["max_boot", "max_lease"] {
        let refused = desk.record(&format!("{MINIMAL}[policy]\n{name} = \"50days\"\n"), None);
        let Err(RootSpecError::TooLong { key }) = refused else { panic!("{name}: {refused:?}") };
        assert_eq!(key, format!("policy.{name}"));
    }
}
