//! What a twin leaves out.

use firmware_protocol::planted::{Defence, Mistake};

/// What is wrong with the product when an attack has to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// It leaves a defence out.
    Defence(Defence),
    /// It makes a mistake that the power cuts know, too.
    Mistake(Mistake),
    /// Nothing that can be switched: the row is about what is not there, by model and review.
    Review,
}

impl Switch {
    /// Its name, as programs pass it on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Defence(defence) => defence.name(),
            Self::Mistake(mistake) => mistake.name(),
            Self::Review => "review",
        }
    }

    /// The switch of that name.
    pub fn named(name: &str) -> Option<Self> {
        let defences = Defence::ALL.into_iter().map(Self::Defence);
        let mistakes = Mistake::ALL.into_iter().map(Self::Mistake);
        defences.chain(mistakes).find(|switch| switch.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_switches_have_the_same_name() {
        for defence in Defence::ALL {
            assert_eq!(Switch::named(defence.name()), Some(Switch::Defence(defence)));
        }
        for mistake in Mistake::ALL {
            assert_eq!(Switch::named(mistake.name()), Some(Switch::Mistake(mistake)));
        }
    }
}
