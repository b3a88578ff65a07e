//! Bad plans from the shell: each is refused with exit 2, path, line and reason, before any device is
//! asked, by the one who makes a bundle as by the one who qualifies.

use integration::site::{QUICK_PLAN, Release, Site, plan_with};

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
