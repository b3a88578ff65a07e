//! P1, P2, P6 and P7 under power cuts: every byte of every flash operation of every deed, on the part with
//! ECC words and one block a range. The whole sweep, all parts, is `--bin powercut` (TESTING.md).

use integration::powercut::deed::DEEDS;
use integration::powercut::part::small;
use integration::powercut::release::Releases;
use integration::powercut::sweep::Sweep;

/// Deeds that write little; those that stage a bundle take minutes unoptimised.
const SHORT: [&str; 8] =
    ["enroll", "arm", "trial", "confirm", "rollback", "lease", "fallback", "damage"];

#[test]
fn no_cut_in_what_decides_breaks_a_promise() {
    let (part, releases) = (small(), Releases::new());
    let mut fired = 0;
    for deed in DEEDS.iter().filter(|deed| SHORT.contains(&deed.name)) {
        let sweep = Sweep { part: &part, releases: &releases, deed, age: 0 };
        let figures = sweep.run(None);
        let failures: Vec<String> =
            figures.failures.iter().map(|failure| failure.violation.to_string()).collect();
        assert!(failures.is_empty(), "{}: {failures:?}", sweep.place());
        assert!(figures.operations > 0, "{} writes nothing", sweep.place());
        assert_eq!(figures.fired, figures.cases as u64, "{}", sweep.place());
        fired += figures.fired;
    }
    assert!(fired > 5_000, "only {fired} cuts struck");
}
