//! Which flash the record names while a slot is written (BOOT.md, "Slot states"): what is named is written again
//! behind a cut, so it is named before it is touched, and until all of it is proven.
#![expect(clippy::unwrap_used, reason = "clippy.toml excuses test functions, not their helpers")]

use firmware_protocol::flash::Range;
use firmware_protocol::message::Request;
use firmware_protocol::record::{ENTRY_BYTES, read_entry};

use crate::support::bench::Bench;
use crate::support::bundle::Bundle;
use crate::support::range;

/// Bytes of a run, where a component is short.
const RUN_BYTES: u32 = 48 * 1024;

#[test]
fn a_run_is_as_long_as_the_page_says_and_the_next_one_replaces_it() {
    let one = Bundle::new(1, 60_000);
    let mut bench = staging(&one);
    let app = bench.layout.slots().a.areas[0].range;
    send(&mut bench, &one, 0, [0]);
    assert_eq!(named(&mut bench), range(app.start, RUN_BYTES));
    let entries = bench.status().record_entries;
    send(&mut bench, &one, 0, 1..48);
    assert_eq!(bench.status().record_entries, entries, "one entry for all of it");
    send(&mut bench, &one, 0, [48]);
    // As far as the component reaches, in whole erase blocks of 4 KiB.
    assert_eq!(named(&mut bench), range(app.start + RUN_BYTES, 12 * 1024));
}

/// Chunks come in any order. As long as one block of an earlier run is missing, that run stays named.
#[test]
fn a_run_with_a_hole_stays_named_together_with_the_next_one() {
    let one = Bundle::new(1, 60_000);
    for hole in [0, 20, 47] {
        let mut bench = staging(&one);
        let app = bench.layout.slots().a.areas[0].range;
        send(&mut bench, &one, 0, [1]);
        send(&mut bench, &one, 0, (0..48).filter(|block| *block != hole));
        send(&mut bench, &one, 0, [48]);
        assert_eq!(named(&mut bench), range(app.start, 60 * 1024), "block {hole} is missing");
    }
}

/// A host may turn to the next component before the one before is all there.
#[test]
fn a_run_of_a_component_left_half_sent_stays_named() {
    let one = Bundle::new(1, 10_000);
    let mut bench = staging(&one);
    let [app, config] = [0, 1].map(|area| bench.layout.slots().a.areas[area].range);
    send(&mut bench, &one, 0, 0..4);
    assert!(bench.ask(Request::OpenComponent { index: 1 }).is_ok());
    send(&mut bench, &one, 1, [0]);
    assert_eq!(named(&mut bench), app.hull(config), "the rest of the first run is missing");
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    send(&mut bench, &one, 0, 0..10);
    assert!(bench.ask(Request::Finish).is_ok());
    assert_eq!(named(&mut bench), Range::default(), "a staged slot is proven, all of it");
}

#[test]
fn a_run_of_a_component_that_is_all_there_is_named_no_longer() {
    let one = Bundle::new(1, 10_000);
    let mut bench = staging(&one);
    let config = bench.layout.slots().a.areas[1].range;
    send(&mut bench, &one, 0, 0..10);
    assert!(bench.ask(Request::OpenComponent { index: 1 }).is_ok());
    send(&mut bench, &one, 1, [0]);
    assert_eq!(named(&mut bench), config);
}

/// No block of the bundle says that what was erased behind a component came to its end; the read-back does.
#[test]
fn what_is_erased_behind_a_component_stays_named_until_the_slot_is_staged() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 65_000)).confirmed(&Bundle::new(2, 3_000));
    let short = Bundle::new(3, 3_000);
    assert!(bench.stage(&short, true).is_ok());
    bench.send_missing(&short, 0);
    bench.send_missing(&short, 1);
    assert!(bench.ask(Request::Finish).is_ok());
    let app = bench.layout.slots().a.areas[0].range;
    let behind = range(app.start + 4096, app.len_bytes - 4096);
    // Two runs, of which the second one is named with the first, and then nothing.
    let states = history(&mut bench);
    let [.., first, second, staged] = states.as_slice() else { panic!("{states:?}") };
    assert!(first.covers(range(behind.start, RUN_BYTES)) && !first.covers(behind), "{first:?}");
    assert!(second.covers(behind), "{second:?}");
    assert_eq!(*staged, Range::default());
}

/// A slot that is being filled, its first component open.
fn staging(bundle: &Bundle) -> Bench {
    let mut bench = Bench::enrolled();
    assert!(bench.stage(bundle, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    bench
}

/// Sends these blocks, each to its end.
fn send(bench: &mut Bench, bundle: &Bundle, component: u8, blocks: impl IntoIterator<Item = u32>) {
    let payload = &bundle.payloads[usize::from(component)];
    for block in blocks {
        let from = block as usize * 1024;
        bench.chunk(component, from as u64, &payload[from..payload.len().min(from + 1024)]);
    }
}

/// What the newest entry names.
fn named(bench: &mut Bench) -> Range {
    *history(bench).last().unwrap()
}

/// What each entry names that the record still holds, the oldest first.
fn history(bench: &mut Bench) -> Vec<Range> {
    let [first, second] = bench.layout.record();
    let both = first.hull(second);
    let mut found: Vec<(u32, Range)> = bench
        .flash()
        .slice(both)
        .chunks(512)
        .filter_map(|place| read_entry(place.first_chunk::<ENTRY_BYTES>()?))
        .map(|(head, state)| (head.sequence, state.touched))
        .collect();
    found.sort_by_key(|(sequence, _)| *sequence);
    found.into_iter().map(|(_, named)| named).collect()
}
