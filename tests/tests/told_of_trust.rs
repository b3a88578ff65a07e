//! What people are told of whom a device believes: whether a deploy would be let in, before anybody tries, and before a
//! device gets a root record that nobody can take back.

use std::fs;

use integration::cli::Ended;
use integration::field::FieldOffice;
use integration::flash;
use integration::simulator::{SimOptions, Simulator};
use integration::site::Site;

/// `status --trust` of the technician, under a root record.
fn told(works: &FieldOffice, address: &str, root: &str) -> Ended {
    let trust = ["device", "status", "--trust", "-d", address, "--root", root, "--as", "t.key"];
    works.office.say(&trust).code(0)
}

/// Its last point says what a deploy would say, and the points before it say why.
#[test]
fn status_says_whether_a_deploy_would_be_let_in_and_what_is_missing() {
    let works = FieldOffice::new();
    let _ = works.delegate("t", &["--serial", "SIM-*"]).code(0);
    let device = works.enrolled(&SimOptions::tcp().factory());
    let address = device.address();
    let _ = told(&works, &address, "field.nfr")
        .says("this host   good     it may stage, trial, confirm; by its delegation until 20")
        .says("for rover-nav, serial numbers SIM-*")
        .says("deploy      good     it would be let in");

    let known = works.office.site.path("known-devices.toml");
    let kept = fs::read(&known).unwrap();
    fs::remove_file(&known).unwrap();
    let _ = told(&works, &address, "field.nfr")
        .says("this host   REFUSED  it may only look: its delegation is shown to devices that it knows only")
        .says("deploy      REFUSED  it would be refused: the device is not known here")
        .says("noflake device pin --identity KEY");
    fs::write(&known, kept).unwrap();

    let _ = works.delegate("t", &["--force", "--action", "stage"]).code(0);
    let _ = told(&works, &address, "field.nfr")
        .says("this host   REFUSED  it may stage; a deploy takes trial, confirm as well")
        .says("deploy      REFUSED  it would be refused: this host may not trial, confirm");

    // What was done already is not asked for.
    let _ = works.delegate("t", &["--force", "--serial", "OTHER-*"]).code(0);
    let _ = told(&works, &address, "field.nfr")
        .says("deploy      REFUSED  it would be refused: the delegation is not for this device's serial number")
        .says("makes one for this device: noflake key delegate")
        .says_not("HOST.nfd beside");
    fs::remove_file(works.office.site.path("t.nfd")).unwrap();
    let _ = told(&works, &address, "field.nfr").says("put the delegation HOST.nfd beside the key");

    // A newer record of the device does not keep a deploy out.
    let _ = works.delegate("t", &[]).code(0);
    works.root("field-2", "r", Some("field.nfr"));
    let enroll = ["device", "enroll", "-d", &address, "--root", "field-2.nfr", "--as", "t.key"];
    let _ = works.office.say(&enroll).code(0).says("by which it is known here");
    let _ = told(&works, &address, "field.nfr")
        .says("root record unknown  the device goes by number 2")
        .says("get the newest root record")
        .says("deploy      unknown  it would be let in; the device judges the bundle by its own");
}

/// Its key would have been seen by nobody, or its host could not go on.
#[test]
fn a_device_is_not_enrolled_where_nobody_here_could_work_on_it() {
    let works = FieldOffice::new();
    let device = Simulator::start(&works.office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let enroll = ["device", "enroll", "-d", &address, "--root", "field.nfr"];
    let with_key = [&enroll[..], &["--as", "t.key"]].concat();
    let new = told(&works, &address, "field.nfr").says_not("device pin");
    let _ =
        new.says("device      unknown").says("deploy      REFUSED").says("noflake device enroll");

    let plain = works.office.noflake(&enroll).code(2).says("on a plain link nobody sees the key");
    plain.says("add --as HOST.key").is_one_clear_error();

    let delegate = ["key", "delegate", "t.pub", "--key", "o.key", "--root", "field.nfr"];
    let _ = works.office.say(&[&delegate[..], &["--product", "pump"]].concat()).code(0);
    let other = works.office.say(&with_key).code(5).says("(product rover-nav) is not enrolled");
    let _ =
        other.says("the delegation is not for this product").says("a host without a delegation");
    let _ =
        told(&works, &address, "field.nfr").says("it could enrol the device, and not work on it");
    assert_eq!(works.office.site.status(&address)["device"]["enrolled"], false);
    assert!(!works.office.site.path("known-devices.toml").exists());

    let _ = works.delegate("t", &["--force"]).code(0);
    let enrolled =
        works.office.say(&with_key).code(0).says("(product rover-nav) took root record 1");
    let _ = enrolled.says("by which it is known here");
    fs::remove_file(works.office.site.path("known-devices.toml")).unwrap();
    let again = works.office.say(&with_key).code(0).says("was enrolled before with");
    let _ = again.says("it is not known here").says("noflake device pin --identity ");
}

/// A device that still holds the record of its owner does not pass for a new one.
#[test]
fn a_device_that_lost_its_boot_record_is_not_told_as_one_that_anybody_may_enrol() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let state = device.state().to_owned();
    device.kill();
    flash::lose_record(&state);
    let device = Simulator::start(&site, &SimOptions::tcp());
    let trust = ["device", "status", "--trust", "-d", &device.address()];
    let _ = site
        .noflake(&trust)
        .code(0)
        .says("factory, in its recovery image: it is new, or has lost its boot record")
        .says("noflake device recover -d DEVICE --root ROOT --bundle BUNDLE")
        .says_not("from whoever reaches it")
        .says_not("noflake device enroll");
}

/// Recovery gives a first root record as well, and asks the same before.
#[test]
fn recover_gives_no_root_record_where_nobody_here_could_work_on_the_device() {
    let works = FieldOffice::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let options = SimOptions::tcp().factory();
    let device = works.enrolled(&options);
    let state = device.state().to_owned();
    device.kill();
    flash::lose_record(&state);
    let device = Simulator::start(&works.office.site, &options);
    let address = device.address();
    let recover = ["device", "recover", "-d", &address, "--root", "field.nfr", "--bundle", &bundle];
    let plain = works.office.noflake(&recover).code(2);
    let _ = plain.says("on a plain link nobody sees the key");
    let _ = works.delegate("t", &["--serial", "OTHER-*"]).code(0);
    let other = works.office.say(&[&recover[..], &["--as", "t.key"]].concat()).code(5);
    let _ = other.says("is not enrolled").says("not for this device's serial number");
    assert_eq!(works.office.site.status(&address)["device"]["enrolled"], false);
}
