//! What a device tells of its boot record to whoever asks, without a session and whatever it is doing.

use firmware_protocol::message::{MAX_RECORD_PIECE_BYTES, Reply, Request};
use firmware_protocol::record::{ENTRY_BYTES, read_entry};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::SlotState;

use crate::support::bench::Bench;
use crate::support::bundle::Bundle;
use crate::support::{layout, range};

/// Both ranges, one behind the other, whatever the length of the pieces; from them the record can be read.
#[test]
fn the_record_that_is_told_is_the_one_on_flash() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3_000));
    let [first, second] = bench.layout.record();
    let flash = bench.flash();
    let on_flash = [flash.slice(first), flash.slice(second)].concat();
    for length in [1, 7, 256] {
        let mut told = Vec::new();
        while told.len() < on_flash.len() {
            let piece = record_bytes(&mut bench, u32::try_from(told.len()).unwrap(), length);
            assert!(!piece.is_empty() && piece.len() <= usize::from(length));
            told.extend(piece);
        }
        assert_eq!(told, on_flash, "in pieces of {length}");
    }
    let newest = bench.newest_place().start as usize - first.start as usize;
    let entry: [u8; ENTRY_BYTES] = on_flash[newest..newest + ENTRY_BYTES].try_into().unwrap();
    let (head, state) = read_entry(&entry).unwrap();
    assert_eq!(head.sequence, bench.status().record_entries);
    assert_eq!((state.active, state.slots.a), (bench.status().active, bench.status().slots.a));
}

/// Ranges that do not lie one behind the other on flash do so in what is told.
#[test]
fn a_piece_never_reaches_over_the_end_of_a_range() {
    let mut bench = Bench::enrolled();
    let [first, second] = bench.layout.record();
    bench.flash().bytes[second.start as usize] = 0x5a;
    let end = first.len_bytes;
    for back in [1, 100, 256] {
        assert_eq!(record_bytes(&mut bench, end - back, 256).len(), back as usize);
    }
    assert_eq!(record_bytes(&mut bench, end, 256)[0], 0x5a);
    assert_eq!(record_bytes(&mut bench, end + second.len_bytes - 3, 256).len(), 3);
}

/// An answer to every question: what lies behind the end is nothing, and no more than a piece is told at once.
#[test]
fn record_bytes_that_are_not_there_are_none() {
    let mut bench = Bench::new();
    let total = bench.layout.record().map(|range| range.len_bytes).iter().sum::<u32>();
    for offset in [total, total + 1, 0xa_0000, u32::MAX - 1, u32::MAX] {
        for length in [0, 1, 256, u16::MAX] {
            assert!(record_bytes(&mut bench, offset, length).is_empty(), "{length} at {offset}");
        }
    }
    assert!(record_bytes(&mut bench, 0, 0).is_empty());
    for length in [257, u16::MAX] {
        assert_eq!(record_bytes(&mut bench, 0, length).len(), MAX_RECORD_PIECE_BYTES);
    }
}

#[test]
fn a_part_of_the_record_that_cannot_be_read_is_refused_and_the_rest_is_told() {
    let mut bench = Bench::enrolled();
    bench.flash().unreadable = vec![range(600, 8)];
    let ask = |offset| Request::RecordBytes { offset, length: 256 };
    assert_eq!(bench.ask(ask(512)), Err(Refusal::Flash));
    assert_eq!(record_bytes(&mut bench, 256, 256).len(), 256);
    assert_eq!(record_bytes(&mut bench, 768, 256).len(), 256);
}

/// None of them needs a session, and none waits for what is under way or changes it.
#[test]
fn wear_root_and_record_are_told_while_the_device_is_at_work() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 40_000);
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    assert_eq!(bench.send_once(900, Request::Finish), None, "it reads back");
    let (session, before) = (bench.session, bench.flash().mutations());
    bench.session = 0;
    let wear = bench.send_once(901, Request::Wear);
    assert!(matches!(wear, Some(Ok(Reply::Wear(_)))), "{wear:?}");
    let root = bench.send_once(903, Request::RootStatus);
    assert!(matches!(root, Some(Ok(Reply::RootStatus(root))) if root.is_held), "{root:?}");
    let record = bench.send_once(902, Request::RecordBytes { offset: 0, length: 16 });
    assert!(matches!(record, Some(Ok(Reply::RecordBytes { .. }))), "{record:?}");
    assert_eq!(bench.flash().mutations(), before);
    bench.session = session;
    assert!(matches!(bench.status().slots.a, SlotState::Writing { .. }), "still at work");
    let finished = bench.send(0, 900, session, Request::Finish);
    assert!(matches!(finished, Ok(Reply::Working { .. } | Reply::Staged { .. })), "{finished:?}");
}

/// A device that was never written to has room for all its places, and has used none.
#[test]
fn a_new_device_tells_no_wear() {
    let mut bench = Bench::new();
    let Ok(Reply::Wear(wear)) = bench.ask(Request::Wear) else { panic!("no wear") };
    let places = layout().record().map(|range| range.len_bytes).iter().sum::<u32>() / 512;
    assert_eq!((wear.record_entries, wear.record_places), (0, places));
    assert_eq!((wear.slot_erases.a, wear.slot_erases.b), (0, 0));
    // Manifest 8 KiB, application 64 KiB, configuration 4 KiB, in blocks of 4 KiB.
    assert_eq!((wear.slot_blocks.a, wear.slot_blocks.b), (19, 19));
}

fn record_bytes(bench: &mut Bench, offset: u32, length: u16) -> Vec<u8> {
    let total = bench.layout.record().map(|range| range.len_bytes).iter().sum::<u32>();
    match bench.ask(Request::RecordBytes { offset, length }) {
        Ok(Reply::RecordBytes { total_bytes, bytes }) if total_bytes == total => bytes.to_vec(),
        other => panic!("{length} bytes at {offset}: {other:?}"),
    }
}
