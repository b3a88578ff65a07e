//! P10, a verdict is honest: a bench fault never counts against the device, a failure that was
//! retried never becomes a clean pass, and a check that did not run is no pass.

use integration::cli::Ended;
use integration::site::{Release, Site, plan_with};

fn judged(scenario: &str, check: &str) -> Ended {
    let site = Site::new();
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan_with(check)));
    let device = format!("sim:{}", site.scenario("device", scenario).display());
    site.noflake(&["--format", "json", "deploy", &bundle, "-d", &device])
}

#[test]
fn a_tool_of_the_bench_that_is_missing_is_an_error_and_no_rejection() {
    let check = "id = \"tool\"\nkind = \"command\"\nargv = [\"/no/such/tool\"]";
    let told = judged("", check).code(3).says("/no/such/tool").json();
    assert_eq!((&told["verdict"], &told["version"]), (&"error".into(), &"1.0.0".into()));
}

#[test]
fn a_measurement_that_the_device_does_not_have_is_an_error_that_names_what_it_has() {
    let check =
        "id = \"m\"\nkind = \"measure\"\nsource = \"nope\"\nunit = \"V\"\nlimits = { ge = 1 }";
    let told = judged("", check).code(3).says("rail_3v3").json();
    assert_eq!(told["verdict"], "error");
}

#[test]
fn a_reading_in_another_unit_is_an_error_and_never_converted() {
    let check =
        "id = \"m\"\nkind = \"measure\"\nsource = \"rail_3v3\"\nunit = \"mV\"\nlimits = { ge = 1 }";
    assert_eq!(judged("", check).code(3).json()["verdict"], "error");
}

#[test]
fn a_value_outside_its_limits_rejects_and_the_rest_is_not_run() {
    let check = "id = \"m\"\nkind = \"measure\"\nsource = \"rail_3v3\"\nunit = \"V\"\n\
                 limits = { ge = 3.4 }\n[[stage.check]]\nid = \"later\"\nkind = \"identity\"";
    let told = judged("", check).code(1).says("m: ").json();
    assert_eq!(told["verdict"], "rejected");
    assert_eq!(told["state"], "rolled_back");
}

#[test]
fn a_marginal_value_is_committed_with_a_deviation_that_is_told() {
    let check = "id = \"m\"\nkind = \"measure\"\nsource = \"rail_3v3\"\nunit = \"V\"\n\
                 limits = { ge = 3.0, marginal_ge = 3.4 }";
    let told = judged("", check).code(0).json();
    assert_eq!(told["verdict"], "qualified_with_deviations");
}

#[test]
fn a_failure_that_passes_when_retried_is_flaky_and_no_clean_pass() {
    let site = Site::new();
    // Fails the first time, passes the second.
    let flag = site.path("flag");
    let script = format!("test -e {0} || {{ touch {0}; exit 1; }}", flag.display());
    let check = format!(
        "id = \"flaky\"\nkind = \"command\"\nseverity = \"major\"\nargv = [\"sh\", \"-c\", {script:?}]\n\
         retry = {{ on = [\"fail\"], max_attempts = 3 }}"
    );
    let bundle = site.bundle(&Release::new("1.1.0").plan(&plan_with(&check)));
    let told = site.noflake(&["--format", "json", "deploy", &bundle, "-d", "sim:"]).code(0);
    let told = told.says("flaky").json();
    assert_eq!(told["verdict"], "qualified_with_deviations");
}

/// A console that showed nothing proves neither presence nor absence of a line.
#[test]
fn a_log_check_over_a_silent_console_is_inconclusive_and_goes_back() {
    let check = "id = \"log\"\nkind = \"log\"\nforbid = [\"panic\"]";
    let told = judged("[[image]]\nversion = \"*\"\nconsole = []\n", check).code(4).json();
    assert_eq!((&told["verdict"], &told["version"]), (&"inconclusive".into(), &"1.0.0".into()));
}
