//! Where everything lies on a device's flash: chosen by the firmware's author, checked once, never changed.

use core::fmt;

use heapless::Vec;
use thiserror::Error;

use crate::flash::{MAX_COMPONENTS, Name, Range};
use crate::record::{MIN_PLACES, PLACE_BYTES, RecordStore};
use crate::slot::{PerSlot, SlotId};

/// Where one component of a slot lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// The component's name.
    pub name: Name,
    /// Its flash; whole erase blocks.
    pub range: Range,
}

/// Where one slot lies: the manifest of what it holds, then its components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotLayout {
    /// Whole erase blocks for the signed manifest.
    pub manifest: Range,
    /// One area a component, in the same order in both slots.
    pub areas: Vec<Area, MAX_COMPONENTS>,
}

impl SlotLayout {
    /// The area of the component `name`, with its index.
    #[must_use]
    pub fn area(&self, name: &str) -> Option<(usize, &Area)> {
        self.areas.iter().enumerate().find(|(_, area)| area.name == name)
    }
}

/// Where everything lies: whole erase blocks, no two places on the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    record: [Range; 2],
    trust: [Range; 2],
    slots: PerSlot<SlotLayout>,
    run_bytes: u32,
}

/// Shortest run of slot flash that a transfer names on record before it writes there, in bytes, unless the
/// firmware's author chooses otherwise.
const RUN_BYTES: u32 = 48 << 10;

/// A place of a layout, as its errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A range of the boot record, from 0.
    Record(u8),
    /// A range of the root record, from 0.
    Trust(u8),
    /// A slot's manifest.
    Manifest(SlotId),
    /// A slot's component area, from 0.
    Area(SlotId, u8),
}

/// Why places make no layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// No bytes.
    #[error("{0} has no bytes")]
    Empty(Place),
    /// It shares an erase block with what lies beside it, or reaches beyond the part.
    #[error("{0} does not begin and end with an erase block of the part")]
    NotWholeBlocks(Place),
    /// Two places share flash.
    #[error("{0} and {1} overlap")]
    Overlap(Place, Place),
    /// Too few entries of the record would fit, or they would cross pages.
    #[error(
        "{0} does not begin at a multiple of {PLACE_BYTES} bytes, or has no room for {MIN_PLACES} times as many"
    )]
    Record(Place),
    /// A bundle could not fit both slots.
    #[error("slots A and B do not name the same areas, each once and in the same order")]
    Areas,
}

impl Layout {
    /// Checks places against a part whose erase blocks `block_at` tells, as
    /// [`crate::flash::Flash::block_at`] does.
    ///
    /// `record` and `trust` have two ranges each, so that what is in force is never in the one that is erased.
    ///
    /// # Errors
    /// The first thing that would let one write reach into another's place.
    pub fn new(
        record: [Range; 2],
        trust: [Range; 2],
        slots: PerSlot<SlotLayout>,
        block_at: impl Fn(u32) -> Option<Range>,
    ) -> Result<Self, LayoutError> {
        let layout = Self { record, trust, slots, run_bytes: RUN_BYTES };
        for (index, (place, range)) in layout.places().enumerate() {
            whole_blocks(place, range, &block_at)?;
            let earlier = layout.places().take(index);
            if let Some((other, _)) = earlier.into_iter().find(|(_, other)| overlap(*other, range))
            {
                return Err(LayoutError::Overlap(other, place));
            }
        }
        for (place, range) in layout.places().filter(|(place, _)| matches!(place, Place::Record(_)))
        {
            holds_entries(place, range)?;
        }
        if layout.areas_agree() { Ok(layout) } else { Err(LayoutError::Areas) }
    }

    /// The same, with another shortest run of slot flash that a transfer names on record before it writes there:
    /// shorter ones cost entries of the record, longer ones are more to send again behind a power cut.
    #[must_use]
    pub fn with_run_bytes(self, run_bytes: u32) -> Self {
        Self { run_bytes, ..self }
    }

    /// The shortest run of slot flash that a transfer names, in bytes; never less than an erase block.
    #[must_use]
    pub const fn run_bytes(&self) -> u32 {
        self.run_bytes
    }

    /// The two ranges of the boot record.
    #[must_use]
    pub const fn record(&self) -> [Range; 2] {
        self.record
    }

    /// The two ranges of the root record.
    #[must_use]
    pub const fn trust(&self) -> [Range; 2] {
        self.trust
    }

    /// Both slots.
    #[must_use]
    pub const fn slots(&self) -> &PerSlot<SlotLayout> {
        &self.slots
    }

    /// One slot.
    #[must_use]
    pub const fn slot(&self, slot: SlotId) -> &SlotLayout {
        self.slots.get(slot)
    }

    fn places(&self) -> impl Iterator<Item = (Place, Range)> {
        let record = (0..).map(Place::Record).zip(self.record);
        let trust = (0..).map(Place::Trust).zip(self.trust);
        let slots = SlotId::ALL.into_iter().flat_map(|id| {
            let slot = self.slot(id);
            let areas = (0..).map(move |index| Place::Area(id, index));
            core::iter::once((Place::Manifest(id), slot.manifest))
                .chain(areas.zip(slot.areas.iter().map(|area| area.range)))
        });
        record.chain(trust).chain(slots)
    }

    fn areas_agree(&self) -> bool {
        let names = |slot: SlotId| self.slot(slot).areas.iter().map(|area| &area.name);
        let unique = names(SlotId::A).enumerate().all(|(index, name)| {
            names(SlotId::A).skip(index.saturating_add(1)).all(|later| later != name)
        });
        unique && names(SlotId::A).eq(names(SlotId::B))
    }
}

fn whole_blocks(
    place: Place,
    range: Range,
    block_at: impl Fn(u32) -> Option<Range>,
) -> Result<(), LayoutError> {
    let Some(last) = range.len_bytes.checked_sub(1) else {
        return Err(LayoutError::Empty(place));
    };
    let first = block_at(range.start);
    let last = range.start.checked_add(last).and_then(block_at);
    match (first, last) {
        (Some(first), Some(last)) if first.start == range.start && last.end() == range.end() => {
            Ok(())
        }
        (_, _) => Err(LayoutError::NotWholeBlocks(place)),
    }
}

fn holds_entries(place: Place, range: Range) -> Result<(), LayoutError> {
    let place_bytes = u32::try_from(PLACE_BYTES).unwrap_or(u32::MAX);
    let holds =
        range.start.is_multiple_of(place_bytes) && RecordStore::places_in(range) >= MIN_PLACES;
    if holds { Ok(()) } else { Err(LayoutError::Record(place)) }
}

const fn overlap(one: Range, other: Range) -> bool {
    one.start < other.end() && other.start < one.end()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(index) => write!(f, "range {index} of the boot record"),
            Self::Trust(index) => write!(f, "range {index} of the root record"),
            Self::Manifest(slot) => write!(f, "the manifest of slot {slot}"),
            Self::Area(slot, index) => write!(f, "area {index} of slot {slot}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixteen erase blocks of 2 KiB.
    fn block_at(address: u32) -> Option<Range> {
        (address < 0x8000).then(|| Range { start: address / 2048 * 2048, len_bytes: 2048 })
    }

    fn blocks(first: u32, count: u32) -> Range {
        Range { start: first * 2048, len_bytes: count * 2048 }
    }

    /// One range of a draft.
    type Pick = fn(&mut Draft) -> &mut Range;

    #[derive(Clone)]
    struct Draft {
        record: [Range; 2],
        trust: [Range; 2],
        slots: PerSlot<SlotLayout>,
    }

    impl Draft {
        /// A layout without a gap.
        fn good() -> Self {
            let slot = |first| SlotLayout {
                manifest: blocks(first, 1),
                areas: [("app", blocks(first + 1, 4)), ("config", blocks(first + 5, 1))]
                    .map(|(name, range)| Area { name: name.try_into().unwrap(), range })
                    .into_iter()
                    .collect(),
            };
            Self {
                record: [blocks(0, 1), blocks(1, 1)],
                trust: [blocks(2, 1), blocks(3, 1)],
                slots: PerSlot { a: slot(4), b: slot(10) },
            }
        }

        fn with(change: impl FnOnce(&mut Self)) -> Result<Layout, LayoutError> {
            let mut draft = Self::good();
            change(&mut draft);
            Layout::new(draft.record, draft.trust, draft.slots, block_at)
        }
    }

    #[test]
    fn places_side_by_side_make_a_layout() {
        let layout = Draft::with(|_| {}).unwrap();
        assert_eq!(layout.record(), [blocks(0, 1), blocks(1, 1)]);
        assert_eq!(layout.trust(), [blocks(2, 1), blocks(3, 1)]);
        assert_eq!(layout.slots(), &Draft::good().slots);
    }

    #[test]
    fn every_place_has_bytes_in_whole_blocks_of_the_part() {
        let area = Place::Area(SlotId::B, 1);
        let last = |range| Draft::with(|draft| draft.slots.b.areas[1].range = range);
        assert_eq!(last(blocks(15, 0)), Err(LayoutError::Empty(area)));
        for (start, len_bytes) in [
            (0x3c00, 1023),
            (0x3c00, 1025),
            (0x3c01, 1023),
            (0x3c00, 2048),
            (0x4000, 1024),
            (u32::MAX, 1024),
            (0x3c00, u32::MAX),
        ] {
            let found = last(Range { start, len_bytes });
            assert_eq!(found, Err(LayoutError::NotWholeBlocks(area)), "{start:#x} {len_bytes}");
        }
    }

    #[test]
    fn no_two_places_share_a_block() {
        let places: [(Place, Pick); 8] = [
            (Place::Record(0), |draft| &mut draft.record[0]),
            (Place::Record(1), |draft| &mut draft.record[1]),
            (Place::Trust(0), |draft| &mut draft.trust[0]),
            (Place::Trust(1), |draft| &mut draft.trust[1]),
            (Place::Manifest(SlotId::A), |draft| &mut draft.slots.a.manifest),
            (Place::Area(SlotId::A, 0), |draft| &mut draft.slots.a.areas[0].range),
            (Place::Area(SlotId::A, 1), |draft| &mut draft.slots.a.areas[1].range),
            (Place::Manifest(SlotId::B), |draft| &mut draft.slots.b.manifest),
        ];
        for (number, (one, range)) in places.iter().enumerate() {
            for (other, source) in &places[number + 1..] {
                let found = Draft::with(|draft| *range(draft) = *source(&mut Draft::good()));
                assert_eq!(found, Err(LayoutError::Overlap(*one, *other)));
            }
        }
        let reaches_over = Draft::with(|draft| draft.slots.a.areas[0].range = blocks(5, 5));
        let (app, config) = (Place::Area(SlotId::A, 0), Place::Area(SlotId::A, 1));
        assert_eq!(reaches_over, Err(LayoutError::Overlap(app, config)));
    }

    #[test]
    fn the_record_s_ranges_hold_entries() {
        let bytes = |start, len_bytes| Range { start, len_bytes };
        let small = |record| {
            let Draft { trust, slots, .. } = Draft::good();
            Layout::new(record, trust, slots, |address| match address {
                0..0x1000 => Some(bytes(address / 128 * 128, 128)),
                _ => block_at(address),
            })
        };
        let shortest = [bytes(0, 1536), bytes(1536, 1536)];
        assert!(small(shortest).is_ok());
        let too_short = small([shortest[0], bytes(1536, 1408)]);
        assert_eq!(too_short, Err(LayoutError::Record(Place::Record(1))));
        let askew = small([bytes(0, 1536), bytes(1664, 1408)]);
        assert_eq!(askew, Err(LayoutError::Record(Place::Record(1))));
        let askew = small([bytes(128, 1408), bytes(1536, 1536)]);
        assert_eq!(askew, Err(LayoutError::Record(Place::Record(0))));
    }

    #[test]
    fn both_slots_name_the_same_areas() {
        let name = |text: &str| Name::try_from(text).unwrap();
        let other = Draft::with(|draft| draft.slots.b.areas[1].name = name("other"));
        assert_eq!(other, Err(LayoutError::Areas));
        let fewer = Draft::with(|draft| drop(draft.slots.b.areas.pop()));
        assert_eq!(fewer, Err(LayoutError::Areas));
        let turned = Draft::with(|draft| draft.slots.b.areas.swap(0, 1));
        assert_eq!(turned, Err(LayoutError::Areas));
        let twice = Draft::with(|draft| {
            draft.slots.a.areas[1].name = name("app");
            draft.slots.b.areas[1].name = name("app");
        });
        assert_eq!(twice, Err(LayoutError::Areas));
    }
}
