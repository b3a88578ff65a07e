//! Flash parts: words, pages, erased values and erase blocks as real ones have them, and stranger.

use firmware_protocol::flash::{Geometry, Range};
use firmware_protocol::layout::{Area, Layout, SlotLayout};
use firmware_protocol::slot::{PerSlot, SlotId};
use hw_sim::{Ecc, FlashSpec};

/// A flash part with a layout on it.
#[derive(Debug, Clone)]
pub struct Part {
    /// Names it on the command line and in the table.
    pub name: String,
    /// The part.
    pub spec: FlashSpec,
    /// Where everything lies.
    pub layout: Layout,
}

/// Words of one byte to lines of 32, each with its two erased values, on three kinds of blocks; and parts with an
/// error-correcting code, whose words are programmed once and cannot be read when they are torn.
pub fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    for word_bytes in [1, 2, 4, 8, 16, 32] {
        for erased in [0xFF, 0x00] {
            for shape in [Shape::Even, Shape::Uneven] {
                parts.push(part(word_bytes, erased, shape, Ecc::None));
            }
        }
    }
    // Two kinds that single-byte and long-word parts come as: one block a range.
    parts.push(part(1, 0xFF, Shape::Coarse, Ecc::None));
    parts.push(part(8, 0x00, Shape::Coarse, Ecc::None));
    for (word_bytes, shape, ecc) in [
        (8, Shape::Even, Ecc::Trap),
        (16, Shape::Uneven, Ecc::Error),
        (16, Shape::Uneven, Ecc::Trap),
        (32, Shape::Coarse, Ecc::Trap),
    ] {
        parts.push(part(word_bytes, 0xFF, shape, ecc));
    }
    parts
}

impl Part {
    /// Where everything lies, in a line.
    pub fn in_words(&self) -> String {
        let range = |range: Range| format!("{}+{}", range.start, range.len_bytes);
        let both = |ranges: [Range; 2]| ranges.map(range).join(" ");
        let slots = SlotId::ALL.map(|slot| {
            let layout = self.layout.slots().get(slot);
            let areas: Vec<String> = layout.areas.iter().map(|area| range(area.range)).collect();
            format!("slot {slot:?} {} {}", range(layout.manifest), areas.join(" "))
        });
        let (record, trust) = (both(self.layout.record()), both(self.layout.trust()));
        format!("record {record}, roots {trust}, {}", slots.join(", "))
    }
}

/// The part with the fewest words: for double cuts, whose number is the square. Its torn words trap.
pub fn small() -> Part {
    part(32, 0xFF, Shape::Small, Ecc::Trap)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Blocks of 512 bytes.
    Even,
    /// Blocks of many sizes, slots of unequal size.
    Uneven,
    /// One block for each range.
    Coarse,
    /// As `Coarse`, and three places in each range of the record.
    Small,
}

fn part(word_bytes: u32, erased: u8, shape: Shape, ecc: Ecc) -> Part {
    let (word, cutter) = match shape {
        Shape::Even => ("even", Cutter::new(&[512])),
        Shape::Uneven => ("uneven", Cutter::new(&[512, 1024, 512, 2048])),
        Shape::Coarse => ("coarse", Cutter::new(&[])),
        Shape::Small => ("small", Cutter::new(&[])),
    };
    let page_bytes = match shape {
        Shape::Even => 256,
        Shape::Uneven => 64,
        Shape::Coarse | Shape::Small => 512,
    };
    let geometry = Geometry { word_bytes, page_bytes, erased };
    let unequal_bytes = if shape == Shape::Uneven { 512 } else { 0 };
    let record_bytes = if shape == Shape::Small { 1536 } else { 2048 };
    let (blocks, places) = cutter.lay_out(record_bytes, unequal_bytes);
    let mut spec = FlashSpec::new(geometry, blocks);
    spec.ecc = ecc;
    let Places { record, trust, slots } = places;
    let layout =
        Layout::new(record, trust, slots, |address| spec.block_at(address).map(|(_, block)| block));
    let code = match ecc {
        Ecc::None => "",
        Ecc::Error => "-ecc",
        Ecc::Trap => "-trap",
    };
    let name = format!("{word}-w{word_bytes}-{erased:02x}{code}");
    // Short runs, so that a transfer of a few blocks has several.
    let layout = layout.expect("every part is laid out in whole blocks").with_run_bytes(1024);
    Part { name, spec, layout }
}

/// What a layout is made of.
struct Places {
    record: [Range; 2],
    trust: [Range; 2],
    slots: PerSlot<SlotLayout>,
}

/// Takes whole erase blocks from a part that is as long as it needs to be.
struct Cutter {
    /// Sizes of blocks, in turn; empty for one block a range.
    sizes: Vec<u32>,
    blocks: Vec<u32>,
    end: u32,
}

impl Cutter {
    fn new(sizes: &[u32]) -> Self {
        Self { sizes: sizes.to_vec(), blocks: Vec::new(), end: 0 }
    }

    fn lay_out(mut self, record_bytes: u32, unequal_bytes: u32) -> (Vec<u32>, Places) {
        let record = [self.cut_record(record_bytes), self.cut_record(record_bytes)];
        let trust = [self.cut(DOCUMENT_BYTES), self.cut(DOCUMENT_BYTES)];
        let slots = PerSlot { a: self.slot(0), b: self.slot(unequal_bytes) };
        (self.blocks, Places { record, trust, slots })
    }

    fn slot(&mut self, more_bytes: u32) -> SlotLayout {
        let manifest = self.cut(DOCUMENT_BYTES);
        let mut area =
            |name: &str, bytes| Area { name: name.try_into().unwrap(), range: self.cut(bytes) };
        let areas = [area("app", APP_BYTES + more_bytes), area("config", CONFIG_BYTES)];
        SlotLayout { manifest, areas: areas.into_iter().collect() }
    }

    /// On uneven parts the record's ranges have shorter blocks, several to a range.
    fn cut_record(&mut self, record_bytes: u32) -> Range {
        if self.sizes.len() < 2 {
            return self.cut(record_bytes);
        }
        let start = self.end;
        for size in [256, 768, 256, 256] {
            self.blocks.push(size);
            self.end += size;
        }
        Range { start, len_bytes: self.end - start }
    }

    fn cut(&mut self, least_bytes: u32) -> Range {
        let start = self.end;
        while self.end < start + least_bytes {
            let turn = self.blocks.len().checked_rem(self.sizes.len());
            let size = turn.map_or(least_bytes, |turn| self.sizes[turn]);
            self.blocks.push(size);
            self.end += size;
        }
        Range { start, len_bytes: self.end - start }
    }
}

const DOCUMENT_BYTES: u32 = 1024;
const APP_BYTES: u32 = 2048;
const CONFIG_BYTES: u32 = 512;
