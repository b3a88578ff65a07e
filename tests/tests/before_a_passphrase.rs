//! What is wrong without any secret is told before a passphrase is asked for, with a next command that can be typed.

use integration::cli::Ended;
use integration::field::FieldOffice;
use integration::office::Office;

/// Nobody who could give a passphrase.
fn unasked(office: &Office, arguments: &[&str]) -> Ended {
    let ended = office.noflake(&[arguments, &["--passphrase-fd", "0"]].concat());
    ended.says_not("the passphrase is empty")
}

const DELEGATE: [&str; 7] =
    ["key", "delegate", "t.pub", "--root", "field.nfr", "--product", "rover-nav"];

#[test]
fn a_key_that_does_not_count_or_is_there_is_found_out_first() {
    let works = FieldOffice::new();
    let office = &works.office;
    let generate = ["key", "generate", "--role", "host", "t"];
    unasked(office, &generate).code(2).says("t.key exists already").is_one_clear_error();
    let delegate = [&DELEGATE[..], &["--key", "o.key", "--key", "r.key"]].concat();
    unasked(office, &delegate).code(2).says("(r.key) is no operate key").is_one_clear_error();
    let stranger = unasked(office, &["root", "sign", "field.nfr", "--key", "r.key"]);
    stranger.code(2).says("is no root key").says_not("About to sign").is_one_clear_error();
    let again = unasked(office, &["root", "sign", "field.nfr", "--key", "a.key"]);
    let _ = again.code(0).says("Found signed by").says_not("About to sign");
}

/// A delegation that fits no device would be found out in the field.
#[test]
fn a_star_that_means_nothing_is_refused_before_anything_is_signed() {
    let works = FieldOffice::new();
    for (flag, pattern, says) in [
        ("--serial", "*01", "serial number \"*01\" fits no device: a * stands at its end only"),
        ("--serial", "HH-*-*", "serial number \"HH-*-*\" fits no device"),
        ("--product", "rover*", "product \"rover*\" fits no device: products are named whole"),
    ] {
        let delegate = [&DELEGATE[..], &["--key", "o.key", flag, pattern]].concat();
        unasked(&works.office, &delegate).code(2).says(says).is_one_clear_error();
        assert!(!works.office.site.path("t.nfd").exists());
    }
    let _ = works.delegate("t", &["--serial", "HH-*"]).code(0);
}

#[test]
fn the_wrong_half_of_a_key_is_told_with_the_right_one() {
    let office = Office::new(&[("host", "t"), ("bench", "b"), ("release", "r")]);
    let root = "example/trust/root.nfr";
    for (arguments, says, next) in [
        (
            &["key", "delegate", "t.key", "--key", "r.key", "--product", "x", "--root", root][..],
            "t.key is no public half",
            "name t.pub",
        ),
        (
            &["report", "verify", "runs/x", "--key", "b.key"],
            "b.key is no public half",
            "name b.pub",
        ),
        (&["root", "sign", root, "--key", "r.pub"], "r.pub is the public half", "name r.key"),
        (
            &["key", "adopt", "--role", "release", "--public-key", "r.pub", "x", "--", "true"],
            "r.pub",
            "name the 64 hex digits of its line public_key",
        ),
        (
            &["device", "pin", "-d", "sim:"],
            "no host key is named",
            "noflake key generate --role host NAME",
        ),
        (&["root", "show", "t.pub"], "t.pub", "name a root record, a .nfr file"),
    ] {
        let ended = office.noflake(arguments).code(2).says(says).says(&format!("next: {next}"));
        ended.is_one_clear_error();
    }
    // The key is elsewhere: its signer file stands for it.
    office.site.write("r.signer", "schema = \"signer/1\"\nprogram = [\"true\"]\n");
    std::fs::remove_file(office.site.path("r.key")).unwrap();
    let _ = office
        .noflake(&["root", "sign", root, "--key", "r.pub"])
        .code(2)
        .says("next: name r.signer");
}

#[test]
fn a_program_that_was_not_found_is_looked_for_where_it_was_not() {
    let office = Office::new(&[]);
    let key = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
    let adopt = [
        "key",
        "adopt",
        "--role",
        "release",
        "--public-key",
        key,
        "example/hsm",
        "--",
        "./sign.sh",
    ];
    let ended = office.noflake(&adopt).code(2).says("example/./sign.sh").says_not("mend `program`");
    ended
        .says("as it is found from example, where example/hsm.signer is to be")
        .is_one_clear_error();
    let host = [&adopt[..3], &["host"], &adopt[4..]].concat();
    let _ = office
        .noflake(&host)
        .code(2)
        .says("[possible values: root, release, qualify, operate, bench]");
}

#[test]
fn several_runs_make_no_certificate() {
    let office = Office::new(&[]);
    let certify = ["bundle", "certify", "x.nfb", "--run", "runs/a", "runs/b", "--key", "q.key"];
    let ended = office.noflake(&certify).code(2).says("made from one run, and several were named");
    ended.is_one_clear_error();
    let ended = office.noflake(&["bundle", "certify", "--help"]).code(0);
    let _ = ended.says("<BUNDLE>").says_not("[MORE]");
}
