//! The boot record on flash: frozen bytes, and what power cuts and bad flash can do to it.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "sizes here are small; clippy.toml excuses test functions, not their helpers"
)]

mod support;

use std::collections::VecDeque;

use firmware_protocol::boot::{BootState, Trial};
use firmware_protocol::digest::Digest;
use firmware_protocol::flash::{Geometry, Range};
use firmware_protocol::frame::crc32c;
use firmware_protocol::manifest::LifeCycle;
use firmware_protocol::record::{ENTRY_BYTES, RecordStore};
use firmware_protocol::slot::{PerSlot, RejectReason, SlotId, SlotState};

use support::flash::{Cut, RamFlash};
use support::{Rng, range};

/// The layout of BOOT.md, byte for byte. Frozen: a failing assertion here means devices in the field
/// that no longer read their record. Never edit it; append fields behind the known ones instead.
#[test]
fn an_entry_has_the_frozen_layout() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    RecordStore::load(&mut flash, ranges).write(&mut flash, &full_state()).unwrap();
    let mut expected = vec![];
    expected.extend(b"NFR1");
    expected.extend([220, 0, 1, 0]);
    expected.extend(1_u32.to_le_bytes());
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
    expected.extend([2, 1, 1, 4]);
    expected.extend(76_u32.to_le_bytes());
    expected.extend([0xcc; 32]);
    expected.extend([5, 6]);
    expected.extend(0x0708_u16.to_le_bytes());
    expected.extend(10_000_u32.to_le_bytes());
    expected.extend(60_000_u32.to_le_bytes());
    expected.extend(9_u64.to_le_bytes());
    expected.extend([0; 4]);
    assert_eq!(expected.len(), 216);
    expected.extend(crc32c(&expected).to_le_bytes());
    assert_eq!(flash.bytes[..220], expected);
    assert!(flash.bytes[220..256].iter().all(|byte| *byte == 0xff));
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
            assert_eq!(store.sequence(), number);
        }
    }
}

#[test]
fn every_flipped_bit_makes_an_entry_invalid() {
    let mut flash = part(4, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let mut state = full_state();
    state.unknown.extend_from_slice(&[1; 32]).unwrap();
    RecordStore::load(&mut flash, ranges).write(&mut flash, &state).unwrap();
    for bit in 0..252 * 8 {
        flash.bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(RecordStore::load(&mut flash, ranges).state(), None, "bit {bit}");
        flash.bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&state));
}

/// P1: the record after a cut is the old or the new one, and goes on working. Every byte of every
/// operation of a hundred updates, over small ranges so that both are erased many times.
#[test]
fn a_cut_at_any_byte_leaves_the_old_or_the_new_state() {
    let seed = 8;
    println!("seed {seed}");
    let mut cuts = 0_u32;
    for (word, page, erased) in [(8, 256, 0xff), (4, 64, 0x00)] {
        let mut rng = Rng(seed);
        let mut flash = part(word, page, erased, 512);
        let ranges = ranges(&flash);
        let mut before = None;
        for update in 0..100 {
            let after = random_state(&mut rng);
            let mut dry = flash.clone();
            let first = dry.mutations();
            RecordStore::load(&mut dry, ranges).write(&mut dry, &after).unwrap();
            for operation in first..dry.mutations() {
                let longest = if page < 256 { page as usize } else { 256 };
                let tries = (0..longest).chain([511]);
                for bytes in tries {
                    let mut cut = flash.clone();
                    cut.cut = Some(Cut { operation, bytes });
                    let result = RecordStore::load(&mut cut, ranges).write(&mut cut, &after);
                    cuts += u32::from(cut.dead);
                    let dead = cut.dead;
                    cut.power_on();
                    let context = || format!("seed {seed} update {update} cut {operation}.{bytes}");
                    let mut store = RecordStore::load(&mut cut, ranges);
                    let found = store.state().cloned();
                    let allowed = found == before || found.as_ref() == Some(&after);
                    assert!(allowed, "{}: neither the old nor the new", context());
                    assert!(result.is_ok() != dead, "{}", context());
                    store.write(&mut cut, &full_state()).unwrap_or_else(|error| {
                        panic!("{}: {error}", context());
                    });
                    let last = RecordStore::load(&mut cut, ranges);
                    assert_eq!(last.state(), Some(&full_state()), "{}", context());
                }
            }
            flash = dry;
            before = Some(after);
        }
    }
    assert!(cuts > 10_000, "only {cuts} cuts struck");
    println!("{cuts} cuts");
}

/// Both ranges take turns, over any number of erase blocks in each, and no write of a random history
/// with reloads is lost. The truth is a queue of what was written.
#[test]
fn the_record_wraps_over_both_ranges_for_any_geometry() {
    let seed = 21;
    println!("seed {seed}");
    let mut rng = Rng(seed);
    for (word, page, erased) in geometries() {
        for (block, per_range) in [(256, 1), (256, 3), (512, 2), (4096, 1)] {
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
            assert_eq!(store.sequence(), truth.len() as u32);
            assert!(flash.erases > 0 || block == 4096);
        }
    }
}

/// A newer writer's fields stand behind the known ones; an older one keeps them as they are.
#[test]
fn unknown_trailing_fields_are_carried_through() {
    let mut flash = part(8, 256, 0xff, 4096);
    let ranges = ranges(&flash);
    let mut newer = full_state();
    newer.unknown.extend_from_slice(b"later").unwrap();
    RecordStore::load(&mut flash, ranges).write(&mut flash, &newer).unwrap();
    let mut store = RecordStore::load(&mut flash, ranges);
    let changed = BootState { crash_left: 1, ..store.state().unwrap().clone() };
    store.write(&mut flash, &changed).unwrap();
    let found = RecordStore::load(&mut flash, ranges);
    assert_eq!(found.state().unwrap().unknown.as_slice(), b"later");
}

#[test]
fn unreadable_entries_are_skipped_and_their_places_never_used() {
    let mut flash = part(8, 256, 0xff, 1024);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    let (old, new) = (full_state(), BootState { crash_left: 1, ..full_state() });
    store.write(&mut flash, &old).unwrap();
    store.write(&mut flash, &new).unwrap();
    flash.unreadable = vec![range(256 + 8, 8), range(512, 8)];
    let mut store = RecordStore::load(&mut flash, ranges);
    assert_eq!(store.state(), Some(&old));
    store.write(&mut flash, &new).unwrap();
    assert_eq!(flash.log.last().unwrap().start, 768);
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&new));
}

/// Flash that refuses every write, for as long as one likes, never costs the entry in force.
#[test]
fn failing_writes_never_erase_the_entry_in_force() {
    let mut flash = part(8, 256, 0xff, 512);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    let old = full_state();
    store.write(&mut flash, &BootState::default()).unwrap();
    store.write(&mut flash, &old).unwrap();
    flash.refuses = Some(ranges[1]);
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
    let mut flash = part(8, 256, 0xff, 512);
    let ranges = ranges(&flash);
    let mut store = RecordStore::load(&mut flash, ranges);
    flash.stuck = Some(ranges[1].start + 5);
    flash.bytes[ranges[1].start as usize + 5] = 0xfe;
    store.write(&mut flash, &full_state()).unwrap();
    store.write(&mut flash, &full_state()).unwrap();
    assert!(store.write(&mut flash, &BootState::default()).is_err());
    assert!(flash.erases <= 2, "{} erases", flash.erases);
    assert_eq!(RecordStore::load(&mut flash, ranges).state(), Some(&full_state()));
}

#[test]
fn ranges_too_small_for_an_entry_are_an_error_not_a_loop() {
    let mut flash = part(8, 128, 0xff, 128);
    let ranges = ranges(&flash);
    assert!(RecordStore::load(&mut flash, ranges).write(&mut flash, &full_state()).is_err());
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
        unknown: heapless_bytes(&[]),
    }
}

fn heapless_bytes(bytes: &[u8]) -> heapless::Vec<u8, 32> {
    heapless::Vec::from_slice(bytes).unwrap()
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
    let unknown = rng.below(33);
    BootState {
        active: [None, Some(SlotId::A), Some(SlotId::B)][rng.below(3)],
        crash_left: rng.next() as u8,
        slots: PerSlot { a: slot(rng), b: slot(rng) },
        trial: (rng.below(2) == 0).then_some(trial),
        accept_floor: rng.next(),
        root_digest: digest(rng),
        unknown: heapless_bytes(&rng.bytes(unknown)),
        ..full_state()
    }
}

const _: () = assert!(ENTRY_BYTES == 256);

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
        let newest = range(ranges[0].start + 256, 256);
        flash.flaky = Some((newest, times));
        let store = RecordStore::load(&mut flash, ranges);
        assert_eq!(flash.flaky, Some((newest, 0)), "every fault struck");
        assert_eq!(store.state(), Some(if times < 3 { &new } else { &old }), "{times}");
    }
}
