//! Row 9: rightly signed software of another product, hardware, revision, and a host of another site.

use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use noflake::bundle::Bundle;

use super::{Outcome, Row, Switch};
use crate::field::FieldOffice;
use crate::flash;
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 9,
    name: "wrong hardware or site",
    attack: "each product's, hardware's and revision's release on each device; a host of another site",
    defence: "product, hardware and revisions are in what is signed, and the device compares them with its own; so are a \
              host's products and serial numbers",
    switch: Switch::Defence(Defence::HardwareMatch),
    run,
};

/// What there is: product, hardware and its revision. The second is the first under another label.
const KINDS: [(&str, &str, u32); 4] = [
    ("rover-nav", "nav-1", 2),
    ("white-nav", "nav-1", 2),
    ("rover-nav", "nav-2", 2),
    ("rover-nav", "nav-1", 5),
];

fn run() -> Outcome {
    let site = Site::new();
    let releases: Vec<(String, Vec<u8>)> = KINDS
        .iter()
        .enumerate()
        .map(|(index, (product, hardware, revision))| {
            let release = Release {
                product: (*product).to_owned(),
                hardware: (*hardware).to_owned(),
                revisions: [*revision, *revision],
                ..Release::new(&format!("2.0.{index}"))
            };
            let bundle = site.bundle(&release);
            let envelope = Bundle::open(bundle.as_ref()).unwrap().envelope().to_vec();
            (bundle, envelope)
        })
        .collect();
    let mut refused = 0;
    for (row, (product, hardware, revision)) in KINDS.iter().enumerate() {
        let scenario = format!(
            "[device]\nproduct = \"{product}\"\nhardware = \"{hardware}\"\nrevision = {revision}"
        );
        let options = SimOptions::tcp().state(&format!("device-{row}")).scenario(&scenario);
        let device = Simulator::start(&site, &options);
        for (column, (bundle, envelope)) in releases.iter().enumerate() {
            if row == column {
                continue;
            }
            let what = format!("a {product} on {hardware} revision {revision}");
            if let Some(breach) = strange_release(&site, &device, bundle, envelope) {
                return Outcome::Succeeded(format!("{breach} on {what}"));
            }
            refused += 1;
        }
        // The device was not just refusing everything.
        let _ = site.deploy(&releases[row].0, &device.address()).code(0);
    }
    match strange_host() {
        Some(breach) => Outcome::Succeeded(breach),
        None => Outcome::Refused(format!(
            "{refused} of {refused} strange releases refused before the first erase, each device's own installed; a \
             host of another site refused"
        )),
    }
}

/// Installs what is not for this device; says what runs if that worked.
fn strange_release(
    site: &Site,
    device: &Simulator,
    bundle: &str,
    envelope: &[u8],
) -> Option<String> {
    let before = flash::whole(device.state());
    // Without the host's own look at it.
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    let asked = raw.stage(envelope);
    drop(raw);
    let ended = site.noflake(&["deploy", bundle, "-d", &device.address(), "--take-over"]);
    let runs = site.running_version(&device.address());
    if runs != "1.0.0" {
        return Some(format!("{runs} of another kind runs"));
    }
    let is_refused = matches!(asked, Err(Refusal::WrongProduct | Refusal::WrongHardware { .. }));
    if !is_refused || flash::whole(device.state()) != before {
        return Some(format!("a release of another kind was staged ({asked:?})"));
    }
    let _ = ended.code(5);
    None
}

/// A host with a delegation for devices of another site; says what runs if that worked.
fn strange_host() -> Option<String> {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let device = works.enrolled(&SimOptions::tcp().factory());
    let _ = works.delegate("t", &["--serial", "ELSEWHERE-*"]).code(0);
    let before = flash::whole(device.state());
    let ended = works.deploy(&bundle, &device.address(), "field.nfr", "t");
    let runs = works.office.site.running_version(&device.address());
    if runs == "2.0.0" {
        return Some("2.0.0 runs, by a host of another site".to_owned());
    }
    let _ = ended.code(5);
    assert!(flash::whole(device.state()) == before, "the flash has changed");
    None
}
