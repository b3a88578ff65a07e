//! Row 9: rightly signed software of another product, hardware, revision, and a host of another site.

use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use noflake::bundle::Bundle;

use super::{Outcome, Row, Switch};
use crate::field::FieldOffice;
use crate::flash;
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{QUICK_PLAN, Release, Site};

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

/// A release of each kind. Its plan does not ask who the device is: the attacker's host would see that too late.
struct Strange {
    version: String,
    bundle: String,
    envelope: Vec<u8>,
}

fn run() -> Outcome {
    let site = Site::new();
    let releases: Vec<Strange> = (0..KINDS.len()).map(|kind| strange(&site, kind)).collect();
    let (mut tried, mut breaches) = (0, Vec::new());
    for (own, (product, hardware, revision)) in KINDS.iter().enumerate() {
        let scenario = format!(
            "[device]\nproduct = \"{product}\"\nhardware = \"{hardware}\"\nrevision = {revision}"
        );
        let options = SimOptions::tcp().state(&format!("device-{own}")).scenario(&scenario);
        let device = Simulator::start(&site, &options);
        for (_, release) in releases.iter().enumerate().filter(|(kind, _)| *kind != own) {
            tried += 1;
            breaches.extend(install(&site, &device, release));
        }
        // A device that refuses everything would have refused these, too.
        let _ = site.deploy(&releases[own].bundle, &device.address()).code(0);
    }
    let host = strange_host();
    if breaches.is_empty() && host.is_none() {
        return Outcome::Refused(format!(
            "{tried} of {tried} releases of another kind refused before the first erase, each device's own installed; \
             a host of another site refused"
        ));
    }
    let host = host.unwrap_or("a host of another site is refused");
    Outcome::Succeeded(format!(
        "{} of {tried} releases of another kind taken, {}; {host}",
        breaches.len(),
        breaches.first().map_or("", String::as_str)
    ))
}

fn strange(site: &Site, kind: usize) -> Strange {
    let (product, hardware, revision) = KINDS[kind];
    let identity = "[[stage.check]]\nid = \"identity\"\nkind = \"identity\"\n";
    let plan = QUICK_PLAN.replace(identity, "");
    assert_ne!(plan, QUICK_PLAN);
    let version = format!("2.0.{kind}");
    let release = Release {
        product: product.to_owned(),
        hardware: hardware.to_owned(),
        revisions: [revision, revision],
        ..Release::new(&version).plan(&plan)
    };
    let bundle = site.bundle(&release);
    let envelope = Bundle::open(bundle.as_ref()).unwrap().envelope().to_vec();
    Strange { version, bundle, envelope }
}

/// Installs what is not for this device; says how far that got, if it got anywhere.
fn install(site: &Site, device: &Simulator, release: &Strange) -> Option<String> {
    let Strange { version, bundle, envelope } = release;
    let before = flash::whole(device.state());
    // First without the host's own look at it.
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    let asked = raw.stage(envelope);
    drop(raw);
    let ended = site.noflake(&["deploy", bundle, "-d", &device.address(), "--take-over"]);
    let status = site.status(&device.address());
    let product = status["device"]["product"].as_str().unwrap();
    if status["device"]["version"] == *version {
        return Some(format!("{version} runs on a {product}"));
    }
    if asked.is_ok() || flash::whole(device.state()) != before {
        return Some(format!("{version} was staged on a {product}"));
    }
    let refusal = asked.unwrap_err();
    let is_due = matches!(refusal, Refusal::WrongProduct | Refusal::WrongHardware { .. });
    assert!(is_due, "{refusal:?}");
    let _ = ended.code(5);
    None
}

/// A host with a delegation for devices of another site installs the example; says so if that worked.
fn strange_host() -> Option<&'static str> {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let device = works.enrolled(&SimOptions::tcp().factory());
    let _ = works.delegate("t", &["--serial", "ELSEWHERE-*"]).code(0);
    let before = flash::whole(device.state());
    let ended = works.deploy(&bundle, &device.address(), "field.nfr", "t");
    if works.office.site.running_version(&device.address()) == "2.0.0" {
        return Some("a host of another site has installed 2.0.0");
    }
    if flash::whole(device.state()) != before {
        return Some("a host of another site has changed flash");
    }
    let _ = ended.code(5).says("the delegation");
    None
}
