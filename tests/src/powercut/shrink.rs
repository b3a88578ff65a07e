//! The shortest list of faults that still breaks a promise.

use hw_sim::{Fault, FlashFault, Tear};

use super::judge::Violation;

/// Leaves out what it can do without and takes simpler faults, as long as a promise is broken. `judge` tells
/// which, if any. `None` when nothing is wrong with the whole list.
pub(super) fn shortest(
    faults: &[Fault],
    mut judge: impl FnMut(&[Fault]) -> Option<Violation>,
) -> Option<(Vec<Fault>, Violation)> {
    let mut shortest = (faults.to_vec(), judge(faults)?);
    while let Some(shorter) = simpler(&shortest.0).into_iter().find_map(|faults| {
        let violation = judge(&faults)?;
        Some((faults, violation))
    }) {
        shortest = shorter;
    }
    Some(shortest)
}

/// Lists that are simpler by one step, the shorter ones first.
fn simpler(faults: &[Fault]) -> Vec<Vec<Fault>> {
    let without = (0..faults.len()).map(|left_out| {
        let mut faults = faults.to_vec();
        faults.remove(left_out);
        faults
    });
    let plainer = (0..faults.len()).flat_map(|place| {
        plainer(faults[place]).into_iter().map(move |fault| {
            let mut faults = faults.to_vec();
            faults[place] = fault;
            faults
        })
    });
    without.chain(plainer).collect()
}

/// A torn operation that is torn in a plainer way: behind a byte, the earlier the better.
fn plainer(fault: Fault) -> Vec<Fault> {
    let Fault::Flash { at_operation, what: FlashFault::Cut(tear) } = fault else {
        return Vec::new();
    };
    let bytes = match tear {
        Tear::Behind { bytes: 0 } => return Vec::new(),
        Tear::Behind { bytes } => vec![0, bytes / 2, bytes - 1],
        Tear::InWord { bytes, .. } | Tear::Weak { from: bytes, .. } => vec![0, bytes],
        Tear::Seeded { .. } | Tear::Scattered { .. } => vec![0],
    };
    let behind = |bytes| Fault::cut(at_operation, Tear::Behind { bytes });
    bytes.into_iter().map(behind).filter(|plainer| *plainer != fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(words: &str) -> Vec<Fault> {
        words.split(' ').map(|word| word.parse().unwrap()).collect()
    }

    fn broken(is_broken: bool) -> Option<Violation> {
        is_broken.then(|| Violation { invariant: "I1", seen: String::new() })
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let all = faults("cut@3:7 flip@9:1.1 fail@4:0 reset@8=crash");
        let needs = faults("flip@9:1.1 reset@8=crash");
        let found = shortest(&all, |faults| broken(needs.iter().all(|one| faults.contains(one))));
        assert_eq!(found.unwrap().0, needs);
    }

    #[test]
    fn a_tear_becomes_as_plain_as_it_may_be() {
        let at_least = |least| {
            move |faults: &[Fault]| {
                broken(faults.iter().any(|fault| match fault {
                    Fault::Flash { what: FlashFault::Cut(Tear::Behind { bytes }), .. } => {
                        *bytes >= least
                    }
                    Fault::Flash { what: FlashFault::Cut(_), .. } => true,
                    _ => false,
                }))
            }
        };
        let found = shortest(&faults("cut@3:200"), at_least(17)).unwrap().0;
        assert_eq!(found, faults("cut@3:17"));
        let found = shortest(&faults("weak@3:64-96=new"), at_least(0)).unwrap().0;
        assert_eq!(found, faults("cut@3:0"));
    }

    #[test]
    fn what_breaks_nothing_has_no_shortest_list_and_what_needs_no_fault_an_empty_one() {
        assert_eq!(shortest(&faults("cut@3:7"), |_| broken(false)), None);
        assert_eq!(shortest(&faults("cut@3:7 silent@9"), |_| broken(true)).unwrap().0, []);
    }
}
