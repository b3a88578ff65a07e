//! Delegations that do not count, or not yet: they stop what needs one, and nothing else, and are told of by their name.

#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;
use std::thread;
use std::time::Duration;

use firmware_protocol::delegation::Delegation;
use integration::cli::{Ended, Running, noflake, wait_for};
use integration::field::FieldOffice;
use integration::flash;
use integration::proxy::{At, Proxy};
use integration::simulator::{SimOptions, Simulator};
use noflake::trust::{
    LockedKey, Passphrase, PublicKeyFile, delegated, read_delegation, read_root, sign_delegation,
};

/// The next root record of an office, which ends every delegation so far.
const EPOCH_1: &str = "[epochs]\noperate = 1\n";
const AFTER: Option<&str> = Some("field.nfr");

/// `noflake device ...` as the technician.
fn device(works: &FieldOffice, address: &str, more: &[&str]) -> Ended {
    works.office.say(&[&["device"], more, &["-d", address, "--as", "t.key"]].concat())
}

fn enroll(works: &FieldOffice, address: &str, record: &str) -> Ended {
    device(works, address, &["enroll", "--root", record])
}

/// TRUST.md, "Life cycle": a device takes its next root record from whoever brings it, and the same one again changes
/// nothing. The host that brings it may lose what it was allowed by it.
#[test]
fn a_root_record_that_ends_the_hosts_own_delegation_is_taken_and_found_again() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &[]).code(0);
    works.root_saying("field-2", "r", ("o", EPOCH_1), AFTER);
    let unit = works.enrolled(&SimOptions::tcp().factory());
    let address = unit.address();
    let cable = Proxy::start(&unit.socket(), At::Nothing);
    let first = enroll(&works, &cable.address(), "field-2.nfr").code(0);
    let _ = first.says("takes the place of root record 1").says_not("goes on without it");
    let again = enroll(&works, &address, "field-2.nfr").code(0);
    let refused = "the device refused the delegation: signed in epoch 0";
    let _ = again
        .says("was enrolled before with root record 2")
        .says(refused)
        .says("later count; goes on without it");
    for looks in [&["status", "--explain"][..], &["identify"], &["pin"]] {
        let looked = device(&works, &address, looks).says_not("epoch");
        assert_eq!(looked.code, Some(if looks == ["pin"] { 5 } else { 0 }));
    }
    let _ = device(&works, &address, &["log", "--for", "1s"]).code(0).says(refused);
    // What takes a delegation says what is wrong with it, and names a command that says more.
    let more = "noflake device status --trust says more";
    let _ = device(&works, &address, &["confirm"]).code(5).says(refused).says(more);
    let told = device(&works, &address, &["status", "--trust"]).code(0);
    let _ = told.says("REFUSED  it may only look: the device refused the delegation: signed in");

    // Cut anywhere on the way, the same command again comes to the same end.
    let whole = cable.to_device();
    for at in [whole / 2, whole - 300, whole - 60] {
        let unit = works.enrolled(&SimOptions::tcp().state(&format!("cut-{at}")).factory());
        let cable = Proxy::start(&unit.socket(), At::Cut(at));
        let _ = enroll(&works, &cable.address(), "field-2.nfr");
        let _ = enroll(&works, &unit.address(), "field-2.nfr").code(0).says(" root record 2 ");
        let _ = enroll(&works, &unit.address(), "field-2.nfr").code(0).says("enrolled before");
    }
}

/// By the calendar, or for another host: the host does not show it, and goes on where none is needed.
#[test]
fn a_delegation_that_cannot_be_shown_keeps_nobody_from_looking_or_bringing_a_root_record() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    works.root("field-2", "r2", AFTER);
    let unit = works.enrolled(&SimOptions::tcp().factory());
    let address = unit.address();
    let _ = works.delegate("t", &["--for", "0s"]).code(0);
    thread::sleep(Duration::from_millis(2_100));
    let looked = device(&works, &address, &["status"]).code(0);
    let _ = looked.says("enrolled under root record 1").says_not("delegation");
    let _ = device(&works, &address, &["identify"]).code(0).says_not("delegation");
    let _ = device(&works, &address, &["record", "-o", "unit.record"]).code(0);
    let heard = device(&works, &address, &["log", "--for", "1s"]).code(0);
    let _ = heard.says("delegation t.nfd ended ").says("; goes on without it");
    let brought = enroll(&works, &address, "field-2.nfr").code(0);
    let _ = brought.says("; goes on without it").says("takes the place of root record 1");
    for (broken, word) in [("u", "was made for another host's key"), ("", "is not a delegation")] {
        if broken.is_empty() {
            fs::write(works.office.site.path("t.nfd"), "no delegation").unwrap();
        } else {
            let _ = works.delegate(broken, &["--force", "-o", "t.nfd"]).code(0);
        }
        let _ = device(&works, &address, &["status"]).code(0).says_not(word);
        let _ = enroll(&works, &address, "field-2.nfr").code(0).says(word);
        let _ = works.deploy(&bundle, &address, "field.nfr", "t").code(2).says(word);
    }
}

/// The same words of a device mean the bundle behind a handshake, and the delegation in it.
#[test]
fn what_is_wrong_with_a_delegation_is_not_told_of_the_bundle() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.office.say(&["key", "generate", "--role", "operate", "o2"]).code(0);
    let unit = works.enrolled(&SimOptions::tcp().factory());
    let address = unit.address();
    let refused = |word: &str| {
        let ended = works.deploy(&bundle, &address, "field.nfr", "t").code(5);
        let ended = ended.says(&format!(": refused: the device refused the delegation: {word}"));
        let _ = ended
            .says("have whoever holds the operate key make a new one")
            .says(&format!("noflake device status -d {address} --trust says more"))
            .says_not("noflake bundle");
    };
    let _ = works.delegate("t", &[]).code(0);
    let path = works.office.site.path("t.nfd");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    refused("0 of 1 needed signatures are by trusted keys and correct");
    let _ = works.delegate("t", &["--force"]).code(0);
    works.root_saying("field-2", "r", ("o", EPOCH_1), AFTER);
    let _ = enroll(&works, &address, "field-2.nfr").code(0);
    refused("signed in epoch 0, the device's root record lets 1 and later count");
    works.root_saying("field-3", "r", ("o2", ""), Some("field-2.nfr"));
    let _ = enroll(&works, &address, "field-3.nfr").code(0);
    refused("0 of 1 needed signatures are by trusted keys and correct");
}

/// A device that has lost its root record believes no delegation, good as it may be; that is not what is to be mended.
#[test]
fn a_field_device_without_its_root_record_is_not_told_to_want_a_delegation() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let options = SimOptions::tcp().factory();
    works.enrolled(&options).stop();
    flash::lose_root(&works.office.site.path(&options.state));
    let unit = Simulator::start(&works.office.site, &options);
    let address = unit.address();
    let refused = works.deploy(&bundle, &address, "field.nfr", "t").code(5);
    let recover = format!(
        "noflake device recover -d {address} --root field.nfr --bundle {bundle} --as t.key"
    );
    let _ = refused
        .says("flash has lost the root record that the device is enrolled under")
        .says(&recover)
        .says_not("with a delegation only");
    let against = ["status", "--against", &bundle, "--root", "field.nfr"];
    let against = device(&works, &address, &against).says_not("with a delegation only");
    let _ = against.code(5).says("flash has lost root record 1").says("noflake device enroll");
    let recover: Vec<&str> = recover.split(' ').skip(1).collect();
    let _ = works.office.say(&recover).code(0).says("it had lost, and took again, root record 1");
    assert_eq!(works.office.site.running_version(&address), "2.0.0");
}

/// A device learns the time from a delegation, so what only looks shows it none.
#[test]
fn looking_moves_no_time_of_the_device() {
    let works = FieldOffice::new();
    let unit = works.enrolled(&SimOptions::tcp().factory());
    let address = unit.address();
    let time = |more: &[&str]| {
        let mut command = noflake();
        command.args(["--format", "json", "device", "status", "-d", &address]).args(more);
        let status = Running::spawn(works.office.site.folder(), command, "secret\n").wait();
        status.code(0).json()["device"]["root"]["time_floor_s"].as_u64().unwrap()
    };
    let before_s = time(&[]);
    thread::sleep(Duration::from_millis(1_100));
    let _ = works.delegate("t", &[]).code(0);
    for looks in [&["status"][..], &["status", "--explain"], &["identify"], &["pin"]] {
        let _ = device(&works, &address, looks);
    }
    let _ = device(&works, &address, &["record", "-o", "unit.record"]).code(0);
    assert_eq!(time(&["--as", "t.key", "--passphrase-fd", "0"]), before_s);
    // Whoever asks what the delegation lets them do shows it.
    let after_s = time(&["--trust", "--as", "t.key", "--passphrase-fd", "0"]);
    assert!(after_s > before_s, "{after_s} behind {before_s}");
    // But to no device that is not known.
    fs::remove_file(works.office.site.path("known-devices.toml")).unwrap();
    let told = device(&works, &address, &["status", "--trust"]).code(0);
    let _ = told.says("it may only look: its delegation is shown to devices that it knows only");
}

/// An office machine whose clock was fast: what it has signed is shown to no device, which would keep that time.
#[test]
fn a_delegation_from_the_future_is_shown_to_no_device() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let unit = works.enrolled(&SimOptions::tcp().factory());
    let address = unit.address();
    make_later(&works, 300);
    works
        .deploy(&bundle, &address, "field.nfr", "t")
        .code(2)
        .says("delegation t.nfd was made 9months ")
        .says("from now, by this machine's clock")
        .says("next: set this machine's clock")
        .is_one_clear_error();
    let _ = enroll(&works, &address, "field.nfr").code(0).says("clock; goes on without it");
    let told = device(&works, &address, &["status", "--trust"]).code(0);
    let _ = told.says("it may only look: delegation t.nfd was made");
}

/// Moves the technician's delegation by `days`, signed by the office.
fn make_later(works: &FieldOffice, days: u64) {
    let path = |name: &str| works.office.site.path(name);
    let bytes = read_delegation(&path("t.nfd")).unwrap();
    let claims = delegated(&bytes).unwrap();
    let later_s = days * 86_400;
    let moved = Delegation {
        host: PublicKeyFile::open(&path("t.pub")).unwrap().public_key,
        made_at_s: claims.made_at_s + later_s,
        not_after_s: claims.not_after_s + later_s,
        ..claims
    };
    let passphrase = Passphrase::new("secret".to_owned().into()).unwrap();
    let key = LockedKey::read(&path("o.key")).unwrap().unlock(&passphrase).unwrap();
    let root = read_root(&path("field.nfr")).unwrap();
    let signed = sign_delegation(&moved, &[&key], root.record().claims()).unwrap();
    fs::write(path("t.nfd"), signed).unwrap();
}

/// Two sealed links are all that a device has, and none of hosts that may do something gives way to one that may do nothing.
#[test]
fn a_device_without_a_place_for_a_host_that_only_looks_is_shown_the_delegation_after_all() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &[]).code(0);
    let unit = works.enrolled(&SimOptions { serial: true, ..SimOptions::tcp().factory() });
    let listen = |address: &str| {
        let mut command = noflake();
        command.args(["device", "log", "--for", "20s", "-d", address, "--as", "t.key"]);
        command.args(["--take-over", "--passphrase-fd", "0"]);
        let listens = Running::spawn(works.office.site.folder(), command, "secret\n");
        wait_for("a host that listens", || listens.stderr().contains("listening").then_some(()));
        listens
    };
    let hosts = [listen(&unit.address()), listen(&unit.tcp_address())];
    let looked = device(&works, &unit.tcp_address(), &["identify"]).code(0);
    let _ = looked.says("no place for a host that shows no delegation, so it is shown");
    hosts.into_iter().for_each(Running::kill);
}
