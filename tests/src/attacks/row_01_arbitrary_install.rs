//! Row 1: software that the release keys have not signed.

use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use noflake::bundle::Bundle;

use super::{Outcome, Row, Switch};
use crate::flash;
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{Release, STRANGER_KEY, Site, root_record};

/// The row.
pub const ROW: Row = Row {
    number: 1,
    name: "arbitrary install",
    attack: "a good manifest with any byte flipped, deleted, inserted or swapped; software of the attacker's own",
    defence: "release keys sign every byte of a manifest, and the device verifies them before its first erase",
    switch: Switch::Defence(Defence::ReleaseSignatures),
    run,
};

fn run() -> Outcome {
    let site = Site::new();
    let good = site.bundle(&Release::new("1.1.0"));
    let good = Bundle::open(good.as_ref()).unwrap().envelope().to_vec();
    let variations = variations(&good);
    let admitted = first_admitted(&site, &good, &variations);

    let device = Simulator::start(&site, &SimOptions::tcp());
    let before = flash::whole(device.state());

    // The attacker's host believes the attacker's root record, so it sends whatever it is told to.
    std::fs::write(site.path("own.nfr"), root_record(STRANGER_KEY, STRANGER_KEY)).unwrap();
    let own = site.bundle(&Release::new("6.6.6").signed_by(STRANGER_KEY));
    let deploy = ["deploy", &own, "-d", &device.address(), "--root", "own.nfr", "--take-over"];
    let ended = site.noflake(&deploy);

    let runs = site.running_version(&device.address());
    let has_changed = flash::whole(device.state()) != before;
    let erases = device.stop()["flash"]["erases"].as_u64().unwrap();
    if runs == "6.6.6" {
        let also = admitted.map_or_else(String::new, |what| format!("; {what} was admitted, too"));
        return Outcome::Succeeded(format!("the attacker's own version 6.6.6 runs{also}"));
    }
    if let Some(what) = admitted {
        return Outcome::Succeeded(format!("{what} was admitted"));
    }
    if has_changed || erases > 0 {
        return Outcome::Succeeded(format!("flash was touched: {erases} erases"));
    }
    let _ = ended.code(5).says("needed signatures");
    Outcome::Refused(format!(
        "{} variations refused on a link that stages the manifest itself; a stranger's bundle refused (exit 5); no flash \
         operation, {runs} runs",
        variations.len()
    ))
}

/// Offers each of them to a device; what the first one was that it began to stage. Where there is none, the same session
/// stages what all of them are made from: nothing else than what they are was refused.
fn first_admitted(site: &Site, good: &[u8], variations: &[(String, Vec<u8>)]) -> Option<String> {
    let device = Simulator::start(site, &SimOptions::tcp().state("varied"));
    let before = flash::whole(device.state());
    let mut raw = Raw::tcp(&device.socket());
    raw.open_session();
    let mut refused = Vec::new();
    for (what, envelope) in variations {
        match raw.stage(envelope) {
            Ok(()) => return Some(what.clone()),
            Err(refusal) => refused.push((what, refusal)),
        }
    }
    for (what, refusal) in refused {
        let is_due = matches!(
            refusal,
            Refusal::Malformed | Refusal::UntrustedSignature { valid: 0, needed: 1 }
        );
        assert!(is_due, "{what}: {refusal}");
    }
    if raw.status().erases > 0 || flash::whole(device.state()) != before {
        return Some("a variation that was refused once flash had been touched".to_owned());
    }
    assert_eq!(raw.stage(good), Ok(()), "the manifest as it was signed");
    None
}

/// Every envelope that differs from `good` by one byte flipped, deleted or inserted, or by two neighbours swapped.
fn variations(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut variations = Vec::new();
    for at in 0..good.len() {
        let bit = 1 << (at % 8);
        let (front, rest) = good.split_at(at);
        let flipped = [front, &[rest[0] ^ bit], &rest[1..]].concat();
        variations.push((format!("the manifest with byte {at} flipped"), flipped));
        variations.push((format!("the manifest without byte {at}"), [front, &rest[1..]].concat()));
        variations.push((
            format!("the manifest with a byte more at {at}"),
            [front, &[bit], rest].concat(),
        ));
        if rest.len() > 1 && rest[0] != rest[1] {
            let swapped = [front, &[rest[1], rest[0]], &rest[2..]].concat();
            variations
                .push((format!("the manifest with bytes {at} and {} swapped", at + 1), swapped));
        }
    }
    // Same bytes in another way of writing them are no variation: one byte more may repeat its neighbour.
    variations.retain(|(_, envelope)| envelope != good);
    variations
}
