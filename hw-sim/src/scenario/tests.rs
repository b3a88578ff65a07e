use super::*;
use crate::fault::Direction;
use crate::flash::Ecc;

fn parse(body: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse(&format!("schema = \"hwsim/1\"\n{body}"), "s.toml")
}

/// The whole chain of an error, as main prints it.
fn complaint(body: &str) -> String {
    let error = parse(body).unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[test]
fn a_scenario_that_says_nothing_is_the_healthy_default() {
    let scenario = parse("").unwrap();
    assert_eq!(scenario.device.product, "rover-nav");
    assert_eq!(scenario.device.revision, 2);
    assert_eq!(scenario.checks.statuses, ["ram", "flash", "clock", "storage"]);
    let measured: Vec<&str> = scenario.checks.measures.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(measured, ["rail_3v3", "cpu_temp", "loop_p99"]);
    assert_eq!(scenario.image("1.0.0").behaviour, Behaviour::Healthy);
}

#[test]
fn an_image_is_found_by_its_version_before_the_star() {
    let scenario = parse(
        "[[image]]\nversion = \"*\"\nbehaviour = \"hangs\"\n\
         [[image]]\nversion = \"1.2.0\"\nbehaviour = \"crashes\"\ncrash_after_ms = 7\n",
    )
    .unwrap();
    assert_eq!(scenario.image("1.2.0").behaviour, Behaviour::Crashes);
    assert_eq!(scenario.image("1.2.0").crash_after_ms, 7);
    assert_eq!(scenario.image("9.9.9").behaviour, Behaviour::Hangs);
}

#[test]
fn faults_are_read_with_their_defaults() {
    let scenario = parse(
        "faults = [\"weak@9:0-8=new\", \"reset@80=pin\"]\n\
         [flash]\necc = \"trap\"\n\
         [power]\ncut_at_operation = 12\n\
         [[link_fault]]\nkind = \"corrupt\"\nrate = 1e-5\ndirection = \"in\"\n\
         [[link_fault]]\nkind = \"disconnect\"\nafter_bytes = 900\n\
         [[flip]]\ncomponent = \"app\"\nslot = \"B\"\noffset = 3\n",
    )
    .unwrap();
    assert_eq!(scenario.power.cut_at_operation, Some(12));
    let words: Vec<String> = scenario.faults.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["weak@9:0-8=new", "reset@80=pin"]);
    assert_eq!(scenario.flash.ecc, Ecc::Trap);
    assert_eq!(
        scenario.link_faults,
        [
            LinkFault::Corrupt { rate: 1e-5, direction: Direction::In },
            LinkFault::Disconnect { after_bytes: 900, down_ms: 1000, direction: Direction::Both },
        ]
    );
    assert_eq!(scenario.flips.first().unwrap().slot, SlotId::B);
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = complaint("[device]\nproduct = \"p\"\nserail = \"x\"\n");
    assert!(
        text.contains("s.toml") && text.contains("serail") && text.contains("line 4"),
        "{text}"
    );
}

#[test]
fn a_value_that_no_device_can_have_is_named_with_what_was_expected() {
    let cases = [
        ("[flash]\nword_bytes = 3\n", "flash.word_bytes: expected 1, 2, 4, 8, 16 or 32, got 3"),
        ("[flash]\nerased = 7\n", "flash.erased: expected 0 or 255, got 7"),
        (
            "[flash]\npage_bytes = 2\n",
            "flash.page_bytes: expected a power of two from the word's 4",
        ),
        ("faults = [\"cut@1\"]\n", "faults: \"cut@1\" is no fault: expected one like cut@12:100"),
        ("[flash]\nblocks = [{ bytes = 1000 }]\n", "flash.blocks.bytes: expected a multiple"),
        ("[device]\nareas = []\n", "device.areas: expected at least one"),
        ("[device]\nproduct = \"\"\n", "device.product: expected 1 to 64 bytes, got 0"),
        ("[device]\nwindow_bytes = 512\n", "device.window_bytes: expected 8192"),
        ("[[image]]\nversion = \"new\"\n", "image.version: expected a version"),
        ("[[image]]\nversion = \"*\"\nfails = [\"rail_3v3\"]\n", "image.fails: \"rail_3v3\" is no"),
        (
            "[[link_fault]]\nkind = \"drop\"\nrate = 2.0\n",
            "link_fault.rate: expected 0 to 1, got 2",
        ),
        (
            "[[flip]]\ncomponent = \"app\"\nslot = \"A\"\nbit = 8\n",
            "flip.bit: expected 0 to 7, got 8",
        ),
        (
            "[[flip]]\ncomponent = \"fpga\"\nslot = \"A\"\n",
            "flip.component: the device has no area",
        ),
    ];
    for (body, expected) in cases {
        let text = complaint(body);
        assert!(text.contains(expected), "expected {expected:?} in {text:?}");
    }
}

#[test]
fn a_scenario_of_another_schema_is_refused() {
    let error = Scenario::parse("schema = \"hwsim/9\"\n", "s.toml").unwrap_err();
    assert!(error.to_string().contains("expected \"hwsim/1\", got \"hwsim/9\""), "{error}");
}

#[test]
fn the_example_in_the_documentation_is_a_valid_scenario() {
    Scenario::parse(include_str!("../../examples/scenario.toml"), "scenario.toml").unwrap();
}

#[test]
fn an_image_can_crash_at_its_first_starts_only() {
    let body = "[[image]]\nversion = \"*\"\nbehaviour = \"crashes\"\n";
    let at = |keys: &str, start| {
        parse(&format!("{body}{keys}")).unwrap().image("1.0.0").at_start(start).behaviour
    };
    assert_eq!([1, 9].map(|start| at("", start)), [Behaviour::Crashes; 2]);
    let twice = [1, 2, 3].map(|start| at("crash_starts = 2", start));
    assert_eq!(twice, [Behaviour::Crashes, Behaviour::Crashes, Behaviour::Healthy]);
    let misplaced = parse("[[image]]\nversion = \"*\"\ncrash_starts = 2\n");
    assert!(
        matches!(misplaced, Err(ScenarioError::Rule { key, .. }) if key == "image.crash_starts")
    );
}
