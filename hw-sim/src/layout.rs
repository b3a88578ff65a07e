//! Where everything lies on the simulated flash, worked out from the scenario's blocks.
//!
//! In order of addresses: two ranges for the boot record, two for the root record, then for each
//! slot its manifest and its areas. Each begins and ends with an erase block, so on uneven parts
//! ranges grow to the next block's end and the two slots may differ in size.

use std::fmt::Write;

use firmware_protocol::flash::{MAX_COMPONENTS, Range};
use firmware_protocol::layout::{self, Area, Layout, SlotLayout};
use firmware_protocol::record::PLACE_BYTES;
use firmware_protocol::slot::{PerSlot, SlotId};
use firmware_protocol::trust::MAX_ENVELOPE_BYTES;
use thiserror::Error;

use crate::flash::FlashSpec;
use crate::scenario::Scenario;

/// Largest flash that is simulated, in bytes.
const MAX_FLASH_BYTES: u64 = 1 << 30;

/// Why a scenario's areas cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// Everything together is too much.
    #[error(
        "the flash would be larger than {MAX_FLASH_BYTES} bytes: make the areas or erase blocks \
         smaller"
    )]
    TooLarge,
    /// More areas than a slot can have.
    #[error("a slot has at most {MAX_COMPONENTS} areas, the scenario names {count}")]
    TooManyAreas {
        /// Areas named.
        count: usize,
    },
    /// An area's name is too long for the format.
    #[error("area name {name:?} is too long")]
    Name {
        /// The name.
        name: String,
    },
    /// They break a rule that holds for every device.
    #[error("the scenario's areas make no flash layout")]
    Areas(#[from] layout::LayoutError),
}

/// The flash part of a scenario, and where everything lies on it.
///
/// # Errors
/// When the scenario's areas do not fit the formats' bounds.
pub(crate) fn lay_out(scenario: &Scenario) -> Result<(FlashSpec, Layout), LayoutError> {
    let areas = &scenario.device.areas;
    if areas.len() > MAX_COMPONENTS {
        return Err(LayoutError::TooManyAreas { count: areas.len() });
    }
    let mut cutter =
        Cutter { lengths: Box::new(scenario.flash.block_lengths()), taken: Vec::new(), end: 0 };
    let envelope_bytes = u32::try_from(MAX_ENVELOPE_BYTES).unwrap_or(u32::MAX);
    let place_bytes = u32::try_from(PLACE_BYTES).unwrap_or(u32::MAX);
    let record = [cutter.cut(place_bytes)?, cutter.cut(place_bytes)?];
    let trust = [cutter.cut(envelope_bytes)?, cutter.cut(envelope_bytes)?];
    let mut slot = || -> Result<SlotLayout, LayoutError> {
        let manifest = cutter.cut(envelope_bytes)?;
        let mut laid = SlotLayout { manifest, areas: heapless::Vec::new() };
        for area in areas {
            let fits = area.name.as_str().try_into();
            let name = fits.map_err(|_| LayoutError::Name { name: area.name.clone() })?;
            let range = cutter.cut(area.bytes)?;
            let room = laid.areas.push(Area { name, range });
            room.map_err(|_| LayoutError::TooManyAreas { count: areas.len() })?;
        }
        Ok(laid)
    };
    let slots = PerSlot { a: slot()?, b: slot()? };
    let mut spec = FlashSpec::new(scenario.flash.geometry(), cutter.taken);
    spec.erase_us = scenario.flash.erase_us;
    spec.program_us = scenario.flash.program_us;
    spec.ecc = scenario.flash.ecc;
    let layout = Layout::new(record, trust, slots, |address| Some(spec.block_at(address)?.1))?;
    Ok((spec, layout))
}

/// Takes whole erase blocks from the front of a part that is as long as it needs to be.
struct Cutter<'a> {
    lengths: Box<dyn Iterator<Item = u32> + 'a>,
    taken: Vec<u32>,
    end: u32,
}

impl Cutter<'_> {
    fn cut(&mut self, bytes: u32) -> Result<Range, LayoutError> {
        let start = self.end;
        while self.end - start < bytes {
            let length = self.lengths.next().ok_or(LayoutError::TooLarge)?;
            let end = self.end.checked_add(length).ok_or(LayoutError::TooLarge)?;
            if u64::from(end) > MAX_FLASH_BYTES {
                return Err(LayoutError::TooLarge);
            }
            self.taken.push(length);
            self.end = end;
        }
        Ok(Range { start, len_bytes: self.end - start })
    }
}

/// The layout as TOML, for people and tests that look into `flash.bin`.
pub(crate) fn to_toml(layout: &Layout, spec: &FlashSpec) -> String {
    let range =
        |range: Range| format!("{{ start = {}, bytes = {} }}", range.start, range.len_bytes);
    let pair = |pair: [Range; 2]| pair.map(range).join(", ");
    let mut text = format!(
        "flash_bytes = {}\nerased = {}\nrecord = [{}]\ntrust = [{}]\n",
        spec.size_bytes(),
        spec.geometry.erased,
        pair(layout.record()),
        pair(layout.trust()),
    );
    for id in SlotId::ALL {
        let slot = layout.slot(id);
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[slot]]\nid = \"{id}\"\nmanifest_start = {}\nmanifest_bytes = {}\n",
            slot.manifest.start, slot.manifest.len_bytes
        );
        for area in &slot.areas {
            let Range { start, len_bytes } = area.range;
            let _ = write!(
                text,
                "\n[[slot.area]]\nname = \"{}\"\nstart = {start}\nbytes = {len_bytes}\n",
                area.name
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(text: &str) -> Scenario {
        Scenario::parse(text, "test.toml").unwrap()
    }

    #[test]
    fn the_default_device_has_both_slots_alike_and_nothing_overlaps() {
        let (spec, layout) = lay_out(&Scenario::default()).unwrap();
        let sizes = |slot: &SlotLayout| -> Vec<u32> {
            slot.areas.iter().map(|area| area.range.len_bytes).collect()
        };
        assert_eq!(sizes(&layout.slots().a), [1 << 20, 16 << 10]);
        assert_eq!(sizes(&layout.slots().a), sizes(&layout.slots().b));
        assert_eq!(layout.slots().b.areas.last().unwrap().range.end(), spec.size_bytes());
    }

    #[test]
    fn on_an_uneven_part_every_range_still_begins_and_ends_with_a_block() {
        let (spec, layout) = lay_out(&scenario(
            "schema = \"hwsim/1\"\n[flash]\nblocks = [{ bytes = 4096, count = 5 }, { bytes = 65536 }]\n",
        ))
        .unwrap();
        let slots = SlotId::ALL.map(|id| layout.slot(id));
        let areas = slots.iter().flat_map(|slot| slot.areas.iter().map(|area| area.range));
        let ranges = layout.record().into_iter().chain(layout.trust()).chain(areas);
        let mut end = 0;
        for range in ranges {
            assert!(range.start >= end, "ranges do not overlap");
            assert_eq!(spec.block_at(range.start).unwrap().1.start, range.start);
            assert_eq!(spec.block_at(range.end() - 1).unwrap().1.end(), range.end());
            end = range.end();
        }
    }

    #[test]
    fn the_written_layout_tells_where_each_slot_is() {
        let (spec, layout) = lay_out(&Scenario::default()).unwrap();
        let table: toml::Table = toml_parse(&to_toml(&layout, &spec));
        let slots = table.get("slot").unwrap().as_array().unwrap();
        let second = slots.get(1).unwrap().as_table().unwrap();
        assert_eq!(second.get("id").unwrap().as_str(), Some("B"));
        let start = i64::from(layout.slots().b.manifest.start);
        assert_eq!(second.get("manifest_start").unwrap().as_integer(), Some(start));
    }

    fn toml_parse(text: &str) -> toml::Table {
        text.parse().unwrap()
    }
}
