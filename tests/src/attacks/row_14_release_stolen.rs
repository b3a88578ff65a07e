//! Row 14: the release key is stolen, and signs software that no bench has judged.

use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::manifest::HardwareRange;
use firmware_protocol::message::Request;
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{CertificateNeed, Policy, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;

use super::{Outcome, Row, Switch};
use crate::intruder::{Intruder, PLAN, Shipment, TERMS};
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{RELEASE_KEY, ROOT_KEY, Release, Site, TestKey};
use crate::trust::{
    MADE_S, OPERATE_KEY, QUALIFY_KEY, delegation, field_record, signed, signed_root,
};

/// The row.
pub const ROW: Row = Row {
    number: 14,
    name: "release key stolen",
    attack: "software of the thief's own, rightly signed, reaches a field device through an honest technician's laptop: without \
             a certificate, with that of another bundle, with one signed by the stolen key; and it is on trial already when a \
             root record comes that wants one",
    defence: "the root record in force wants the bench's word before a byte is taken and once more before a confirm, and the \
              bench has another key",
    switch: Switch::Defence(Defence::Certificates),
    run,
};

fn run() -> Outcome {
    let breaches: Vec<String> =
        [from_the_begin(), tightened_in_the_middle()].into_iter().flatten().collect();
    if !breaches.is_empty() {
        return Outcome::Succeeded(breaches.join("; "));
    }
    Outcome::Refused(
        "nothing on a plain link; through a technician's laptop nothing without a certificate, with another bundle's or with \
         one by the stolen key, and not one erase; what was on trial when certificates became wanted is not confirmed; 2.0.0 \
         with its certificate is installed"
            .to_owned(),
    )
}

/// Certificates are wanted from the begin. What the thief got.
fn from_the_begin() -> Option<String> {
    let site = Site::under(&signed_root(&wanting(field_record()), &[ROOT_KEY]));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let own = Shipment::of(&site, &Release::new("6.6.6"));
    let honest = Shipment::of(&site, &Release::new("2.0.0"));
    let technician = technician(&device);
    let alone = Intruder::at(&device).install(&own);
    assert_eq!(alone, Err(Refusal::NotAuthenticated), "the key alone opens nothing");

    let needed = Refusal::CertificateNeeded { level: 1 };
    let other = certified(&honest, QUALIFY_KEY);
    let forged = certified(&own, RELEASE_KEY);
    for (what, shown, due) in [
        ("no certificate", &Vec::new(), needed),
        ("another bundle's certificate", &other, needed),
        (
            "a certificate by the stolen key",
            &forged,
            Refusal::UntrustedSignature { valid: 0, needed: 1 },
        ),
    ] {
        let installed = technician.clone().with_certificate(shown).install(&own);
        if site.running_version(&device.address()) == "6.6.6" {
            return Some(format!("6.6.6 of the thief's own runs, with {what}"));
        }
        assert_eq!(installed, Err(due), "{what}");
        if Raw::tcp(&device.socket()).status().erases > 0 {
            return Some(format!("flash was erased, with {what}"));
        }
    }
    assert_eq!(technician.with_certificate(&other).install(&honest), Ok(()));
    None
}

/// The thief's software is on trial while no certificate is wanted; then a root record comes that wants one. What the thief
/// got by it.
fn tightened_in_the_middle() -> Option<String> {
    let site = Site::under(&signed_root(&field_record(), &[ROOT_KEY]));
    let device = Simulator::start(&site, &SimOptions::tcp().state("tightened"));
    let own = Shipment::of(&site, &Release::new("6.6.6"));
    let technician = technician(&device);
    let mut raw = technician.stage(&own).unwrap();
    let trial_id = raw.open_trial(own.bundle(), PLAN, TERMS).unwrap();
    let mut raw = technician.boot_into(raw, trial_id).unwrap();
    let stricter = wanting(RootRecord { version: 2, ..field_record() });
    raw.offer(&signed_root(&stricter, &[ROOT_KEY])).unwrap();
    raw.ask(Request::Enroll, |_| ()).unwrap();
    drop(raw);

    // The new record has ended what the delegation allowed: it is shown again.
    let mut raw = technician.enter().unwrap();
    let boot_nonce = raw.boot_nonce();
    let confirm = Request::Confirm { trial_id, boot_nonce };
    let forged = certified(&own, RELEASE_KEY);
    for shown in [&Vec::new(), &forged] {
        if !shown.is_empty() {
            raw.offer(shown).unwrap();
            let untrusted = Refusal::UntrustedSignature { valid: 0, needed: 1 };
            assert_eq!(raw.ask(Request::Certify, |_| ()), Err(untrusted));
        }
        match raw.ask(confirm, |_| ()) {
            Ok(()) => {
                let runs = site.running_version(&device.address());
                return Some(format!(
                    "{runs} is confirmed under a root record that wants a certificate"
                ));
            }
            Err(refusal) => assert_eq!(refusal, Refusal::CertificateNeeded { level: 1 }),
        }
    }
    // With the bench's word the very same session confirms.
    raw.offer(&certified(&own, QUALIFY_KEY)).unwrap();
    raw.ask(Request::Certify, |_| ()).unwrap();
    assert_eq!(raw.ask(confirm, |_| ()), Ok(()));
    None
}

/// The record, wanting certificates before anything is staged.
fn wanting(record: RootRecord) -> RootRecord {
    let certificate = CertificateNeed::BeforeStage { level: 1 };
    RootRecord { policy: Policy { certificate, ..Policy::default() }, ..record }
}

/// Whoever has an honest technician's laptop.
fn technician(device: &Simulator) -> Intruder {
    let laptop = LinkSecret::new([61; 32]);
    let delegated = signed(BodyType::Delegation, &delegation(&laptop), &[OPERATE_KEY]);
    Intruder::at(device).with_host(&laptop, &delegated)
}

fn certified(shipment: &Shipment, signer: TestKey) -> Vec<u8> {
    let everywhere = HardwareRange { id: "nav-1", first_revision: 1, last_revision: 9 };
    let claims = Certificate {
        product: "rover-nav",
        hardware: std::iter::once(everywhere).collect(),
        bundle: shipment.bundle(),
        plan: PLAN,
        verdict: CertifiedVerdict::Qualified,
        level: 1,
        epoch: 0,
        made_at_s: MADE_S,
    };
    signed(BodyType::Certificate, &claims, &[signer])
}
