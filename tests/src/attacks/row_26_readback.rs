//! Row 26: everything that lies in one device, in the hands of somebody who wants into another one.

use std::fs;
use std::path::Path;

use firmware_protocol::delegation::Actions;
use firmware_protocol::message::Request;
use firmware_protocol::refusal::Refusal;
use firmware_protocol::sealed::LinkSecret;
use firmware_protocol::trust::{BodyType, DOMAIN, Envelope};
use noflake::trust::{Hex, LockedKey, Passphrase};

use super::{Outcome, Row, Switch};
use crate::field::FieldOffice;
use crate::flash;
use crate::raw::Raw;
use crate::simulator::{SimOptions, Simulator, payload_bytes};
use crate::site::{RELEASE_KEY, ROOT_KEY, Release, Site};

/// The row.
pub const ROW: Row = Row {
    number: 26,
    name: "flash readback of secrets",
    attack: "flash, counters and statistics of one device, read out and used against another one and against its host",
    defence: "a device keeps no secret but its own key, in none of the flash that noflake writes; nothing that lies in it \
              is meant to be secret",
    switch: Switch::Review,
    run,
};

/// Stands for what hardware seals; the other is the lock of whoever serves the folder.
const SEALED: [&str; 2] = ["identity.key", "lock"];

fn run() -> Outcome {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let _ = works.deploy(&bundle, &device.address(), "field.nfr", "t").code(0);
    let state = device.state().to_owned();
    let _ = device.stop();
    let dump = dump_of(&state);

    let passphrase = Passphrase::new("secret".to_owned().into()).unwrap();
    let host = LockedKey::read(&works.office.site.path("t.key")).unwrap();
    let host = *host.unlock_host(&passphrase).unwrap().bytes();
    let own: [u8; 32] = fs::read(state.join(SEALED[0])).unwrap().try_into().unwrap();
    if let Some(found) =
        [("host", host), ("device", own)].into_iter().find(|it| holds(&dump, &it.1))
    {
        return Outcome::Succeeded(format!("the key of the {} lies in the dump", found.0));
    }
    if let Some(found) = desk_signers() {
        return Outcome::Succeeded(format!(
            "the {found} key lies in the dump of a device on the desk"
        ));
    }
    let envelopes = envelopes(&dump);
    assert!(envelopes.len() > 2, "a root record and two manifests: {}", envelopes.len());
    let is_delegation = |it: &&Vec<u8>| Envelope::parse(it, BodyType::Delegation).is_ok();
    if envelopes.iter().any(|it| is_delegation(&it)) {
        return Outcome::Succeeded("a delegation lies in the dump".to_owned());
    }
    if let Some(breach) = against_another(&works, &envelopes) {
        return Outcome::Succeeded(breach);
    }
    let clone = clone_of(&works, &state);
    let refused = works.deploy(&bundle, &clone.address(), "field.nfr", "t");
    if clone.payload_bytes() > payload_bytes(&state) || refused.code == Some(0) {
        return Outcome::Succeeded(
            "the host has sent the bundle to a clone made of the dump".to_owned(),
        );
    }
    let _ = refused.code(5).says("this is not the device");
    Outcome::Refused(format!(
        "{} bytes without a key of host, device or signer; {} signed documents in them, none a delegation, none opens \
         another device; a clone made of them is not known to the host (exit 5)",
        dump.len(),
        envelopes.len()
    ))
}

/// Everything in a state folder but what hardware would seal.
fn dump_of(state: &Path) -> Vec<u8> {
    let files = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    let open = files.filter(|path| !SEALED.iter().any(|name| path.ends_with(name)));
    open.flat_map(|path| fs::read(path).unwrap()).collect()
}

/// As it is, or as digits.
fn holds(dump: &[u8], secret: &[u8; 32]) -> bool {
    let digits = Hex(secret).to_string();
    let has = |needle: &[u8]| dump.windows(needle.len()).any(|window| window == needle);
    has(secret) || has(digits.as_bytes())
}

/// A device on the desk, whose signers' keys are known here: which of them lies in its dump.
fn desk_signers() -> Option<&'static str> {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let _ = site.deploy(&site.bundle(&Release::new("2.0.0")), &device.address()).code(0);
    let state = device.state().to_owned();
    let _ = device.stop();
    let dump = dump_of(&state);
    let signers = [("root", ROOT_KEY), ("release", RELEASE_KEY)];
    signers.into_iter().find(|(_, key)| holds(&dump, &[key.0; 32])).map(|(name, _)| name)
}

/// Every signed document that lies somewhere in a dump.
fn envelopes(dump: &[u8]) -> Vec<Vec<u8>> {
    let kinds = [
        BodyType::Root,
        BodyType::Manifest,
        BodyType::Certificate,
        BodyType::Delegation,
        BodyType::BenchReset,
    ];
    let begins = dump.windows(DOMAIN.len()).enumerate().filter(|(_, window)| *window == DOMAIN);
    let found = begins.filter_map(|(at, _)| {
        let rest = &dump[at..];
        let behind = kinds.iter().find_map(|kind| Envelope::parse_front(rest, *kind).ok())?.1;
        Some(rest[..rest.len() - behind.len()].to_vec())
    });
    found.collect()
}

/// Shows each of them to another device of the office, as a delegation and as whatever else it may be.
fn against_another(works: &FieldOffice, envelopes: &[Vec<u8>]) -> Option<String> {
    let options = SimOptions { seed: 8, ..SimOptions::tcp().factory() }
        .state("other")
        .scenario("[device]\nserial = \"SIM-0002\"");
    let other = works.enrolled(&options);
    let before = flash::whole(other.state());
    for (number, envelope) in envelopes.iter().enumerate() {
        let mut raw = Raw::tcp(&other.socket());
        // What is longer than a delegation may be is shown in the session only.
        let allowed = match envelope.len() {
            ..=900 => raw.seal(&LinkSecret::new([66; 32]), envelope),
            _ => Err(Refusal::Malformed),
        };
        if allowed.is_ok_and(|actions| actions != Actions::NONE) {
            return Some(format!("document {number} of the dump passes for a delegation"));
        }
        drop(raw);
        let mut raw = Raw::tcp(&other.socket());
        raw.open_session();
        raw.offer(envelope).unwrap();
        let asked = [Request::Stage { again: true }, Request::Certify, Request::BenchReset];
        if asked.into_iter().any(|request| raw.ask(request, |_| ()).is_ok()) {
            return Some(format!("document {number} of the dump is taken by another device"));
        }
        raw.offer(envelope).unwrap();
        // The root record in force is found done, and changes nothing.
        let _ = raw.ask(Request::Enroll, |_| ());
        if flash::whole(other.state()) != before {
            return Some(format!("document {number} of the dump has changed another device"));
        }
    }
    None
}

/// A device with everything of the dump, and a key of its own.
fn clone_of(works: &FieldOffice, state: &Path) -> Simulator {
    let to = works.office.site.path("clone");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if !SEALED.iter().any(|name| path.ends_with(name)) {
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    let options = SimOptions { seed: 9, ..SimOptions::tcp().state("clone").factory() };
    Simulator::start(&works.office.site, &options)
}
