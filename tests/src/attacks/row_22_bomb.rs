//! Row 22: a bundle that says it is more than it holds.

use firmware_protocol::manifest::{Encoding, Manifest, decode_manifest};
use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::trust::{BodyType, Envelope};
use noflake::bundle::Bundle;
use noflake::trust::seal;

use super::{Outcome, Row, Switch};
use crate::flash;
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{RELEASE_KEY, Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 22,
    name: "decompression bomb",
    attack: "a rightly signed manifest of 1 KiB that claims to unpack to up to 2^60 bytes, or to one byte more or less than it holds",
    defence: "a device admits only encodings that it knows, and what it is to hold is bounded by its place before the first erase",
    switch: Switch::Defence(Defence::Encodings),
    run,
};

/// What a manifest is changed to claim, and what has to be said to that.
type Bomb = (&'static str, fn(&mut Manifest<'_>), fn(Refusal) -> bool);

const BOMBS: [Bomb; 6] = [
    ("packed, to 256 KiB", |it| packed(it, 256 << 10), |it| matches!(it, Refusal::Encoding { .. })),
    ("packed, to 2^60 bytes", |it| packed(it, 1 << 60), |it| matches!(it, Refusal::Malformed)),
    ("packed, to 16 MiB", |it| packed(it, 16 << 20), |it| matches!(it, Refusal::TooLarge { .. })),
    ("raw, one byte more than it holds", |it| raw(it, 1, 0), |it| it == Refusal::Malformed),
    ("raw, one byte less than it holds", |it| raw(it, 0, 1), |it| it == Refusal::Malformed),
    ("raw, of 2^60 bytes", |it| raw(it, 1 << 60, 1 << 60), |it| it == Refusal::Malformed),
];

/// A payload of 1 KiB in an encoding that is not raw.
fn packed(manifest: &mut Manifest<'_>, length: u64) {
    for variant in &mut manifest.components[0].variants {
        (variant.length, variant.block_size) = (length, 1 << 13);
        variant.payload.encoding = Encoding::Unknown;
        variant.payload.stored_length = 1 << 10;
    }
}

fn raw(manifest: &mut Manifest<'_>, longer: u64, stored_longer: u64) {
    for variant in &mut manifest.components[0].variants {
        variant.length += longer;
        variant.payload.stored_length += stored_longer;
    }
}

/// What the spare slot holds, in a word.
fn fallback(site: &Site, device: &Simulator) -> String {
    let status = site.status(&device.address());
    assert_eq!(status["active"], "slot B", "{status}");
    status["slot_a"]["state"].as_str().unwrap().to_owned()
}

fn run() -> Outcome {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let fine = site.bundle(&Release::new("1.1.0"));
    let _ = site.deploy(&fine, &device.address()).code(0);
    let before = (flash::whole(device.state()), fallback(&site, &device));

    let envelope = Bundle::open(fine.as_ref()).unwrap().envelope().to_vec();
    let body = Envelope::parse(&envelope, BodyType::Manifest).unwrap().body().to_vec();
    let mut client = Raw::tcp(&device.socket());
    client.open_session();
    let mut taken = None;
    for (what, change, is_due) in BOMBS {
        let mut manifest = decode_manifest(&body).unwrap();
        change(&mut manifest);
        let claims = postcard::to_stdvec(&manifest).unwrap();
        let bomb = seal(BodyType::Manifest, &claims, &[&RELEASE_KEY]).unwrap();
        match client.stage(&bomb) {
            Ok(()) => taken = taken.or(Some(what)),
            Err(refusal) => assert!(is_due(refusal), "{what}: {refusal}"),
        }
    }
    drop(client);
    let after = (flash::whole(device.state()), fallback(&site, &device));
    match taken {
        Some(what) => Outcome::Succeeded(format!(
            "a bundle {what}, was begun: the version to fall back to is gone (its slot is {}, and was {})",
            after.1, before.1
        )),
        None if after != before => Outcome::Succeeded("flash was touched".to_owned()),
        None => Outcome::Refused(format!(
            "{} bombs refused, no flash operation; there is no decoder that could be fed",
            BOMBS.len()
        )),
    }
}
