//! Transfers: chunks in any order, resume, the slot's tail, and the bounds of every poll.
#![expect(clippy::cast_possible_truncation, reason = "sizes here are small")]

use firmware_protocol::boot::ResetCause;
use firmware_protocol::flash::Geometry;
use firmware_protocol::message::{How, Reply, Request};
use firmware_protocol::refusal::Refusal;
use firmware_protocol::slot::{PerSlot, SlotId, SlotState};

use crate::support::bench::{Bench, PLAN, READ_BOUND, TERMS};
use crate::support::bundle::{Bundle, root_record, signed_root};
use crate::support::flash::{Cut, RamFlash};
use crate::support::{Rng, layout, layout_of, range, slot_at};

#[test]
fn chunks_in_any_order_and_several_times_over_make_the_payload() {
    let seed = 11;
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 20_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let mut pieces: Vec<usize> = (0..20_000_usize.div_ceil(512)).chain(3..9).collect();
    rng.shuffle(&mut pieces);
    for piece in pieces.iter().chain(&pieces.clone()) {
        let at = piece * 512;
        bench.chunk(0, at as u64, &one.payloads[0][at..20_000.min(at + 512)]);
    }
    assert_eq!(bench.send_missing(&one, 0), 0);
    bench.send_missing(&one, 1);
    assert!(bench.ask(Request::Finish).is_ok());
    let area = bench.layout.slots().a.areas[0].range.start as usize;
    assert_eq!(bench.flash().bytes[area..area + 20_000], one.payloads[0]);
}

/// A chunk that does not lie in one block, on granules, inside the component, is not taken; what is
/// not taken is not acknowledged, and leaves the transfer as it was.
#[test]
fn misplaced_chunks_are_not_taken() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 20_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let junk = [0x55; 2048];
    let wrong: [(u8, u64, usize); 9] = [
        (0, 1, 512),
        (0, 0, 511),
        (0, 512, 1024),
        (0, 0, 2048),
        (0, 0, 0),
        (0, 19_968, 64),
        (0, 20_000, 32),
        (0, u64::MAX, 32),
        (9, 0, 512),
    ];
    for (component, offset, len) in wrong {
        bench.acks.clear();
        bench.chunk(component, offset, &junk[..len]);
        let ack = bench.acks.last().unwrap();
        assert!(!ack.taken, "{len} bytes at {offset} of component {component} were taken");
    }
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    assert!(bench.ask(Request::Finish).is_ok());
}

#[test]
fn a_full_window_takes_nothing_more_and_says_so() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 40_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let capacity = 16;
    for block in 0..=capacity {
        bench.acks.clear();
        let at = block * 1024;
        bench.chunk(0, at as u64, &one.payloads[0][at..at + 512]);
        let ack = *bench.acks.last().unwrap();
        assert_eq!(ack.taken, block < capacity, "block {block}");
        assert_eq!(usize::from(ack.credit_blocks), capacity.saturating_sub(block + 1));
    }
    bench.send_missing(&one, 0);
    assert_eq!(bench.send_missing(&one, 0), 0);
}

/// P6: another host, or the same one again, is asked only for what flash does not hold by the signed list. A
/// block that shares its erase block with a missing one has to come again: 4 blocks of 1 KiB share one of
/// 4 KiB. Behind a start nothing of the run is believed that was being written: 48 blocks here.
#[test]
fn a_transfer_goes_on_from_what_flash_holds() {
    for (sent, started) in
        [0, 1, 4, 6, 17, 48, 49, 59].into_iter().flat_map(|n| [(n, false), (n, true)])
    {
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 60_000);
        assert!(bench.stage(&one, false).is_ok());
        assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
        for (block, bytes) in one.payloads[0].chunks(1024).take(sent).enumerate() {
            bench.chunk(0, block as u64 * 1024, bytes);
        }
        if started {
            bench.restart(ResetCause::PowerOn);
        }
        bench.open_session();
        let how = How::Resumed;
        assert_eq!(bench.stage(&one, false), Ok(Reply::Stage { slot: SlotId::A, how }));
        list(&mut bench, &one, 0);
        let programmed = bench.flash().log.len();
        let missing = bench.send_missing(&one, 0) as usize;
        let kept = match (started, sent) {
            (false, 59) => 59,
            (false, _) => sent / 4 * 4,
            (true, 0..=48) => 0,
            (true, _) => 48,
        };
        assert_eq!(missing, 59 - kept, "after {sent} blocks, started: {started}");
        let area = bench.layout.slots().a.areas[0].range;
        let log = bench.flash().log[programmed..].iter();
        let written: u32 =
            log.filter(|place| area.covers(**place)).map(|place| place.len_bytes).sum();
        assert_eq!(written as usize, 60_000_usize.saturating_sub(kept * 1024));
        bench.send_missing(&one, 1);
        assert!(bench.ask(Request::Finish).is_ok());
    }
}

/// Power may fail at any byte of any flash operation: the next attempt resumes and ends well, and no
/// word is ever programmed twice without an erase (the flash of these tests insists on it).
#[test]
fn a_power_cut_anywhere_in_a_stage_is_resumed() {
    let one = Bundle::new(1, 6000);
    let mut dry = Bench::enrolled();
    let before = dry.flash().mutations();
    dry.staged(&one);
    let operations = dry.flash().mutations() - before;
    let mut fired = 0;
    for operation in 0..operations {
        for bytes in [0, 1, 100] {
            let mut bench = Bench::enrolled();
            let start = bench.flash().mutations();
            bench.flash().cut = Some(Cut::clean(start + operation, bytes));
            let _ = bench.stage(&one, false);
            for component in [0, 1] {
                if bench.ask(Request::OpenComponent { index: component }).is_ok() {
                    for (block, piece) in
                        one.payloads[usize::from(component)].chunks(1024).enumerate()
                    {
                        bench.chunk(component, block as u64 * 1024, piece);
                    }
                }
            }
            let _ = bench.ask(Request::Finish);
            fired += u32::from(bench.flash().dead);
            bench.restart(ResetCause::PowerOn).open_session();
            let reply = bench.stage(&one, false);
            assert!(matches!(reply, Ok(Reply::Stage { .. })), "cut {operation}.{bytes}: {reply:?}");
            bench.send_missing(&one, 0);
            bench.send_missing(&one, 1);
            let reply = bench.ask(Request::Finish);
            assert!(
                matches!(reply, Ok(Reply::Staged { .. })),
                "cut {operation}.{bytes}: {reply:?}"
            );
            bench.armed(&one, TERMS);
        }
    }
    assert!(fired >= operations as u32 * 2, "only {fired} cuts struck");
}

/// What lies behind the end in the last erase block can go only with the blocks in it. The list finds that out, not the
/// read-back, which would cost the whole component.
#[test]
fn dirt_behind_the_end_costs_the_last_erase_block_and_no_more() {
    for is_unreadable in [false, true] {
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 10_000);
        assert!(bench.stage(&one, false).is_ok());
        bench.send_missing(&one, 0);
        let dirt = bench.layout.slots().a.areas[0].range.start + 0x2ff0;
        if is_unreadable {
            bench.flash().unreadable = vec![range(dirt, 8)];
        } else {
            bench.flash().bytes[dirt as usize] = 0;
        }
        let resumed = Reply::Stage { slot: SlotId::A, how: How::Resumed };
        assert_eq!(bench.stage(&one, false), Ok(resumed));
        assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
        list(&mut bench, &one, 0);
        assert_eq!(bench.send_missing(&one, 0), 2, "of 10 blocks, the two behind 8 KiB");
        bench.send_missing(&one, 1);
        assert!(bench.ask(Request::Finish).is_ok());
    }
}

/// A list costs a line 32 bytes for each block.
#[test]
fn a_list_is_asked_for_only_where_blocks_may_be_kept() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 20_000);
    for (worth_listing, what) in [(false, "never written"), (true, "half written")] {
        assert!(bench.open_session().stage(&one, false).is_ok());
        let opened = bench.ask(Request::OpenComponent { index: 0 });
        assert_eq!(opened, Ok(Reply::Component { blocks: 20, worth_listing }), "{what}");
        bench.chunk(0, 0, &one.payloads[0][..512]);
    }
}

#[test]
fn a_forged_block_list_keeps_nothing() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 20_000);
    assert!(bench.stage(&one, false).is_ok());
    assert_eq!(bench.send_missing(&one, 0), 20);
    bench.open_session();
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let mut forged = one.block_list(0);
    forged[19][0] ^= 1;
    let digests = &forged.concat();
    let reply = bench.ask(Request::BlockList { first_block: 0, digests });
    assert_eq!(reply, Err(Refusal::Malformed));
    let asked = bench.ask(Request::Missing { first_block: 0 });
    assert!(matches!(asked, Ok(Reply::Missing { missing: 20, .. })), "{asked:?}");
    list(&mut bench, &one, 0);
    assert_eq!(bench.send_missing(&one, 0), 0, "the genuine list still counts");
}

#[test]
fn pieces_of_a_block_list_join_or_are_refused() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 40_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let digests = one.block_list(0).concat();
    let piece = |first: usize, end: usize| Request::BlockList {
        first_block: first as u32,
        digests: &digests[first * 32..end * 32],
    };
    assert_eq!(bench.ask(piece(4, 8)), Err(Refusal::Malformed));
    assert_eq!(bench.ask(piece(0, 0)), Err(Refusal::Malformed), "a list of nothing");
    assert_eq!(bench.ask(piece(0, 8)), Ok(Reply::Listed { blocks: 8 }));
    assert_eq!(bench.ask(piece(0, 8)), Ok(Reply::Listed { blocks: 8 }));
    assert_eq!(bench.ask(piece(9, 10)), Err(Refusal::Malformed));
    assert_eq!(bench.ask(piece(8, 40)), Ok(Reply::Listed { blocks: 40 }));
    assert_eq!(bench.ask(piece(0, 8)), Ok(Reply::Listed { blocks: 40 }));
}

/// What a line costs in bytes sent again is counted to the byte, whether a block is still in the window, written, or
/// shorter than the others.
#[test]
fn bytes_that_had_arrived_before_are_counted_as_repeated() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 1_500);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let app = &one.payloads[0];
    let mut counted = |from: usize, to: usize| {
        let before = bench.status().link;
        bench.chunk(0, from as u64, &app[from..to]);
        let after = bench.status().link;
        let sent = after.payload_bytes - before.payload_bytes;
        (sent, after.repeated_bytes - before.repeated_bytes)
    };
    assert_eq!(counted(0, 512), (512, 0));
    assert_eq!(counted(0, 512), (512, 512), "all of it is in the window");
    assert_eq!(counted(256, 768), (512, 256), "half of it is");
    assert_eq!(counted(0, 768), (768, 768));
    assert_eq!(counted(512, 1024), (512, 256), "the block is whole");
    assert_eq!(counted(0, 1024), (1024, 1024), "it is written");
    // 476 bytes: 14 granules of 32 bytes, and 28 of the last.
    assert_eq!(counted(1472, 1500), (28, 0), "the end of a short block");
    assert_eq!(counted(1408, 1500), (92, 28));
    assert_eq!(counted(1024, 1500), (476, 92));
}

/// A list decides what is kept, so it comes before the first chunk; one that is refused changes nothing.
#[test]
fn a_block_list_that_is_refused_leaves_the_transfer_as_it_was() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let digests = one.block_list(0).concat();
    let list = |first_block| Request::BlockList { first_block, digests: &digests[..64] };
    assert_eq!(bench.ask(list(4)), Err(Refusal::Malformed));
    bench.chunk(0, 0, &one.payloads[0][..512]);
    assert!(bench.acks.last().unwrap().taken, "behind a list that does not begin at the front");
    assert_eq!(bench.ask(list(0)), Err(Refusal::Malformed), "half a block has come");
    bench.chunk(0, 512, &one.payloads[0][512..1024]);
    assert!(bench.acks.last().unwrap().taken);
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    assert!(bench.ask(Request::Finish).is_ok());
}

/// What an older, longer image left behind the new one is erased while the slot is read back.
#[test]
fn what_lies_behind_a_component_is_erased() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 3000));
    bench.staged(&Bundle::new(2, 60_000));
    bench.staged(&Bundle::new(3, 5_000));
    let area = bench.layout.slots().b.areas[0].range;
    let flash = bench.flash();
    assert!(flash.slice(area)[5_000..].iter().all(|byte| *byte == 0xff));
}

/// A block that never reads as erased is refused, not erased for ever.
#[test]
fn a_tail_that_stays_dirty_costs_one_erase_and_a_refusal() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 5_000);
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    bench.flash().stuck = Some(bench.layout.slots().a.areas[0].range.start + 0x8000);
    let at = bench.layout.slots().a.areas[0].range.start as usize + 0x8000;
    bench.flash().bytes[at] = 0xfe;
    let erases = bench.flash().erases;
    assert_eq!(bench.ask(Request::Finish), Err(Refusal::Flash));
    assert_eq!(bench.flash().erases, erases + 1);
}

#[test]
fn a_component_with_damage_is_incomplete_and_can_be_sent_again() {
    // The second one is still open when it turns out to be damaged.
    for (component, offset, blocks) in [(0, 4321, 5), (1, 500, 1)] {
        let mut bench = Bench::enrolled();
        let one = Bundle::new(1, 5_000);
        assert!(bench.stage(&one, false).is_ok());
        assert_eq!(bench.ask(Request::Finish), Err(Refusal::Incomplete { component: 0 }));
        bench.send_missing(&one, 0);
        bench.send_missing(&one, 1);
        let area = bench.layout.slots().a.areas[usize::from(component)].range;
        bench.flash().bytes[area.start as usize + offset] ^= 1;
        assert_eq!(bench.ask(Request::Finish), Err(Refusal::Incomplete { component }));
        assert_eq!(bench.send_missing(&one, component), blocks);
        assert!(bench.ask(Request::Finish).is_ok());
    }
}

/// The erase that a failed block needs takes everything along that shares its erase block; so all of that is sent
/// again, and nothing is found missing only at the end.
#[test]
fn a_block_that_fails_is_missing_with_all_that_its_erase_takes_along() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 9_000);
    let area = bench.layout.slots().a.areas[0].range;
    assert!(bench.stage(&one, false).is_ok());
    // Erase blocks hold four blocks each: 4 to 7 are in the second one.
    bench.flash().refuses = Some(range(area.start + 6 * 1024, 1024));
    bench.chunk_all(0, &one.payloads[0]);
    let asked = bench.ask(Request::Missing { first_block: 0 });
    let Ok(Reply::Missing { missing, bits, .. }) = asked else { panic!("{asked:?}") };
    assert_eq!((missing, bits[0]), (3, 0b0111_0000), "the last one of them was written anew");
    bench.flash().refuses = None;
    assert_eq!(bench.send_missing(&one, 0), 3);
    bench.send_missing(&one, 1);
    assert!(bench.ask(Request::Finish).is_ok());
    assert_eq!(bench.flash().slice(area)[..9_000], one.payloads[0]);
}

/// Whatever reads the window's memory anew ends what was received into it.
#[test]
fn a_hash_and_an_opened_trial_drop_a_transfer() {
    let running = Bundle::new(1, 5_000);
    let next = Bundle::new(2, 5_000);
    let trial = Request::OpenTrial { bundle: next.digest, plan: PLAN, terms: TERMS };
    for request in [Request::HashComponent { slot: SlotId::A, area: 0 }, trial] {
        let mut bench = Bench::enrolled();
        bench.confirmed(&running);
        assert!(bench.stage(&next, false).is_ok());
        assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
        assert!(bench.ask(Request::Missing { first_block: 0 }).is_ok());
        let _ = bench.ask(request);
        let missing = bench.ask(Request::Missing { first_block: 0 });
        assert!(missing.is_err(), "{request:?}: {missing:?}");
    }
}

/// What was there before is gone as far as a document is ever read, however short the new one is.
#[test]
fn a_manifest_leaves_nothing_behind_it() {
    let layout = layout_of(PerSlot { a: slot_at(0x4_0000), b: slot_at(0x8_0000) }, 256);
    let mut bench = Bench::on(RamFlash::even(256, 0xa_0000 / 256), layout);
    bench.open_session().offer(&signed_root(&root_record()));
    assert!(bench.ask(Request::Enroll).is_ok());
    let place = bench.layout.slots().a.manifest;
    let (from, to) = (place.start as usize, place.end() as usize);
    bench.flash().bytes[from..to].fill(0x5A);
    let one = Bundle::new(1, 5_000);
    bench.staged(&one);
    let read = (to - from).min(4096);
    let erased = bench.flash().geometry.erased;
    let behind = bench.flash().bytes[from + one.envelope.len()..from + read].to_vec();
    assert!(behind.iter().all(|byte| *byte == erased), "{behind:?}");
}

/// Chunks may not touch a slot that the record calls staged; only a new stage marks it first.
#[test]
fn a_slot_that_is_found_staged_takes_no_chunks() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 5_000);
    bench.staged(&one);
    let how = How::FoundDone;
    assert_eq!(bench.stage(&one, false), Ok(Reply::Stage { slot: SlotId::A, how }));
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let before = bench.flash().bytes.clone();
    bench.chunk(0, 0, &[0; 1024]);
    assert!(bench.flash().bytes == before, "flash was written");
    let staged = SlotState::Staged { bundle: one.digest };
    assert_eq!(bench.status().slots.a, staged);
}

/// A slot that was read back and recorded as staged without a component being opened takes none
/// either: what was verified is what boots.
#[test]
fn a_slot_that_was_read_back_takes_no_more_chunks() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 5_000);
    assert!(bench.stage(&one, false).is_ok());
    bench.send_missing(&one, 0);
    bench.send_missing(&one, 1);
    let how = How::Resumed;
    assert_eq!(bench.stage(&one, false), Ok(Reply::Stage { slot: SlotId::A, how }));
    assert!(bench.ask(Request::Finish).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let before = bench.flash().bytes.clone();
    bench.chunk(0, 0, &[0; 1024]);
    assert!(bench.flash().bytes == before, "flash was written");
}

/// A slot whose mark could not be stored is not written to either.
#[test]
fn a_stage_that_could_not_be_marked_takes_no_chunks() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 5_000);
    let record = bench.layout.record()[0];
    bench.flash().refuses = Some(record);
    assert_eq!(bench.stage(&one, false), Err(Refusal::Flash));
    assert_eq!(bench.ask(Request::OpenComponent { index: 0 }), Err(Refusal::NoStage));
}

/// Blocks and erase blocks nest either way; where they do not, the bundle is refused untouched.
#[test]
fn block_sizes_have_to_nest_with_uneven_erase_blocks() {
    let uneven = |sizes: &[u32]| {
        let mut all = vec![4096; 0x4_2000 / 4096];
        all.extend(sizes);
        let rest = 0xa_0000 - all.iter().sum::<u32>();
        all.extend(vec![4096; rest as usize / 4096]);
        let geometry = Geometry { word_bytes: 8, page_bytes: 256, erased: 0xff };
        let mut bench = Bench::on(RamFlash::with_blocks(geometry, &all), layout());
        bench.open_session();
        bench.offer(&crate::support::bundle::signed_root(&crate::support::bundle::root_record()));
        assert!(bench.ask(Request::Enroll).is_ok());
        bench
    };
    for (sizes, block, fits) in [
        (&[0x4000, 0x2000, 0x2000, 0x8000][..], 1024, true),
        (&[0x4000, 0x2000, 0x2000, 0x8000], 8192, true),
        (&[0x1000, 0x3000, 0x8000, 0x4000], 4096, true),
        (&[0x1000, 0x3000, 0x8000, 0x4000], 8192, false),
    ] {
        let one = Bundle::changed(1, 60_000, block, |manifest| {
            // `config` has an area of one erase block, which fits any of these.
            manifest.components[1] =
                crate::support::bundle::component("config", &one_config(), 1024);
        });
        let one = Bundle { payloads: vec![one.payloads[0].clone(), one_config()], ..one };
        let mut bench = uneven(sizes);
        let reply = bench.stage(&one, false);
        assert_eq!(reply.is_ok(), fits, "{sizes:x?} with blocks of {block}: {reply:?}");
        if fits {
            bench.send_missing(&one, 0);
            bench.chunk_all(1, &one.payloads[1]);
            let reply = bench.ask(Request::Finish);
            assert!(reply.is_ok(), "{sizes:x?} with blocks of {block}: {reply:?}");
        }
    }
}

/// A frame of another link, numbered by another host, does not disturb the count of this one's.
#[test]
fn a_second_tool_that_looks_on_does_not_disturb_a_transfer() {
    let mut bench = Bench::enrolled();
    let one = Bundle::new(1, 20_000);
    assert!(bench.stage(&one, false).is_ok());
    assert!(bench.ask(Request::OpenComponent { index: 0 }).is_ok());
    let mine = bench.sequence;
    bench.sequence = 1_000_000;
    assert!(bench.send(1, 1, 0, Request::Hello { min: 1, current: 1 }).is_ok());
    assert!(bench.send(1, 2, 0, Request::Status).is_ok());
    bench.sequence = mine;
    bench.acks.clear();
    bench.chunk(0, 0, &one.payloads[0][..1024]);
    let ack = bench.acks.first().unwrap();
    assert!(ack.highest == mine && ack.taken, "{ack:?}");
}

/// Measured over a whole life: what the longest poll reads. Requests that read a signed document
/// read up to 4 KiB of manifest twice and 1 KiB of root on top (PROTOCOL.md, "Cost").
#[test]
fn no_poll_reads_more_than_its_bound() {
    let mut bench = Bench::enrolled();
    bench.confirmed(&Bundle::new(1, 40_000));
    bench.staged(&Bundle::new(2, 40_000));
    let bound = READ_BOUND + 1024 + 4096;
    assert!(bench.most_read <= bound, "a poll read {} bytes", bench.most_read);
}

fn one_config() -> Vec<u8> {
    vec![7; 700]
}

fn list(bench: &mut Bench, bundle: &Bundle, component: u8) {
    assert!(bench.ask(Request::OpenComponent { index: component }).is_ok());
    let digests = bundle.block_list(usize::from(component));
    for (index, piece) in digests.chunks(32).enumerate() {
        let first_block = index as u32 * 32;
        let reply = bench.ask(Request::BlockList { first_block, digests: &piece.concat() });
        assert_eq!(reply, Ok(Reply::Listed { blocks: first_block + piece.len() as u32 }));
    }
}
