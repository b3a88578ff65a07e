//! What a transfer costs flash beyond what its bytes need, and what the device tells of that.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "sizes here are small; clippy.toml excuses test functions, not their helpers"
)]

use firmware_protocol::boot::ResetCause;
use firmware_protocol::layout::{Area, SlotLayout};
use firmware_protocol::message::{Reply, Request};
use firmware_protocol::slot::PerSlot;

use crate::support::bench::Bench;
use crate::support::bundle::{Bundle, root_record, signed_root};
use crate::support::flash::RamFlash;
use crate::support::{layout_of, range};

const BLOCK: u32 = 4096;
const APP_BYTES: u32 = 256 << 10;

/// Room for 256 KiB in each slot.
fn bench() -> Bench {
    let slot = |start| SlotLayout {
        manifest: range(start, BLOCK),
        areas: [("app", start + BLOCK, APP_BYTES), ("config", start + BLOCK + APP_BYTES, BLOCK)]
            .map(|(name, start, bytes)| Area {
                name: name.try_into().unwrap(),
                range: range(start, bytes),
            })
            .into_iter()
            .collect(),
    };
    let layout = layout_of(PerSlot { a: slot(0x1_0000), b: slot(0x8_0000) }, BLOCK);
    let mut bench = Bench::on(RamFlash::even(BLOCK, 0x10_0000 / BLOCK as usize), layout);
    bench.open_session().offer(&signed_root(&root_record()));
    assert!(bench.ask(Request::Enroll).is_ok());
    bench
}

/// At most 2 % more bytes programmed, and blocks erased, than the manifest and the components lie in. Over as
/// many stages as the record takes to turn, so that its own erases are in it.
#[test]
fn a_stage_of_256_kib_costs_at_most_two_percent_more_than_its_bytes() {
    let mut bench = bench();
    let stages = 16_u32;
    let (mut ideal_bytes, mut ideal_erases) = (0, 0);
    let before = (bench.flash().programmed_bytes, bench.flash().erases);
    for number in 0..stages {
        let bundle = Bundle::changed(u64::from(number), APP_BYTES as usize, 4096, |_| {});
        bench.staged(&bundle);
        let parts = [bundle.envelope.len(), bundle.payloads[0].len(), bundle.payloads[1].len()];
        for bytes in parts {
            ideal_bytes += bytes.next_multiple_of(8) as u64;
            ideal_erases += u64::from((bytes as u32).div_ceil(BLOCK));
        }
    }
    let bytes = bench.flash().programmed_bytes - before.0;
    let erases = bench.flash().erases - before.1;
    let more = |got: u64, ideal: u64| (got - ideal) * 10_000 / ideal;
    let (more_bytes, more_erases) = (more(bytes, ideal_bytes), more(erases, ideal_erases));
    println!(
        "{stages} stages of 256 KiB: {}.{:02} % more bytes programmed, {}.{:02} % more erases",
        more_bytes / 100,
        more_bytes % 100,
        more_erases / 100,
        more_erases % 100
    );
    assert!(more_bytes <= 200, "{bytes} bytes programmed, {ideal_bytes} would do");
    assert!(more_erases <= 200, "{erases} erases, {ideal_erases} would do");
}

/// What the device says of its wear is what flash has been through, also behind a start.
#[test]
fn the_wear_that_is_told_is_what_flash_went_through() {
    let mut bench = bench();
    let slot_erases = |bench: &mut Bench| {
        let reply = bench.ask(Request::Wear);
        let Ok(Reply::Wear(wear)) = reply else { panic!("{reply:?}") };
        wear
    };
    let before = bench.flash().erases;
    bench.confirmed(&Bundle::new(1, 20_000));
    bench.confirmed(&Bundle::new(2, 30_000));
    bench.staged(&Bundle::new(3, 9_000));
    let wear = slot_erases(&mut bench);
    let blocks = |manifest: u32, app: u32, config: u32| manifest + app.div_ceil(BLOCK) + config;
    assert_eq!(wear.slot_erases.b, blocks(1, 30_000, 1));
    // What lay behind the shorter image had to go too.
    assert_eq!(wear.slot_erases.a, blocks(1, 20_000, 1) + blocks(1, 20_000, 1));
    let per_slot = 1 + APP_BYTES / BLOCK + 1;
    assert_eq!(wear.slot_blocks, PerSlot { a: per_slot, b: per_slot });
    // Each range of the record is erased whenever it is moved to.
    assert_eq!((wear.record_places, wear.record_entries), (16, bench.status().record_entries));
    let turns = u64::from((wear.record_entries - 1) / 8);
    let slots = u64::from(wear.slot_erases.a + wear.slot_erases.b);
    assert_eq!(bench.flash().erases - before, slots + turns);
    bench.restart(ResetCause::PowerOn).open_session();
    assert_eq!(slot_erases(&mut bench), wear);
}
