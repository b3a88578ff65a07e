//! How the boot record moves from one range to the other, step by step (BOOT.md, "Record"): which mark comes when, what
//! is erased, which numbers are used, and what a start makes of a move that was cut.
#![expect(
    clippy::unwrap_used,
    reason = "a move that cannot go on is a failure; clippy.toml excuses test functions, not their helpers"
)]

use firmware_protocol::boot::BootState;
use firmware_protocol::flash::{Geometry, Range};
use firmware_protocol::record::{RecordError, RecordStore, WriteStep};

use crate::support::flash::{Cut, Mood, RamFlash};
use crate::support::range;

const MARK: u32 = 480;
const SEAL: u32 = 448;

#[test]
fn the_last_mark_stands_before_the_other_range_is_erased() {
    let Part { mut flash, ranges, mut store } = full([3, 3]);
    until_erased(&mut store, &mut flash, 9);
    assert_eq!(flash.log, [mark(2)]);
    assert!(!RecordStore::load(&mut flash, ranges).is_settled());
}

/// Without that mark the one behind the first place of the other range tells of what was begun there.
#[test]
fn where_the_last_mark_is_refused_the_first_place_is_left_out_and_marked() {
    let Part { mut flash, mut store, .. } = full([3, 3]);
    flash.refuses = Some(range(mark(2).start, 32));
    assert!(store.write(&mut flash, &numbered(9)).is_err());
    flash.refuses = None;
    store.write(&mut flash, &numbered(9)).unwrap();
    assert_eq!(flash.log[..2], [mark(3), range(4 * 512, 244)]);
}

#[test]
fn numbers_run_on_behind_a_copy_that_is_not_sealed_in_ranges_of_any_length() {
    for places in [[3, 3], [3, 5], [5, 3]] {
        let Part { mut flash, ranges, mut store } = full(places);
        flash.cut = Some(Cut::clean(flash.mutations() + 3, 0));
        assert!(store.write(&mut flash, &numbered(9)).is_err() && flash.dead, "in its seal");
        flash.power_on();
        let mut store = RecordStore::load(&mut flash, ranges);
        assert_eq!((number_of(&store), store.sequence()), (places[0], places[0] + 1));
        store.write(&mut flash, &numbered(places[0])).unwrap();
        assert_eq!(store.sequence(), places[0] + 2, "{places:?}");
        let mut number = 50;
        while flash.log.last().unwrap().start >= ranges[1].start {
            number += 1;
            store.write(&mut flash, &numbered(number)).unwrap();
        }
        // A copy, and what it is a copy for.
        assert_eq!(store.sequence(), places[0] + places[1] + 2, "{places:?}");
    }
}

#[test]
fn a_range_that_was_being_erased_is_erased_further_whatever_it_reads_as() {
    let Part { mut flash, ranges, mut store } = full([3, 3]);
    for number in 4..=5 {
        store.write(&mut flash, &numbered(number)).unwrap();
    }
    assert_eq!(store.step(&mut flash, &numbered(6)), Ok(WriteStep::Moved), "the last mark");
    for place in 3..6 {
        flash.lose(range(place * 512 + SEAL, 32));
    }
    let mut store = RecordStore::load(&mut flash, ranges);
    assert_eq!(number_of(&store), 5);
    until_erased(&mut store, &mut flash, 5);
    assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 5, "the other one is erased");
}

/// The last mark cannot be read at one start: that is no reason to give the only sealed entry up.
#[test]
fn a_last_mark_that_cannot_be_read_does_not_say_that_its_range_was_left() {
    for places in [3, 8] {
        let Part { mut flash, ranges, mut store } = full([places, places]);
        cut(&mut flash, 2);
        assert!(store.write(&mut flash, &numbered(50)).is_err() && flash.dead, "in the copy");
        flash.power_on();
        flash.mood = Mood::New;
        flash.unreadable = vec![mark(2 * places - 1)];
        let mut store = RecordStore::load(&mut flash, ranges);
        flash.unreadable.clear();
        assert_eq!((number_of(&store), store.is_settled()), (places, false), "as the copy says");
        cut(&mut flash, 2);
        assert!(store.write(&mut flash, &numbered(places)).is_err() && flash.dead);
        flash.power_on();
        flash.mood = Mood::Old;
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), places);
    }
}

/// The seal of what was acknowledged cannot be read at one start: its range is not erased for that, wherever power fails
/// behind it.
#[test]
fn a_seal_that_cannot_be_read_may_be_the_only_one() {
    for ahead in 1.. {
        let Part { mut flash, ranges, mut store } = full([3, 3]);
        store.write(&mut flash, &numbered(4)).unwrap();
        flash.unreadable = vec![range(4 * 512 + SEAL, 1), range(3 * 512 + SEAL, 1)];
        let mut store = RecordStore::load(&mut flash, ranges);
        flash.unreadable.clear();
        assert_eq!((number_of(&store), store.is_settled()), (4, false));
        for _ in 0..2 {
            flash.refuses = Some(range(0, 6 * 512));
            assert!(store.write(&mut flash, &numbered(4)).is_err());
            flash.refuses = None;
        }
        cut(&mut flash, ahead);
        let is_written = store.write(&mut flash, &numbered(4)).is_ok();
        flash.power_on();
        assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 4, "cut behind {ahead}");
        if is_written {
            return;
        }
    }
}

/// Nothing tells that the last place was passed over, and the last mark is one that a cut has left on its way: what was
/// acknowledged is not undone by a copy that comes to light later.
#[test]
fn a_mark_that_was_there_before_is_not_relied_on_alone() {
    for places in [3, 8] {
        let Part { mut flash, ranges, mut store } = holding([places, places], places - 1);
        flash.refuses = Some(range(0, 2 * places * 512));
        assert!(store.write(&mut flash, &numbered(90)).is_err());
        flash.refuses = None;
        cut(&mut flash, 0);
        assert!(store.write(&mut flash, &numbered(91)).is_err());
        flash.power_on();
        flash.mood = Mood::New;
        let mut store = RecordStore::load(&mut flash, ranges);
        assert_eq!((number_of(&store), store.is_settled()), (places - 1, false));
        cut(&mut flash, 2);
        assert!(store.write(&mut flash, &numbered(places - 1)).is_err() && flash.dead);
        flash.power_on();
        flash.mood = Mood::Old;
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &numbered(100)).unwrap();
        for mood in [Mood::New, Mood::Old] {
            flash.mood = mood;
            let found = number_of(&RecordStore::load(&mut flash, ranges));
            assert_eq!(found, 100, "{places} places, {mood:?}");
        }
    }
}

#[test]
fn a_copy_counts_though_what_follows_it_fails() {
    let Part { mut flash, mut store, .. } = full([3, 3]);
    flash.refuses = Some(range(mark(3).start, 32));
    assert!(store.write(&mut flash, &numbered(9)).is_err(), "the mark behind the copy");
    assert_eq!((number_of(&store), store.sequence(), store.is_settled()), (3, 4, true));
}

#[test]
fn what_hides_is_erased_before_the_next_entry() {
    let Part { mut flash, ranges, .. } = holding([3, 3], 1);
    flash.bytes[3 * 512] = 0;
    let mut store = RecordStore::load(&mut flash, ranges);
    assert!(!store.is_settled());
    assert_eq!(store.step(&mut flash, &numbered(1)), Ok(WriteStep::Erased));
}

/// Entries that were refused before there was any leave nothing behind: the record begins anew, and is written.
#[test]
fn a_record_whose_first_entries_were_refused_is_written_once_flash_works() {
    let Part { mut flash, ranges, mut store } = empty([3, 3]);
    for fails_after in [0, 0, 0, 0, 100, 100, 100, 100] {
        flash.fails_after = Some(fails_after);
        assert!(store.write(&mut flash, &numbered(1)).is_err());
    }
    let erases = flash.erases;
    store.write(&mut flash, &numbered(2)).unwrap();
    assert!(flash.erases - erases <= 2, "{} erases", flash.erases - erases);
    assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), 2);
}

#[test]
fn one_place_that_takes_nothing_does_not_stop_the_record() {
    for bad in [range(2 * 512, 512), mark(2), range(512, 512), range(5 * 512, 512)] {
        let Part { mut flash, ranges, mut store } = holding([3, 3], 1);
        flash.refuses = Some(bad);
        let mut written = 0;
        for number in 2..60 {
            if store.write(&mut flash, &numbered(number)).is_ok() {
                written += 1;
                assert_eq!(number_of(&RecordStore::load(&mut flash, ranges)), number);
            }
        }
        assert!(written > 20, "{bad:?}: {written} of 58 written");
    }
}

#[test]
fn ranges_of_too_few_places_take_no_entry() {
    for places in [[3, 2], [2, 3], [1, 1]] {
        let Part { mut flash, mut store, .. } = empty(places);
        let written = store.write(&mut flash, &numbered(1));
        assert_eq!(written, Err(RecordError::Layout), "{places:?}");
    }
}

struct Part {
    flash: RamFlash,
    ranges: [Range; 2],
    store: RecordStore,
}

/// Two ranges of so many places, words of a byte, entries in one page.
fn empty(places: [u32; 2]) -> Part {
    let geometry = Geometry { word_bytes: 1, page_bytes: 256, erased: 0xff };
    let [first, second] = places.map(|places| places * 512);
    let mut flash = RamFlash::with_blocks(geometry, &[first, second]);
    let ranges = [range(0, first), range(first, second)];
    let store = RecordStore::load(&mut flash, ranges);
    Part { flash, ranges, store }
}

/// With that many entries, one after the other.
fn holding(places: [u32; 2], entries: u32) -> Part {
    let mut part = empty(places);
    for number in 1..=entries {
        part.store.write(&mut part.flash, &numbered(number)).unwrap();
    }
    part.flash.log.clear();
    part
}

/// The first range is full.
fn full(places: [u32; 2]) -> Part {
    holding(places, places[0])
}

fn until_erased(store: &mut RecordStore, flash: &mut RamFlash, number: u32) {
    while store.step(flash, &numbered(number)).unwrap() != WriteStep::Erased {}
}

/// Power fails in the operation behind so many, and leaves all its cells on their way.
fn cut(flash: &mut RamFlash, ahead: u64) {
    flash.cut = Some(Cut { operation: flash.mutations() + ahead, bytes: 0, weak: true });
}

/// The begun mark of a place, counted over both ranges.
fn mark(place: u32) -> Range {
    range(place * 512 + MARK, 1)
}

fn numbered(number: u32) -> BootState {
    BootState { next_trial_id: number, ..BootState::default() }
}

fn number_of(store: &RecordStore) -> u32 {
    store.state().map_or(0, |state| state.next_trial_id)
}
