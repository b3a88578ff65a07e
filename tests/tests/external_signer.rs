//! Keys elsewhere: programs sign for root, release, qualify and operate, and each way in which one can fail is told in
//! words, with nothing written.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ed25519_dalek::SigningKey;
use integration::cli::{Ended, wait_for};
use integration::office::{Office, role};
use integration::simulator::{SimOptions, Simulator};
use rustix::process::{Pid, Signal, test_kill_process};

/// The program that signs, whichever key it is told to.
const SIGNER: &str = env!("CARGO_BIN_EXE_signer");
const RELEASE: u8 = 22;

fn public_key(seed: u8) -> String {
    let key = SigningKey::from_bytes(&[seed; 32]).verifying_key();
    key.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Takes a key in whose secret half the program has; nobody asks for a passphrase.
fn adopt(office: &Office, role: &str, name: &str, seed: u8) -> Ended {
    let (key, seed) = (public_key(seed), seed.to_string());
    let adopt = ["key", "adopt", "--role", role, "--public-key", &key, name, "--", SIGNER, &seed];
    office.noflake(&adopt)
}

/// An office with a release key elsewhere, and the words that make a bundle with it.
fn release_elsewhere() -> (Office, [&'static str; 7]) {
    let office = Office::new(&[]);
    let _ = adopt(&office, "release", "r", RELEASE).code(0);
    (office, ["bundle", "create", "example/bundle.toml", "-o", "x.nfb", "--key", "r.signer"])
}

/// Has the shell sign for the key `r`.
fn set_program(office: &Office, script: &str) {
    let text = format!("schema = \"signer/1\"\nprogram = [\"sh\", \"-c\", {script:?}]\n");
    office.site.write("r.signer", &text);
}

/// The root record `name.nfr` of holders a (in a file) and b (elsewhere), who both sign.
fn root(office: &Office, name: &str, policy: &str) {
    let roles = [
        role("root", &["a", "b", "c"], 2),
        role("release", &["r"], 1),
        role("qualify", &["q"], 1),
        role("operate", &["o"], 1),
    ];
    let spec = format!("{}[policy]\n{policy}", roles.concat());
    let _ = office.root(name, &spec, &["a.key"], None).says("1 more of");
    let record = format!("{name}.nfr");
    let signed = office.noflake(&["root", "sign", &record, "--key", "b.signer"]).code(0);
    let _ = signed
        .says("About to sign this root record")
        .says("is to sign; it may wait for somebody")
        .says("signer: touch the token")
        .says("(2 of 2 needed)");
}

#[test]
fn keys_of_every_role_may_be_elsewhere_from_the_root_record_to_a_device_of_the_field() {
    let keys = [("root", "a"), ("root", "c"), ("release", "file"), ("host", "laptop")];
    let office = Office::new(&keys);
    for (role, name, seed) in
        [("root", "b", 21), ("release", "r", RELEASE), ("qualify", "q", 23), ("operate", "o", 24)]
    {
        let _ = adopt(&office, role, name, seed).code(0).says(&public_key(seed)).says(SIGNER);
    }
    let shown = office.noflake(&["--format", "json", "key", "show", "q.signer"]).code(0).json();
    assert_eq!((&shown["role"], &shown["program"][1]), (&"qualify".into(), &"23".into()));
    root(&office, "bench", "life_cycle = \"development\"\n");
    let wanted = "certificate = \"before-stage\"\ncertificate_level = 1\n";
    root(&office, "field", &format!("life_cycle = \"field\"\n{wanted}"));

    let create = ["bundle", "create", "example/bundle.toml", "-o", "x.nfb", "--key"];
    let _ = office.noflake(&[&create[..], &["b.signer"]].concat()).code(2).says("is a root key");
    let _ = office
        .noflake(&[&create[..], &["r.signer"]].concat())
        .code(0)
        .says("About to sign this manifest");
    // One key in a file and one elsewhere, in one command.
    let both = ["--key", "r.signer", "-o", "two.nfb", "--format", "json"];
    let both = [&create[..3], &["--key", "file.key"], &both].concat();
    assert_eq!(office.say(&both).code(0).json()["signatures"], 2);
    let _ = office.noflake(&["bundle", "verify", "x.nfb", "--root", "field.nfr"]).code(0);

    let bench = ["qualify", "x.nfb", "-d", "sim:", "--root", "bench.nfr", "--runs", "runs"];
    let _ = office.noflake(&[&bench[..], &["--plan", "example/deploy.toml"]].concat()).code(0);
    let run = fs::read_dir(office.site.path("runs")).unwrap().next().unwrap().unwrap().path();
    let certify = ["bundle", "certify", "x.nfb", "--run", run.to_str().unwrap()];
    let certify = |key| [&certify[..], &["--root", "field.nfr", "--key", key]].concat();
    let _ = office.noflake(&certify("o.signer")).code(2).says("is no qualify key");
    let _ = office.noflake(&certify("q.signer")).code(0).says("Certified x.nfb for level 1");

    let delegate = ["key", "delegate", "laptop.pub", "--key", "o.signer", "--root", "field.nfr"];
    let _ = office.noflake(&[&delegate[..], &["--product", "rover-nav"]].concat()).code(0);
    let device = Simulator::start(&office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let as_laptop = ["-d", &address, "--root", "field.nfr", "--as", "laptop.key"];
    let _ = office.say(&[&["device", "enroll"][..], &as_laptop].concat()).code(0);
    let deployed = office.say(&[&["deploy", "x.nfb"][..], &as_laptop].concat()).code(0);
    let _ = deployed.says("runs from slot B, confirmed");
}

#[test]
fn every_way_not_to_sign_is_one_clear_error_and_leaves_no_bundle() {
    let (office, create) = release_elsewhere();
    let wrong_key = format!("exec {SIGNER} 99");
    let hex = format!("{SIGNER} {RELEASE} | od -An -tx1 | tr -d ' \\n'");
    let after_all = format!("{SIGNER} {RELEASE}; exit 4");
    for (script, says) in [
        ("exit 1", "sh refused: it ended with exit code 1, expected 0"),
        (&*after_all, "sh refused: it ended with exit code 4, expected 0"),
        ("kill -9 $$", "sh was ended from outside (signal: 9"),
        ("true", "sh wrote 0 bytes, expected the 64 bytes of a signature"),
        ("printf '%063d' 0", "sh wrote 63 bytes"),
        ("exec cat /dev/zero", "sh wrote more than 64 bytes"),
        (&hex, "sh wrote more than 64 bytes"),
        (&wrong_key, "is no signature of this message under public key"),
        ("head -c 64 /dev/zero", "is no signature of this message under public key"),
    ] {
        set_program(&office, script);
        let ended = office.noflake(&create).code(3).says(says).says("gave no signature");
        let ended = ended.says("About to sign this manifest");
        assert!(ended.stderr.contains("r.signer"), "{script}: {ended:?}");
        ended.is_one_clear_error();
        assert!(!office.site.path("x.nfb").exists(), "{script}");
    }
    let json = office.noflake(&[&["--format", "json"][..], &create].concat()).code(3).json();
    let last = json["causes"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(last.starts_with("what sh wrote is no signature"), "{json}");
    set_program(&office, &format!("exec {SIGNER} {RELEASE}"));
    let _ = office.noflake(&create).code(0);
}

#[test]
fn what_can_be_known_beforehand_is_told_before_anything_is_asked() {
    let (office, create) = release_elsewhere();
    let refused = |code, says: &str| {
        let ended = office.noflake(&create).code(code).says(says).says_not("About to sign");
        ended.is_one_clear_error();
        assert!(!office.site.path("x.nfb").exists());
    };
    let text = |program: &str| format!("schema = \"signer/1\"\nprogram = [\"{program}\"]\n");
    office.site.write("r.signer", &text("./sign.sh"));
    refused(2, "failed to find program");
    office.site.write("sign.sh", "#!/bin/sh\n");
    let mode = |name: &str, mode| {
        let path = office.site.path(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("sign.sh", 0o777);
    refused(2, "can be changed by others: its mode is 0777");
    mode("sign.sh", 0o700);
    mode("r.signer", 0o660);
    refused(2, "chmod go-w r.signer");
    mode("r.signer", 0o600);
    office.site.write("r.signer", "schema = \"signer/1\"\nprogram = \"./sign.sh\"\n");
    refused(2, "r.signer is not a signer file");
    office.site.write("r.signer", &text("./sign.sh"));
    fs::rename(office.site.path("r.pub"), office.site.path("r.away")).unwrap();
    refused(2, "public key file r.pub cannot be used");
    fs::rename(office.site.path("r.away"), office.site.path("r.pub")).unwrap();
    let as_host = ["device", "identify", "-d", "sim:", "--as", "r.signer"];
    let _ = office.noflake(&as_host).code(2);

    // A name that is searched for shows only when it is started, and so does a file that is no program.
    office.site.write("r.signer", &text("no-such-noflake-signer"));
    let ended = office.noflake(&create).code(2).says("failed to start no-such-noflake-signer");
    ended.says("mend `program` in r.signer").is_one_clear_error();
    office.site.write("r.signer", &text("./sign.sh"));
    mode("sign.sh", 0o600);
    office.noflake(&create).code(2).says("failed to start ./sign.sh").is_one_clear_error();
}

/// A key that nobody can sign with is found out before a root record names it.
#[test]
fn a_key_is_taken_in_once_its_program_has_signed_with_it() {
    let office = Office::new(&[]);
    let key = public_key(31);
    let adopt = |key: &str, program: &[&str]| {
        let words = ["key", "adopt", "--role", "release", "--public-key", key, "r", "--"];
        office.noflake(&[&words[..], program].concat())
    };
    let other = adopt(&key, &[SIGNER, "32"]).code(3);
    other.says("is no signature of this message under public key").is_one_clear_error();
    adopt(&key, &["./none"]).code(2).says("failed to find program").is_one_clear_error();
    adopt("none.pem", &[SIGNER, "31"]).code(2).says("none.pem").is_one_clear_error();
    let weak = "00".repeat(32);
    adopt(&weak, &[SIGNER, "31"]).code(2).says("anybody could sign").is_one_clear_error();
    assert!(!office.site.path("r.signer").exists() && !office.site.path("r.pub").exists());
    let _ = adopt(&key, &[SIGNER, "31"]).code(0);
    adopt(&key, &[SIGNER, "31"]).code(2).says("r.signer exists already").is_one_clear_error();
}

/// Whether the program ends when it is asked to, or has to be ended.
#[test]
fn ctrl_c_ends_a_program_that_does_not_answer_and_nothing_is_written() {
    let (office, create) = release_elsewhere();
    for (script, signal) in [
        ("exec sleep 60", Signal::INT),
        ("trap '' INT TERM; while :; do sleep 0.1; done", Signal::INT),
        ("exec >&-; exec sleep 60", Signal::TERM),
    ] {
        let pid = office.site.path("pid");
        set_program(&office, &format!("echo $$ > pid.new && mv pid.new pid; {script}"));
        let running = office.site.start(&create);
        let program = wait_for("the program", || fs::read_to_string(&pid).ok());
        let program = Pid::from_raw(program.trim().parse().unwrap()).unwrap();
        running.signal(signal);
        let ended = running.wait().code(130).says("interrupted while sh was to sign");
        ended.is_one_clear_error();
        assert!(test_kill_process(program).is_err(), "{script}: the program goes on");
        assert!(!office.site.path("x.nfb").exists(), "{script}");
        fs::remove_file(pid).unwrap();
    }
}
