//! What a thief of each key, and of each two, can do to a device of the field: the table of TRUST.md, "What a thief can do",
//! done on a device (promises P4 and P8).
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "clippy.toml excuses test functions, not their helpers"
)]

use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::delegation::{Actions, Delegation};
use firmware_protocol::digest::Digest;
use firmware_protocol::manifest::HardwareRange;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::root::{CertificateNeed, LifeCycle, Policy, RoleKeys, RootRecord};
use firmware_protocol::sealed::{
    FIRST_BYTES, Initiator, LinkSecret, Responder, SECOND_BYTES, THIRD_OVERHEAD_BYTES,
};
use firmware_protocol::trust::BodyType;

use crate::support::bench::{Answer, Bench, PLAN, TERMS};
use crate::support::bundle::{Bundle, encode, envelope, role, root_record, root_signed_by};

const DONE: Answer = Ok(Reply::Done(How::Done));
/// Keys of everybody who is no thief.
const ROOTS: [u8; 3] = [1, 41, 42];
const RELEASE: u8 = 2;
const QUALIFY: u8 = 21;
const OPERATE: u8 = 31;
/// The thief's own keys.
const THIEF: u8 = 90;

/// What can be stolen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loot {
    Root(u8),
    Release,
    Qualify,
    Operate,
    Host,
    Device,
}

const LOOT: [Loot; 7] = [
    Loot::Root(ROOTS[0]),
    Loot::Root(ROOTS[1]),
    Loot::Release,
    Loot::Qualify,
    Loot::Operate,
    Loot::Host,
    Loot::Device,
];

/// What comes of it, in the order of the table: works on the device, installs what was released, installs software of
/// its own, changes the keys, passes for the device.
type Reach = [bool; 5];

fn host() -> LinkSecret {
    LinkSecret::new([51; 32])
}

fn thief() -> LinkSecret {
    LinkSecret::new([THIEF; 32])
}

fn record() -> RootRecord {
    let certificate = CertificateNeed::BeforeStage { level: 1 };
    RootRecord {
        root: role(&ROOTS, 2),
        release: role(&[RELEASE], 1),
        qualify: role(&[QUALIFY], 1),
        operate: role(&[OPERATE], 1),
        life_cycle: LifeCycle::Field,
        policy: Policy { certificate, ..Policy::default() },
        ..root_record()
    }
}

fn delegation(host: &LinkSecret, signer: u8) -> Vec<u8> {
    let claims = Delegation {
        host: host.public(),
        name: "host",
        products: ["demo"].into_iter().collect(),
        serials: heapless::Vec::new(),
        actions: Actions::ALL,
        epoch: 0,
        not_after_s: u64::MAX,
        made_at_s: 0,
    };
    envelope(BodyType::Delegation, &encode(&claims), &[signer])
}

fn certificate(bundle: &Bundle, signer: u8) -> Vec<u8> {
    let claims = Certificate {
        product: "demo",
        hardware: [HardwareRange { id: "board", first_revision: 0, last_revision: 9 }]
            .into_iter()
            .collect(),
        bundle: bundle.digest,
        plan: PLAN,
        verdict: CertifiedVerdict::Qualified,
        level: 1,
        epoch: 0,
        made_at_s: 0,
    };
    envelope(BodyType::Certificate, &encode(&claims), &[signer])
}

/// A bundle of these bytes, signed by this key.
fn bundle(seed: u64, signer: u8) -> Bundle {
    let mut bundle = Bundle::new(seed, 5_000);
    let body = {
        let parsed =
            firmware_protocol::trust::Envelope::parse(&bundle.envelope, BodyType::Manifest);
        parsed.unwrap().body().to_vec()
    };
    bundle.envelope = envelope(BodyType::Manifest, &body, &[signer]);
    bundle.digest = Digest::of(&body);
    bundle
}

/// A thief and a device that nobody has touched yet.
struct Heist {
    bench: Bench,
    loot: Vec<Loot>,
    keys: RoleKeys,
}

impl Heist {
    fn new(loot: &[Loot]) -> Self {
        let mut bench = Bench::new();
        bench.open_session().offer(&root_signed_by(&record(), &ROOTS[..2]));
        assert_eq!(bench.ask(Request::Enroll), DONE);
        assert_eq!(bench.ask(Request::CloseSession), DONE);
        bench.session = 0;
        Self { bench, loot: loot.to_vec(), keys: role(&[THIEF], 1) }
    }

    fn has(&self, loot: Loot) -> bool {
        self.loot.contains(&loot)
    }

    /// Tries to give the device a root record that names the thief for everything.
    fn changes_keys(&mut self) -> bool {
        let own = &self.keys;
        let next = RootRecord {
            version: 2,
            root: own.clone(),
            release: own.clone(),
            qualify: own.clone(),
            operate: own.clone(),
            ..record()
        };
        let stolen = ROOTS.into_iter().filter(|n| self.has(Loot::Root(*n)));
        let signers: Vec<u8> = stolen.chain([THIEF]).collect();
        self.bench.open_session().offer(&root_signed_by(&next, &signers));
        let reply = self.bench.ask(Request::Enroll);
        let _ = self.bench.ask(Request::CloseSession);
        self.bench.session = 0;
        reply == DONE
    }

    /// Tries to get a session in which something can be changed; shows whatever there is to show.
    fn works(&mut self, has_changed_keys: bool) -> bool {
        let mut shown = vec![(thief(), Vec::new()), (thief(), delegation(&host(), OPERATE))];
        if self.has(Loot::Host) {
            shown.push((host(), delegation(&host(), OPERATE)));
        }
        if self.has(Loot::Operate) {
            shown.push((thief(), delegation(&thief(), OPERATE)));
        }
        if has_changed_keys {
            shown.push((thief(), delegation(&thief(), THIEF)));
        }
        let mut works = false;
        for (secret, document) in shown {
            if self.bench.link(&secret, &document).is_err() {
                continue;
            }
            let opened = self.bench.ask(Request::OpenSession { take_over: true, trial_id: 0 });
            let Ok(Reply::Session { session, actions, .. }) = opened else { continue };
            self.bench.session = session;
            if actions == Actions::ALL {
                self.bench.host = Some((secret, document));
                works = true;
            }
        }
        works
    }

    /// Tries to install `bundle` for good.
    fn installs(&mut self, bundle: &Bundle, certificate: &[u8]) -> bool {
        if self.bench.host.is_none() {
            return false;
        }
        let bench = &mut self.bench;
        let _ = bench.open_session().offer(certificate).ask(Request::Certify);
        if bench.stage(bundle, true).is_err() {
            return false;
        }
        bench.send_missing(bundle, 0);
        bench.send_missing(bundle, 1);
        if bench.ask(Request::Finish).is_err() {
            return false;
        }
        let trial_id = bench.armed(bundle, TERMS);
        bench.reset();
        let _ = bench.offer(certificate).ask(Request::Certify);
        let boot_nonce = bench.boot_nonce;
        bench.ask(Request::Confirm { trial_id, boot_nonce }) == DONE
    }

    /// Whether a host that knows the device by its key takes the thief's for it.
    fn passes_for_the_device(&mut self) -> bool {
        let device = self.bench.device().board_mut().identity.clone().unwrap();
        let own = if self.has(Loot::Device) { device.clone() } else { thief() };
        let (mut first, mut second) = ([0; FIRST_BYTES], [0; SECOND_BYTES]);
        let fresh = LinkSecret::new([7; 32]);
        let (initiator, _) = Initiator::begin(&host(), &fresh, &mut first).unwrap();
        Responder::answer(&own, &fresh, &first, &mut second).unwrap();
        let mut third = [0; THIRD_OVERHEAD_BYTES];
        initiator.join(&second, &[], &mut third).unwrap().peer == device.public()
    }
}

/// Does everything that a thief with these keys can think of.
fn reach(loot: &[Loot]) -> Reach {
    let mut heist = Heist::new(loot);
    let changes = heist.changes_keys();
    let works = heist.works(changes);
    // Both are public: whoever deploys has them.
    let by_qualify = if changes { THIEF } else { QUALIFY };
    let released = if changes { bundle(1, THIEF) } else { bundle(1, RELEASE) };
    let installs_released = heist.installs(&released, &certificate(&released, by_qualify));
    let signer = |loot, of| if heist.has(loot) && !changes { of } else { THIEF };
    let (release, qualify) = (signer(Loot::Release, RELEASE), signer(Loot::Qualify, QUALIFY));
    let own = bundle(2, release);
    let installs_own = heist.installs(&own, &certificate(&own, qualify));
    [works, installs_released, installs_own, changes, heist.passes_for_the_device()]
}

fn union(one: Reach, other: Reach) -> Reach {
    std::array::from_fn(|at| one[at] || other[at])
}

/// The row of TRUST.md for this loot, if it has one.
fn row(loot: &[Loot]) -> Option<Reach> {
    let word = |loot: &Loot| match loot {
        Loot::Root(_) => "root",
        Loot::Release => "release",
        Loot::Qualify => "qualify",
        Loot::Operate => "operate",
        Loot::Host => "host",
        Loot::Device => "device",
    };
    let words: Vec<&str> = loot.iter().map(word).collect();
    let name = format!("| {} |", words.join(" + "));
    let trust = include_str!("../../docs/TRUST.md");
    let (_, table) = trust.split_once("## What a thief can do\n").expect("the table's section");
    let (table, _) = table.split_once("\n## ").expect("sections behind it");
    let line = table.lines().find(|line| line.starts_with(&name))?;
    let cells: Vec<bool> = line[name.len()..]
        .split('|')
        .filter(|cell| !cell.trim().is_empty())
        .map(|cell| match cell.trim() {
            "yes" => true,
            "no" => false,
            other => panic!("{other:?} in {line}"),
        })
        .collect();
    Some(cells.try_into().expect("five cells"))
}

#[test]
fn a_thief_of_one_key_can_do_what_the_table_says() {
    for loot in LOOT {
        assert_eq!(Some(reach(&[loot])), row(&[loot]), "{loot:?}");
    }
    assert_eq!(reach(&[]), [false; 5], "nothing is stolen");
}

/// A pair that can do more than its two keys by themselves has a row of its own; every other one has not.
#[test]
fn a_thief_of_two_keys_can_do_what_the_table_says() {
    let mut pairs = 0;
    for (at, one) in LOOT.into_iter().enumerate() {
        for other in LOOT.into_iter().skip(at + 1) {
            let apart = union(reach(&[one]), reach(&[other]));
            let together = reach(&[one, other]);
            let expected = row(&[one, other]).unwrap_or(apart);
            assert_eq!(together, expected, "{one:?} and {other:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 21);
}

/// It takes all three of release, qualify and operate to install software that nobody has judged.
#[test]
fn release_qualify_and_operate_together_install_anything() {
    let all = reach(&[Loot::Release, Loot::Qualify, Loot::Operate]);
    assert_eq!(all, [true, true, true, false, false]);
}
