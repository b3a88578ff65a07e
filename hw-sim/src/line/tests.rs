use super::*;
use crate::fault::Direction;

const BOTH: Direction = Direction::Both;

fn line(rate: u64, faults: &[LinkFault]) -> Line {
    Line::new(&LineSpec { rate, faults: faults.to_vec() }, 1, 0)
}

/// Takes all bytes, woken as the line asks; gives them with the time of the last.
fn drain(line: &mut Line) -> (Vec<u8>, u64) {
    let (mut bytes, mut last_us) = (Vec::new(), 0);
    while line.next_us() != NEVER_US {
        last_us = line.next_us();
        bytes.extend(line.receive(last_us).bytes);
    }
    (bytes, last_us)
}

#[test]
fn an_unlimited_line_gives_every_byte_at_once() {
    let mut line = line(0, &[]);
    line.send(b"now", 5);
    assert_eq!(line.next_us(), 5);
    assert_eq!(line.receive(5).bytes, b"now");
    assert_eq!(line.next_us(), NEVER_US);
}

#[test]
fn a_paced_line_takes_its_byte_time_for_every_byte_in_the_long_run() {
    for rate in [960, 11_520, 92_160, 300_000] {
        let mut line = line(rate, &[]);
        let sent: Vec<u8> = (0..10_000_u32).map(|index| index.to_le_bytes()[0]).collect();
        for piece in sent.chunks(100) {
            line.send(piece, 7);
        }
        let (bytes, last_us) = drain(&mut line);
        assert_eq!(bytes, sent);
        assert_eq!(last_us, 7 + (10_000 * US_PER_S).div_ceil(rate), "at {rate} B/s");
    }
}

#[test]
fn a_line_that_is_asked_late_catches_up_exactly() {
    let mut line = line(1000, &[]);
    line.send(&[1; 100], 0);
    assert_eq!(line.receive(10_500).bytes.len(), 10);
    assert_eq!(line.receive(99_999).bytes.len(), 89);
    assert_eq!(line.receive(100_000).bytes.len(), 1);
}

#[test]
fn a_pause_on_the_line_is_not_made_up_for() {
    let mut line = line(1000, &[]);
    line.send(&[1; 2], 0);
    line.send(&[2; 2], 50_000);
    assert_eq!(line.receive(50_000).bytes, [1, 1]);
    assert_eq!(line.receive(51_999).bytes, [2]);
}

#[test]
fn a_delay_moves_bytes_and_keeps_their_pace() {
    let mut line = line(1000, &[LinkFault::Delay { delay_ms: 20, direction: BOTH }]);
    line.send(&[1; 3], 0);
    assert_eq!(line.receive(20_999).bytes.len(), 0);
    assert_eq!(line.receive(22_000).bytes.len(), 2);
    assert_eq!(drain(&mut line).1, 23_000);
    assert_eq!(line.fired().delays, 1);
}

#[test]
fn bits_flip_at_the_rate_asked_for_and_each_is_counted() {
    let mut line = line(0, &[LinkFault::Corrupt { rate: 1e-3, direction: BOTH }]);
    line.send(&vec![0; 100_000], 0);
    let arrived = line.receive(0).bytes;
    let flipped: u64 = arrived.iter().map(|byte| u64::from(byte.count_ones())).sum();
    assert_eq!(flipped, line.fired().corrupted_bits);
    assert!((700..=900).contains(&flipped), "{flipped} of 800,000 bits at a rate of 1e-3");
}

#[test]
fn every_bit_flips_at_a_rate_of_one() {
    let mut line = line(0, &[LinkFault::Corrupt { rate: 1.0, direction: BOTH }]);
    line.send(&[0x0F, 0xAA], 0);
    assert_eq!(line.receive(0).bytes, [0xF0, 0x55]);
}

#[test]
fn bytes_vanish_at_the_rate_asked_for_and_each_is_counted() {
    let mut line = line(0, &[LinkFault::Drop { rate: 0.1, direction: BOTH }]);
    line.send(&vec![0; 10_000], 0);
    let lost = 10_000 - line.receive(0).bytes.len() as u64;
    assert_eq!(lost, line.fired().dropped_bytes);
    assert!((900..=1100).contains(&lost), "{lost} of 10,000 bytes at a rate of 0.1");
}

#[test]
fn a_pulled_cable_loses_what_is_on_the_way_and_works_again_later() {
    let fault = LinkFault::Disconnect { after_bytes: 5, down_ms: 10, direction: BOTH };
    let mut line = line(0, &[fault]);
    line.send(b"hello, world", 0);
    assert_eq!(line.receive(0), Arrived { bytes: b"hello".to_vec(), disconnected: true });
    line.send(b"lost", 9_999);
    line.send(b"back", 10_000);
    assert_eq!(line.receive(10_000), Arrived { bytes: b"back".to_vec(), disconnected: false });
    assert_eq!(line.fired().disconnects, 1);
}

#[test]
fn the_same_seed_damages_the_same_bytes() {
    let damaged = |seed| {
        let faults = vec![LinkFault::Corrupt { rate: 0.01, direction: BOTH }];
        let mut line = Line::new(&LineSpec { rate: 0, faults }, seed, 0);
        line.send(&[0; 1000], 0);
        line.receive(0).bytes
    };
    assert_eq!(damaged(4), damaged(4));
    assert_ne!(damaged(4), damaged(5));
}

/// Bytes that no fault strikes pass in one piece: that must damage what passing them singly does.
#[test]
fn bytes_that_come_out_together_fare_as_bytes_that_come_out_singly() {
    let drop = LinkFault::Drop { rate: 0.002, direction: BOTH };
    let corrupt = LinkFault::Corrupt { rate: 0.0005, direction: BOTH };
    let pull = LinkFault::Disconnect { after_bytes: 30_000, down_ms: 0, direction: BOTH };
    let sent: Vec<u8> = (0..40_000_u32).map(|index| index.to_le_bytes()[0]).collect();
    let through = |piece: usize| {
        let mut line = line(0, &[drop, corrupt, pull]);
        let (mut bytes, mut pulls) = (Vec::new(), 0);
        for piece in sent.chunks(piece) {
            line.send(piece, 0);
            let arrived = line.receive(0);
            bytes.extend(arrived.bytes);
            pulls += u32::from(arrived.disconnected);
        }
        (bytes, pulls, line.fired())
    };
    let single = through(1);
    // Pieces that end at the byte behind which the cable is out, so that both lose nothing more.
    assert_eq!(through(30_000), single);
    assert_eq!(single.1, 1);
    assert!(single.2.dropped_bytes > 20 && single.2.corrupted_bits > 50, "{:?}", single.2);
}
