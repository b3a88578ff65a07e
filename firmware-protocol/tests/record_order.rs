//! Which entry of the boot record counts, whatever flash said of it: what was acknowledged last, or something
//! that was tried later.
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes here are small; clippy.toml excuses test functions, not their helpers"
)]

mod support;

use firmware_protocol::boot::BootState;
use firmware_protocol::flash::{Geometry, Range};
use firmware_protocol::record::{ENTRY_BYTES, RecordStore};

use support::flash::{Cut, RamFlash};
use support::{Rng, range};

/// An entry that cannot be read at one start and can at the next, with an acknowledged one in between.
#[test]
fn an_entry_that_comes_back_does_not_undo_what_was_written_without_it() {
    for hidden in 1..=3 {
        let (mut flash, ranges) = part(2, 2048);
        let mut store = RecordStore::load(&mut flash, ranges);
        for number in 1..=1 + hidden {
            store.write(&mut flash, &numbered(number)).unwrap();
        }
        flash.unreadable = vec![range(256, 256 * hidden)];
        let mut store = RecordStore::load(&mut flash, ranges);
        assert_eq!(number_of(&store), 1, "the fault struck");
        store.write(&mut flash, &numbered(9)).unwrap();
        flash.unreadable.clear();
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 9, "{hidden} hidden");
    }
}

/// The same with everything in the range that the record had moved to, while the range before still has room
/// (its last programs failed and left nothing), and with all there is.
#[test]
fn a_whole_range_that_comes_back_does_not_undo_what_was_written_without_it() {
    for all in [false, true] {
        let (mut flash, ranges) = part(2, 1024);
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &numbered(1)).unwrap();
        for _ in 0..3 {
            flash.fails_after = Some(0);
            assert!(store.write(&mut flash, &numbered(2)).is_err());
        }
        store.write(&mut flash, &numbered(3)).unwrap();
        assert_eq!(flash.log.last().unwrap().start, ranges[1].start, "it has moved");
        flash.unreadable = if all { ranges.to_vec() } else { vec![ranges[1]] };
        let mut store = RecordStore::load(&mut flash, ranges);
        assert_eq!(number_of(&store), u32::from(!all), "the fault struck");
        store.write(&mut flash, &numbered(4)).unwrap();
        flash.unreadable.clear();
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 4, "all: {all}");
    }
}

/// A program that flash calls done is not: the bytes decide.
#[test]
fn an_entry_that_flash_did_not_hold_is_not_called_written() {
    let (mut flash, ranges) = part(2, 1024);
    let mut store = RecordStore::load(&mut flash, ranges);
    store.write(&mut flash, &numbered(1)).unwrap();
    let magic_end = 256 + 3;
    flash.stuck = Some(magic_end);
    assert!(store.write(&mut flash, &numbered(2)).is_err());
    assert_eq!(flash.bytes[magic_end as usize], b'1' & !1, "the fault struck");
    assert_eq!(number_of(&store), 1);
    flash.stuck = None;
    store.write(&mut flash, &numbered(3)).unwrap();
    assert_eq!(flash.log.last().unwrap().start, 512);
    assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 3);
}

/// No writer of places makes equal numbers. One that counted entries did.
#[test]
fn of_equal_numbers_the_place_that_was_written_later_counts() {
    let (mut flash, ranges) = part(2, 1024);
    let entry = |state: &BootState| {
        let (mut flash, ranges) = part(2, 1024);
        RecordStore::load(&mut flash, ranges).write(&mut flash, state).unwrap();
        flash.bytes[..ENTRY_BYTES].to_vec()
    };
    let cases = [(0, 256, 256), (512, 768, 768), (768, 1024, 1024), (0, 1792, 0)];
    for (one, other, later) in cases {
        flash.bytes.fill(0xff);
        for at in [one, other] {
            flash.bytes[at..at + ENTRY_BYTES].copy_from_slice(&entry(&numbered(at as u32 + 1)));
        }
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), later + 1, "{one} {other}");
    }
}

/// Histories of writes, of programs that fail behind any byte, of read-backs and whole starts at which places
/// cannot be read, and of power cuts, over ranges of few places, so that they turn often.
#[test]
fn what_counts_is_what_was_acknowledged_last_or_tried_later() {
    let seeds = 0..400;
    println!("seeds {seeds:?}");
    let mut struck = Struck::default();
    for seed in seeds {
        History::new(seed).live(&mut struck);
    }
    println!("{struck:?}");
    let Struck { failed, unread, hidden, cuts, erases } = struck;
    assert!(failed.min(unread).min(hidden).min(cuts).min(erases) > 1_000, "{struck:?}");
}

/// How often what was asked for has happened.
#[derive(Debug, Default, Clone, Copy)]
struct Struck {
    failed: u32,
    unread: u32,
    hidden: u32,
    cuts: u32,
    erases: u32,
}

/// A part, and what is known of its record: states are numbered in the order in which they were tried.
struct History {
    seed: u64,
    rng: Rng,
    flash: RamFlash,
    ranges: [Range; 2],
    tried: u32,
    /// No state below this one may count once everything can be read.
    lowest: u32,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let block = [256, 512, 1024][rng.below(3)];
        let per_range = 2 + rng.below(3) as u32;
        let page_bytes = [64, 256][rng.below(2)];
        let geometry = Geometry { word_bytes: 8, page_bytes, erased: [0, 0xff][rng.below(2)] };
        let flash = RamFlash::with_blocks(geometry, &vec![block; 2 * per_range as usize]);
        let bytes = block * per_range;
        Self {
            seed,
            rng,
            flash,
            ranges: [range(0, bytes), range(bytes, bytes)],
            tried: 0,
            lowest: 0,
        }
    }

    fn live(&mut self, struck: &mut Struck) {
        for boot in 0..60 {
            self.hide_some(struck);
            let mut store = RecordStore::load(&mut self.flash, self.ranges);
            let found = number_of(&store);
            let (seed, lowest, tried) = (self.seed, self.lowest, self.tried);
            if self.flash.unreadable.is_empty() {
                assert!(
                    found >= lowest,
                    "seed {seed} boot {boot}: {found}, not {lowest} to {tried}"
                );
            }
            for _ in 0..self.rng.below(5) {
                if !self.write(&mut store, struck) {
                    break;
                }
            }
            self.flash.power_on();
            self.flash.unreadable.clear();
            self.flash.fails_after = None;
            self.flash.read_back_fails = false;
        }
    }

    /// For one start, some places cannot be read, or all of a range.
    fn hide_some(&mut self, struck: &mut Struck) {
        if self.rng.below(3) == 0 {
            let places = self.flash.bytes.len() / ENTRY_BYTES;
            for _ in 0..=self.rng.below(3) {
                let place = self.rng.below(places) as u32 * ENTRY_BYTES as u32;
                self.flash.unreadable.push(range(place, ENTRY_BYTES as u32));
            }
            if self.rng.below(3) == 0 {
                self.flash.unreadable.push(self.ranges[self.rng.below(2)]);
            }
            struck.hidden += 1;
        }
    }

    /// Tries to write the next state; false when power is gone.
    fn write(&mut self, store: &mut RecordStore, struck: &mut Struck) -> bool {
        match self.rng.below(6) {
            0 => self.flash.fails_after = Some(self.rng.below(ENTRY_BYTES + 1)),
            1 => self.flash.read_back_fails = true,
            2 => {
                let operation = self.flash.mutations() + self.rng.below(4) as u64;
                self.flash.cut = Some(Cut { operation, bytes: self.rng.below(ENTRY_BYTES) });
            }
            _ => {}
        }
        let before = (self.flash.fails_after, self.flash.read_back_fails, self.flash.erases);
        self.tried += 1;
        let written = store.write(&mut self.flash, &numbered(self.tried));
        struck.failed += u32::from(before.0 != self.flash.fails_after);
        struck.unread += u32::from(before.1 != self.flash.read_back_fails);
        struck.cuts += u32::from(self.flash.dead);
        let erased = self.flash.erases > before.2;
        struck.erases += u32::from(erased);
        if written.is_ok() {
            assert_eq!(number_of(store), self.tried);
            self.lowest = self.tried;
        } else if erased {
            // What could not be read at this start had to make room, and what was found counts again.
            self.lowest = self.lowest.min(number_of(store));
        }
        !self.flash.dead
    }
}

/// Two ranges of half of these blocks.
fn part(count: usize, block: u32) -> (RamFlash, [Range; 2]) {
    let flash = RamFlash::even(block, count);
    let half = flash.bytes.len() as u32 / 2;
    (flash, [range(0, half), range(half, half)])
}

fn numbered(number: u32) -> BootState {
    BootState { next_trial_id: number, ..BootState::default() }
}

/// The number of the state in force, 0 without one.
fn number_of(store: &RecordStore) -> u32 {
    store.state().map_or(0, |state| state.next_trial_id)
}
