//! Row 14: the release key is stolen, and signs software that no bench has judged.

use firmware_protocol::certificate::{Certificate, CertifiedVerdict};
use firmware_protocol::manifest::HardwareRange;
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{CertificateNeed, Policy, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;

use super::{Outcome, Row, Switch};
use crate::intruder::{Intruder, PLAN, Shipment};
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
             a certificate, with that of another bundle, with one signed by the stolen key",
    defence: "the root record wants the bench's word before a byte is taken, and the bench has another key",
    switch: Switch::Defence(Defence::Certificates),
    run,
};

fn run() -> Outcome {
    let certificate = CertificateNeed::BeforeStage { level: 1 };
    let policy = Policy { certificate, ..Policy::default() };
    let record = RootRecord { policy, ..field_record() };
    let site = Site::under(&signed_root(&record, &[ROOT_KEY]));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let own = Shipment::of(&site, &Release::new("6.6.6"));
    let honest = Shipment::of(&site, &Release::new("2.0.0"));
    let laptop = LinkSecret::new([61; 32]);
    let delegated = signed(BodyType::Delegation, &delegation(&laptop), &[OPERATE_KEY]);
    let technician = Intruder::at(&device).with_host(&laptop, &delegated);
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
            return Outcome::Succeeded(format!("6.6.6 of the thief's own runs, with {what}"));
        }
        assert_eq!(installed, Err(due), "{what}");
        if Raw::tcp(&device.socket()).status().erases > 0 {
            return Outcome::Succeeded(format!("flash was erased, with {what}"));
        }
    }
    assert_eq!(technician.with_certificate(&other).install(&honest), Ok(()));
    Outcome::Refused(
        "nothing on a plain link; through a technician's laptop nothing without a certificate, with another bundle's or with \
         one by the stolen key, and not one erase; 2.0.0 with its certificate is installed"
            .to_owned(),
    )
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
