//! Which entry of the boot record counts, whatever flash said of it: what was acknowledged last, or something
//! that was tried later.
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes here are small; clippy.toml excuses test functions, not their helpers"
)]

use firmware_protocol::boot::BootState;
use firmware_protocol::flash::{Geometry, Range};
use firmware_protocol::record::{PLACE_BYTES, RecordStore, WriteStep};

use crate::support::flash::{Cut, Mood, RamFlash};
use crate::support::{Rng, range};

/// An entry that cannot be read at one start and can at the next, with an acknowledged one in between.
#[test]
fn an_entry_that_comes_back_does_not_undo_what_was_written_without_it() {
    for hidden in 1..=3 {
        let (mut flash, ranges) = part(2, 4096);
        let mut store = RecordStore::load(&mut flash, ranges);
        for number in 1..=1 + hidden {
            store.write(&mut flash, &numbered(number)).unwrap();
        }
        flash.unreadable = vec![range(512, 512 * hidden)];
        let mut store = RecordStore::load(&mut flash, ranges);
        assert_eq!(number_of(&store), 1, "the fault struck");
        store.write(&mut flash, &numbered(9)).unwrap();
        flash.unreadable.clear();
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 9, "{hidden} hidden");
    }
}

/// The same with everything in the range that the record had moved to, and with all there is.
#[test]
fn a_whole_range_that_comes_back_does_not_undo_what_was_written_without_it() {
    for all in [false, true] {
        let (mut flash, ranges) = part(2, 2048);
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &numbered(1)).unwrap();
        for _ in 0..3 {
            flash.fails_after = Some(0);
            assert!(store.write(&mut flash, &numbered(2)).is_err());
        }
        store.write(&mut flash, &numbered(3)).unwrap();
        assert!(flash.log.last().unwrap().start >= ranges[1].start, "it has moved");
        flash.unreadable = if all { ranges.to_vec() } else { vec![ranges[1]] };
        let mut store = RecordStore::load(&mut flash, ranges);
        assert_eq!(number_of(&store), u32::from(!all), "the fault struck");
        assert_eq!(store.is_settled(), all, "something newer was begun");
        store.write(&mut flash, &numbered(4)).unwrap();
        flash.unreadable.clear();
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 4, "all: {all}");
    }
}

/// A program that flash calls done is not: the bytes decide.
#[test]
fn an_entry_that_flash_did_not_hold_is_not_called_written() {
    let (mut flash, ranges) = part(2, 2048);
    let mut store = RecordStore::load(&mut flash, ranges);
    store.write(&mut flash, &numbered(1)).unwrap();
    let magic_end = 512 + 3;
    flash.stuck = Some(magic_end);
    assert!(store.write(&mut flash, &numbered(2)).is_err());
    assert_eq!(flash.bytes[magic_end as usize], b'1' & !1, "the fault struck");
    assert_eq!(number_of(&store), 1);
    flash.stuck = None;
    store.write(&mut flash, &numbered(3)).unwrap();
    assert_eq!(flash.log.last().unwrap().start, 1024 + 448);
    assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 3);
}

/// Histories of writes, of programs that fail behind any byte, of read-backs and whole starts at which places
/// cannot be read, and of power cuts whose cells read one way today and the other way tomorrow, over ranges of
/// few places, so that they turn often.
#[test]
fn what_counts_is_what_was_acknowledged_last_or_tried_later() {
    let seeds = 0..400;
    println!("seeds {seeds:?}");
    let mut struck = Struck::default();
    for seed in seeds {
        History::new(seed).live(&mut struck);
    }
    println!("{struck:?}");
    let Struck { failed, unread, hidden, cuts, weak, erases, mended, blind } = struck;
    let least = [failed, unread, hidden, cuts, weak, erases, mended].into_iter().min();
    assert!(least > Some(1_000) && blind < 2_400, "{struck:?}");
}

/// How often what was asked for has happened.
#[derive(Debug, Default, Clone, Copy)]
struct Struck {
    failed: u32,
    unread: u32,
    hidden: u32,
    cuts: u32,
    weak: u32,
    erases: u32,
    mended: u32,
    blind: u32,
}

/// A part, and what is known of its record: states are numbered in the order in which they were tried.
struct History {
    seed: u64,
    rng: Rng,
    flash: RamFlash,
    ranges: [Range; 2],
    tried: u32,
    /// States that may count at the next start that can read everything: the one that stands, and what
    /// was tried since.
    allowed: Vec<u32>,
    /// What could not be read was erased for it, and that was cut: nothing is known until it reads well
    /// and no cell is in doubt.
    lost_track: bool,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let block = [256, 512, 1024][rng.below(3)];
        let per_range = 2 + rng.below(3) as u32 * 2;
        let page_bytes = [64, 256][rng.below(2)];
        let geometry = Geometry { word_bytes: 8, page_bytes, erased: [0, 0xff][rng.below(2)] };
        let flash = RamFlash::with_blocks(geometry, &vec![block; 2 * per_range as usize]);
        let bytes = block * per_range;
        let ranges = [range(0, bytes), range(bytes, bytes)];
        Self { seed, rng, flash, ranges, tried: 0, allowed: vec![0], lost_track: false }
    }

    fn live(&mut self, struck: &mut Struck) {
        for boot in 0..60 {
            self.flash.mood = [Mood::Old, Mood::New][self.rng.below(2)];
            self.hide_some(struck);
            let mut store = RecordStore::load(&mut self.flash, self.ranges);
            self.begin(boot, &mut store, struck);
            for _ in 0..self.rng.below(5) {
                if self.flash.dead || !self.write(&mut store, struck) {
                    break;
                }
            }
            self.flash.power_on();
            self.flash.fails_after = None;
            self.flash.read_back_fails = false;
            self.flash.flaky = None;
        }
    }

    /// What a start finds is one of those that may count; what it chooses stands.
    fn begin(&mut self, boot: u32, store: &mut RecordStore, struck: &mut Struck) {
        let found = number_of(store);
        let (seed, allowed) = (self.seed, &self.allowed);
        let is_sound = self.flash.unreadable.is_empty() && self.flash.weak_cells() == 0;
        if self.lost_track && is_sound {
            self.lost_track = false;
        } else if self.flash.unreadable.is_empty() && !self.lost_track {
            assert!(
                allowed.contains(&found),
                "seed {seed} boot {boot}: {found}, not of {allowed:?}"
            );
        }
        if store.is_settled() {
            self.allowed = vec![found];
            return;
        }
        // Cut again, while it is written anew.
        if self.rng.below(4) == 0 {
            self.cut(6, struck);
        }
        self.allowed.push(found);
        let erases = self.flash.erases;
        if store.state().is_none() || written(store, &mut self.flash, found) {
            self.allowed = vec![found];
            struck.mended += 1;
        } else if self.flash.erases > erases {
            struck.blind += u32::from(!self.flash.unreadable.is_empty());
            self.lost_track |= !self.flash.unreadable.is_empty();
        }
        self.flash.unreadable.clear();
    }

    /// For one start, some places cannot be read, or all of a range.
    fn hide_some(&mut self, struck: &mut Struck) {
        if self.rng.below(3) == 0 {
            let places = self.flash.bytes.len() / PLACE_BYTES;
            for _ in 0..=self.rng.below(3) {
                let place = self.rng.below(places) as u32 * PLACE_BYTES as u32;
                self.flash.unreadable.push(range(place, PLACE_BYTES as u32));
            }
            if self.rng.below(3) == 0 {
                self.flash.unreadable.push(self.ranges[self.rng.below(2)]);
            }
            struck.hidden += 1;
        }
    }

    fn cut(&mut self, within: usize, struck: &mut Struck) {
        let operation = self.flash.mutations() + self.rng.below(within) as u64;
        let weak = self.rng.below(2) == 0;
        let bytes = [self.rng.below(PLACE_BYTES), self.rng.below(8)][self.rng.below(2)];
        self.flash.cut = Some(Cut { operation, bytes, weak });
        struck.weak += u32::from(weak);
    }

    /// Tries to write the next state; false when power is gone.
    fn write(&mut self, store: &mut RecordStore, struck: &mut Struck) -> bool {
        match self.rng.below(6) {
            0 => self.flash.fails_after = Some(self.rng.below(257)),
            1 => self.flash.read_back_fails = true,
            2 => self.cut(4, struck),
            _ => {}
        }
        let before = (self.flash.fails_after, self.flash.read_back_fails, self.flash.erases);
        self.tried += 1;
        let is_written = written(store, &mut self.flash, self.tried);
        struck.failed += u32::from(before.0 != self.flash.fails_after);
        struck.unread += u32::from(before.1 != self.flash.read_back_fails);
        struck.cuts += u32::from(self.flash.dead);
        struck.erases += u32::from(self.flash.erases > before.2);
        self.allowed.push(self.tried);
        if is_written {
            assert_eq!(number_of(store), self.tried);
            self.allowed = vec![self.tried];
        }
        !self.flash.dead
    }
}

/// Whether the state of this number is written, at no more than two erases of each block: one that does not become blank
/// is worn out, and erasing it without end would take the others' time.
fn written(store: &mut RecordStore, flash: &mut RamFlash, number: u32) -> bool {
    let most = flash.erases + 2 * flash.blocks.len() as u64;
    loop {
        match store.step(flash, &numbered(number)) {
            Ok(WriteStep::Written) => return true,
            Ok(_) => assert!(flash.erases <= most, "erases without end"),
            Err(_) => return false,
        }
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
