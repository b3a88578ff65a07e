//! Row 13: the operate key is stolen, and a thief's laptop has a delegation without an end.

use firmware_protocol::delegation::Delegation;
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;

use super::{Outcome, Row, Switch};
use crate::intruder::{Intruder, Shipment};
use crate::simulator::{SimOptions, Simulator};
use crate::site::{ROOT_KEY, Release, STRANGER_KEY, Site, TestKey};
use crate::trust::{OPERATE_KEY, delegation, field_record, role, signed, signed_root};

/// The row.
pub const ROW: Row = Row {
    number: 13,
    name: "operate key stolen",
    attack: "a thief delegates to a laptop of their own, without an end, and goes on when the theft is known",
    defence: "release keys still decide what runs; the next root record raises the lowest epoch of delegations, and the one \
              behind it another key",
    switch: Switch::Defence(Defence::Epochs),
    run,
};

/// The operate key behind the theft.
const NEXT_KEY: TestKey = TestKey(6);

fn run() -> Outcome {
    let site = Site::under(&signed_root(&field_record(), &[ROOT_KEY]));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let laptop = LinkSecret::new([66; 32]);
    let stolen = signed(BodyType::Delegation, &delegation(&laptop), &[OPERATE_KEY]);
    let thief = Intruder::at(&device).with_host(&laptop, &stolen);
    // While nobody knows, the thief installs what was released, and nothing else.
    assert_eq!(thief.install(&Shipment::of(&site, &Release::new("1.1.0"))), Ok(()));
    let own = Shipment::of(&site, &Release::new("6.6.6").signed_by(STRANGER_KEY));
    let untrusted = Refusal::UntrustedSignature { valid: 0, needed: 1 };
    assert_eq!(thief.install(&own), Err(untrusted));

    let epochs = Epochs { operate: 1, ..Epochs::default() };
    let second = RootRecord { version: 2, epochs, ..field_record() };
    // A host of the office's takes the session from the thief.
    let technician = LinkSecret::new([67; 32]);
    let delegated = signed(BodyType::Delegation, &delegation(&technician), &[OPERATE_KEY]);
    let office = Intruder::at(&device).with_host(&technician, &delegated);
    office.enroll(&signed_root(&second, &[ROOT_KEY])).unwrap();
    let shipment = Shipment::of(&site, &Release::new("1.2.0"));
    let installed = thief.install(&shipment);
    if installed.is_ok() && site.running_version(&device.address()) == "1.2.0" {
        return Outcome::Succeeded(
            "the thief's laptop has installed 1.2.0 under root record 2, by its delegation of epoch 0".to_owned(),
        );
    }
    assert_eq!(installed, Err(Refusal::BelowEpoch { offered: 0, lowest: 1 }));

    // The thief still has the key, until another one takes its place.
    let third = RootRecord { version: 3, operate: role(&[NEXT_KEY], 1), ..second };
    Intruder::at(&device).enroll(&signed_root(&third, &[ROOT_KEY])).unwrap();
    let anew = |host: &LinkSecret, key: TestKey| {
        let claims = Delegation { epoch: 1, ..delegation(host) };
        Intruder::at(&device).with_host(host, &signed(BodyType::Delegation, &claims, &[key]))
    };
    assert_eq!(anew(&laptop, OPERATE_KEY).install(&shipment), Err(untrusted));
    assert_eq!(site.running_version(&device.address()), "1.1.0");
    assert_eq!(anew(&technician, NEXT_KEY).install(&shipment), Ok(()));
    Outcome::Refused(
        "software of the thief's own refused all along; behind root record 2 its delegation is refused as one of epoch 0, \
         behind 3 whatever the stolen key signs; the office's next delegation works"
            .to_owned(),
    )
}
