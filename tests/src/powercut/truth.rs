//! What a device is seen to be, in plain words: from its own answers, and from its flash's bytes.

use firmware_protocol::boot::Start;
use firmware_protocol::flash::Range;
use firmware_protocol::layout::SlotLayout;
use firmware_protocol::slot::{SlotId, SlotState};

use super::part::Part;
use super::release::{Release, Releases};
use super::unit::{Stop, Unit};

/// A device, seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truth {
    /// Version of the root record in force.
    pub root: u32,
    /// What runs: a slot's release; `None` is the recovery image.
    pub runs: Option<u8>,
    /// Release that is confirmed.
    pub confirmed: Option<u8>,
    /// What the record says of slot A and slot B.
    pub slots: [Held; 2],
    /// Release that is on trial.
    pub trial: Option<u8>,
    /// Lowest security version that is admitted.
    pub floor: u64,
}

/// What a slot is said to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Empty,
    /// Parts of this release.
    Writing(u8),
    /// This release, unproven.
    Staged(u8),
    /// This release, which may not run.
    Rejected(u8),
    /// This release, proven.
    Admitted(u8),
}

/// The number of what nobody made.
pub const UNKNOWN: u8 = 0;

impl Truth {
    /// Looks at what runs in `unit`; gives also the releases that the slots' bytes are, to the last one,
    /// [`UNKNOWN`] where they are none.
    pub fn of(
        unit: &mut Unit<'_>,
        part: &Part,
        releases: &Releases,
    ) -> Result<(Self, [u8; 2]), Stop> {
        unit.open_session()?;
        let status = unit.status()?;
        let root = unit.root_version()?;
        let number = |bundle| releases.of(bundle).map_or(UNKNOWN, |release| release.number);
        let held = |slot: &SlotState| match *slot {
            SlotState::Empty => Held::Empty,
            SlotState::Writing { bundle } => Held::Writing(number(bundle)),
            SlotState::Staged { bundle } => Held::Staged(number(bundle)),
            SlotState::Rejected { bundle, .. } => Held::Rejected(number(bundle)),
            SlotState::Admitted { bundle } => Held::Admitted(number(bundle)),
        };
        let named = |slot: SlotId| status.slots.get(slot).bundle().map_or(UNKNOWN, number);
        let flash = unit.flash().contents();
        let bytes = SlotId::ALL
            .map(|slot| release_in(flash, part.layout.slots().get(slot), part, releases));
        let runs = match unit.runs() {
            Start::Recovery => None,
            Start::Slot(SlotId::A) => Some(bytes[0]),
            Start::Slot(SlotId::B) => Some(bytes[1]),
        };
        let truth = Self {
            root,
            runs,
            confirmed: status.active.map(named),
            slots: [held(&status.slots.a), held(&status.slots.b)],
            trial: status.trial.map(|trial| named(trial.slot)),
            floor: status.accept_floor,
        };
        Ok((truth, bytes))
    }
}

/// The release that a slot's bytes are, to the last one; [`UNKNOWN`] for a blend.
fn release_in(flash: &[u8], slot: &SlotLayout, part: &Part, releases: &Releases) -> u8 {
    let whole = |release: &&Release| {
        let manifest = slice(flash, slot.manifest).starts_with(&release.envelope);
        let areas = slot.areas.iter().zip(&release.payloads).all(|(area, payload)| {
            let bytes = slice(flash, area.range);
            let blank = |byte: &u8| *byte == part.spec.geometry.erased;
            bytes.starts_with(payload) && bytes[payload.len()..].iter().all(blank)
        });
        manifest && areas
    };
    releases.iter().find(whole).map_or(UNKNOWN, |release| release.number)
}

fn slice(flash: &[u8], range: Range) -> &[u8] {
    &flash[range.start as usize..range.end() as usize]
}
