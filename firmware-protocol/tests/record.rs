//! The boot record on flash: frozen bytes, and what power cuts and bad flash can do to it.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "sizes here are small; clippy.toml excuses test functions, not their helpers"
)]

use std::collections::VecDeque;

use firmware_protocol::boot::{BootState, CARRIED_BYTES, Carried, Trial};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::{Flash, Geometry, Range};
use firmware_protocol::frame::crc32c;
use firmware_protocol::record::{
    ENTRY_BYTES, EntryHead, PLACE_BYTES, RecordError, RecordStore, WriteStep, read_entry,
};
use firmware_protocol::root::LifeCycle;
use firmware_protocol::slot::{PerSlot, RejectReason, SlotId, SlotState};

use crate::support::flash::{Cut, Mood, RamFlash};
use crate::support::{Rng, range};

/// The layout of BOOT.md, byte for byte. Frozen: a failing assertion here means devices in the field
/// that no longer read their record. Never edit it; append fields behind the known ones instead.
#[test]
fn an_entry_has_the_frozen_layout() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    RecordStore::load(&mut flash, ranges).write(&mut flash, &full_state()).unwrap();
    assert_eq!(flash.bytes[..244], full_entry(1));
    assert!(flash.bytes[244..448].iter().all(|byte| *byte == 0xff));
    assert_eq!(flash.bytes[448..456], [0; 8], "the seal is one word");
    assert!(flash.bytes[456..512].iter().all(|byte| *byte == 0xff));
}

/// The marks are words of their own, on parts of every word.
#[test]
fn a_place_has_the_frozen_layout() {
    for word in [1, 2, 4, 8, 16, 32] {
        for erased in [0x00, 0xff] {
            let mut flash = part(word, 256, erased, 2048);
            let ranges = ranges(&flash);
            let mut store = RecordStore::load(&mut flash, ranges);
            store.write(&mut flash, &full_state()).unwrap();
            store.write(&mut flash, &full_state()).unwrap();
            let mut expected = vec![erased; 2 * PLACE_BYTES];
            for (place, number) in [(0, 1), (PLACE_BYTES, 2)] {
                expected[place..place + 244].copy_from_slice(&full_entry(number));
                expected[place + 448..place + 448 + word as usize].fill(!erased);
            }
            expected[480..480 + word as usize].fill(!erased);
            assert_eq!(flash.bytes[..2 * PLACE_BYTES], expected, "word {word}, erased {erased}");
        }
    }
}

/// What BOOT.md says of [`full_state`], with a number.
fn full_entry(sequence: u32) -> Vec<u8> {
    let mut expected = vec![];
    expected.extend(b"NFR1");
    expected.extend([244, 0, 2, 0]);
    expected.extend(sequence.to_le_bytes());
    expected.extend([1, 2, 1, 0]);
    expected.extend(0x0403_0201_u32.to_le_bytes());
    expected.extend([0xd1; 32]);
    expected.extend(0x1122_3344_5566_7788_u64.to_le_bytes());
    expected.extend(77_u32.to_le_bytes());
    expected.extend(76_u32.to_le_bytes());
    expected.extend([0; 4]);
    expected.extend([3, 4, 0, 0]);
    expected.extend(75_u32.to_le_bytes());
    expected.extend([0xaa; 32]);
    expected.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    expected.extend([0xbb; 32]);
    expected.extend(0x0a0b_0c0d_u32.to_le_bytes());
    expected.extend(0x1a1b_1c1d_u32.to_le_bytes());
    expected.extend(0x0002_0000_u32.to_le_bytes());
    expected.extend(0x0000_8000_u32.to_le_bytes());
    expected.extend([2, 1, 1, 4]);
    expected.extend(76_u32.to_le_bytes());
    expected.extend([0xcc; 32]);
    expected.extend([5, 6]);
    expected.extend(0x0708_u16.to_le_bytes());
    expected.extend(10_000_u32.to_le_bytes());
    expected.extend(60_000_u32.to_le_bytes());
    expected.extend(9_u64.to_le_bytes());
    expected.extend([0; 4]);
    assert_eq!(expected.len(), 232, "version 1 ends here");
    expected.extend(0x2122_2324_2526_2728_u64.to_le_bytes());
    assert_eq!(expected.len(), 240);
    expected.extend(crc32c(&expected).to_le_bytes());
    expected
}

#[test]
fn any_state_comes_back_as_it_went_in() {
    let seed = 3;
    println!("seed {seed}");
    let mut rng = Rng(seed);
    for (word, page, erased) in geometries() {
        let mut flash = part(word, page, erased, 2048);
        let ranges = ranges(&flash);
        for number in 1..200 {
            let state = random_state(&mut rng);
            RecordStore::load(&mut flash, ranges).write(&mut flash, &state).unwrap();
            let store = RecordStore::load(&mut flash, ranges);
            assert_eq!(store.state(), Some(&state), "entry {number}, word {word}, page {page}");
            assert_eq!(store.sequence(), place_of(number, 4), "number {number}");
            assert!(store.is_settled());
        }
    }
}

#[test]
fn every_flipped_bit_makes_an_entry_invalid() {
    let mut flash = part(4, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let state = BootState { carried: carried(2, &[1; CARRIED_BYTES]), ..full_state() };
    RecordStore::load(&mut flash, ranges).write(&mut flash, &state).unwrap();
    for bit in 0..300 * 8 {
        flash.bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RecordStore::load(&mut flash, ranges).state(), None, "bit {bit}");
        flash.bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&state));
}

/// P1: the record after a cut is the old or the new one, whichever the first start behind the cut takes it
/// for, for ever, however the torn cells read; and it goes on working. Every byte of every operation of
/// many updates, over small ranges so that both are erased many times.
#[test]
fn a_cut_at_any_byte_leaves_the_old_or_the_new_state_for_good() {
    let seed = 8;
    println!("seed {seed}");
    let (mut cuts, mut weak_cuts) = (0_u32, 0_u32);
    for (word, page, erased, block) in [(8, 256, 0xff, 1536), (4, 64, 0x00, 1536)] {
        let mut rng = Rng(seed);
        let mut flash = part(word, page, erased, block);
        let ranges = ranges(&flash);
        let mut before = None;
        for update in 0..5 {
            let after = random_state(&mut rng);
            let mut dry = flash.clone();
            let first = dry.mutations();
            RecordStore::load(&mut dry, ranges).write(&mut dry, &after).unwrap();
            for operation in first..dry.mutations() {
                for bytes in (0..page as usize).chain([block as usize - 1]) {
                    for (weak, mood) in [(false, Mood::Old), (true, Mood::Old), (true, Mood::New)] {
                        let mut cut = flash.clone();
                        cut.cut = Some(Cut { operation, bytes, weak });
                        let result = RecordStore::load(&mut cut, ranges).write(&mut cut, &after);
                        cuts += u32::from(cut.dead);
                        weak_cuts += u32::from(cut.weak_cells() > 0);
                        assert!(result.is_ok() != cut.dead);
                        cut.mood = mood;
                        let context =
                            format!("seed {seed} update {update} {operation}.{bytes} {mood:?}");
                        chosen_for_good(cut, ranges, [before.as_ref(), Some(&after)], &context);
                    }
                }
            }
            flash = dry;
            before = Some(after);
        }
    }
    println!("{cuts} cuts, {weak_cuts} of them weak");
    assert!(cuts > 10_000 && weak_cuts > 5_000, "only {cuts} cuts struck, {weak_cuts} weak");
}

/// A start behind a cut: what it takes for the state in force stays that.
fn chosen_for_good(
    mut flash: RamFlash,
    ranges: [Range; 2],
    either: [Option<&BootState>; 2],
    context: &str,
) {
    flash.power_on();
    let mut store = RecordStore::load(&mut flash, ranges);
    let chosen = store.state().cloned();
    assert!(either.contains(&chosen.as_ref()), "{context}: neither the old nor the new");
    if let (Some(state), false) = (&chosen, store.is_settled()) {
        store.write(&mut flash, state).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    let mut rewritten = 0;
    for mood in [Mood::Old, Mood::New, Mood::Old, Mood::New] {
        flash.mood = mood;
        let mut store = RecordStore::load(&mut flash, ranges);
        // A record that never held anything stays so, until something is written.
        let Some(chosen) = &chosen else { break };
        assert_eq!(store.state(), Some(chosen), "{context}: it swings");
        if !store.is_settled() {
            rewritten += 1;
            store.write(&mut flash, chosen).unwrap_or_else(|error| panic!("{context}: {error}"));
        }
    }
    // A seal that is weak itself may read as none later.
    assert!(rewritten <= 1, "{context}: it is written anew at every start");
    RecordStore::load(&mut flash, ranges)
        .write(&mut flash, &full_state())
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    for mood in [Mood::Old, Mood::New] {
        flash.mood = mood;
        let last = RecordStore::load(&mut flash, ranges);
        assert_eq!(last.state(), Some(&full_state()), "{context}: what was acknowledged is gone");
    }
}

/// A start that finds nothing to mend finds nothing to mend the next time either.
#[test]
fn what_is_settled_stays_settled_and_what_a_cut_left_does_not_pass_for_it() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    assert!(store.is_settled(), "nothing is in force that could swing");
    store.write(&mut flash, &full_state()).unwrap();
    assert!(store.is_settled());
    for (what, at) in [("its seal is blank", 448), ("the next place was begun", 480)] {
        let mut cut = flash.clone();
        cut.bytes[at..at + 8].fill(if at == 448 { 0xff } else { 0 });
        let store = RecordStore::load(&mut cut, ranges);
        assert_eq!(store.state(), Some(&full_state()));
        assert!(!store.is_settled(), "{what}");
    }
    // A mark that cannot be read is on the safe side: no seal, and begun.
    for at in [448, 480] {
        let mut cut = flash.clone();
        cut.unreadable = vec![range(at, 8)];
        assert!(!RecordStore::load(&mut cut, ranges).is_settled(), "unreadable at {at}");
    }
}

/// An entry that reads as blank was written all the same if its place holds a seal, or says that the next one was
/// begun.
#[test]
fn a_blank_entry_with_a_mark_behind_it_is_none_that_was_never_written() {
    for mark in [448, 480] {
        let mut flash = part(8, 256, 0xff, 4096);
        let ranges = ranges(&flash);
        let mut store = RecordStore::load(&mut flash, ranges);
        for crash_left in 0..3 {
            store.write(&mut flash, &BootState { crash_left, ..full_state() }).unwrap();
        }
        flash.lose(range(480, 32));
        flash.lose(range(512, 512));
        flash.lose(range(1024, 512));
        assert!(RecordStore::load(&mut flash, ranges).is_settled(), "nothing tells of them");
        flash.bytes[512 + mark..512 + mark + 8].fill(0);
        let store = RecordStore::load(&mut flash, ranges);
        assert_eq!(store.state().map(|state| state.crash_left), Some(0));
        assert!(!store.is_settled(), "mark at {mark}");
    }
}

/// The cells of a mark that a cut left on its way read as set now and as blank at the next look, or the other way round: it
/// is programmed again before anything is written to the place that it speaks of.
#[test]
fn a_mark_that_reads_both_ways_is_programmed_again() {
    for looks in [0, 1] {
        let mut flash = part(8, 256, 0xff, 4096);
        let ranges = ranges(&flash);
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &full_state()).unwrap();
        flash.cut = Some(Cut { operation: flash.mutations(), bytes: 0, weak: true });
        assert!(store.write(&mut flash, &BootState::default()).is_err());
        assert!(flash.weak_cells() > 0, "the mark is in doubt");
        flash.power_on();
        // It reads as blank at the start, so that the place behind it is used.
        let mut store = RecordStore::load(&mut flash, ranges);
        for _ in 0..looks {
            flash.read(480, &mut [0; 8]).unwrap();
        }
        flash.mood = Mood::Turns;
        flash.log.clear();
        store.write(&mut flash, &BootState::default()).unwrap();
        assert_eq!(flash.log[0], range(480, 8), "the mark comes first");
        for mood in [Mood::Old, Mood::New] {
            flash.mood = mood;
            let store = RecordStore::load(&mut flash, ranges);
            assert_eq!(store.state(), Some(&BootState::default()), "{mood:?}");
        }
    }
}

/// A full range is begun by its last mark: what lies in the other one may have been in force.
#[test]
fn a_full_range_is_settled_unless_the_other_one_was_begun() {
    let mut flash = part(8, 256, 0xff, 1536);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    let numbered = |number| BootState { next_trial_id: number, ..full_state() };
    for number in 1..=3 {
        store.write(&mut flash, &numbered(number)).unwrap();
    }
    assert!(RecordStore::load(&mut flash, ranges).is_settled(), "full, and nothing begun");
    store.write(&mut flash, &numbered(4)).unwrap();
    assert!(RecordStore::load(&mut flash, ranges).is_settled(), "moved, and old entries behind");
    // The fourth entry and the copy before it are gone: the mark tells that there was one, or what is left of it does.
    for mark in [true, false] {
        let mut lost = flash.clone();
        lost.bytes[1536..1542].fill(0);
        lost.bytes[2048..2054].fill(0);
        if !mark {
            lost.lose(range(1024 + 480, 8));
        }
        let mut store = RecordStore::load(&mut lost, ranges);
        assert_eq!(store.state(), Some(&numbered(3)));
        assert!(!store.is_settled(), "mark: {mark}");
        store.write(&mut lost, &numbered(3)).unwrap();
        let store = RecordStore::load(&mut lost, ranges);
        assert!(store.is_settled() && store.state() == Some(&numbered(3)), "mark: {mark}");
        assert_eq!(store.sequence(), if mark { 5 } else { 4 }, "in the other range, erased anew");
    }
}

/// Both ranges take turns, over any number of erase blocks in each, and no write of a random history
/// with reloads is lost. The truth is a queue of what was written.
#[test]
fn the_record_wraps_over_both_ranges_for_any_geometry() {
    let seed = 21;
    println!("seed {seed}");
    let mut rng = Rng(seed);
    for (word, page, erased) in geometries() {
        for (block, per_range) in [(256, 6), (256, 10), (512, 3), (512, 4), (4096, 1)] {
            let geometry = Geometry { word_bytes: word, page_bytes: page, erased };
            let mut flash = RamFlash::with_blocks(geometry, &vec![block; per_range * 2]);
            let ranges = ranges(&flash);
            let mut store = RecordStore::load(&mut flash, ranges);
            let mut truth = VecDeque::new();
            for _ in 0..60 {
                let state = random_state(&mut rng);
                store.write(&mut flash, &state).unwrap();
                truth.push_back(state);
                if rng.below(4) == 0 {
                    store = RecordStore::load(&mut flash, ranges);
                }
                assert_eq!(store.state(), truth.back(), "blocks of {block} x {per_range}");
            }
            let places = per_range as u32 * block / 512;
            assert_eq!(store.sequence(), place_of(truth.len() as u32, places));
            // Both are erased before the first entry, and the other one with each turn.
            let erases = (store.sequence().div_ceil(places) + 1) * per_range as u32;
            assert_eq!(flash.erases, u64::from(erases), "blocks of {block} x {per_range}");
        }
    }
}

/// A newer writer's fields stand behind the known ones; an older one keeps them, and their version, as they are.
#[test]
fn fields_of_a_newer_writer_are_carried_through() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let newer = BootState { carried: carried(7, b"later"), ..full_state() };
    RecordStore::load(&mut flash, ranges).write(&mut flash, &newer).unwrap();
    let mut store = RecordStore::load(&mut flash, ranges);
    let changed = BootState { crash_left: 1, ..store.state().unwrap().clone() };
    store.write(&mut flash, &changed).unwrap();
    let found = RecordStore::load(&mut flash, ranges);
    assert_eq!(found.state().unwrap().carried, carried(7, b"later"));
    let place = &flash.bytes[PLACE_BYTES..PLACE_BYTES + ENTRY_BYTES];
    assert_eq!((place[4], place[6]), (249, 7), "length and version");
    assert_eq!(&place[240..245], b"later");
    let (head, state) = read_entry(place.try_into().unwrap()).unwrap();
    assert_eq!((head, &state), (EntryHead { version: 7, sequence: 2 }, &changed));
}

/// More than there is room for is cut off, not an error: the entry's own fields count.
#[test]
fn a_writer_that_appends_too_much_is_still_understood() {
    let mut entry = full_entry(9);
    entry.truncate(240);
    entry.extend([0x5a; 200]);
    entry[4..6].copy_from_slice(&444_u16.to_le_bytes());
    let crc = crc32c(&entry);
    entry.extend(crc.to_le_bytes());
    entry.resize(ENTRY_BYTES, 0xff);
    let (head, state) = read_entry(entry.as_slice().try_into().unwrap()).unwrap();
    assert_eq!(head.sequence, 9);
    assert_eq!(state, BootState { carried: carried(2, &[0x5a; CARRIED_BYTES]), ..full_state() });
}

#[test]
fn unreadable_entries_are_skipped_and_their_places_never_used() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    let (old, new) = (full_state(), BootState { crash_left: 1, ..full_state() });
    store.write(&mut flash, &old).unwrap();
    store.write(&mut flash, &new).unwrap();
    flash.unreadable = vec![range(512 + 8, 8), range(1024, 8)];
    let mut store = RecordStore::load(&mut flash, ranges);
    assert_eq!(store.state(), Some(&old));
    store.write(&mut flash, &new).unwrap();
    assert_eq!(flash.log.last().unwrap().start, 3 * 512 + 448);
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&new));
}

/// Cells may turn between the start and a write. A place that is not blank any more is passed over, however many
/// there are.
#[test]
fn a_place_that_is_no_longer_blank_is_passed_over() {
    for turned in [1, 7, 8, 9, 14] {
        let mut flash = part(8, 256, 0xff, 8192);
        let ranges = ranges(&flash);
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &BootState::default()).unwrap();
        // In the entry, in its seal, in the mark of the next one, and in the last byte.
        for (place, at) in (1..=turned).zip([300, 448, 480, 511].into_iter().cycle()) {
            flash.bytes[place * 512 + at] = 0;
        }
        store.write(&mut flash, &full_state()).unwrap();
        assert_eq!(flash.log.last().unwrap().start as usize, (turned + 1) * 512 + 448);
        let store = RecordStore::load(&mut flash, ranges);
        assert_eq!(store.state(), Some(&full_state()), "{turned}");
        assert_eq!(store.sequence() as usize, turned + 2, "{turned}");
    }
}

/// Flash that refuses every write, for as long as one likes, never costs the entry in force.
#[test]
fn failing_writes_never_erase_the_entry_in_force() {
    let mut flash = part(8, 256, 0xff, 1536);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    let old = full_state();
    for state in [&BootState::default(), &BootState::default(), &old] {
        store.write(&mut flash, state).unwrap();
    }
    flash.refuses = Some(range(0, 3072));
    for attempt in 0..20 {
        assert!(store.write(&mut flash, &BootState::default()).is_err());
        assert_eq!(store.state(), Some(&old));
        let found = RecordStore::load(&mut flash, ranges);
        assert_eq!(found.state(), Some(&old), "lost after {attempt} failing writes");
    }
    flash.refuses = None;
    store.write(&mut flash, &BootState::default()).unwrap();
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&BootState::default()));
}

#[test]
fn a_block_that_never_reads_blank_costs_a_bounded_number_of_erases() {
    let mut flash = part(8, 256, 0xff, 1536);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    for _ in 0..3 {
        store.write(&mut flash, &full_state()).unwrap();
    }
    flash.stuck = Some(ranges[1].start + 5);
    flash.bytes[ranges[1].start as usize + 5] = 0xfe;
    let erases = flash.erases;
    assert!(store.write(&mut flash, &BootState::default()).is_err());
    assert_eq!(flash.erases - erases, 2);
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&full_state()));
}

/// A mark that flash does not hold costs its place, and nothing else.
#[test]
fn marks_that_flash_does_not_hold_cost_their_place_only() {
    for stuck in [480, 512 + 448] {
        let mut flash = part(8, 256, 0x00, 4096);
        let ranges = ranges(&flash);
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &full_state()).unwrap();
        flash.refuses = Some(range(stuck, 8));
        let next = BootState { crash_left: 1, ..full_state() };
        assert!(store.write(&mut flash, &next).is_err(), "at {stuck}");
        let third = BootState { crash_left: 0, ..full_state() };
        store.write(&mut flash, &third).unwrap();
        let store = RecordStore::load(&mut flash, ranges);
        assert_eq!(store.state(), Some(&third), "at {stuck}");
        assert!(store.is_settled(), "at {stuck}");
        assert_eq!(store.sequence(), 3, "at {stuck}");
    }
}

#[test]
fn ranges_too_small_for_an_entry_are_an_error_not_a_loop() {
    let mut flash = part(8, 128, 0xff, 256);
    let ranges = ranges(&flash);
    let result = RecordStore::load(&mut flash, ranges).write(&mut flash, &full_state());
    assert_eq!(result, Err(RecordError::Layout));
}

/// No number is used twice: when there is none left, nothing is written over what is in force.
#[test]
fn a_record_without_numbers_takes_no_more_changes() {
    let mut flash = part(8, 256, 0xff, 1536);
    let ranges = ranges(&flash);
    flash.bytes[..244].copy_from_slice(&full_entry(u32::MAX - 2));
    let mut store = RecordStore::load(&mut flash, ranges);
    assert_eq!(store.sequence(), u32::MAX - 2);
    for _ in 0..2 {
        store.write(&mut flash, &BootState::default()).unwrap();
    }
    let before = flash.bytes.clone();
    assert_eq!(store.write(&mut flash, &full_state()), Err(RecordError::UsedUp));
    let store = RecordStore::load(&mut flash, ranges);
    assert_eq!(store.state(), Some(&BootState::default()));
    assert_eq!(flash.bytes[..1536], before[..1536]);
}

/// A number that does not fit its place is garbage with a checksum; the record goes on behind it.
#[test]
fn a_number_below_its_place_does_not_stop_the_record() {
    let mut flash = part(8, 256, 0xff, 2048);
    let ranges = ranges(&flash);
    flash.bytes[1024..1024 + 244].copy_from_slice(&full_entry(1));
    let mut store = RecordStore::load(&mut flash, ranges);
    assert_eq!(store.state(), Some(&full_state()));
    store.write(&mut flash, &BootState::default()).unwrap();
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&BootState::default()));
}

/// One mutation a step, and never more read than a step may.
#[test]
fn a_step_does_one_operation_and_reads_a_bounded_number_of_bytes() {
    let mut flash = part(8, 64, 0xff, 8192);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    let (mut steps, mut erased) = (0, 0);
    for number in 0..40 {
        let state = BootState { next_trial_id: number, ..full_state() };
        loop {
            let before = (flash.mutations(), flash.read_bytes);
            let step = store.step(&mut flash, &state).unwrap();
            steps += 1;
            erased += u32::from(step == WriteStep::Erased);
            assert!(flash.mutations() - before.0 <= 1);
            assert!(flash.read_bytes - before.1 <= 4096 + 64, "{step:?}");
            if step == WriteStep::Written {
                break;
            }
        }
    }
    assert_eq!(erased, 2 + 2, "both, and with each turn of 16 places");
    assert!(steps > 40 * 6);
}

/// The place of the entry that is written as that number, if each range but the first one begins with a copy.
const fn place_of(number: u32, places: u32) -> u32 {
    let copies = number.saturating_sub(2) / (places - 1);
    number + copies
}

/// Two ranges of one block each.
fn part(word_bytes: u32, page_bytes: u32, erased: u8, block: u32) -> RamFlash {
    RamFlash::with_blocks(Geometry { word_bytes, page_bytes, erased }, &[block, block])
}

fn ranges(flash: &RamFlash) -> [Range; 2] {
    let half = flash.bytes.len() as u32 / 2;
    [range(0, half), range(half, half)]
}

/// Word, page, erased value.
fn geometries() -> Vec<(u32, u32, u8)> {
    let words = [1, 2, 4, 8, 16, 32];
    let all = words.into_iter().flat_map(|word| [(word, 256), (word, 32), (word, 4096)]);
    all.flat_map(|(word, page)| [(word, page, 0xff), (word, page, 0x00)]).collect()
}

/// A state in which every field differs from its default.
fn full_state() -> BootState {
    BootState {
        active: Some(SlotId::A),
        crash_left: 2,
        slots: PerSlot {
            a: SlotState::Rejected {
                bundle: Digest([0xaa; 32]),
                reason: RejectReason::Crashed,
                trial_id: 75,
            },
            b: SlotState::Staged { bundle: Digest([0xbb; 32]) },
        },
        trial: Some(Trial {
            slot: SlotId::B,
            trial_id: 76,
            plan: Digest([0xcc; 32]),
            armed: 4,
            crash_left: 5,
            power_left: 6,
            boots_left: 0x0708,
            lease_ms: 10_000,
            boot_max_ms: 60_000,
            entered: true,
            security_version: 9,
            retires_fallback: true,
        }),
        accept_floor: 0x1122_3344_5566_7788,
        next_trial_id: 77,
        confirmed_trial_id: 76,
        life_cycle: LifeCycle::Development,
        root_version: 0x0403_0201,
        root_digest: Digest([0xd1; 32]),
        erases: PerSlot { a: 0x0a0b_0c0d, b: 0x1a1b_1c1d },
        touched: range(0x2_0000, 0x8000),
        time_floor_s: 0x2122_2324_2526_2728,
        carried: Carried::default(),
    }
}

fn carried(version: u8, bytes: &[u8]) -> Carried {
    Carried { version, bytes: bytes.iter().copied().collect() }
}

fn random_state(rng: &mut Rng) -> BootState {
    let digest = |rng: &mut Rng| Digest(rng.bytes(32).try_into().unwrap());
    let slot = |rng: &mut Rng| {
        let bundle = digest(rng);
        let reason = RejectReason::ALL[rng.below(RejectReason::ALL.len())];
        let trial_id = rng.next() as u32;
        [
            SlotState::Empty,
            SlotState::Writing { bundle },
            SlotState::Staged { bundle },
            SlotState::Rejected { bundle, reason, trial_id },
            SlotState::Admitted { bundle },
        ][rng.below(5)]
    };
    let trial = Trial {
        slot: SlotId::ALL[rng.below(2)],
        plan: digest(rng),
        trial_id: rng.next() as u32,
        armed: rng.next() as u8,
        lease_ms: rng.next() as u32,
        boots_left: rng.next() as u16,
        security_version: rng.next(),
        ..full_state().trial.unwrap()
    };
    let appended = rng.below(CARRIED_BYTES + 1);
    BootState {
        active: [None, Some(SlotId::A), Some(SlotId::B)][rng.below(3)],
        crash_left: rng.next() as u8,
        slots: PerSlot { a: slot(rng), b: slot(rng) },
        trial: (rng.below(2) == 0).then_some(trial),
        accept_floor: rng.next(),
        root_digest: digest(rng),
        erases: PerSlot { a: rng.next() as u32, b: rng.next() as u32 },
        time_floor_s: rng.next(),
        touched: range(rng.next() as u32, rng.next() as u32),
        carried: carried(2 + rng.below(3) as u8, &rng.bytes(appended)),
        ..full_state()
    }
}

/// A mark of the newest place is missed for no read that fails once: a seal that is missed is a state written anew.
#[test]
fn a_read_that_fails_once_or_twice_does_not_hide_a_mark() {
    for (at, times) in [448, 480].into_iter().flat_map(|at| [1, 2, 3].map(|times| (at, times))) {
        let mut flash = part(8, 256, 0xff, 4096);
        let ranges = ranges(&flash);
        let mut store = RecordStore::load(&mut flash, ranges);
        store.write(&mut flash, &full_state()).unwrap();
        let mark = range(ranges[0].start + at, 32);
        flash.flaky = Some((mark, times));
        let store = RecordStore::load(&mut flash, ranges);
        assert_eq!(flash.flaky, Some((mark, 0)), "every fault struck");
        assert_eq!(store.state(), Some(&full_state()), "{at}");
        assert_eq!(store.is_settled(), times < 3, "{at} {times}");
    }
}

/// A mark that says nothing is no mark: the next place is written only behind one that is read back.
#[test]
fn a_place_is_not_begun_before_the_mark_that_says_so_is_there() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    store.write(&mut flash, &full_state()).unwrap();
    flash.ignores = Some(range(ranges[0].start + 480, 32));
    assert!(store.write(&mut flash, &BootState::default()).is_err());
    assert_eq!(
        flash.log.last(),
        Some(&range(ranges[0].start + 480, 8)),
        "the mark, and nothing else"
    );
    flash.ignores = None;
    assert!(store.write(&mut flash, &BootState::default()).is_ok());
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&BootState::default()));
}

/// A seal that says nothing is no seal: what is not sealed was never acknowledged.
#[test]
fn a_seal_that_flash_did_not_hold_is_none() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    store.write(&mut flash, &full_state()).unwrap();
    let seal = range(ranges[0].start + 512 + 448, 8);
    flash.ignores = Some(seal);
    assert!(store.write(&mut flash, &BootState::default()).is_err());
    assert_eq!(flash.log.last(), Some(&seal), "the seal is what failed");
    assert_eq!(store.state(), Some(&full_state()));
    assert!(!RecordStore::load(&mut flash, ranges).is_settled());
}

/// The newest entry says that a trial is over, the one before that it is open: a read that fails once must
/// not bring the trial back. One that never succeeds leaves what can be read.
#[test]
fn a_read_that_fails_once_or_twice_does_not_hide_an_entry() {
    for times in [1, 2, 3] {
        let mut flash = part(8, 256, 0xff, 4096);
        let ranges = ranges(&flash);
        let mut store = RecordStore::load(&mut flash, ranges);
        let old = full_state();
        let new = BootState { trial: None, ..old.clone() };
        store.write(&mut flash, &old).unwrap();
        store.write(&mut flash, &new).unwrap();
        let newest = range(ranges[0].start + 512, 448);
        flash.flaky = Some((newest, times));
        let store = RecordStore::load(&mut flash, ranges);
        assert_eq!(flash.flaky, Some((newest, 0)), "every fault struck");
        assert_eq!(store.state(), Some(if times < 3 { &new } else { &old }), "{times}");
    }
}
