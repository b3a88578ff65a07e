//! Row 6: a delegation that is over, shown once more.

use firmware_protocol::delegation::Delegation;
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{Epochs, RootRecord};
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::BodyType;

use super::{Outcome, Row, Switch};
use crate::cli::wait_for;
use crate::intruder::{Intruder, Shipment};
use crate::simulator::{SimOptions, Simulator};
use crate::site::{ROOT_KEY, Release, Site};
use crate::trust::{DAY_S, MADE_S, OPERATE_KEY, delegation, field_record, signed, signed_root};

/// The row.
pub const ROW: Row = Row {
    number: 6,
    name: "freeze",
    attack: "last month's delegation is shown again, to a device that has seen a newer one and to one that has not",
    defence: "the newest time that was seen signed outlives losses of power; what ended before it is over",
    switch: Switch::Defence(Defence::TimeFloor),
    run,
};

/// When the newer delegation was made, behind the old one.
const LATER_S: u64 = 30 * DAY_S;

fn run() -> Outcome {
    let site = Site::under(&signed_root(&field_record(), &[ROOT_KEY]));
    let options = SimOptions::tcp();
    let mut aware = Simulator::start(&site, &options);
    let laptop = LinkSecret::new([61; 32]);
    let old = of_day(&laptop, MADE_S);
    let newer = of_day(&laptop, MADE_S + LATER_S);
    let mut raw = Intruder::at(&aware).with_host(&laptop, &newer).enter().unwrap();
    wait_for("the newer time is stored", || {
        (raw.root_status().time_floor_s >= MADE_S + LATER_S).then_some(())
    });
    drop(raw);
    aware.kill();
    aware = Simulator::start(&site, &options);

    let shipment = Shipment::of(&site, &Release::new("2.0.0"));
    let replayed = Intruder::at(&aware).with_host(&laptop, &old).install(&shipment);
    if replayed.is_ok() && site.running_version(&aware.address()) == "2.0.0" {
        return Outcome::Succeeded(
            "a delegation that ended 29 days before the newest seen has installed 2.0.0".to_owned(),
        );
    }
    let over = Refusal::DelegationOver { not_after_s: MADE_S + DAY_S, seen_s: MADE_S + LATER_S };
    assert_eq!(replayed, Err(over));
    let newest = Intruder::at(&aware).with_host(&laptop, &newer);
    assert_eq!(newest.install(&shipment), Ok(()), "the delegation of today counts");

    let ignorant = Simulator::start(&site, &options.clone().state("ignorant"));
    let replay = Intruder::at(&ignorant).with_host(&laptop, &old);
    assert_eq!(replay.enter().map(drop), Ok(()), "it knows of nothing newer (TRUST.md, Time)");
    let epochs = Epochs { operate: 1, ..Epochs::default() };
    let next = RootRecord { version: 2, epochs, ..field_record() };
    replay.enroll(&signed_root(&next, &[ROOT_KEY])).unwrap();
    let refused = replay.enter().map(drop);
    if refused != Err(Refusal::BelowEpoch { offered: 0, lowest: 1 }) {
        return Outcome::Succeeded(format!("behind the next root record it got {refused:?}"));
    }
    Outcome::Refused(
        "a device that has seen 30 days more refuses it, also behind a loss of power; one that has seen nothing newer takes \
         it, as TRUST.md says, until the next root record raises the epoch"
            .to_owned(),
    )
}

/// A delegation that counts for a day.
fn of_day(host: &LinkSecret, made_at_s: u64) -> Vec<u8> {
    let not_after_s = made_at_s + DAY_S;
    let claims = Delegation { made_at_s, not_after_s, ..delegation(host) };
    signed(BodyType::Delegation, &claims, &[OPERATE_KEY])
}
