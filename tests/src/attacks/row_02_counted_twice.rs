//! Row 2: signatures that are none, or that count more than once.

use firmware_protocol::planted::Defence;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::root::{PublicKey, RootRecord};
use firmware_protocol::trust::{BodyType, DOMAIN, Envelope, key_hint};
use noflake::bundle::Bundle;
use noflake::trust::Signer as _;

use super::{Outcome, Row, Switch};
use crate::flash;
use crate::intruder::Intruder;
use crate::simulator::{SimOptions, Simulator};
use crate::site::{RELEASE_KEY, ROOT_KEY, Release, STRANGER_KEY, Site, TestKey};
use crate::trust::{first_record, role, signed_root};

/// The row.
pub const ROW: Row = Row {
    number: 2,
    name: "signatures that are none",
    attack: "one stolen release key of two: no signature, empty and zero ones, the same key or signature again, strange and \
             weak keys",
    defence: "every signature is checked strictly, under the key that it names, and each key counts once",
    switch: Switch::Defence(Defence::UniqueKeys),
    run,
};

/// The release key that is not stolen.
const OTHER_KEY: TestKey = TestKey(6);
/// A point of small order: whoever checks laxly takes zeros behind it for a signature of anything.
const WEAK_KEY: PublicKey = {
    let mut key = [0; 32];
    key[0] = 1;
    key
};

type Signature = ([u8; 8], [u8; 64]);

fn run() -> Outcome {
    let mut release = role(&[RELEASE_KEY, OTHER_KEY], 2);
    // No tool makes a record with a weak key in it; a device that got one all the same must not fall for it.
    release.keys.push(WEAK_KEY).unwrap();
    let record = RootRecord { release, ..first_record() };
    let site = Site::under(&signed_root(&record, &[ROOT_KEY]));
    let device = Simulator::start(&site, &SimOptions::tcp());
    let before = flash::whole(device.state());

    let own = Release { keys: vec![RELEASE_KEY; 2], ..Release::new("6.6.6") };
    let own = site.bundle(&own);
    let lists = lists(Bundle::open(own.as_ref()).unwrap().envelope());
    let mut raw = Intruder::at(&device).enter().unwrap();
    let answers: Vec<_> = lists.iter().map(|(what, it)| (*what, raw.stage(it))).collect();
    let admitted: Vec<&str> =
        answers.iter().filter(|(_, answer)| answer.is_ok()).map(|(what, _)| *what).collect();
    let was_touched = flash::whole(device.state()) != before;
    // What is signed by both keys, in the very session that was refused everything else.
    let both = Release { keys: vec![RELEASE_KEY, OTHER_KEY], ..Release::new("2.0.0") };
    let both = site.bundle(&both);
    let by_both = raw.stage(Bundle::open(both.as_ref()).unwrap().envelope());
    drop(raw);

    let ended = site.noflake(&["deploy", &own, "-d", &device.address(), "--take-over"]);
    let runs = site.running_version(&device.address());
    if runs == "6.6.6" {
        return Outcome::Succeeded(format!(
            "6.6.6 runs, admitted by {}",
            admitted.join(" and by ")
        ));
    }
    if !admitted.is_empty() || was_touched {
        return Outcome::Succeeded(format!("flash was touched, admitted by {admitted:?}"));
    }
    for (what, answer) in &answers {
        let is_due = matches!(
            answer,
            Err(Refusal::Malformed | Refusal::UntrustedSignature { valid: 0 | 1, needed: 2 })
        );
        assert!(is_due, "{what}: {answer:?}");
    }
    assert_eq!(by_both, Ok(()), "signed by both keys");
    let _ = ended.code(2).says("1 of 2 needed signatures");
    let deploy = ["deploy", &both, "-d", &device.address(), "--take-over"];
    let _ = site.noflake(&deploy).code(0);
    Outcome::Refused(format!(
        "{} lists refused with no flash operation, the bundle signed twice by one key, too (exit 2); one signed by both \
         keys staged in the same session, and installed",
        lists.len()
    ))
}

/// The attacker's manifest under every list of signatures that one stolen key can make.
fn lists(own: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let envelope = Envelope::parse(own, BodyType::Manifest).unwrap();
    let by = |key: TestKey| (key_hint(&key.public_key()), key.sign(envelope.signed()).unwrap());
    let stolen = by(RELEASE_KEY);
    let other = key_hint(&OTHER_KEY.public_key());
    let mut nothing = [0; 64];
    let zeros = (other, nothing);
    nothing[..32].copy_from_slice(&WEAK_KEY);
    let weak = (key_hint(&WEAK_KEY), nothing);
    let mut lists = vec![
        ("no signature", listed(envelope.body(), &[])),
        ("zeros under both keys", listed(envelope.body(), &[(stolen.0, [0; 64]), zeros])),
        ("zeros beside the stolen key", listed(envelope.body(), &[stolen, zeros])),
        ("the stolen key alone", listed(envelope.body(), &[stolen])),
        ("the stolen key twice", listed(envelope.body(), &[stolen; 2])),
        ("the stolen key eight times", listed(envelope.body(), &[stolen; 8])),
        ("one signature under two keys", listed(envelope.body(), &[stolen, (other, stolen.1)])),
        ("a key that nobody knows", listed(envelope.body(), &[stolen, by(STRANGER_KEY)])),
        ("a weak key of the record", listed(envelope.body(), &[stolen, weak])),
    ];
    let mut empty = listed(envelope.body(), &[]);
    *empty.last_mut().unwrap() = 2;
    lists.push(("two signatures of no bytes", empty));
    lists
}

fn listed(body: &[u8], signatures: &[Signature]) -> Vec<u8> {
    let mut envelope = DOMAIN.to_vec();
    envelope.push(BodyType::Manifest as u8);
    envelope.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    envelope.extend(body);
    envelope.push(u8::try_from(signatures.len()).unwrap());
    for (hint, signature) in signatures {
        envelope.extend([&hint[..], &signature[..]].concat());
    }
    envelope
}
