//! Row 26: everything that lies in one device, in the hands of somebody who wants into another one.

use std::fs;
use std::path::Path;

use firmware_protocol::delegation::{Actions, MAX_DELEGATION_BYTES};
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
    let technician = host.unlock_host(&passphrase).unwrap();
    let host = *technician.bytes();
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
    if let Some(breach) = against_another(&works, &technician, &envelopes) {
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
         another device, and each is there to a host with a delegation what it is signed as and nothing else; a clone made of them is not known to the host (exit 5)",
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

/// Every type of a signed document.
const KINDS: [BodyType; 5] = [
    BodyType::Root,
    BodyType::Manifest,
    BodyType::Certificate,
    BodyType::Delegation,
    BodyType::BenchReset,
];

/// What takes a document of this type for what it is; `None` for one that is shown in a handshake. A new type has to choose,
/// and to take its place in [`KINDS`].
const fn taken_by(kind: BodyType) -> Option<Request<'static>> {
    match kind {
        BodyType::Root => Some(Request::Enroll),
        BodyType::Manifest => Some(Request::Stage { again: true }),
        BodyType::Certificate => Some(Request::Certify),
        BodyType::BenchReset => Some(Request::BenchReset),
        BodyType::Delegation => None,
    }
}

/// The type of a document, and how many bytes of `bytes` it is.
fn front(bytes: &[u8]) -> Option<(BodyType, usize)> {
    let parse = |kind| Some((kind, Envelope::parse_front(bytes, kind).ok()?.1.len()));
    let (kind, behind_bytes) = KINDS.into_iter().find_map(parse)?;
    Some((kind, bytes.len() - behind_bytes))
}

/// Every signed document that lies somewhere in a dump.
fn envelopes(dump: &[u8]) -> Vec<Vec<u8>> {
    let begins = dump.windows(DOMAIN.len()).enumerate().filter(|(_, window)| *window == DOMAIN);
    let found = begins.filter_map(|(at, _)| {
        let rest = &dump[at..];
        front(rest).map(|(_, length)| rest[..length].to_vec())
    });
    found.collect()
}

/// Shows each of them to another device of the office: as a delegation, then on a plain link, then as a host whose delegation
/// counts there, which gets from a document what it is signed as and nothing else.
fn against_another(
    works: &FieldOffice,
    technician: &LinkSecret,
    envelopes: &[Vec<u8>],
) -> Option<String> {
    let options = SimOptions { seed: 8, ..SimOptions::tcp().factory() }
        .state("other")
        .scenario("[device]\nserial = \"SIM-0002\"");
    let other = works.enrolled(&options);
    let delegation = fs::read(works.office.site.path("t.nfd")).unwrap();
    let before = flash::whole(other.state());
    let mut shown = 0;
    for (number, envelope) in envelopes.iter().enumerate() {
        // No handshake carries what is longer than a delegation may be.
        if envelope.len() <= MAX_DELEGATION_BYTES {
            shown += 1;
            let mut raw = Raw::tcp(&other.socket());
            match raw.seal(&LinkSecret::new([66; 32]), envelope) {
                Err(Refusal::Malformed) => {}
                Err(refusal) => panic!("document {number} as a delegation: {refusal}"),
                Ok(actions) => {
                    return Some(format!("document {number} is a delegation of {actions:?}"));
                }
            }
        }
        let mut plain = Raw::tcp(&other.socket());
        plain.open_session();
        if let Some(what) = taken(&mut plain, envelope, BodyType::Root, Refusal::NotAuthenticated) {
            return Some(format!("document {number} opens {what} to anybody"));
        }
    }
    // Afterwards, for a host with a delegation keeps the session that it has.
    for (number, envelope) in envelopes.iter().enumerate() {
        let mut delegated = Raw::tcp(&other.socket());
        assert_eq!(delegated.seal(technician, &delegation), Ok(Actions::ALL));
        delegated.open_session();
        let own = front(envelope).unwrap().0;
        if let Some(what) = taken(&mut delegated, envelope, own, Refusal::Malformed) {
            return Some(format!("document {number} passes for what {what} takes"));
        }
        if own == BodyType::Root {
            delegated.offer(envelope).unwrap();
            assert_eq!(delegated.ask(Request::Enroll, |_| ()), Ok(()), "it is the one in force");
        }
        if flash::whole(other.state()) != before {
            return Some(format!("document {number} of the dump has changed another device"));
        }
    }
    assert!(shown > 0, "no document of the dump fits into a handshake");
    // What is released is no secret, and a host with a delegation installs it: its session was one in which things are taken.
    let manifest = envelopes.iter().rfind(|it| Envelope::parse(it, BodyType::Manifest).is_ok());
    let mut delegated = Raw::tcp(&other.socket());
    assert_eq!(delegated.seal(technician, &delegation), Ok(Actions::ALL));
    delegated.open_session();
    assert_eq!(delegated.stage(manifest.unwrap()), Ok(()));
    None
}

/// Offers a document to everything that takes one, but for what takes it as `spared`; the first that did. `due` is the
/// refusal that it has to meet.
fn taken(raw: &mut Raw, envelope: &[u8], spared: BodyType, due: Refusal) -> Option<String> {
    for kind in KINDS.into_iter().filter(|kind| *kind != spared) {
        let Some(request) = taken_by(kind) else { continue };
        raw.offer(envelope).unwrap();
        match raw.ask(request, |_| ()) {
            Ok(()) => return Some(format!("{request:?}")),
            // No device of the field takes one, whoever brings it.
            Err(Refusal::NotOnABench) if kind == BodyType::BenchReset => {}
            Err(refusal) => assert_eq!(refusal, due, "where a {kind:?} is wanted"),
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
