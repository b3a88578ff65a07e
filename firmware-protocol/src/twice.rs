//! Decisions that one fault in the processor does not turn over (TRUST.md, "A disturbed processor").

use core::hint::black_box;

use crate::planted::{Defence, decided};

/// Whether something holds, asked twice of what it is about: both answers have to be yes.
///
/// The compiler is kept from making one question of the two; whether a processor asks both is for its firmware's author to
/// look at.
pub(crate) fn twice(mut holds: impl FnMut() -> bool) -> bool {
    let first = decided(black_box(&mut holds)());
    let again = Defence::SecondLook.is_off() || decided(black_box(&mut holds)());
    black_box(first) & black_box(again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_answers_have_to_be_yes() {
        for answers in [[true, true], [true, false], [false, true], [false, false]] {
            let mut said = answers.into_iter();
            let expected = answers == [true, true];
            assert_eq!(twice(|| said.next() == Some(true)), expected, "{answers:?}");
            assert_eq!(said.next(), None, "it was asked twice");
        }
    }
}
