//! `noflake device recover`: a device that lost its record, its root record or its images comes back by
//! one command, and one that lost nothing is left alone.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use std::fs;

use integration::cli::wait_for;
use integration::flash;
use integration::simulator::{SimOptions, Simulator};
use integration::site::{
    QUICK_PLAN, RELEASE_KEY, ROOT_KEY, Release, STRANGER_KEY, Site, later_root_record, root_record,
};
use rustix::process::Signal;
use serde_json::Value;

struct Unit {
    site: Site,
    device: Simulator,
    bundle: String,
}

impl Unit {
    /// A device that runs 1.1.0 from slot B.
    fn new() -> Self {
        let site = Site::new();
        let bundle = site.bundle(&Release::new("1.1.0"));
        let device = Simulator::start(&site, &SimOptions::tcp());
        let _ = site.deploy(&bundle, &device.address()).code(0);
        Self { site, device, bundle }
    }

    /// Off, `damage` done to its flash, and on again.
    fn damaged(self, damage: impl FnOnce(&std::path::Path)) -> Self {
        self.damaged_on(&SimOptions::tcp(), damage)
    }

    fn damaged_on(self, options: &SimOptions, damage: impl FnOnce(&std::path::Path)) -> Self {
        let Self { site, device, bundle } = self;
        let state = device.state().to_owned();
        device.kill();
        damage(&state);
        let device = Simulator::start(&site, options);
        Self { site, device, bundle }
    }

    fn recover(&self, bundle: &str) -> integration::cli::Ended {
        let address = self.device.address();
        self.site.noflake(&["device", "recover", "-d", &address, "--bundle", bundle])
    }

    fn explain(&self) -> integration::cli::Ended {
        let address = self.device.address();
        self.site.noflake(&["device", "status", "--explain", "-d", &address]).code(0)
    }

    /// Everything that `deploy` leaves is there: a run folder with a verdict.
    fn is_back(&self, version: &str) {
        let status = self.site.status(&self.device.address());
        assert_eq!(status["device"]["version"], version, "{status}");
        assert_eq!(status["device"]["running"], status["active"], "{status}");
        assert_eq!(status["device"]["enrolled"], true, "{status}");
        let run = self.site.runs().pop().unwrap();
        let record = fs::read_to_string(run.join("record.jsonl")).unwrap();
        assert!(record.contains("committed"), "{record}");
    }
}

#[test]
fn a_lost_boot_record_is_told_by_deploy_and_by_status_and_mended_by_recover() {
    let unit = Unit::new().damaged(flash::lose_record);
    let address = unit.device.address();
    let _ = unit
        .explain()
        .says("no boot record can be read, so the recovery image runs (rule B1")
        .says(&format!("next: noflake device recover -d {address} --root ROOT --bundle BUNDLE"));
    let root = unit.site.root();
    let command = format!(
        "next      noflake device recover -d {address} --root {} --bundle {}",
        root.display(),
        unit.bundle
    );
    let deploy = ["deploy", &unit.bundle, "-d", &address, "--root", root.to_str().unwrap()];
    let _ = unit.site.noflake(&deploy).code(5).says("has lost its boot record").says(&command);
    let _ = unit
        .recover(&unit.bundle)
        .code(0)
        .says("runs its recovery image: no boot record can be read")
        .says("it took root record 1")
        .says("deploys version 1.1.0")
        .says("committed: version 1.1.0 runs from slot ");
    unit.is_back("1.1.0");
    let _ = unit.explain().says("next: nothing needs to be done");
}

#[test]
fn a_lost_root_record_is_stored_anew_though_a_version_runs() {
    let unit = Unit::new().damaged(flash::lose_root);
    let next = unit.site.bundle(&Release::new("1.2.0"));
    let address = unit.device.address();
    let _ = unit
        .site
        .deploy(&next, &address)
        .code(5)
        .says("flash has lost the root record that the device is enrolled under")
        .says(&format!("next      noflake device recover -d {address} --root "));
    let _ = unit
        .explain()
        .says("enrolled under root record 1")
        .says(", which flash has lost")
        .says(&format!(
            "next: noflake device enroll -d {address} --root ROOT, with the root record that it is"
        ));
    let _ = unit
        .recover(&next)
        .code(0)
        .says("runs version 1.1.0 from slot B")
        .says("it had lost, and took again, root record 1")
        .says("committed: version 1.2.0");
    unit.is_back("1.2.0");
}

/// Power fails while the bundle is staged behind the root record: the second try goes on with both.
#[test]
fn a_recovery_that_was_cut_short_goes_on_with_its_bundle() {
    let cut = SimOptions::tcp().scenario("faults = [\"cut@5:100\"]");
    let unit = Unit::new().damaged_on(&cut, flash::lose_root);
    let next = unit.site.bundle(&Release::new("1.2.0"));
    let _ = unit.recover(&next).code(3).says("it had lost, and took again, root record 1");
    let _ = unit.recover(&next).code(0).says("committed: version 1.2.0");
    unit.is_back("1.2.0");
}

/// On a serial line the session ends and the line stays: no judgement of the device on what it was asked.
#[test]
fn power_that_fails_while_the_root_record_is_stored_is_the_benchs_matter() {
    let cut = SimOptions::pty().scenario("faults = [\"cut@2:100\"]");
    let unit = Unit::new().damaged_on(&cut, flash::lose_root);
    let next = unit.site.bundle(&Release::new("1.2.0"));
    let _ = unit.recover(&next).code(3).says("next: run the same command again");
    let _ = unit.recover(&next).code(0).says("it had lost, and took again, root record 1");
    unit.is_back("1.2.0");
}

/// A wait for another host is told of, and its end by Ctrl-C as well.
#[test]
fn a_recovery_that_waits_for_another_host_says_so_and_ends_by_ctrl_c() {
    let unit = Unit::new().damaged(flash::lose_root);
    let address = unit.device.address();
    let other = unit.site.start(&["device", "log", "-d", &address]);
    wait_for("the other host", || other.stderr().contains("listening to").then_some(()));
    let args = ["device", "recover", "-d", &address, "--bundle", &unit.bundle];
    let host = unit.site.start(&args);
    let is_told = || host.stderr().contains("another host is working on the device").then_some(());
    wait_for("word of the other host", is_told);
    host.signal(Signal::INT);
    let _ = host
        .wait()
        .code(130)
        .says("interrupted; what was under way may have been done")
        .says("or run the same command again");
    other.signal(Signal::INT);
    let _ = other.wait();
    let _ = unit.recover(&unit.bundle).code(0).says("it had lost, and took again, root record 1");
}

/// There is no old version to see running, so nothing but service helps; and the bundle is what was wrong.
#[test]
fn a_recovery_whose_bundle_crashes_or_is_rolled_back_by_hand_leaves_a_device_that_needs_service() {
    let body = "[[image]]\nversion = \"1.2.0\"\nbehaviour = \"crashes\"\ncrash_after_ms = 1\n\n[[image]]\nversion = \"1.3.0\"\nfails = [\"clock\"]\n";
    let unit = Unit::new().damaged_on(&SimOptions::tcp().scenario(body), |state| {
        flash::lose_image(state, "A");
        flash::lose_image(state, "B");
    });
    let crashing = unit.site.bundle(&Release::new("1.2.0"));
    let ended = unit.recover(&crashing).code(7).says("the device waits in its recovery image");
    let _ = ended.says("verdict   rejected").says_not("went back by itself");
    let plan = QUICK_PLAN.replace("lease = \"4s\"", "lease = \"60s\"");
    let plan = format!("{plan}\n[policy]\non_fail = \"hold\"\n");
    let held = unit.site.bundle(&Release::new("1.3.0").plan(&plan));
    let _ = unit.recover(&held).code(1).says("held on trial");
    let rollback = ["device", "rollback", "-d", &unit.device.address()];
    let _ = unit
        .site
        .noflake(&rollback)
        .code(7)
        .says_not("another host")
        .says("was rolled back, and the device waits in its recovery image")
        .says("next: noflake device recover");
    let _ = unit.recover(&unit.bundle).code(0);
    unit.is_back("1.1.0");
}

/// A version that runs already needs no root record; that the next one will is said.
#[test]
fn a_version_that_runs_is_found_done_without_a_root_record_and_the_loss_is_said() {
    let unit = Unit::new().damaged(flash::lose_root);
    let address = unit.device.address();
    let ended = unit.site.deploy(&unit.bundle, &address).code(0).says("found done");
    let _ = ended
        .says("but flash has lost the root record")
        .says("next      noflake device recover -d ");
    let plan = unit.site.path("bench.toml");
    fs::write(&plan, QUICK_PLAN).unwrap();
    let next = unit.site.bundle(&Release::new("1.2.0"));
    let plan = plan.display().to_string();
    let qualify = ["qualify", &next, "--plan", &plan, "-d", &address];
    let enroll = format!("next      noflake device enroll -d {address}, with");
    let ended = unit.site.noflake(&qualify).code(5).says(&enroll);
    let _ = ended.says("then run the same command again");
}

/// Enrolling cannot be taken back, so what the bundle is for is asked first.
#[test]
fn a_bundle_for_another_product_does_not_get_the_device_enrolled() {
    let unit = Unit::new().damaged(|state| {
        flash::lose_record(state);
        flash::lose_root(state);
    });
    let mut other = Release::new("1.2.0");
    "pump".clone_into(&mut other.product);
    let other = unit.site.bundle(&other);
    let _ = unit.recover(&other).code(5).says("the bundle is for product pump");
    let status = unit.site.status(&unit.device.address());
    assert_eq!(status["device"]["enrolled"], false, "{status}");
    let _ = unit.recover(&unit.bundle).code(0);
    unit.is_back("1.1.0");
}

/// It is enrolled, so `deploy` alone brings it back, too.
#[test]
fn a_device_that_lost_both_images_is_brought_back_by_recover_and_by_deploy() {
    let lose = |state: &std::path::Path| {
        flash::lose_image(state, "A");
        flash::lose_image(state, "B");
    };
    let unit = Unit::new().damaged(lose);
    let _ = unit.explain().says("(rule B8").says("next: noflake device recover");
    let _ = unit.recover(&unit.bundle).code(0).says("was enrolled before with root record 1");
    unit.is_back("1.1.0");
    let unit = Unit::new().damaged(lose);
    let _ = unit.site.deploy(&unit.bundle, &unit.device.address()).code(0).says("committed");
    unit.is_back("1.1.0");
}

/// The same command again ends what an earlier one began, wherever that was cut short: so it deploys to a device that
/// lacks nothing, too. Enrolling cannot be taken back, and is left to the command for it.
#[test]
fn a_device_that_lacks_nothing_is_deployed_to_and_one_in_factory_state_is_not_enrolled() {
    let unit = Unit::new();
    let next = unit.site.bundle(&Release::new("1.2.0"));
    let _ = unit.recover(&next).code(0).says("nothing to recover; deploys version 1.2.0");
    unit.is_back("1.2.0");
    let before = flash::whole(unit.device.state());
    let _ = unit.recover(&next).code(0).says("found done");
    assert!(flash::whole(unit.device.state()) == before, "flash is as it was");
    let options = SimOptions::tcp().factory().state("new");
    let device = Simulator::start(&unit.site, &options);
    let address = device.address();
    let recover = ["--format", "json", "device", "recover", "-d", &address, "--bundle", &next];
    let told = unit.site.noflake(&recover).code(5).json_lines();
    assert_eq!((&told[0]["why"], &told[0]["root_how"]), (&"none".into(), &Value::Null));
    let enroll = format!("noflake device enroll -d {address}, then run the same command again");
    assert_eq!(told[1]["next"], enroll);
    assert_eq!(unit.site.status(&address)["device"]["enrolled"], false);
}

/// Whoever has another root record in hand is told which one it has to be.
#[test]
fn a_lost_root_record_is_named_to_a_host_that_has_another_one() {
    let unit = Unit::new().damaged(flash::lose_root);
    let path = unit.site.path("2.nfr");
    fs::write(&path, later_root_record(2, STRANGER_KEY, &[ROOT_KEY])).unwrap();
    let root = path.display().to_string();
    let bundle = unit.site.path("later.nfb");
    unit.site.bundle_at(&Release::new("1.2.0").signed_by(STRANGER_KEY), &bundle);
    let (address, bundle) = (unit.device.address(), bundle.display().to_string());
    for command in [
        vec!["device", "enroll", "-d", &address, "--root", &root],
        vec!["device", "recover", "-d", &address, "--root", &root, "--bundle", &bundle],
    ] {
        let ended = unit.site.noflake(&command).code(5).says("flash has lost root record 1 (");
        ended.says("and the one that was named is another one: number 2 (").is_one_clear_error();
    }
}

/// Neither an operator who stops nor a supply that fails speaks against a bundle, and the device is where it was.
#[test]
fn a_recovery_that_is_stopped_in_its_trial_has_no_verdict_and_goes_on_by_the_same_command() {
    for is_cut in [false, true] {
        let Unit { site, device, .. } = Unit::new().damaged_on(&SimOptions::pty(), |state| {
            flash::lose_image(state, "A");
            flash::lose_image(state, "B");
        });
        let flag = site.path("was-here");
        let script = format!("test -e {0} || {{ touch {0}; sleep 5; }}", flag.display());
        let check =
            format!("id = \"wait\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", {script:?}]\n");
        let plan =
            integration::site::plan_with(&check).replace("lease = \"4s\"", "lease = \"20s\"");
        let next = site.bundle(&Release::new("1.2.0").plan(&plan));
        let address = device.address();
        let args = ["device", "recover", "-d", &address, "--bundle", &next];
        let host = site.start(&args);
        wait_for("the check that waits", || flag.exists().then_some(()));
        let device = if is_cut {
            device.kill();
            let device = Simulator::start(&site, &SimOptions::pty());
            let ended = host.wait().code(3).says("power failed (reset cause power_on)");
            let _ = ended.says("nothing speaks against the bundle");
            device
        } else {
            host.signal(Signal::INT);
            let ended = host.wait().code(130).says("interrupted by the operator");
            let _ = ended.says("waits in its recovery image").says_not("verdict   ");
            device
        };
        let _ = site.noflake(&args).code(0).says("committed: version 1.2.0");
        drop(device);
    }
}

/// A device that lost its record still knows whose it was.
#[test]
fn a_stranger_does_not_get_a_device_whose_record_is_lost() {
    let unit = Unit::new().damaged(flash::lose_record);
    let stranger = unit.site.path("stranger.nfr");
    fs::write(&stranger, root_record(STRANGER_KEY, STRANGER_KEY)).unwrap();
    let bundle = unit.site.path("stranger.nfb");
    unit.site.bundle_at(&Release::new("9.0.0").signed_by(STRANGER_KEY), &bundle);
    let (address, bundle) = (unit.device.address(), bundle.display().to_string());
    let root = stranger.display().to_string();
    let recover = ["device", "recover", "-d", &address, "--root", &root, "--bundle", &bundle];
    let ended = unit.site.noflake(&recover).code(5).says("still holds another root record");
    ended.says("use the root record that the device was enrolled with").is_one_clear_error();
}

/// The plan judges as ever: what fails it is not kept, and the device needs service as before.
#[test]
fn a_bundle_that_fails_its_plan_is_not_kept_by_a_device_in_recovery_either() {
    let unit = Unit::new().damaged(flash::lose_record);
    let failing =
        integration::site::plan_with("id = \"no\"\nkind = \"command\"\nargv = [\"false\"]");
    let bad = unit.site.bundle(&Release::new("1.3.0").plan(&failing));
    let _ = unit.recover(&bad).code(7).says("rolled back, but the device runs the recovery image");
    let _ = unit.recover(&unit.bundle).code(0).says("committed");
    unit.is_back("1.1.0");
}

#[test]
fn root_records_follow_one_another_and_every_other_one_is_refused_in_words() {
    let unit = Unit::new();
    let enroll = |name: &str, document: Vec<u8>| {
        let path = unit.site.path(name);
        fs::write(&path, document).unwrap();
        let (path, address) = (path.display().to_string(), unit.device.address());
        unit.site.noflake(&["device", "enroll", "-d", &address, "--root", &path])
    };
    let later = |version| later_root_record(version, STRANGER_KEY, &[ROOT_KEY]);
    let ended = enroll("3.nfr", later(3)).code(5).says("root record 3, the device takes 2 next");
    ended.says("next: noflake device enroll with each root record in between").is_one_clear_error();
    let _ = enroll("2.nfr", later(2))
        .code(0)
        .says("took root record 2")
        .says("the place of root record 1");
    let _ = enroll("2.nfr", later(2)).code(0).says("was enrolled before with root record 2");
    let first = root_record(ROOT_KEY, RELEASE_KEY);
    let ended = enroll("1.nfr", first).code(5).says("root record 1, the device takes 3 next");
    ended.says("next: the device has taken a newer root record").is_one_clear_error();
    // The keys of the first one count no more, and what runs goes on running.
    assert_eq!(unit.site.running_version(&unit.device.address()), "1.1.0");
    let new = unit.site.path("new.nfb");
    unit.site.bundle_at(&Release::new("1.2.0").signed_by(STRANGER_KEY), &new);
    let (new, root) = (new.display().to_string(), unit.site.path("2.nfr").display().to_string());
    let address = unit.device.address();
    let old = unit.site.bundle(&Release::new("1.3.0"));
    let _ = unit.site.deploy(&old, &address).code(5).says("0 of 1 needed signatures");
    let _ = unit.site.noflake(&["deploy", &new, "-d", &address, "--root", &root]).code(0);
}
