//! A bench qualifies a bundle, the qualify role signs that, and devices that want it signed take it: by files alone.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;

use integration::cli::Ended;
use integration::office::{Office, role};
use integration::simulator::{SimOptions, Simulator};

/// A folder with keys of three roles, and the root records of a bench and of the field.
struct Works {
    office: Office,
}

impl Works {
    fn new() -> Self {
        let keys = [("root", "a"), ("release", "r"), ("qualify", "q"), ("qualify", "p")];
        let works = Self { office: Office::new(&keys) };
        works.root("bench", "");
        works.root("field", "certificate = \"before-stage\"\ncertificate_level = 2\n");
        works
    }

    fn noflake(&self, arguments: &[&str]) -> Ended {
        self.office.noflake(arguments)
    }

    fn root(&self, name: &str, policy: &str) {
        let roles = [("root", "a"), ("release", "r"), ("qualify", "q")];
        let roles = roles.map(|(name, key)| role(name, &[key], 1)).concat();
        let spec = format!("{roles}[policy]\n{policy}");
        let _ = self.office.root(name, &spec, &["a.key"], None);
    }

    /// Qualifies a bundle on a simulated device of the bench; gives the folder of the run.
    fn qualified(&self, bundle: &str, scenario: &str, code: i32) -> String {
        let device = format!("sim:{scenario}");
        let runs = format!("runs-{bundle}{code}");
        let arguments = ["qualify", bundle, "-d", &device, "--root", "bench.nfr", "--runs", &runs];
        let _ = self.noflake(&arguments).code(code);
        let mut folders = fs::read_dir(self.office.site.path(&runs)).unwrap();
        folders.next().unwrap().unwrap().path().to_str().unwrap().to_owned()
    }

    fn certify(&self, bundle: &str, run: &str, more: &[&str]) -> Ended {
        let certify = ["bundle", "certify", bundle, "--run", run, "--root", "field.nfr"];
        self.office.say(&[&certify[..], more].concat())
    }
}

#[test]
fn a_bundle_is_deployed_in_the_field_once_its_run_on_the_bench_is_certified() {
    let works = Works::new();
    let bundle = works.office.bundle("2.0.0", "r");
    let device = Simulator::start(&works.office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let _ = works.noflake(&["device", "enroll", "-d", &address, "--root", "field.nfr"]).code(0);
    let deploy = |root: &str| works.noflake(&["deploy", &bundle, "-d", &address, "--root", root]);

    // The host says so first; a host that is told otherwise hears it from the device.
    let refused = deploy("field.nfr").code(5);
    refused
        .says("wants a certificate of level 2 or higher, and the bundle carries none")
        .says("noflake bundle certify")
        .is_one_clear_error();
    let _ = deploy("bench.nfr").code(5).says("the device wants a certificate of level 2 or higher");

    let explain = ["bundle", "verify", "--explain", &bundle, "--root", "field.nfr"];
    let explained =
        works.noflake(&explain).code(2).says("signatures  good     signed by 1 of 1 needed");
    let _ = explained
        .says("certificate REFUSED  one of level 2 or higher is needed before anything is staged")
        .says("the bench qualifies it, and the holder of a qualify key signs that")
        .says("devices under root record 1 refuse bundle 2.0.0-r.nfb: 1 point(s) speak against it");
    let run = works.qualified(&bundle, "", 0);
    let level = ["--level", "2"];
    for (key, says) in [("r.key", "is no qualify key of the root record"), ("p.key", "no qualify")]
    {
        let _ = works
            .certify(&bundle, &run, &[&level[..], &["--key", key]].concat())
            .code(2)
            .says(says);
    }
    // Too low a level, in a copy.
    let low = ["--level", "1", "--key", "q.key", "-o", "low.nfb"];
    let _ = works.certify(&bundle, &run, &low).code(0).says("Certified low.nfb for level 1");
    let deploy_low = ["deploy", "low.nfb", "-d", &address, "--root"];
    let _ = works
        .noflake(&[&deploy_low[..], &["field.nfr"]].concat())
        .code(5)
        .says("has level 1, the root record wants 2");
    let _ = works
        .noflake(&[&deploy_low[..], &["bench.nfr"]].concat())
        .code(5)
        .says("the certificate has level 1, the device wants 2");

    let certified = works.certify(&bundle, &run, &[&level[..], &["--key", "q.key"]].concat());
    let _ = certified.code(0).says("About to sign this certificate").says("verdict     qualified");
    let shown = works.noflake(&["bundle", "show", &bundle, "--root", "field.nfr"]).code(0);
    let _ = shown.says("certificate level 2, epoch 0, qualified by plan").says("; verified");
    let _ = works.noflake(&["bundle", "verify", &bundle, "--root", "field.nfr"]).code(0);
    let _ = works.noflake(&explain).code(0).says("it carries one, for its own plan");
    // Its last bytes are those of the certificate: a copy that was damaged there is not certified once more.
    let mut spoilt = fs::read(works.office.site.path(&bundle)).unwrap();
    *spoilt.last_mut().unwrap() ^= 1;
    fs::write(works.office.site.path("spoilt.nfb"), spoilt).unwrap();
    let spoilt = ["spoilt.nfb", "--root", "field.nfr"];
    let told = works.noflake(&[&["deploy", "-d", &address], &spoilt[..]].concat()).code(5);
    let _ = told.says("next: copy the bundle again");
    let told = works.noflake(&[&["bundle", "verify", "--explain"], &spoilt[..]].concat()).code(2);
    let _ =
        told.says("certificate REFUSED").says("copy the bundle again from where it was certified");
    let _ = deploy("field.nfr").code(0).says("version 2.0.0 runs");
}

/// What was not seen to be qualified is not certified.
#[test]
fn a_run_that_qualified_nothing_makes_no_certificate() {
    let works = Works::new();
    let (bad, good) = (works.office.bundle("2.0.0", "r"), works.office.bundle("3.0.0", "r"));
    let body = "[[image]]\nversion = \"2.0.0\"\nbehaviour = \"crashes\"\n";
    let scenario = works.office.site.scenario("bad", body);
    let scenario = scenario.to_str().unwrap();
    let rejected = works.qualified(&bad, scenario, 6);
    let key = ["--key", "q.key"];
    let unfit = works.certify(&bad, &rejected, &key).code(2);
    let _ = unfit.says("no certificate can be made from").says("was not committed in it");
    let run = works.qualified(&good, scenario, 0);
    let other = works.certify(&bad, &run, &key).code(2);
    let _ = other.says("it is about another bundle").says("noflake qualify the bundle");
    // A record that somebody has edited is none, nor one that goes on behind its end.
    let record = works.office.site.path(&run).join("record.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, format!("{text}torn")).unwrap();
    let behind = works.certify(&good, &run, &key).code(2);
    behind.says("something stands behind the end of its record").is_one_clear_error();
    fs::write(&record, text.replacen("qualified", "Qualified", 1)).unwrap();
    let _ = works.certify(&good, &run, &key).code(2);
    let before = fs::read(works.office.site.path(&good)).unwrap();
    fs::write(&record, &text).unwrap();
    let _ = works.certify(&good, &run, &key).code(0);
    let after = fs::read(works.office.site.path(&good)).unwrap();
    let front = before.len() - 4;
    assert_eq!(before[..front], after[..front], "nothing that is signed has changed");
}

/// Nothing of a certificate outlives a boot: whoever confirms shows it in the boot that is confirmed.
#[test]
fn a_device_that_wants_a_certificate_before_a_confirm_keeps_only_what_is_certified() {
    let works = Works::new();
    works.root("late", "certificate = \"before-confirm\"\ncertificate_level = 2\n");
    let bundle = works.office.bundle("2.0.0", "r");
    let device = Simulator::start(&works.office.site, &SimOptions::tcp().factory());
    let address = device.address();
    let _ = works.noflake(&["device", "enroll", "-d", &address, "--root", "late.nfr"]).code(0);
    let deploy = |bundle: &str, root: &str| {
        works.noflake(&["deploy", bundle, "-d", &address, "--root", root])
    };
    // A host that is told otherwise tries it, and the device keeps nothing.
    let untold = deploy(&bundle, "bench.nfr");
    assert_ne!(untold.code, Some(0), "{untold:?}");
    let _ = untold.says("the device wants a certificate of level 2 or higher");
    assert_eq!(works.office.site.running_version(&address), "1.0.0");

    let run = works.qualified(&bundle, "", 0);
    let _ = works.certify(&bundle, &run, &["--level", "2", "--key", "q.key"]).code(0);
    let _ = deploy(&bundle, "late.nfr").code(0).says("version 2.0.0 runs");
}

/// An operator who confirms a trial that was held brings the bundle, for its certificate.
#[test]
fn a_held_trial_is_confirmed_with_the_certificate_of_its_bundle_and_refused_without() {
    let works = Works::new();
    works.root("late", "certificate = \"before-confirm\"\ncertificate_level = 2\n");
    let plan = works.office.site.path("example/deploy.toml");
    let text = fs::read_to_string(&plan).unwrap();
    fs::write(&plan, format!("{text}\n[policy]\non_fail = \"hold\"\n")).unwrap();
    let bundle = works.office.bundle("2.0.0", "r");
    let run = works.qualified(&bundle, "", 0);
    let certify = ["--level", "2", "--key", "q.key", "-o", "certified.nfb"];
    let _ = works.certify(&bundle, &run, &certify).code(0);

    let body = "[[image]]\nversion = \"2.0.0\"\nfails = [\"clock\"]\n";
    let options = SimOptions::tcp().factory().scenario(body);
    let device = Simulator::start(&works.office.site, &options);
    let address = device.address();
    let enroll = ["device", "enroll", "-d", &address, "--root", "late.nfr"];
    let _ = works.noflake(&enroll).code(0);
    let deploy = ["deploy", "certified.nfb", "-d", &address, "--root", "late.nfr"];
    let _ = works.noflake(&deploy).code(1).says("held on trial");
    let confirm =
        |more: &[&str]| works.noflake(&[&["device", "confirm", "-d", &address][..], more].concat());
    for more in [&[][..], &["--bundle", &bundle]] {
        let refused = confirm(more).code(5).says("wants a certificate of level 2 or higher");
        let refused = refused.says("name the bundle with --bundle");
        refused.is_one_clear_error();
    }
    let status = works.office.site.status(&address);
    assert_eq!(status["trial"]["running"], true, "still held: {status}");
    let confirmed = confirm(&["--bundle", "certified.nfb"]).code(0);
    let _ = confirmed.says("confirmed; the device says: version 2.0.0 runs");
}

/// Who certifies may want to see that the bench itself has signed what it saw.
#[test]
fn a_certificate_can_ask_for_a_run_that_its_bench_has_signed() {
    let works = Works::new();
    for name in ["bench", "other"] {
        let _ = works.office.say(&["key", "generate", "--role", "bench", name]).code(0);
    }
    let bundle = works.office.bundle("2.0.0", "r");
    let unsigned = works.qualified(&bundle, "", 0);
    let signed_by =
        |run: &str, key| works.certify(&bundle, run, &["--key", "q.key", "--signed-by", key]);
    let refused = signed_by(&unsigned, "bench.pub").code(2);
    refused.says("line 1 is not signed, nor is any other").is_one_clear_error();
    let qualify = |key: &str| {
        let typed = ["qualify", &bundle, "-d", "sim:", "--root", "bench.nfr", "--sign", key];
        works.office.say(&[&["--format", "json"][..], &typed, &["--runs", "signed"]].concat())
    };
    let signed = qualify("bench.key").code(0).json();
    let signed = signed["evidence"].as_str().unwrap();
    let _ = signed_by(signed, "other.pub").code(2).says("is not signed by a key that was named");
    let _ = signed_by(signed, "bench.pub").code(0).says("Certified");
    // A key of another role signs no evidence, whatever is asked.
    let _ = qualify("q.key").code(2).says("is a qualify key, expected a bench key");
}
