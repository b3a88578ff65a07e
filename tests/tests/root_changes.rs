//! The next root record changes what it writes out, and nothing by leaving it out: drafted, shown and signed with the one in force
//! beside it, as holders do.

use integration::office::{Office, role};
use serde_json::Value;

/// An old delegation does not come back, nor a device of the field onto a desk, because a line was forgotten.
#[test]
fn what_a_next_root_record_leaves_out_stays_and_what_it_loosens_is_marked_wherever_it_is_shown() {
    let office =
        Office::new(&[("root", "a"), ("release", "r"), ("release", "r2"), ("operate", "o")]);
    let roles = [role("root", &["a"], 1), role("release", &["r"], 1), role("operate", &["o"], 1)];
    let strict = "[epochs]\noperate = 5\n[policy]\nlife_cycle = \"field\"\n";
    let _ = office.root("1", &format!("{}{strict}", roles.concat()), &["a.key"], None);
    let after = ["--after", "1.nfr"];
    let show = |file, after: &[&str]| {
        office
            .noflake(&[&["root", "show", file, "--format", "json"], after].concat())
            .code(0)
            .json()
    };

    let told = office.root("2", &role("release", &["r2"], 1), &["a.key"], Some("1.nfr"));
    let _ =
        told.says("5 of delegations").says("root record 2 (field)").says("  release: was 1 of ");
    let shown = show("2.nfr", &after);
    assert_eq!((&shown["epochs"]["operate"], &shown["life_cycle"]), (&5.into(), &"field".into()));
    assert_eq!(shown["changes"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(shown["changes"][0]["loosens"], Value::Null, "{shown}");
    assert_eq!(show("2.nfr", &[])["changes"], Value::Null, "nobody knows what it was");

    let loose = "[epochs]\noperate = 4\n[policy]\nlife_cycle = \"development\"\n";
    let marked = [
        "! epochs.operate: was 5, becomes 4; delegations that were taken back count again",
        "! policy.life_cycle: was field, becomes development; whoever reaches a device changes it",
    ];
    office.site.write("loose.toml", loose);
    let draft = ["root", "draft", "loose.toml", "-o", "loose.nfr"];
    let show = ["root", "show", "loose.nfr"];
    for command in [&draft[..], &show] {
        let told = office.noflake(&[command, &after].concat()).code(0);
        let _ = told.says(marked[0]).says(marked[1]);
    }
    let _ = office.noflake(&show).code(0).says("--after FILE says what is not as in root record 1");
    // They stand in what is shown before the passphrase is asked for as well as behind it.
    let sign = ["root", "sign", "loose.nfr", "--key", "a.key"];
    let told = office.say(&[&sign[..], &after].concat()).code(0);
    for text in [&told.stderr, &told.stdout] {
        assert!(marked.iter().all(|mark| text.contains(mark)), "{text}");
    }
}

#[test]
fn a_first_root_record_that_lacks_keys_or_asks_for_a_level_of_nothing_is_refused_in_words() {
    let office = Office::new(&[("root", "a"), ("release", "r")]);
    let roles = [role("root", &["a"], 1), role("release", &["r"], 1)];
    let level = format!("{}[policy]\ncertificate_level = 3\n", roles.concat());
    for (spec, says) in [
        (
            &roles[0],
            "spec.toml names no release keys, and a first root record has to: --after FILE",
        ),
        (&roles[1], "spec.toml names no root keys, and a first root record has to: --after FILE"),
        (&level, "policy.certificate_level is 3, and no certificate is needed"),
    ] {
        office.site.write("spec.toml", spec);
        let refused = office.noflake(&["root", "draft", "spec.toml", "-o", "x.nfr"]).code(2);
        refused.says(says).is_one_clear_error();
        assert!(!office.site.path("x.nfr").exists());
    }
}
