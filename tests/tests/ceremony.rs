//! Root records by their holders, each with a key of their own, by files alone: two of three make the first one, and
//! replace a lost holder and a release key. A device follows, and goes on running what it runs.

use std::fs;
use std::path::Path;

use integration::cli::{Ended, run};
use integration::office::{Office, role};
use integration::simulator::{SimOptions, Simulator};

/// Two spare holders and two release keys.
fn office() -> Office {
    let roots = ["a", "b", "c", "d"].map(|name| ("root", name));
    Office::new(&[&roots[..], &[("release", "r1"), ("release", "r2")]].concat())
}

fn root(office: &Office, arguments: &[&str]) -> Ended {
    office.noflake(&[&["root"], arguments].concat())
}

fn sign(office: &Office, file: &str, key: &str, after: &[&str]) -> Ended {
    let key = format!("{key}.key");
    office.say(&[&["root", "sign", file, "--key", &key], after].concat())
}

/// Two of these have to sign.
fn spec(office: &Office, name: &str, holders: [&str; 3], release: &str) {
    let text = [role("root", &holders, 2), role("release", &[release], 1)].concat();
    office.site.write(name, &text);
}

fn with_root(folder: &Path, arguments: &[&str], root: &str) -> Ended {
    run(folder, "", &[arguments, &["--root", root]].concat())
}

#[test]
fn two_of_three_holders_make_a_root_record_and_replace_a_holder_and_a_release_key() {
    let office = office();
    let folder = office.site.folder();
    let device = Simulator::start(&office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let enroll = ["device", "enroll", "-d", &address];
    let deploy =
        |bundle: &str, root: &str| with_root(folder, &["deploy", bundle, "-d", &address], root);

    spec(&office, "root.toml", ["a", "b", "c"], "r1");
    let drafted = root(&office, &["draft", "root.toml", "-o", "1.nfr"]).code(0);
    let _ = drafted
        .says("signed by   nobody (0 of 2 needed); 2 more of")
        .says("next: noflake root sign 1.nfr");
    // Two holders sign copies side by side; one alone is not enough for anybody.
    fs::copy(office.site.path("1.nfr"), office.site.path("1-b.nfr")).unwrap();
    let _ = sign(&office, "1.nfr", "a", &[]).code(0).says("(1 of 2 needed); 1 more of");
    let refused = with_root(folder, &enroll, "1.nfr").code(2).says("1 of 2 needed signatures");
    refused.says("noflake root show FILE says whose signatures are missing").is_one_clear_error();
    let _ = sign(&office, "1-b.nfr", "b", &[]).code(0);
    let _ = root(&office, &["merge", "1.nfr", "1-b.nfr", "-o", "root-1.nfr"])
        .code(0)
        .says("(2 of 2 needed)");
    let _ = with_root(folder, &enroll, "root-1.nfr").code(0).says("took root record 1");
    let first = office.bundle("1.1.0", "r1");
    let _ = deploy(&first, "root-1.nfr").code(0).says("version 1.1.0 runs");

    // Holder c is lost, and so is the release key.
    spec(&office, "root-2.toml", ["a", "b", "d"], "r2");
    let after = ["--after", "root-1.nfr"];
    let draft = ["draft", "root-2.toml", "--after", "root-1.nfr", "-o", "2.nfr"];
    let _ = root(&office, &draft)
        .code(0)
        .says("root record 2")
        .says("of record 1 nobody (0 of 2 needed)");
    let _ = sign(&office, "2.nfr", "d", &after).code(0).says("of record 1 nobody (0 of 2 needed)");
    let _ = sign(&office, "2.nfr", "a", &after).code(0).says("signed by").says("(2 of 2 needed)");
    // Its own keys are enough to read it, and not to be taken by a device.
    let _ = with_root(folder, &enroll, "2.nfr").code(5).says("enrolled under another root record");
    let _ = sign(&office, "2.nfr", "b", &after).code(0).says("next: noflake device enroll");
    let shown = root(&office, &["--format", "json", "show", "2.nfr", "--after", "root-1.nfr"])
        .code(0)
        .json();
    assert_eq!((&shown["complete"], &shown["version"]), (&true.into(), &2.into()), "{shown}");
    let _ = with_root(folder, &enroll, "2.nfr").code(0).says("it takes the place of root record 1");

    // What is installed goes on; what the old key signs does not get in.
    let status = office.site.status(&address);
    assert_eq!(
        (&status["device"]["version"], &status["device"]["root"]["version"]),
        (&"1.1.0".into(), &2.into())
    );
    let old = office.bundle("1.2.0", "r1");
    let _ = deploy(&old, "root-1.nfr").code(5).says("0 of 1 needed signatures");
    let new = office.bundle("1.3.0", "r2");
    let old_host = deploy(&new, "root-1.nfr").code(2).says("0 of 1 needed signatures");
    old_host.says("unless this host's root record is not the newest").is_one_clear_error();
    let _ = deploy(&new, "2.nfr").code(0).says("version 1.3.0 runs");
}

#[test]
fn who_is_no_holder_and_what_is_no_copy_is_refused_in_words() {
    let office = office();
    spec(&office, "root.toml", ["a", "b", "c"], "r1");
    let _ = root(&office, &["draft", "root.toml", "-o", "1.nfr"]).code(0);
    let _ = root(&office, &["draft", "root.toml", "-o", "1.nfr"]).code(2).says("exists already");
    let before = fs::read(office.site.path("1.nfr")).unwrap();
    let ended = sign(&office, "1.nfr", "d", &[]).code(2).says("is no root key of this root record");
    ended.says("name the key of a holder").is_one_clear_error();
    assert_eq!(fs::read(office.site.path("1.nfr")).unwrap(), before, "the file is as it was");
    spec(&office, "other.toml", ["a", "b", "d"], "r1");
    let _ = root(&office, &["draft", "other.toml", "-o", "other.nfr"]).code(0);
    let merge = ["merge", "1.nfr", "other.nfr", "-o", "both.nfr"];
    root(&office, &merge).code(2).says("these are two root records").is_one_clear_error();
    spec(&office, "wrong.toml", ["a", "b", "r1"], "r1");
    let ended = root(&office, &["draft", "wrong.toml", "-o", "wrong.nfr"]).code(2);
    ended.says("r1.pub is a release key, expected a root key").is_one_clear_error();
    fs::write(office.site.path("odd.toml"), "[root]\nkeys = []\nthreshold = 1\nhurry = true\n")
        .unwrap();
    let ended = root(&office, &["draft", "odd.toml", "-o", "odd.nfr"]).code(2);
    ended.says("see docs/TRUST.md").is_one_clear_error();
}

/// A record that is held against the wrong one looks ready for devices that refuse it.
#[test]
fn a_record_is_held_against_the_one_before_it_and_no_other() {
    let office = office();
    spec(&office, "root.toml", ["a", "b", "c"], "r1");
    let _ = root(&office, &["draft", "root.toml", "-o", "1.nfr"]).code(0);
    let _ = sign(&office, "1.nfr", "a", &[]).code(0);
    let _ = sign(&office, "1.nfr", "b", &[]).code(0).says("next: noflake device enroll");
    spec(&office, "other.toml", ["b", "c", "d"], "r2");
    let _ = root(&office, &["draft", "other.toml", "--after", "1.nfr", "-o", "2.nfr"]).code(0);
    // Its own holders only: no device takes it, and nothing says that one does.
    let _ = sign(&office, "2.nfr", "d", &[]).code(0).says("--key KEY --after RECORD");
    let next = "next: noflake root show 2.nfr --after RECORD";
    let _ = sign(&office, "2.nfr", "c", &[]).code(0).says(next).says_not("enroll");
    let shown = root(&office, &["--format", "json", "show", "2.nfr"]).code(0).json();
    let next = "noflake root show 2.nfr --after RECORD";
    assert_eq!((&shown["complete"], &shown["next"]), (&false.into(), &next.into()), "{shown}");
    fs::copy(office.site.path("2.nfr"), office.site.path("copy.nfr")).unwrap();
    let merge = ["merge", "2.nfr", "copy.nfr", "-o", "both.nfr"];
    let _ = root(&office, &merge).code(0).says("next: noflake root show both.nfr --after RECORD");

    for (file, after, says) in [
        ("2.nfr", "2.nfr", "root record 2 follows root record 1, --after names root record 2"),
        ("1.nfr", "1.nfr", "root record 1 follows no other, --after names root record 1"),
        ("1.nfr", "2.nfr", "root record 1 follows no other, --after names root record 2"),
    ] {
        let after = ["--after", after];
        let before = fs::read(office.site.path(file)).unwrap();
        root(&office, &[&["show", file][..], &after].concat())
            .code(2)
            .says(says)
            .is_one_clear_error();
        sign(&office, file, "a", &after).code(2).says(says).is_one_clear_error();
        let merge = ["merge", file, file, "-o", "never.nfr"];
        root(&office, &[&merge[..], &after].concat()).code(2).says(says).is_one_clear_error();
        assert_eq!(fs::read(office.site.path(file)).unwrap(), before, "{file} is as it was");
        assert!(!office.site.path("never.nfr").exists());
    }
}
