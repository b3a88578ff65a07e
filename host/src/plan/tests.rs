use super::*;

#[test]
fn a_full_plan_reads_as_written() {
    let plan = Plan::parse(FULL, "full.toml").unwrap();
    assert_eq!(
        (plan.id.as_str(), plan.version.as_str(), plan.level),
        ("rover-nav.release", "7", Level::Release)
    );
    assert_eq!(
        plan.applies_to,
        AppliesTo { product: Some("rover-nav".into()), hardware_rev: vec![2, 3] }
    );
    assert_eq!(plan.timeouts.run_ms, 4 * 3_600_000);
    assert_eq!(plan.timeouts.connect_ms, Timeouts::default().connect_ms);
    assert_eq!(plan.policy.on_fail, OnFail::Hold);
    let kinds: Vec<&str> = plan.checks().map(|(_, check)| check.kind.word()).collect();
    let expected = [
        "identity", "identity", "slot", "boot", "selftest", "measure", "log", "liveness",
        "command", "link", "slot",
    ];
    assert_eq!(kinds, expected);
    let (stage, rail) = plan.checks().find(|(_, check)| check.id == "rail-3v3").unwrap();
    assert_eq!((stage.id.as_str(), stage.slot), ("oq", SlotRole::Trial));
    assert_eq!(rail.retry, Retry { on: vec![RetryOn::Error], max_attempts: 2, delay_ms: 5_000 });
    assert_eq!((rail.timeout_ms, rail.severity), (90_000, Severity::Major));
    assert_eq!(rail.requirements, ["REQ-112.4"]);
    assert!(FULL.lines().nth(rail.line as usize - 1).unwrap().contains("[[stage.check]]"));
}

#[test]
fn a_check_takes_the_slot_of_its_stage() {
    let plan = Plan::parse(FULL, "full.toml").unwrap();
    let role = |id: &str| plan.checks().find(|(_, check)| check.id == id).unwrap().1.kind.clone();
    assert_eq!(role("before"), CheckKind::Identity { role: SlotRole::Incumbent, serial_re: None });
    assert_eq!(role("after"), CheckKind::Slot { role: SlotRole::Committed });
}

#[test]
fn the_built_in_plan_is_sound_and_looks_at_identity_slot_boot_selftest_and_link() {
    let plan = Plan::default_deploy().unwrap();
    let kinds: Vec<&str> = plan.checks().map(|(_, check)| check.kind.word()).collect();
    assert_eq!(kinds, ["identity", "slot", "boot", "selftest", "link"]);
    assert!(plan.checks().all(|(_, check)| check.severity == Severity::Blocker));
}

#[test]
fn the_digest_ignores_comments_white_space_and_key_order_and_nothing_else() {
    let digest = Plan::parse(&minimal(""), "a").unwrap().digest();
    let spaced = minimal("")
        .replace("id = \"x\"\n    kind = \"slot\"", "# why\n\n  kind='slot'\nid   = \"x\"");
    assert_ne!(spaced, minimal(""));
    assert_eq!(Plan::parse(&spaced, "b").unwrap().digest(), digest);
    assert_ne!(Plan::parse(&minimal("timeout = \"9s\""), "a").unwrap().digest(), digest);
}

#[test]
fn all_problems_of_a_plan_are_reported_at_once_in_line_order() {
    let text = "schema = \"qualplan/1\"\n[plan]\nid = \"a b\"\n[timeouts]\nrun = \
        \"0s\"\n[[stage]]\nid = \"oq\"\n[[stage.check]]\nid = \"x\"\nkind = \"measure\"\nlimits \
        = { ge = 2, le = 1 }\n";
    let error = Plan::parse(text, "plans/p.toml").unwrap_err();
    let expected = "\
plans/p.toml:2: [plan]: `version` is missing, expected text in quotes
plans/p.toml:3: [plan]: `id` must be 1 to 64 letters, digits, `-`, `_` or `.`, got \"a b\"
plans/p.toml:5: [timeouts]: `run` is zero; give it at least 1 ms or leave the key out for its default
plans/p.toml:8: check `x`: `source` is missing, expected text in quotes
plans/p.toml:11: check `x`: limits: no value can meet ge 2 and le 1; lower the first or raise the second
plans/p.toml:11: check `x`: limits of a number need `unit`; write for example unit = \"V\", or \
    unit = \"\" for a plain count";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_the_schema_knows_and_this_version_does_not_is_refused_by_name() {
    for key in ["repeat", "claim", "sample", "baseline", "when", "fault", "extends"] {
        refuses(
            &minimal(&format!("{key} = {{}}")),
            &format!("check `x`: `{key}` is not supported yet by this version (supported: "),
        );
    }
    refuses(&minimal("require = {}"), "`require` is not supported yet");
    for key in ["min_units = 3", "waivers = 'w.toml'", "approvals = 2"] {
        refuses(&format!("{}\n[policy]\n{key}", minimal("")), "is not supported yet");
    }
    for text in ["[bench]\nneeds = ['power']", "[[variant]]\nmatch = 1"] {
        refuses(
            &format!("{}\n{text}", minimal("")),
            "is not supported yet by this version (supported: schema,",
        );
    }
    for kind in ["series", "compare", "soak", "fault", "operator", "approve", "rollback_drill"] {
        let text = minimal("").replace("kind = \"slot\"", &format!("kind = \"{kind}\""));
        refuses(
            &text,
            &format!(
                "check kind \"{kind}\" is not supported yet by this version (supported: identity, "
            ),
        );
    }
    for kind in ["compare", "drill"] {
        refuses(
            &minimal("").replace("id = \"oq\"", &format!("id = \"oq\"\nkind = \"{kind}\"")),
            "stage kind is not supported yet",
        );
    }
    refuses(
        &minimal("")
            .replace("version = \"1\"", "version = \"1\"\napplies_to = { device_class = [] }"),
        "`device_class` is not supported yet",
    );
}

#[test]
fn unknown_things_are_named_with_what_is_allowed() {
    refuses(
        &minimal("sevrity = 'major'"),
        "p.toml:11: check `x`: unknown key `sevrity`; did you mean `severity`?",
    );
    refuses(
        &minimal("severity = 'minor'"),
        "`severity` is \"minor\", allowed: blocker, major, info",
    );
    refuses(
        &minimal("").replace("kind = \"slot\"", "kind = \"slott\""),
        "unknown check kind \"slott\"; allowed: identity, slot,",
    );
    refuses(
        &minimal("").replace("qualplan/1", "qualplan/2"),
        "schema is \"qualplan/2\", this version reads \"qualplan/1\"",
    );
    refuses(&format!("{}\n[polcy]", minimal("")), "unknown key `polcy`; did you mean `policy`?");
    refuses("nonsense", "p.toml:1: not valid TOML");
    refuses("", "`schema` is missing");
}

#[test]
fn a_plan_without_checks_is_refused() {
    refuses("schema = \"qualplan/1\"\n[plan]\nid='x'\nversion='1'", "the plan has no stage");
    refuses(
        "schema = \"qualplan/1\"\n[plan]\nid='x'\nversion='1'\n[[stage]]\nid='oq'",
        "stage `oq`: the stage has no check",
    );
}

#[test]
fn a_plan_that_could_not_reject_is_refused() {
    refuses(&minimal("severity = 'info'"), "nothing could reject the new version");
    refuses(
        &minimal("").replace("id = \"oq\"", "id = \"oq\"\nkind = \"preflight\""),
        "nothing could reject",
    );
}

#[test]
fn repeated_ids_name_the_line_of_the_first() {
    let twice = format!("{}\n[[stage.check]]\nid = 'x'\nkind = 'slot'", minimal(""));
    refuses(&twice, "the id `x` is already used on line 8");
}

#[test]
fn stages_stand_in_order_and_on_a_slot_that_fits_their_kind() {
    let late = format!(
        "{}\n[[stage]]\nid='pre'\nkind='preflight'\n[[stage.check]]\nid='y'\nkind='slot'",
        minimal("")
    );
    refuses(&late, "stage `pre` comes too late");
    let slot = minimal("").replace("id = \"oq\"", "id = \"oq\"\nslot = \"committed\"");
    refuses(&slot, "cannot run on slot \"committed\"; write slot = \"trial\"");
}

#[test]
fn retry_rules_are_enforced() {
    refuses(
        &minimal("retry = { on = ['fail'], max_attempts = 2 }"),
        "a blocker is never retried on \"fail\"",
    );
    reads(&minimal("severity = 'major'\nretry = { on = ['fail'], max_attempts = 2 }"));
    refuses(&minimal("retry = { on = ['error'] }"), "retry: `max_attempts` is missing");
    refuses(&minimal("retry = { on = ['error'], max_attempts = 1 }"), "from 2 to 20, got 1");
    refuses(
        &minimal("retry = { on = ['flaky'], max_attempts = 2 }"),
        "`on` has \"flaky\", allowed: error,",
    );
    refuses(&minimal("retry = { on = [], max_attempts = 2 }"), "`on` names no verdict");
}

#[test]
fn parameters_of_each_kind_are_held_to_sense() {
    refuses(&kind("log", ""), "needs `require` or `forbid`");
    refuses(&kind("log", "forbid = ['(']"), "is no regular expression");
    refuses(
        &kind("log", "forbid = ['a']\nwindow = '60s'\ntimeout = '60s'"),
        "`timeout` is 60000 ms, the check takes 60000 ms",
    );
    refuses(
        &kind("liveness", "window = '1s'\ninterval = '1s'\nmin_rate_hz = 1"),
        "must be shorter than `window`",
    );
    refuses(
        &kind("liveness", "window = '9s'\ninterval = '1s'\nmin_rate_hz = 2"),
        "allows at most 1 Hz",
    );
    refuses(
        &kind("liveness", "window = '9s'\ninterval = '1s'"),
        "needs `limits` on the longest gap or `min_rate_hz`",
    );
    refuses(&kind("command", "argv = []"), "names no program");
    refuses(
        &kind(
            "link",
            "metric = 'loss'\ncount = 1\ninterval = '1s'\nunit = 'ms'\nlimits = { le = 1 }",
        ),
        "`unit` is \"ms\", allowed: %",
    );
    refuses(
        &kind("link", "metric = 'rtt_max'\ncount = 1\ninterval = '1s'\nlimits = { le = 1 }"),
        "`unit` is missing, expected the unit of the limits",
    );
    refuses(
        &kind("boot", "limits = { re = 'x' }\nunit = 's'"),
        "limits are for a text, this kind of check measures a number",
    );
    refuses(&kind("boot", "unit = 's'"), "`unit` without `limits`");
    refuses(&kind("boot", "max_attempts = 9"), "must be less than 3");
    refuses(&kind("slot", "limits = { le = 1 }"), "unknown key `limits`");
    refuses(&kind("measure", "source = 'a'"), "`limits` is missing");
    reads(&kind("measure", "source = 'a'\nlimits = { re = 'ok' }"));
    reads(&kind("measure", "source = 'resets'\nunit = ''\nlimits = { le = 0 }"));
}

#[test]
fn a_plan_is_bounded_in_bytes_and_checks() {
    let long = format!("#{}", "x".repeat(PLAN_BYTES_MAX));
    refuses(&long, "the plan is 262145 bytes long, at most 262144 bytes are read");
    let check = |index: usize| format!("[[stage.check]]\nid = 'c{index}'\nkind = 'slot'\n");
    let checks = |count: usize| (1..count).map(check).collect::<String>();
    reads(&format!("{}\n{}", minimal(""), checks(CHECKS_MAX)));
    refuses(
        &format!("{}\n{}", minimal(""), checks(CHECKS_MAX + 1)),
        "has 257 checks, at most 256 are run",
    );
}

/// Cut anywhere, a plan is read or refused, and never panics.
#[test]
fn a_torn_plan_never_panics() {
    for end in 0..FULL.len() {
        if let Some(torn) = FULL.get(..end) {
            let _ = Plan::parse(torn, "torn.toml");
        }
    }
}

fn refuses(text: &str, expected: &str) {
    let error = Plan::parse(text, "p.toml").expect_err(text).to_string();
    assert!(error.contains(expected), "expected {expected:?} in\n{error}");
}

fn reads(text: &str) {
    if let Err(error) = Plan::parse(text, "p.toml") {
        panic!("{error}");
    }
}

fn kind(kind: &str, keys: &str) -> String {
    minimal(keys).replace("kind = \"slot\"", &format!("kind = \"{kind}\""))
}

/// A sound plan of one slot check `x`, whose table ends with `keys` on line 11.
fn minimal(keys: &str) -> String {
    format!(
        "schema = \"qualplan/1\"
    [plan]
    id = \"p\"
    version = \"1\"
    [[stage]]
    id = \"oq\"

    [[stage.check]]
    id = \"x\"
    kind = \"slot\"
    {keys}"
    )
}

const FULL: &str = r#"
schema = "qualplan/1"

[plan]
id = "rover-nav.release"
version = "7"
applies_to = { product = "rover-nav", hardware_rev = [2, 3] }
level = "release"
expected = "all"
requirements = ["REQ-112"]

[timeouts]
run = "4h"
silence = "120s"
lease = "60s"
boot_max = "2h"
trial_boots = 200

[policy]
on_fail = "hold"
on_inconclusive = "reject"
consecutive_error_limit = 4

[[stage]]
id = "pre"
kind = "preflight"
[[stage.check]]
id = "before"
kind = "identity"

[[stage]]
id = "oq"
slot = "trial"

[[stage.check]]
id = "identity"
kind = "identity"
serial_re = "^RN-[0-9]{4}$"

[[stage.check]]
id = "slot"
kind = "slot"

[[stage.check]]
id = "boot"
kind = "boot"
unit = "s"
limits = { le = 8.0, marginal_le = 6 }
reset_cause = ["software"]
max_attempts = 2

[[stage.check]]
id = "selftest"
kind = "selftest"
only = ["imu", "gnss"]

[[stage.check]]
id = "rail-3v3"
kind = "measure"
severity = "major"
source = "psu.rail_3v3"
unit = "V"
limits = { ge = 3.14, le = 3.47, marginal_ge = 3.18, marginal_le = 3.43 }
retry = { on = ["error"], max_attempts = 2, delay = "5s" }
timeout = "90s"
requirements = ["REQ-112.4"]

[[stage.check]]
id = "console"
kind = "log"
require = ["^boot ok"]
forbid = ["panic", "fault"]
window = "10s"

[[stage.check]]
id = "alive"
kind = "liveness"
window = "60s"
interval = "1s"
unit = "s"
limits = { le = 3 }
min_rate_hz = 0.8

[[stage.check]]
id = "script"
kind = "command"
argv = ["./check.sh", "--fast"]
exit = 0
stdout_re = "OK"

[[stage.check]]
id = "link"
kind = "link"
severity = "info"
metric = "rtt_median"
count = 20
interval = "50ms"
unit = "ms"
limits = { lt = 40 }

[[stage]]
id = "post"
kind = "post"
[[stage.check]]
id = "after"
kind = "slot"
"#;
