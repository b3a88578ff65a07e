//! The receiver against random geometries and orders: exactly the payload, each block written once.
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "sizes here are small; clippy.toml excuses test functions, not their helpers"
)]

use std::collections::BTreeMap;

use firmware_protocol::digest::Digest;
use firmware_protocol::flash::{Flash as _, Geometry, Range};
use firmware_protocol::receiver::{
    BackStep, ChunkFate, ListStep, Part, Receiver, Run, Step, Target,
};
use firmware_protocol::slot::SlotId;
use proptest::prelude::*;

use crate::support::bundle::{block_list, variant};
use crate::support::flash::RamFlash;
use crate::support::{Rng, range};

/// Of one component: what it is made of and how it is sent.
#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    length: usize,
    block_size: u32,
    /// Erase blocks of this size, or of this and twice this in turns.
    erase: u32,
    uneven: bool,
    word: u32,
    page: u32,
    erased: u8,
    window_blocks: usize,
    chunk: usize,
    run_bytes: u32,
}

fn cases() -> impl Strategy<Value = Case> {
    let sizes = (0_u32..4, 0_u32..5, any::<bool>(), 0_u32..6, 0_u32..4);
    let rest = (any::<u64>(), 1_usize..30_000, any::<bool>(), 2_usize..6, 0_u32..6, 0_u32..12_000);
    (sizes, rest).prop_map(
        |((block, erase, uneven, word, page), (seed, length, zero, window, chunk, run_bytes))| {
            let block_size = 512 << block;
            Case {
                seed,
                length,
                block_size,
                erase: 512 << erase,
                uneven,
                word: 1 << word,
                page: 32 << (page * 2),
                erased: if zero { 0 } else { 0xff },
                window_blocks: window,
                chunk: (block_size / 32) as usize * (1 << chunk),
                run_bytes,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Proptest prints the case that failed, its seed included.
    #[test]
    fn any_order_of_chunks_gives_exactly_the_payload_and_writes_each_block_once(case in cases()) {
        let mut bench = Receiving::new(&case);
        prop_assume!(bench.nests());
        bench.receive(&case, 0)?;
        bench.check_each_written_once()?;
        bench.check_read_back()?;
    }

    /// P6: a receiver that starts anew over what a first one wrote keeps what the list proves, and
    /// ends with the payload. Behind a start it keeps nothing of the run that was named last, however well
    /// that reads; without one it keeps that too.
    #[test]
    fn a_second_receiver_goes_on_where_the_first_was_stopped(
        case in cases(),
        stop in 0_usize..60,
        started in any::<bool>(),
    ) {
        let mut bench = Receiving::new(&case);
        prop_assume!(bench.nests());
        bench.receive(&case, stop)?;
        bench.restart(started);
        bench.list()?;
        let held = bench.written_blocks();
        let suspect = bench.target.suspect;
        for block in 0..bench.blocks() {
            let (_, bits) = bench.receiver.missing(block).unwrap();
            let is_missing = bits[0] & 1 == 1;
            let is_suspect = !bench.block(block).common(suspect).is_empty();
            prop_assert!(is_missing || (held.contains(&block) && !is_suspect), "block {block}");
            // What it shares its erase block with may be missing too.
            let alone = bench.erase_blocks(block).iter().all(|other| held.contains(other));
            prop_assert!(!is_missing || is_suspect || !alone || bench.tail_is_dirty(block));
        }
        bench.receive(&case, 0)?;
        bench.check_read_back()?;
    }
}

struct Receiving {
    /// What the record names, as a device would have it.
    named: Range,
    flash: RamFlash,
    receiver: Receiver,
    target: Target,
    window: Vec<u8>,
    payload: Vec<u8>,
    rng: Rng,
}

impl Receiving {
    fn new(case: &Case) -> Self {
        let mut rng = Rng(case.seed);
        let payload = rng.bytes(case.length);
        let mut sizes = vec![case.erase; 2];
        while sizes.iter().sum::<u32>() < case.length as u32 + case.erase * 3 {
            sizes.push(case.erase << u32::from(case.uneven && sizes.len().is_multiple_of(2)));
        }
        let geometry =
            Geometry { word_bytes: case.word, page_bytes: case.page, erased: case.erased };
        let mut flash = RamFlash::with_blocks(geometry, &sizes);
        // What an older image left there.
        for byte in &mut flash.bytes {
            *byte = rng.next() as u8;
        }
        let start = case.erase;
        let range = range(start, flash.bytes.len() as u32 - start);
        let part = Part { range, variant: variant(&payload, case.block_size) };
        let target = Target {
            slot: SlotId::A,
            bundle: Digest([1; 32]),
            parts: [part].into_iter().collect(),
            worth_listing: true,
            suspect: Range::default(),
            run_bytes: case.run_bytes,
        };
        let mut receiver = Receiver::new(target.clone());
        receiver.open(0).unwrap();
        let window = vec![0; case.window_blocks * case.block_size as usize];
        Self { named: Range::default(), flash, receiver, target, window, payload, rng }
    }

    /// Names a run as a device does: with what was named before, as long as that is not all there.
    fn name(&mut self, run: Run) {
        let proven = self.receiver.is_proven(&self.flash, self.named);
        self.named = if proven { run.all } else { self.named.hull(run.all) };
    }

    /// Blocks whose erase blocks `block` shares, itself included.
    fn erase_blocks(&self, block: u32) -> Vec<u32> {
        let whole = self.erase_range(block);
        (0..self.blocks()).filter(|other| !self.block(*other).common(whole).is_empty()).collect()
    }

    fn erase_range(&self, block: u32) -> Range {
        let place = self.block(block);
        let end = place.end().min(self.part().range.start + self.payload.len() as u32);
        let first = self.flash.block_at(place.start).unwrap();
        first.hull(self.flash.block_at(end - 1).unwrap())
    }

    /// Bytes stand behind the component in the erase block that it shares with `block`.
    fn tail_is_dirty(&self, block: u32) -> bool {
        let whole = self.erase_range(block);
        let end = self.part().range.start + self.payload.len() as u32;
        let tail = range(end, whole.end().saturating_sub(end));
        !self.flash.slice(tail).iter().all(|byte| *byte == self.flash.geometry.erased)
    }

    fn part(&self) -> Part {
        self.target.parts[0]
    }

    fn blocks(&self) -> u32 {
        self.part().variant.block_count().unwrap()
    }

    fn block(&self, block: u32) -> Range {
        let size = self.part().variant.block_size;
        range(self.part().range.start + block * size, size)
    }

    /// As admission asks: every block within one erase block, or made of whole ones.
    fn nests(&self) -> bool {
        (0..self.blocks()).all(|block| {
            let place = self.block(block);
            let end = place.end().min(self.part().range.end());
            let first = self.flash.block_at(place.start).unwrap();
            let last = self.flash.block_at(end - 1).unwrap();
            first == last || (first.start == place.start && last.end() == end)
        })
    }

    /// Sends random missing chunks, some twice, until all is there or `stop` blocks were written.
    fn receive(&mut self, case: &Case, stop: usize) -> Result<(), TestCaseError> {
        let mut written = 0;
        for _ in 0..200 {
            let mut chunks: Vec<usize> = (0..self.payload.len()).step_by(case.chunk).collect();
            self.rng.shuffle(&mut chunks);
            for at in chunks {
                let end = self.payload.len().min(at + case.chunk);
                let piece = self.payload[at..end].to_vec();
                for _ in 0..=self.rng.below(2) {
                    let fate =
                        self.receiver.chunk(&mut self.window, 0, at as u64, &piece, case.erased);
                    prop_assert_ne!(fate, ChunkFate::Misplaced);
                }
                if self.rng.below(3) == 0 {
                    written += self.write()?;
                }
                if stop > 0 && written >= stop {
                    return Ok(());
                }
            }
            written += self.write()?;
            if self.receiver.missing(0).unwrap().0 == 0 {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("the transfer does not end"))
    }

    fn write(&mut self) -> Result<usize, TestCaseError> {
        let mut written = 0;
        loop {
            let before = self.flash.mutations();
            if let Some(run) = self.receiver.next_run(&self.flash) {
                prop_assert!(run.all.covers(run.place) && self.part().range.covers(run.all));
                if !self.named.covers(run.place) {
                    self.name(run);
                }
            }
            let (named, reach) = (self.named, self.flash.reach);
            self.flash.reach = Some(named);
            let step = self.receiver.step(&mut self.flash, &self.window);
            self.flash.reach = reach;
            prop_assert!(self.flash.mutations() - before <= 1);
            match step.map_err(|error| TestCaseError::fail(error.to_string()))? {
                Step::Idle => return Ok(written),
                Step::Worked => {}
                Step::BlockWritten => written += 1,
            }
        }
    }

    fn restart(&mut self, started: bool) {
        self.target.suspect = if started { self.named } else { Range::default() };
        self.receiver = Receiver::new(self.target.clone());
        self.receiver.open(0).unwrap();
        self.window.fill(0x5a);
    }

    fn list(&mut self) -> Result<(), TestCaseError> {
        let digests = block_list(&self.payload, self.part().variant.block_size);
        let at_once = (self.window.len() / 32).min(32);
        for (index, piece) in digests.chunks(at_once).enumerate() {
            let first = (index * at_once) as u32;
            let queued = self.receiver.list(&mut self.window, first, &piece.concat());
            prop_assert_eq!(queued, Some(None));
            while self.receiver.list_step(&mut self.flash, &self.window) == ListStep::Working {}
        }
        Ok(())
    }

    /// Blocks that are what they should be.
    fn written_blocks(&self) -> Vec<u32> {
        let size = self.part().variant.block_size as usize;
        let area = &self.flash.bytes[self.part().range.start as usize..];
        let same = self.payload.chunks(size).zip(area.chunks(size)).zip(0..);
        same.filter(|((wanted, held), _)| held.starts_with(wanted))
            .map(|(_, block)| block)
            .collect()
    }

    fn check_each_written_once(&self) -> Result<(), TestCaseError> {
        let mut programmed: BTreeMap<u32, u32> = BTreeMap::new();
        for place in &self.flash.log {
            *programmed.entry(place.start).or_default() += 1;
        }
        prop_assert!(programmed.values().all(|times| *times == 1));
        let word = self.flash.geometry.word_bytes as usize;
        let ideal = self.payload.len().next_multiple_of(word) as u64;
        prop_assert_eq!(self.flash.programmed_bytes, ideal);
        Ok(())
    }

    fn check_read_back(&mut self) -> Result<(), TestCaseError> {
        let mut back = self.receiver.read_back();
        loop {
            self.flash.reach = Some(self.named);
            let step = self.receiver.read_back_step(&mut self.flash, &mut back, self.named);
            self.flash.reach = None;
            match step.unwrap() {
                BackStep::Working => {}
                BackStep::Names(run) => self.name(run),
                BackStep::AllMatch => break,
                BackStep::Differs { .. } => return Err(TestCaseError::fail("differs")),
            }
        }
        let area = self.flash.slice(self.part().range);
        let (body, tail) = area.split_at(self.payload.len());
        prop_assert!(body == self.payload);
        let erased = self.flash.geometry.erased;
        prop_assert!(tail.iter().all(|byte| *byte == erased));
        Ok(())
    }
}
