//! Devices of the field: sealed links, delegations, known devices. By files, sockets and ports alone, as people use them.

use std::collections::HashSet;
use std::fs;

use integration::cli::Running;
use integration::field::FieldOffice;
use integration::office::Office;
use integration::proxy::{At, Proxy};
use integration::simulator::{SimOptions, Simulator};
use integration::site::Release;

#[test]
fn a_technician_with_a_delegation_deploys_in_the_field_and_nobody_else() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ =
        works.delegate("t", &["--for", "1d"]).code(0).says("Delegated stage, trial, confirm to t");
    for options in [SimOptions::tcp().state("tcp"), SimOptions::pty().state("serial")] {
        let device = works.enrolled(&options.factory());
        let address = device.address();
        // Without a key, and with a key but no delegation.
        let plain = works.deploy(&bundle, &address, "field.nfr", "").code(5);
        let _ = plain
            .says("takes changes from a host with a delegation only")
            .says("add --as HOST.key");
        let _ = works
            .deploy(&bundle, &address, "field.nfr", "u")
            .code(5)
            .says("takes changes from a host with a delegation only");
        let _ = works.office.noflake(&["device", "status", "-d", &address]).code(0).says("field");
        let _ =
            works.deploy(&bundle, &address, "field.nfr", "t").code(0).says("version 2.0.0 runs");
        let _ = works.office.noflake(&["device", "rollback", "-d", &address]).code(5);
    }
}

/// What a delegation does not name is refused before anything is sent, by its name.
#[test]
fn a_delegation_has_an_end_a_host_and_devices() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let device = works.enrolled(&SimOptions::tcp().factory());
    let address = device.address();
    let deploy = || works.deploy(&bundle, &address, "field.nfr", "t");
    let _ = works.delegate("t", &["--action", "stage", "--action", "trial"]).code(0);
    let _ = deploy().code(5).says("delegation does not allow it to confirm");
    let _ = works.delegate("t", &["--force", "--serial", "OTHER-*"]).code(0);
    let _ = deploy().code(5).says("not for this device's serial number");
    // What is refused is told of with everything else, not instead of it.
    let trust = ["device", "status", "--trust", "-d", &address, "--as", "t.key"];
    let told = works.office.say(&trust).code(0).says("life cycle  good");
    let _ = told.says(
        "this host   REFUSED  it may only look: the device refused the delegation: the delegation is not for this \
         device's serial number",
    );
    let _ = works.delegate("u", &["--force", "-o", "t.nfd"]).code(0);
    deploy().code(2).says("was made for another host's key").is_one_clear_error();
    let _ = works.delegate("t", &["--force", "--for", "0s"]).code(0);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    deploy().code(2).says("ended").says("noflake key delegate").is_one_clear_error();
    let _ = works.office.say(&trust).code(0).says("this host   REFUSED  it may only look:");
    fs::remove_file(works.office.site.path("t.nfd")).unwrap();
    let _ = deploy().code(5).says("t.nfd is not there: the key is shown alone");
    let _ = works.delegate("t", &[]).code(0);
    let _ = works.delegate("t", &[]).code(2).says("t.nfd exists already");
    let other_key = ["key", "delegate", "t.pub", "--key", "r.key", "--product", "x", "--force"];
    let other_key = works.office.say(&[&other_key[..], &["--root", "field.nfr"]].concat());
    let _ = other_key.code(2).says("is no operate key of the root record");
    let _ = works.delegate("t", &["--force"]).code(0);
    let _ = deploy().code(0);
}

/// A device is known by its key: another one under its serial number is an impostor, and one that nobody has named a
/// stranger.
#[test]
fn a_host_speaks_with_devices_that_it_knows() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().state("real").factory());
    let address = device.address();
    let known = works.office.site.path("known-devices.toml");
    let text = fs::read_to_string(&known).unwrap();
    let serial_line = text.lines().find(|line| line.contains(" = ")).unwrap().to_owned();
    let (serial, key) = serial_line.split_once(" = ").unwrap();

    let other = format!("[devices]\n{serial} = \"{}\"\n", "17".repeat(32));
    fs::write(&known, other).unwrap();
    let trust = ["device", "status", "--trust", "-d", &address, "--root", "field.nfr"];
    let told = works.office.say(&[&trust[..], &["--as", "t.key"]].concat()).code(0);
    let _ = told.says("device      REFUSED  it has proven key").says("and is known by 1717");
    let impostor = works.deploy(&bundle, &address, "field.nfr", "t").code(5);
    let _ = impostor
        .says(": refused: this is not the device ")
        .says("and is known by 1717")
        .says("do not go on")
        .says_not("the device refused");

    fs::remove_file(&known).unwrap();
    // Who gives an enrolled device its record once more is anywhere: the key that it proves there is not kept.
    let enroll = ["device", "enroll", "-d", &address, "--root", "field.nfr", "--as", "t.key"];
    let _ = works.office.say(&enroll).code(0).says("was enrolled before with root record 1");
    assert!(!known.exists(), "a device is pinned at its first enrolment only");
    let stranger = works.deploy(&bundle, &address, "field.nfr", "t").code(5);
    let _ = stranger
        .says(&format!(": refused: device {serial} is not known here; it proves key"))
        .says_not("the device refused")
        .says("noflake device pin");
    let pin = ["device", "pin", "-d", &address, "--as", "t.key"];
    let _ = works.office.say(&pin).code(5).says("is not known here");
    let wrong = "18".repeat(32);
    let _ = works
        .office
        .say(&[&pin[..], &["--identity", &wrong]].concat())
        .code(5)
        .says("this is not the device")
        .says("find out which device answers there");
    assert!(!known.exists());
    let key = key.trim_matches('"');
    let pinned = works.office.say(&[&pin[..], &["--identity", key]].concat()).code(0);
    let _ = pinned.says("is known from now on by key");
    let told = works.office.say(&[&trust[..], &["--as", "t.key"]].concat()).code(0);
    let _ = told
        .says("life cycle  good     field: it takes changes on sealed links")
        .says("and so does this host")
        .says("by which it is known")
        .says("this host   good     it may stage, trial, confirm");
    let told = works.office.noflake(&trust).code(0);
    let _ = told
        .says("it has proven nothing: the link is plain")
        .says("this host   REFUSED  it may look, and bring the next root record")
        .says("noflake key delegate");
    let _ = works.deploy(&bundle, &address, "field.nfr", "t").code(0);
}

/// The file that says whom a host knows is read, changed and replaced: no command loses what another one kept.
#[test]
fn devices_that_are_enrolled_side_by_side_are_all_known_afterwards() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &[]).code(0);
    let device = Simulator::start(
        &works.office.site,
        &SimOptions { count: 12, ..SimOptions::tcp().factory() },
    );
    let enroll = |index| {
        let address = device.address_of(index);
        let enroll = ["device", "enroll", "-d", &address, "--root", "field.nfr", "--as", "t.key"];
        works.office.start(&enroll)
    };
    let enrolling: Vec<Running> = (0..12).map(enroll).collect();
    for one in enrolling {
        let _ = one.wait().code(0).says("took root record 1");
    }
    let known = fs::read_to_string(works.office.site.path("known-devices.toml")).unwrap();
    assert_eq!(known.lines().filter(|line| line.contains(" = ")).count(), 12, "{known}");
}

/// The key is the board's own: it is not made anew when the device is started again.
#[test]
fn a_device_keeps_its_key_when_it_is_started_again() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let _ = device.stop();
    // What another board, and another day, would draw.
    let options = SimOptions { seed: 77, ..SimOptions::tcp().factory() };
    let again = Simulator::start(&works.office.site, &options);
    let _ = works.deploy(&bundle, &again.address(), "field.nfr", "t").code(0);
}

/// The root is rotated: the old release key is refused, and what is installed runs on.
#[test]
fn a_rotated_root_refuses_the_old_release_key_and_stops_nothing() {
    let works = FieldOffice::new();
    let (two, three) = (works.office.bundle("2.0.0", "r"), works.office.bundle("3.0.0", "r"));
    let four = works.office.bundle("4.0.0", "r2");
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let address = device.address();
    let _ = works.deploy(&two, &address, "field.nfr", "t").code(0);
    works.root("field-2", "r2", Some("field.nfr"));
    let enroll = ["device", "enroll", "-d", &address, "--root", "field-2.nfr", "--as", "t.key"];
    let _ = works.office.say(&enroll).code(0).says("takes the place of root record 1");
    let _ = works.deploy(&three, &address, "field.nfr", "t").code(5).says("trusted keys");
    assert_eq!(works.office.site.running_version(&address), "2.0.0");
    let _ = works.deploy(&four, &address, "field-2.nfr", "t").code(0);
}

/// Who listens to a deploy learns nothing of what is deployed: no eight bytes in a row of image, manifest or plan.
#[test]
fn a_capture_of_a_deploy_holds_nothing_of_the_bundle() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let _ = works.delegate("t", &[]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let _ = works.deploy(&bundle, &cable.address(), "field.nfr", "t").code(0);
    let seen = cable.heard();
    let secret = fs::read(works.office.site.path(&bundle)).unwrap();
    assert!(seen.len() > secret.len(), "everything has passed: {} bytes", seen.len());
    let runs: HashSet<&[u8]> = secret.windows(8).filter(|run| !is_dull(run)).collect();
    let found = seen.windows(8).find(|run| runs.contains(run));
    assert_eq!(found, None);

    // The same test finds what a plain link shows.
    let office = Office::new(&[]);
    let device = Simulator::start(&office.site, &SimOptions::tcp());
    let cable = Proxy::start(&device.socket(), At::Nothing);
    let plain = office.site.bundle(&Release::new("2.0.0"));
    let _ = office.site.deploy(&plain, &cable.address()).code(0);
    let secret = fs::read(plain).unwrap();
    let runs: HashSet<&[u8]> = secret.windows(8).filter(|run| !is_dull(run)).collect();
    assert!(cable.heard().windows(8).any(|run| runs.contains(run)));
}

/// One byte over and over is no secret of anybody's.
fn is_dull(run: &[u8]) -> bool {
    run.iter().all(|byte| Some(byte) == run.first())
}
