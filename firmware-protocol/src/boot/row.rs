//! The rows of the decision table, their ids and their words (BOOT.md, "Decision").

use serde::{Deserialize, Serialize};

use crate::slot::SlotId;

/// What to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Start {
    /// The image in this slot.
    Slot(SlotId),
    /// The recovery image.
    Recovery,
}

/// The row of the decision table that applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BootRow {
    /// B1: no record can be read.
    NoRecord,
    /// B2: an armed trial boot.
    TrialArmed,
    /// B3: a trial is open and not armed; the confirmed image runs meanwhile.
    TrialPaused,
    /// B4: the trial ended here, for the reason that its slot now carries.
    TrialEnded,
    /// B5: the confirmed image.
    Confirmed,
    /// B6: the confirmed slot is damaged; its fallback takes over for good.
    FallbackDamaged,
    /// B7: the confirmed image spent its crash budget; its fallback takes over for good.
    FallbackCrashed,
    /// B8: nothing that verifies is left.
    NothingBoots,
    /// B9: the confirmed image spent its crash budget and there is no fallback.
    CrashedAlone,
    /// B10: the slot to start cannot be started this time; the other one runs for this boot only.
    PassedOver,
}

impl BootRow {
    /// Every row, in the order of the table.
    pub const ALL: [Self; 10] = [
        Self::NoRecord,
        Self::TrialArmed,
        Self::TrialPaused,
        Self::TrialEnded,
        Self::Confirmed,
        Self::FallbackDamaged,
        Self::FallbackCrashed,
        Self::NothingBoots,
        Self::CrashedAlone,
        Self::PassedOver,
    ];

    /// The row's id in BOOT.md.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::NoRecord => "B1",
            Self::TrialArmed => "B2",
            Self::TrialPaused => "B3",
            Self::TrialEnded => "B4",
            Self::Confirmed => "B5",
            Self::FallbackDamaged => "B6",
            Self::FallbackCrashed => "B7",
            Self::NothingBoots => "B8",
            Self::CrashedAlone => "B9",
            Self::PassedOver => "B10",
        }
    }

    /// Why the device started what it started, in words.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::NoRecord => "no boot record can be read, so the recovery image runs",
            Self::TrialArmed => "a trial boot was armed, so the trial image runs, unproven",
            Self::TrialPaused => {
                "a trial is open but no boot is armed, so the confirmed image runs meanwhile"
            }
            Self::TrialEnded => "the trial ended at this start, so the confirmed image runs",
            Self::Confirmed => "the confirmed image runs",
            Self::FallbackDamaged => {
                "the confirmed slot no longer matches its digest, so its fallback took over"
            }
            Self::FallbackCrashed => {
                "the confirmed image crashed too often, so its fallback took over"
            }
            Self::NothingBoots => {
                "no slot holds an image that verifies, so the recovery image runs"
            }
            Self::CrashedAlone => {
                "the confirmed image crashed too often and there is no fallback, so the recovery \
                 image runs"
            }
            Self::PassedOver => {
                "the slot to start could not be read or its start not be recorded, so the other \
                 one runs this once"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// People read the words and look the id up in the page; a row that says what another one says misleads both.
    #[test]
    fn every_row_has_an_id_and_words_of_its_own() {
        for (index, row) in BootRow::ALL.iter().enumerate() {
            assert_eq!(row.id(), std::format!("B{}", index + 1));
            let (_, behind) = BootRow::ALL.split_at(index + 1);
            assert!(behind.iter().all(|other| other.explanation() != row.explanation()), "{row:?}");
            let what =
                ["recovery image", "confirmed image", "trial image", "fallback", "other one"];
            let told = what.iter().any(|what| row.explanation().contains(what));
            assert!(told, "{row:?} does not say what runs");
        }
    }
}
