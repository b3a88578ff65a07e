use firmware_protocol::frame::Kind;

use super::*;

const FRAMINGS: [Framing; 2] = [Framing::Serial, Framing::Stream];

/// Frame number `sequence` with its lowest byte as payload.
fn frame(sequence: u32) -> Vec<u8> {
    let header = Header { kind: Kind::Message, sequence };
    [&header.to_bytes()[..], &sequence.to_le_bytes()[..1]].concat()
}

fn wire(framing: Framing, frames: impl IntoIterator<Item = u32>) -> Vec<u8> {
    let tap = Tap::new(framing, Vec::new(), 0);
    frames.into_iter().flat_map(|sequence| tap.encode(&frame(sequence))).collect()
}

/// What of five frames arrives behind a tap with this script, and how many of its lines have struck.
fn through(framing: Framing, script: Vec<Meddling>, seed: u64) -> (Vec<Vec<u8>>, usize) {
    let mut tap = Tap::new(framing, script, seed);
    let mut behind = Tap::new(framing, Vec::new(), 0);
    for piece in wire(framing, 1..=5).chunks(3) {
        let passed = tap.pass(Way::ToDevice, piece);
        behind.pass(Way::ToDevice, &passed);
    }
    assert_eq!(tap.recording(Way::ToDevice), (1..=5).map(frame).collect::<Vec<_>>());
    (behind.recording(Way::ToDevice), tap.struck())
}

fn arrive(script: &[Meddling], expected: &[u32]) {
    for framing in FRAMINGS {
        let (arrived, struck) = through(framing, script.to_vec(), 7);
        let expected: Vec<_> = expected.iter().copied().map(frame).collect();
        assert_eq!(arrived, expected, "{framing:?} {script:?}");
        assert_eq!(struck, script.len(), "{framing:?} {script:?}");
    }
}

const TO_DEVICE: Way = Way::ToDevice;

#[test]
fn a_tap_without_a_script_passes_every_byte_as_it_came() {
    for framing in FRAMINGS {
        let mut tap = Tap::new(framing, Vec::new(), 0);
        let mut bytes = wire(framing, 1..=3);
        if framing == Framing::Serial {
            bytes.extend(b"console: ready\n");
            bytes.extend(wire(framing, 4..=4));
            bytes.extend([0, 9, 9, 9, 0]);
        }
        let passed: Vec<u8> =
            bytes.chunks(2).flat_map(|piece| tap.pass(Way::ToHost, piece)).collect();
        assert_eq!(passed, bytes, "{framing:?}");
        assert!(tap.heard().iter().all(|heard| heard.way == Way::ToHost));
        assert!(tap.recording(TO_DEVICE).is_empty());
    }
}

#[test]
fn text_that_no_frame_follows_passes_after_a_silence_and_half_a_frame_waits() {
    let mut tap = Tap::new(Framing::Serial, Vec::new(), 0);
    assert!(tap.pass(Way::ToHost, b"login: ").is_empty());
    assert_eq!(tap.idle(Way::ToHost), b"login: ");
    assert!(tap.idle(Way::ToHost).is_empty());
    let bytes = wire(Framing::Serial, 1..=1);
    assert!(tap.pass(Way::ToHost, &bytes[..bytes.len() - 1]).is_empty());
    assert!(tap.idle(Way::ToHost).is_empty());
    assert_eq!(tap.pass(Way::ToHost, &bytes[bytes.len() - 1..]), bytes);
}

#[test]
fn frames_are_dropped_repeated_and_inserted_where_the_script_says() {
    arrive(&[Meddling::Drop { way: TO_DEVICE, at: 2 }], &[1, 3, 4, 5]);
    arrive(&[Meddling::Repeat { way: TO_DEVICE, at: 4, times: 2 }], &[1, 2, 3, 4, 4, 4, 5]);
    let frames = vec![frame(8), frame(9)];
    let insert = Meddling::Insert { way: TO_DEVICE, at: 3, frames };
    arrive(&[insert.clone(), Meddling::Drop { way: TO_DEVICE, at: 3 }], &[1, 2, 8, 9, 4, 5]);
    arrive(&[insert], &[1, 2, 8, 9, 3, 4, 5]);
}

#[test]
fn a_window_arrives_whole_in_another_order_that_follows_from_the_seed() {
    for framing in FRAMINGS {
        for seed in 0..20 {
            let script = || vec![Meddling::Shuffle { way: TO_DEVICE, at: 2, frames: 3 }];
            let (arrived, struck) = through(framing, script(), seed);
            assert_eq!((arrived.clone(), struck), through(framing, script(), seed));
            assert_eq!(struck, 1);
            let (mut window, straight) = (arrived[1..4].to_vec(), [frame(2), frame(3), frame(4)]);
            assert_ne!(window, straight);
            window.sort();
            assert_eq!(window, straight);
            assert_eq!((&arrived[0], &arrived[4]), (&frame(1), &frame(5)));
        }
    }
}

#[test]
fn one_bit_behind_the_kind_turns_and_the_frame_still_arrives() {
    for framing in FRAMINGS {
        for byte in 0..12 {
            let script = vec![Meddling::Flip { way: TO_DEVICE, at: 3, byte }];
            let (arrived, struck) = through(framing, script, 7);
            assert_eq!((arrived.len(), struck), (5, 1));
            let turned: Vec<u32> = arrived[2]
                .iter()
                .zip(frame(3))
                .map(|(got, was)| (got ^ was).count_ones())
                .collect();
            assert_eq!(turned.iter().sum::<u32>(), 1, "{framing:?} byte {byte}");
            assert_eq!(turned[1 + byte % 5], 1, "{framing:?} byte {byte}");
        }
    }
}

#[test]
fn what_has_not_come_has_not_struck() {
    let script = vec![
        Meddling::Drop { way: Way::ToHost, at: 1 },
        Meddling::Shuffle { way: TO_DEVICE, at: 4, frames: 3 },
    ];
    for framing in FRAMINGS {
        let (arrived, struck) = through(framing, script.clone(), 7);
        assert_eq!((arrived.len(), struck), (3, 0), "an open window holds its frames");
    }
}

#[test]
fn what_is_put_in_arrives_before_the_next_frame_and_was_never_heard() {
    for framing in FRAMINGS {
        let mut tap = Tap::new(framing, Vec::new(), 0);
        let mut behind = Tap::new(framing, Vec::new(), 0);
        for sequence in 1..=2 {
            tap.put(TO_DEVICE, &frame(sequence + 10));
            let passed = tap.pass(TO_DEVICE, &wire(framing, [sequence]));
            behind.pass(TO_DEVICE, &passed);
        }
        assert_eq!(behind.recording(TO_DEVICE), [11, 1, 12, 2].map(frame), "{framing:?}");
        assert_eq!(tap.recording(TO_DEVICE), [1, 2].map(frame));
    }
}
