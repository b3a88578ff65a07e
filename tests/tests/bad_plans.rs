//! Bad plans from the shell: each is refused with exit 2, path, line and reason, before any device is
//! asked, by the one who makes a bundle as by the one who qualifies.

use integration::simulator::{SimOptions, Simulator};
use integration::site::{QUICK_PLAN, RELEASE_KEY, ROOT_KEY, Release, Site, plan_with};
use integration::trust::{first_record, role, signed_root};

const MEASURE: &str = "id = \"m\"\nkind = \"measure\"\nsource = \"rail_3v3\"\n";

#[test]
fn each_mistake_in_a_plan_is_named_with_its_line_and_exit_2() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let measure = |rest: &str| plan_with(&format!("{MEASURE}{rest}"));
    for (what, text, words) in [
        ("unknown key", QUICK_PLAN.replace("lease =", "leese ="), "leese"),
        ("unknown kind", plan_with("id = \"x\"\nkind = \"telepathy\""), "telepathy"),
        ("no unit", measure("limits = { ge = 1 }"), "unit"),
        ("impossible", measure("unit = \"V\"\nlimits = { ge = 5, le = 1 }"), "limits"),
        ("no limits", measure("unit = \"V\""), "limits"),
        ("no schema", QUICK_PLAN.replace("schema =", "scheme ="), "schema"),
        ("not supported", plan_with("id = \"x\"\nkind = \"soak\""), "not supported yet"),
        ("no duration", QUICK_PLAN.replace("\"60s\"", "60"), "run"),
        ("not TOML", "schema = ".to_owned(), "plan.toml"),
        ("empty", String::new(), "plan.toml"),
        ("twice the same id", plan_with("id = \"identity\"\nkind = \"identity\""), "identity"),
    ] {
        site.write("plan.toml", &text);
        let qualify = ["qualify", &bundle, "--plan", "plan.toml", "-d", "sim:"];
        let ended = site.noflake(&qualify);
        assert_eq!(ended.code, Some(2), "{what}: {ended:?}");
        let ended = ended.says(words).says("plan.toml").says("nothing was sent");
        ended.is_one_clear_error();
        assert!(site.runs().is_empty(), "{what}: nothing was run");
    }
}

#[test]
fn all_problems_of_a_plan_are_told_at_once() {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0"));
    let text = format!(
        "{}\n[[stage.check]]\n{MEASURE}limits = {{ ge = 5, le = 1 }}\nspelt = 1\n",
        QUICK_PLAN.replace("lease =", "leese =")
    );
    site.write("plan.toml", &text);
    let qualify = ["qualify", &bundle, "--plan", "plan.toml", "-d", "sim:"];
    let _ = site.noflake(&qualify).code(2).says("leese").says("spelt").says("unit");
}

#[test]
fn a_plan_for_another_device_is_refused_before_anything_is_written() {
    let site = Site::new();
    let other =
        QUICK_PLAN.replace("version = \"1\"", "version = \"1\"\napplies_to = { product = \"x\" }");
    let bundle = site.bundle(&Release::new("1.1.0").plan(&other));
    let ended = site.deploy(&bundle, "sim:");
    assert!(matches!(ended.code, Some(2 | 5)), "{ended:?}");
    let _ = ended.says("take a plan for this device").says("slot B empty");
}

/// The fallback is still there: the host knows the limits before the device is asked.
#[test]
fn a_plan_that_asks_for_more_than_the_root_record_allows_is_refused_before_anything_is_staged() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let _ = site.deploy(&site.bundle(&Release::new("1.1.0")), &device.address()).code(0);
    let before = site.status(&device.address())["slot_a"].clone();
    assert_eq!(before["state"], "admitted");
    for (plan, says) in [
        (
            QUICK_PLAN.replace("\"4s\"", "\"20m\""),
            "lease = 20m, root record 1 allows max_lease = 10m at most",
        ),
        (
            QUICK_PLAN.replace("boots = 3", "boots = 300"),
            "trial_boots = 300, root record 1 allows max_boots = 200",
        ),
        (
            QUICK_PLAN.replace("\"30s\"", "\"5h\""),
            "boot_max = 5h, root record 1 allows max_boot = 4h",
        ),
    ] {
        let bundle = site.bundle(&Release::new("1.2.0").plan(&plan));
        let refused = site.deploy(&bundle, &device.address()).code(5).says(says);
        refused.says("whoever holds the root signs a record").is_one_clear_error();
        let explain = ["bundle", "verify", "--explain", &bundle];
        let _ = site.noflake(&explain).code(2).says("trial       REFUSED").says(says);
        assert_eq!(site.status(&device.address())["slot_a"], before);
    }
    let good = site.bundle(&Release::new("1.2.0"));
    let explained = site.noflake(&["bundle", "verify", "--explain", &good]).code(0);
    let _ = explained.says("trial       good     the plan asks for trial_boots = 3, lease = 4s");
}

/// A device that is enrolled under a stricter record says so behind the stage, and nobody is sent round in a circle.
#[test]
fn a_trial_that_the_device_refuses_is_told_by_the_name_of_its_limit_and_with_what_was_staged() {
    let site = Site::new();
    let device = Simulator::start(&site, &SimOptions::tcp());
    let mut record = first_record();
    (record.version, record.policy.max_lease_ms) = (2, 2_000);
    record.release = role(&[RELEASE_KEY], 1);
    std::fs::write(site.path("root-2.nfr"), signed_root(&record, &[ROOT_KEY])).unwrap();
    let enroll = ["device", "enroll", "-d", &device.address(), "--root", "root-2.nfr"];
    let _ = site.noflake(&enroll).code(0);
    let bundle = site.bundle(&Release::new("1.1.0"));
    let refused = site.deploy(&bundle, &device.address()).code(5);
    let _ = refused
        .says("lease = 4s, the device's root record allows max_lease = 2s at most")
        .says("the bundle stays staged, this run has not touched what the device runs")
        .says("whoever holds the root signs a record");
    let explain = ["device", "status", "--explain", "-d", &device.address()];
    let _ =
        site.noflake(&explain).code(0).says("if it was refused, do first what it named as next");
}
