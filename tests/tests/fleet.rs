//! P1, P2, P6, P7, P10 and P11 for whole systems: a fleet whose supply and lines fail, good and bad versions in turn,
//! in virtual time. Longer: `--bin soak` (TESTING.md).

use integration::soak::fleet::{Fleets, Yard};

#[test]
fn a_fleet_comes_through_whatever_fails_and_lives_twice_in_the_same_way() {
    let yard = Yard::new();
    let mut fleets = Fleets::default();
    let first = yard.live(1, &mut fleets);
    assert!(fleets.failures.is_empty(), "{:#?}", fleets.failures);
    let struck = &fleets.fired;
    let struck = [struck.power_cuts, struck.dropped_bytes, struck.corrupted_bits];
    assert!(!struck.contains(&0), "cuts, bytes dropped, bits turned: {struck:?}");
    for outcome in ["Committed", "RolledBack", "WentBackByItself"] {
        assert!(fleets.outcomes.contains_key(outcome), "{:?}", fleets.outcomes);
    }
    assert_eq!(first, yard.live(1, &mut Fleets::default()), "the same seed, another history");
}
