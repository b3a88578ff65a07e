use super::*;
use firmware_protocol::flash::{Guarded, TrapFlag as _};

use crate::fault::{Fault, Tear};

const PARTS: [(u32, u8); 4] = [(1, 0xFF), (4, 0xFF), (8, 0x00), (32, 0x00)];

fn spec(word_bytes: u32, erased: u8) -> FlashSpec {
    FlashSpec::new(Geometry { word_bytes, page_bytes: 256, erased }, [1024, 4096])
}

fn contents(flash: &mut SimFlash, address: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    flash.read(address, &mut bytes).unwrap();
    bytes
}

fn block(flash: &SimFlash, address: u32) -> Range {
    flash.block_at(address).unwrap()
}

#[test]
fn a_new_part_reads_as_erased_and_keeps_what_is_programmed() {
    for (word_bytes, erased) in PARTS {
        let mut flash = SimFlash::in_memory(spec(word_bytes, erased));
        assert_eq!(contents(&mut flash, 0, 5120), vec![erased; 5120]);
        flash.program(64, &[0x5A; 32]).unwrap();
        assert_eq!(contents(&mut flash, 64, 32), [0x5A; 32]);
        assert_eq!(flash.counters().violations, 0);
    }
}

#[test]
fn a_program_never_turns_a_bit_back_and_the_attempt_is_counted() {
    for (erased, held, wanted, result) in [(0xFF, 0xF0, 0x3C, 0x30), (0x00, 0x0F, 0x3C, 0x3F)] {
        let mut flash = SimFlash::in_memory(spec(1, erased));
        flash.program(0, &[held]).unwrap();
        flash.program(0, &[wanted]).unwrap();
        assert_eq!(contents(&mut flash, 0, 1), [result]);
        assert_eq!(flash.counters().violations, 1);
    }
}

#[test]
fn programs_that_do_not_fit_word_page_or_part_are_refused_and_change_nothing() {
    let mut flash = SimFlash::in_memory(spec(4, 0xFF));
    for (address, len) in [(2, 4), (0, 3), (0, 260), (5120, 4), (5116, 8)] {
        assert_eq!(flash.program(address, &vec![0; len]), Err(FlashError::OutOfBounds));
    }
    assert_eq!(flash.counters().operations, 0);
    assert_eq!(contents(&mut flash, 0, 5120), vec![0xFF; 5120]);
}

#[test]
fn only_a_whole_block_is_erased_and_its_wear_is_counted() {
    let mut flash = SimFlash::in_memory(spec(4, 0xFF));
    flash.program(1024, &[0; 4]).unwrap();
    let half = Range { start: 1024, len_bytes: 1024 };
    assert_eq!(flash.erase(half), Err(FlashError::OutOfBounds));
    let whole = block(&flash, 1024);
    flash.erase(whole).unwrap();
    flash.erase(whole).unwrap();
    assert_eq!(contents(&mut flash, 1024, 4), [0xFF; 4]);
    assert_eq!((flash.erases_of(0), flash.erases_of(1)), (0, 2));
    assert_eq!(flash.counters().most_erased, 2);
}

/// Every seed tears somewhere; over some seeds both ends and the middle occur.
#[test]
fn a_power_cut_leaves_a_prefix_of_the_operation_and_a_dead_part() {
    for seed in 0..40 {
        let mut flash = SimFlash::in_memory(spec(1, 0xFF));
        flash.set_fault(Fault::cut(2, Tear::Seeded { seed }));
        flash.program(0, &[0; 16]).unwrap();
        assert_eq!(flash.program(16, &[0; 16]), Err(FlashError::Failed));
        assert!(!flash.is_powered());
        assert_eq!(flash.counters().power_cuts, 1, "the cut must have fired");
        assert_eq!(flash.read(0, &mut [0]), Err(FlashError::Unreadable));
        assert_eq!(flash.erase(Range { start: 0, len_bytes: 1024 }), Err(FlashError::Failed));
        flash.power_on();
        let bytes = contents(&mut flash, 16, 16);
        let written = bytes.iter().take_while(|byte| **byte == 0).count();
        assert!(bytes.iter().skip(written).all(|byte| *byte == 0xFF), "seed {seed}: not a prefix");
    }
}

#[test]
fn a_torn_erase_is_torn_at_the_same_place_for_the_same_seed() {
    let torn = |seed| {
        let mut flash = SimFlash::in_memory(spec(4, 0xFF));
        for page in 0..16 {
            flash.program(1024 + page * 256, &[0; 256]).unwrap();
        }
        flash.set_fault(Fault::cut(17, Tear::Seeded { seed }));
        let whole = block(&flash, 1024);
        assert_eq!(flash.erase(whole), Err(FlashError::Failed));
        flash.power_on();
        contents(&mut flash, 1024, 4096).iter().take_while(|byte| **byte == 0xFF).count()
    };
    assert_eq!(torn(3), torn(3));
    assert!((0..8).any(|seed| torn(seed) != torn(3)));
}

#[test]
fn a_byte_changed_in_the_file_is_seen_by_the_part_at_once_and_survives_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flash.bin");
    let mut flash = SimFlash::create(spec(4, 0xFF), &path).unwrap();
    flash.program(0, &[1, 2, 3, 4]).unwrap();
    assert_eq!(&std::fs::read(&path).unwrap()[..4], [1, 2, 3, 4]);
    let mut other = SimFlash::open(spec(4, 0xFF), &path).unwrap().0;
    other.flip(2, 0).unwrap();
    assert_eq!(contents(&mut flash, 0, 4), [1, 2, 2, 4]);
}

/// A part with words of eight bytes, of which the first page is programmed with zeros.
fn part(ecc: Ecc) -> SimFlash {
    let mut spec = spec(8, 0xFF);
    spec.ecc = ecc;
    let mut flash = SimFlash::in_memory(spec);
    flash.program(0, &[0; 256]).unwrap();
    flash
}

/// The same, with a fault in its next operation or the one behind.
fn faulty(ecc: Ecc, fault: &str) -> SimFlash {
    let mut flash = part(ecc);
    flash.set_fault(fault.parse().unwrap());
    flash
}

fn fired(flash: &SimFlash, class: FaultClass) -> u64 {
    flash.fired().get(&class).copied().unwrap_or(0)
}

/// Weak cells read as before at the first start, and as behind the operation ever after; or the other way.
#[test]
fn weak_cells_read_one_way_at_the_first_start_and_the_other_way_later() {
    for (word, first, later) in [("old", 0xFF, 0), ("new", 0, 0xFF)] {
        let mut flash = faulty(Ecc::None, &format!("weak@2:8-24={word}"));
        assert_eq!(flash.program(512, &[0; 32]), Err(FlashError::Failed));
        assert_eq!(fired(&flash, FaultClass::Weak), 1);
        let expected = |weak: u8| [vec![0; 8], vec![weak; 16], vec![0xFF; 8]].concat();
        for read in [first, later, later] {
            flash.power_on();
            assert_eq!(contents(&mut flash, 512, 32), expected(read), "{word}");
        }
        // A fork is as weak; what is erased is strong again.
        let mut fork = flash.fork().unwrap();
        assert_eq!(contents(&mut fork, 512, 32), expected(later));
        let whole = block(&flash, 512);
        flash.erase(whole).unwrap();
        assert!(flash.weak_cells().is_empty());
        assert_eq!(contents(&mut flash, 512, 32), [0xFF; 32]);
    }
}

#[test]
fn weak_cells_can_read_otherwise_each_time_and_are_as_strong_as_what_is_programmed_over_them() {
    let mut flash = faulty(Ecc::None, "weak@2:0-32=9");
    assert_eq!(flash.program(512, &[0x0F; 32]), Err(FlashError::Failed));
    flash.power_on();
    let reads: Vec<u8> = (0..40).map(|_| contents(&mut flash, 512, 1)[0]).collect();
    assert!(reads.contains(&0xFF) && reads.contains(&0x0F) && reads.len() == 40);
    // Bits that are programmed now are sure; the others still read either way.
    flash.program(512, &[0xF0; 32]).unwrap();
    let reads: Vec<u8> = (0..40).map(|_| contents(&mut flash, 512, 1)[0]).collect();
    assert!(reads.iter().all(|byte| [0xF0, 0x00].contains(byte)));
    assert!(reads.contains(&0xF0) && reads.contains(&0x00));
}

#[test]
fn a_word_with_a_code_is_unreadable_when_it_is_torn_or_programmed_twice_and_erased_ones_are_fine() {
    let mut flash = faulty(Ecc::Error, "cut@2:12");
    assert_eq!(flash.program(512, &[0; 32]), Err(FlashError::Failed));
    flash.power_on();
    assert_eq!(contents(&mut flash, 512, 8), [0; 8]);
    assert_eq!(flash.read(520, &mut [0]), Err(FlashError::Unreadable));
    assert_eq!(contents(&mut flash, 528, 16), [0xFF; 16]);
    flash.program(0, &[0; 8]).unwrap();
    assert_eq!(fired(&flash, FaultClass::WriteOnce), 1);
    assert!(flash.has_unreadable(Range { start: 4, len_bytes: 1 }));
    assert!(!flash.has_unreadable(Range { start: 8, len_bytes: 504 }));
    assert_eq!(flash.unreadable_words().collect::<Vec<_>>(), [0, 65]);
    let whole = block(&flash, 0);
    flash.erase(whole).unwrap();
    assert_eq!(contents(&mut flash, 0, 1024), [0xFF; 1024]);
    flash.program(0, &[0; 8]).unwrap();
    assert_eq!(contents(&mut flash, 0, 8), [0; 8]);
    // Without a code, twice is nothing.
    let mut plain = part(Ecc::None);
    plain.program(0, &[0; 8]).unwrap();
    assert_eq!((contents(&mut plain, 0, 8), fired(&plain, FaultClass::WriteOnce)), (vec![0; 8], 0));
}

/// What was weak was begun: a second program of it is one too many.
#[test]
fn a_weak_word_with_a_code_takes_no_second_program() {
    let mut flash = faulty(Ecc::Error, "weak@2:0-8=old");
    assert_eq!(flash.program(512, &[0; 16]), Err(FlashError::Failed));
    flash.power_on();
    assert_eq!(contents(&mut flash, 512, 16), [0xFF; 16]);
    flash.program(512, &[0; 16]).unwrap();
    assert!(flash.has_unreadable(Range { start: 512, len_bytes: 8 }));
    assert_eq!(contents(&mut flash, 520, 8), [0; 8], "the next one had not been begun");
}

#[test]
fn a_torn_erase_of_words_with_a_code_leaves_some_unreadable_until_the_next() {
    let mut flash = faulty(Ecc::Error, "scatter@2~5");
    let whole = block(&flash, 0);
    assert_eq!(flash.erase(whole), Err(FlashError::Failed));
    flash.power_on();
    let unreadable = flash.unreadable_words().count();
    assert!((5..=20).contains(&unreadable), "{unreadable} of 32");
    flash.erase(whole).unwrap();
    assert_eq!(flash.unreadable_words().count(), 0);
}

#[test]
fn a_read_that_traps_gives_anything_and_pulls_the_line_that_a_guard_asks() {
    let mut flash = faulty(Ecc::Trap, "ecc@2:16");
    flash.program(512, &[0; 8]).unwrap();
    let mut line = flash.trap_line();
    assert_eq!(contents(&mut flash, 16, 8), [TRAP_BYTE; 8]);
    assert!(line.take() && !line.take());
    let mut guarded = Guarded::new(flash, line.clone());
    assert_eq!(guarded.read(16, &mut [0; 8]), Err(FlashError::Unreadable));
    assert_eq!(guarded.read(24, &mut [0; 8]), Ok(()));
    assert!(!line.take());
    assert_eq!(fired(guarded.get_mut(), FaultClass::Trap), 2);
    assert_eq!(fired(guarded.get_mut(), FaultClass::Ecc), 1);
}

#[test]
fn a_brown_out_comes_back_for_a_few_accesses() {
    let mut flash = faulty(Ecc::None, "brownout@2:0/3");
    assert_eq!(flash.program(512, &[0; 8]), Err(FlashError::Failed));
    assert!(flash.is_brown_out());
    flash.power_on();
    assert_eq!(flash.read(0, &mut [0]), Ok(()));
    assert_eq!(flash.read(0, &mut [0]), Ok(()));
    assert_eq!(flash.read(0, &mut [0]), Err(FlashError::Unreadable));
    assert!(!flash.is_powered());
    flash.power_on();
    assert_eq!(flash.read(0, &mut [0]), Ok(()));
    assert_eq!((flash.counters().power_cuts, fired(&flash, FaultClass::BrownOut)), (2, 1));
}

#[test]
fn operations_fail_with_a_word_without_one_or_elsewhere() {
    let mut flash = faulty(Ecc::None, "fail@2:8");
    assert_eq!(flash.program(512, &[0; 16]), Err(FlashError::Failed));
    assert!(flash.is_powered());
    assert_eq!(contents(&mut flash, 512, 16), [[0; 8], [0xFF; 8]].concat());
    flash.set_fault("silent@3".parse().unwrap());
    flash.program(768, &[0; 16]).unwrap();
    assert_eq!(contents(&mut flash, 768, 16), [0xFF; 16]);
    flash.set_fault("misdirect@4:1029".parse().unwrap());
    flash.program(768, &[0; 16]).unwrap();
    assert_eq!(contents(&mut flash, 1024, 24), [vec![0; 16], vec![0xFF; 8]].concat());
    flash.set_fault("misdirect@5:1030".parse().unwrap());
    let whole = block(&flash, 0);
    flash.erase(whole).unwrap();
    assert_eq!(contents(&mut flash, 1024, 16), [0xFF; 16]);
    assert_eq!(contents(&mut flash, 0, 16), [0; 16]);
    for class in [FaultClass::Fail, FaultClass::Silent] {
        assert_eq!(fired(&flash, class), 1);
    }
    assert_eq!(fired(&flash, FaultClass::Misdirect), 2);
}

#[test]
fn cells_stick_wear_out_and_turn_and_reads_fail_for_a_while() {
    let mut flash = faulty(Ecc::None, "stuck@2:3.0");
    let whole = block(&flash, 0);
    flash.erase(whole).unwrap();
    assert_eq!(contents(&mut flash, 0, 5), [0xFF, 0xFF, 0xFF, 0xFE, 0xFF]);
    flash.set_fault("worn@3:100".parse().unwrap());
    assert_eq!(flash.erase(whole), Err(FlashError::Failed));
    assert_eq!(flash.erase(whole), Err(FlashError::Failed));
    let other = block(&flash, 1024);
    flash.erase(other).unwrap();
    flash.set_fault("flip@6:2048.7".parse().unwrap());
    flash.set_fault("unread@6:2050*2".parse().unwrap());
    flash.program(1024, &[0; 8]).unwrap();
    assert_eq!(flash.read(2048, &mut [0; 8]), Err(FlashError::Unreadable));
    assert_eq!(flash.read(2051, &mut [0; 8]), Ok(()));
    assert_eq!(flash.read(2050, &mut [0; 1]), Err(FlashError::Unreadable));
    assert_eq!(contents(&mut flash, 2048, 4), [0x7F, 0xFF, 0xFF, 0xFF]);
    let counts = [FaultClass::Stuck, FaultClass::Worn, FaultClass::Flip, FaultClass::Unread];
    assert_eq!(counts.map(|class| fired(&flash, class)), [1, 2, 1, 2]);
}

#[test]
fn faults_that_wait_can_be_taken_back_and_addresses_beyond_the_part_hurt_nobody() {
    let mut flash = faulty(Ecc::None, "cut@2:0");
    flash.clear_faults();
    for fault in ["flip@2:99999.1", "stuck@2:99999.1", "ecc@2:99999", "misdirect@3:99999"] {
        flash.set_fault(fault.parse().unwrap());
    }
    flash.program(512, &[0; 8]).unwrap();
    flash.program(520, &[0; 8]).unwrap();
    assert_eq!(contents(&mut flash, 512, 16), [[0; 8], [0xFF; 8]].concat());
    assert_eq!(flash.fired().values().sum::<u64>(), 1, "only the misdirected one");
}
