//! What was admitted by mistake stays inside its place all the same (promise P1): what lies behind it is what the device falls back to.
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]

use firmware_protocol::digest::Digest;
use firmware_protocol::flash::Range;
use firmware_protocol::receiver::{Part, Receiver, Step, Target};
use firmware_protocol::slot::SlotId;

use crate::support::bundle::variant;
use crate::support::flash::RamFlash;
use crate::support::{Rng, range};

const BLOCK_BYTES: u32 = 1024;
const PLACE: Range = Range { start: 2048, len_bytes: 3 * BLOCK_BYTES };

#[test]
fn a_component_that_is_longer_than_its_place_leaves_what_lies_behind_alone() {
    let payload = Rng(5).bytes(5 * BLOCK_BYTES as usize);
    let mut flash = RamFlash::even(BLOCK_BYTES, 12);
    flash.bytes.fill(0x77);
    let part = Part { range: PLACE, variant: variant(&payload, BLOCK_BYTES) };
    let mut receiver = Receiver::new(Target {
        slot: SlotId::B,
        bundle: Digest([1; 32]),
        parts: [part].into_iter().collect(),
        worth_listing: false,
        suspect: Range::default(),
        run_bytes: 0,
    });
    receiver.open(0);
    let mut window = vec![0; 2 * BLOCK_BYTES as usize];
    for at in (0..payload.len()).step_by(256) {
        receiver.chunk(&mut window, 0, at as u64, &payload[at..at + 256], 0xff);
        while !matches!(receiver.step(&mut flash, &window), Ok(Step::Idle) | Err(_)) {}
    }
    let behind = range(PLACE.end(), flash.bytes.len() as u32 - PLACE.end());
    assert!(flash.slice(behind).iter().all(|byte| *byte == 0x77), "touched behind its place");
    assert_eq!(flash.slice(PLACE), &payload[..PLACE.len_bytes as usize], "what fits was written");
}
