use super::*;
use crate::fault::Tear;

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
        flash.set_power_cut(Some(PowerCut { at_operation: 2, tear: Tear::Seeded { seed } }));
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
        flash.set_power_cut(Some(PowerCut { at_operation: 17, tear: Tear::Seeded { seed } }));
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
